"""What people do on the boards: every form of a case, in whose name, and what becomes of it.

A form carries its own number, by which it tells once however often it is sent, and what stood when it was
made, by which one that is too old is known. What cannot be told is said beside the field, and not kept.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adapter.discharge.case import Case
from adapter.discharge.notices import YEARS, AnswerValue, NoticeKind, local_date
from adapter.discharge.turns import Turn, answered
from adapter.messaging.people import CARE, Role
from adapter.speaking import Speaking, Told, Unsaid, Voice
from adapter.store.statements import Row
from adapter.web.site import Action, Doing, Look, Mistake, Page, View

K = NoticeKind

LONGEST_TEXT = 2000
"""Characters of what somebody writes in a form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a form; labels and options are in the reader's language."""

    name: str
    label: str
    type: str = "text"  # of the input; or textarea, select
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()  # value and words, of a select
    required: bool = False
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One thing to do: its address below the case's, its words, and what it carries unseen."""

    name: str
    title: str
    button: str
    party: str
    key: str
    about: str = ""
    lead: str = ""  # what it is about
    fields: tuple[Field, ...] = ()
    quick: tuple[tuple[str, str], ...] = ()  # values of the button `day`, with their words
    say: str = ""  # which of several answers it gives
    open: bool = False  # shown without being asked for

    @property
    def id(self) -> str:
        """Tells it from the others of the page."""
        return "-".join(part for part in (self.name, self.say, self.about, self.party) if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a person may do in the name of one party; `silent` where its own system speaks for it."""

    party: str
    name: str
    silent: bool
    forms: tuple[Form, ...]


def acts(look: Look, row: Row) -> tuple[Said, ...]:
    """Everything that the person may do with a case; for `acting/actions.html`."""
    speaking = Speaking(inbox=look.inbox, sight=look.sight)
    case = dict(look.inbox.cases.folded(look.tx, row["patient"]))[row["id"]]
    return tuple(
        Said(
            party=voice.party,
            name=look.words.party(voice.party),
            silent=voice.silent,
            forms=tuple(_Forms(look, case, voice).made(speaking.turns(case, voice))),
        )
        for voice in speaking.voices(case, look.now)
    )


def acting(look: Look) -> View:
    """`/stays/{id}/act`: all that can be done with a case, on a page of its own."""
    row, _ = Speaking(inbox=look.inbox, sight=look.sight).case(look.tx, look.row("case"))
    return View(
        template="acting/page.html",
        title=look.words.of("What to do"),
        values={"row": row, "acts": acts(look, row)},
        patients=frozenset({row["patient"]}),
    )


# --- the forms --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Forms:
    """The forms of one voice over one case."""

    look: Look
    case: Case
    voice: Voice

    def made(self, turns: tuple[Turn, ...]) -> Iterator[Form]:
        for turn in turns:
            make = _MAKERS.get(turn.kind)
            if make is not None:
                yield from make(self, turn)

    def form(self, name: str, title: str, button: str, turn: Turn, **more: Any) -> Form:
        return Form(
            name=name,
            title=self.look.words.of(title),
            button=self.look.words.of(button),
            party=self.voice.party,
            key=self.look.inbox.new_id(),
            about=turn.about,
            **more,
        )

    def field(self, name: str, label: str, type: str = "text", **more: Any) -> Field:
        return Field(name=name, label=self.look.words.of(label), type=type, **more)

    # --- the municipality ---

    def answer(self, turn: Turn) -> Iterator[Form]:
        words = self.look.words
        assert turn.entry is not None
        said = answered(self.case, turn.entry, self.voice.mine)
        lead = self._answered(said.notice.answer, said.notice.receive_from) if said is not None else ""
        today = self.look.now.astimezone(self.look.inbox.zone).date()
        ready = local_date(turn.entry.notice.ready or turn.entry.notice.occurred, self.look.inbox.zone)
        days = dict.fromkeys(max(day, today) for day in (ready, today, today + timedelta(days=1)))
        quick = tuple((day.isoformat(), words.of("From {day}", day=words.day(day))) for day in sorted(days))
        first = self.field("receive_from", "Another day", "date")
        yield self.form(
            "answer", "We can receive the patient", "Can receive from this day", turn,
            lead=lead, quick=quick, fields=(first,), say="can-receive", open=True,
        )  # fmt: skip
        why = self.field("text", "Why not", "textarea", required=True)
        when = self.field("receive_from", "From when it is expected, if that is known", "date")
        yield self.form(
            "answer", "We cannot receive the patient", "Cannot receive", turn,
            fields=(why, when), say="cannot-receive",
        )  # fmt: skip
        yield self.form("answer", "It is not known yet", "Not known yet", turn, say="not-known", open=True)

    def _answered(self, answer: AnswerValue | None, day: date | None) -> str:
        words = self.look.words
        said = words.code("said", answer)
        if day is not None:
            said = words.of("{answer}, from {day}", answer=said, day=words.day(day))
        return words.of("Answered so far: {answer}. A new answer replaces it.", answer=said)


_MAKERS: Mapping[NoticeKind, Callable[[_Forms, Turn], Iterator[Form]]] = {
    K.ANSWER: _Forms.answer,
}


# --- doing ------------------------------------------------------------------------------------------------


def _told(doing: Doing, kind: NoticeKind, **said: Any) -> str:
    """Tell it; back to the case, or the form once more with what is wrong."""
    speaking = Speaking(inbox=doing.inbox, sight=doing.sight)
    try:
        told: Told = speaking.tell(
            doing.tx,
            doing.row(),
            kind,
            party=doing.text("party"),
            about=doing.text("about"),
            key=doing.text("key"),
            now=doing.now,
            by=doing.by,
            **said,
        )
    except Unsaid as error:
        raise _mistake(doing, error) from error
    return f"/stays/{told.case_id}"


def _mistake(doing: Doing, error: Unsaid) -> Mistake:
    return Mistake({"": doing.words.of(_UNSAID[error.code], reason=error.reason)})


_UNSAID = {
    "stale": "The case has moved on since you opened the form, and nothing was sent. See what stands now, "
    "then say it anew if it still holds.",
    "own-system": "This party has a system of its own, and only that system speaks for it: nothing was sent.",
    "reused": "This form has been sent already, with other words. See what was sent; a new form says more.",
    "forgotten": "The patient's data in this case is no longer kept, so nothing can be sent about it here.",
    "nobody": "There is nobody to send it to. Nothing was sent.",
    "refused": "It was not sent: {reason}.",
}
"""Why nothing was told, by `Unsaid.code`."""


def _day(doing: Doing, name: str, *, needed: bool = False) -> date | None:
    """A day that was chosen; Mistake where it is none, or is missing."""
    text = doing.text(name)
    if not text:
        if needed:
            raise Mistake({name: doing.words.of("Choose a day.")})
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if found.year not in YEARS:
        raise Mistake({name: doing.words.of("Write the day as year-month-day, like 2014-03-04.")})
    return found


def _words(doing: Doing, name: str, *, needed: str | None = None) -> str | None:
    """What was written; Mistake where it is too long, or `needed` and missing."""
    text = doing.text(name)
    if not text and needed is not None:
        raise Mistake({name: doing.words.of(needed)})
    if len(text) > LONGEST_TEXT:
        most = doing.words.number(LONGEST_TEXT)
        raise Mistake({name: doing.words.of("Write at most {most} characters.", most=most)})
    return text or None


def _answer(doing: Doing) -> str:
    """Can receive from a day, cannot because of something, or not known yet."""
    try:
        answer = AnswerValue(doing.text("say"))
    except ValueError:
        raise Mistake({"": doing.words.of("Choose one of the answers.")}) from None
    day = _day(doing, "day") or _day(doing, "receive_from", needed=answer is AnswerValue.CAN_RECEIVE)
    today = doing.now.astimezone(doing.inbox.zone).date()
    if day is not None and day < today:
        raise Mistake({"receive_from": doing.words.of("That day is past: choose today or a later day.")})
    reason = "Say why, so that the ward can plan."
    text = _words(doing, "text", needed=reason if answer is AnswerValue.CANNOT_RECEIVE else None)
    return _told(doing, K.ANSWER, answer=answer, receive_from=day, text=text)


_MUNICIPALITY = frozenset({Role.MUNICIPALITY})

PAGES = (Page(path="/stays/{id}/act", view=acting, roles=CARE),)

NAV = ()

ACTIONS = tuple(
    Action(path=f"/stays/{{id}}/{name}", act=act, roles=roles, again=acting)
    for name, act, roles in (("answer", _answer, _MUNICIPALITY),)
)
"""What people who care for the patients do."""
