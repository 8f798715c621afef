"""What people do on the boards: in whose name, and what becomes of it.

What cannot be told is said beside the field, in the reader's language, and nothing of it is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from adapter.classifying import classify
from adapter.discharge.notices import YEARS, AnswerValue, Decliner, Meeting, Notice, NoticeKind, Way
from adapter.discharge.turns import unread
from adapter.errors import MessageError, NotFound
from adapter.fhir.bundles import Clinician
from adapter.fhir.negotiating import NEGOTIATION_SYSTEM, OTHER_DAY
from adapter.incoming import BOARD
from adapter.messaging.envelope import masked
from adapter.messaging.people import CARE, Role
from adapter.phrases import phrase
from adapter.plans import Conflict, Plans
from adapter.readers import Reader
from adapter.reserve_routine import ReserveRoutine, Spoken
from adapter.speaking import Speaking, Told, Unsaid, Voice, form_number
from adapter.store import cases as case_rows
from adapter.store import messages
from adapter.store.statements import Row
from adapter.web.acting_forms import Form, Forms, callable_to
from adapter.web.site import Action, Doing, Look, Mistake, Page, View, no_stay, number

K = NoticeKind

LONGEST_TEXT = 2000
"""Characters of what somebody writes in a form."""

_WAIT = 2.0  # seconds
_LONGEST_MEETING = 24 * 60  # minutes


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
            forms=tuple(Forms(look, speaking, row, case, voice).made()),
        )
        for voice in speaking.voices(case, look.now)
    )


def acting(look: Look) -> View:
    """`/stays/{id}/act`: all that can be done with a case, on a page of its own."""
    look.inbox.shelves.catch_up(_WAIT)  # tasks of plans stand there
    row = Speaking(inbox=look.inbox, sight=look.sight).row(look.tx, look.row("case"))
    return View(
        template="acting/page.html",
        title=look.words.of("What to do"),
        values={"row": row, "acts": acts(look, row)},
        patients=frozenset({row["patient"]}),
    )


# --- doing ------------------------------------------------------------------------------------------------


def _speaking(doing: Doing) -> Speaking:
    return Speaking(inbox=doing.inbox, sight=doing.sight)


def _told(doing: Doing, kind: NoticeKind, **said: Any) -> str:
    """Tell it; back to the case, or the form once more with what is wrong."""
    return _unless_unsaid(
        doing,
        lambda: _speaking(doing).tell(
            doing.tx,
            doing.row(),
            kind,
            party=doing.text("party"),
            about=doing.text("about"),
            key=doing.text("key"),
            now=doing.now,
            by=doing.by,
            **said,
        ),
    )


def _unless_unsaid(doing: Doing, tell: Callable[[], Told]) -> str:
    try:
        return f"/stays/{tell().case_id}"
    except Unsaid as error:
        raise mistake(doing, error) from error


def mistake(doing: Doing, error: Unsaid) -> Mistake:
    """Why nothing was told, for whoever wanted to tell it."""
    return Mistake({"": doing.words.marked(_UNSAID[error.code], reason=doing.words.told(error.reason))})


_UNSAID = {
    "stale": "The case has moved on since you opened the form, and nothing was sent. See what stands now, "
    "then say it anew if it still holds.",
    "own-system": "This party has a system of its own, and only that system speaks for it: nothing was sent.",
    "reused": "This form has been sent already, with other words. See what was sent; a new form says more.",
    "forgotten": "The patient's data in this case is no longer kept, so nothing can be sent about it here.",
    "nobody": "There is nobody to send it to. Nothing was sent.",
    "ahead": "That lies ahead. Tell it when it has happened.",
    "too-early": "It cannot have been then: the patient had not been admitted, or it had not been sent.",
    "refused": "It was not sent: {reason}.",
}
"""Why nothing was told, by `Unsaid.code`."""


def voice_of(doing: Doing) -> tuple[Row, Any, Voice]:
    """The case and the voice that the form names; NotFound where the person has not that voice."""
    speaking = _speaking(doing)
    row, case = speaking.case(doing.tx, doing.row())
    try:
        return row, case, speaking.voice(case, doing.text("party"), doing.now)
    except Unsaid as error:
        raise mistake(doing, error) from error


# --- fields -----------------------------------------------------------------------------------------------


def day_in(doing: Doing, name: str, *, needed: bool = False, years: range = YEARS) -> date | None:
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
    if found.year not in years:
        raise Mistake({name: doing.words.of("Write the day as year-month-day, like 2014-03-04.")})
    return found


def time_in(doing: Doing, name: str) -> datetime:
    """A time by the hospital's clock; Mistake where it is none, or is missing."""
    text = doing.text(name)
    if not text:
        raise Mistake({name: doing.words.of("Say when.")})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    shape = found is not None and found.tzinfo is None and len(text) >= len("2014-03-04T14:20")
    if found is None or not shape or found.year not in YEARS:
        raise Mistake({name: doing.words.of("Write the time like 2014-03-04T14:20.")})
    return found.replace(tzinfo=doing.inbox.zone)


def past_in(doing: Doing, name: str, not_before: datetime | None) -> datetime:
    """A time that is not ahead, and not before the stay began."""
    at = time_in(doing, name)
    if at > doing.now:
        raise Mistake({name: doing.words.of("That lies ahead. Tell it when it has happened.")})
    if not_before is not None and at < not_before.replace(second=0, microsecond=0):
        raise Mistake({name: doing.words.of("That is before the patient was admitted.")})
    return at


def words_in(doing: Doing, name: str, *, needed: str | None = None, most: int = LONGEST_TEXT) -> str | None:
    """What was written; Mistake where it is too long, or `needed` and missing."""
    text = doing.text(name)
    if not text and needed is not None:
        raise Mistake({name: doing.words.of(needed)})
    if len(text) > most:
        said = doing.words.of("Write at most {most} characters.", most=doing.words.number(most))
        raise Mistake({name: said})
    return text or None


def numberless(doing: Doing, name: str, text: str) -> str:
    """A reason as a line of the history, which nobody breaks or steers; Mistake where it names a number."""
    if masked(text) != text:
        raise Mistake({name: doing.words.of("Leave out what looks like an identity number.")})
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# --- the ward ---------------------------------------------------------------------------------------------


def _admitted_at(doing: Doing) -> datetime | None:
    return _speaking(doing).case(doing.tx, doing.row())[1].admitted_at


def _ready(doing: Doing) -> str:
    """Ready from a time, which may lie ahead and may be an estimate."""
    ready = time_in(doing, "ready")
    begun = _admitted_at(doing)
    if begun is not None and ready < begun.replace(second=0, microsecond=0):
        raise Mistake({"ready": doing.words.of("That is before the patient was admitted.")})
    return _told(
        doing,
        K.READY_FOR_DISCHARGE,
        ready=ready,
        occurred=min(ready, doing.now),
        estimate=bool(doing.text("estimate")),
        sip_needed=bool(doing.text("sip_needed")),
        responsible=answers_for_it(doing),
    )


def _withdraw(doing: Doing) -> str:
    return _told(doing, K.READINESS_WITHDRAWN, responsible=answers_for_it(doing))


def _planned(doing: Doing) -> str:
    day = day_in(doing, "planned", needed=True)
    begun = _admitted_at(doing)
    if day is not None and begun is not None and day < begun.astimezone(doing.inbox.zone).date():
        raise Mistake({"planned": doing.words.of("That is before the patient was admitted.")})
    return _told(doing, K.PLANNED_DISCHARGE, planned_discharge=day)


def _care_needs(doing: Doing) -> str:
    text = words_in(doing, "text", needed="Write the care needs.")
    return _told(doing, K.CARE_NEEDS, text=text, responsible=answers_for_it(doing))


def _no_need(doing: Doing) -> str:
    return _told(doing, K.NO_MUNICIPAL_NEED, text=words_in(doing, "text"), responsible=answers_for_it(doing))


def _discharged(doing: Doing) -> str:
    at = past_in(doing, "at", _admitted_at(doing))
    kind = K.LEFT_AGAINST_ADVICE if doing.text("how") == "against-advice" else K.DISCHARGED
    return _told(doing, kind, occurred=at, responsible=answers_for_it(doing))


def answers_for_it(doing: Doing) -> Clinician | None:
    """The person on the ward answers for what a hospital tells; an account of several people names nobody."""
    return Clinician(family=doing.person.name) if doing.person.named else None


# --- the municipality -------------------------------------------------------------------------------------


def _answer(doing: Doing) -> str:
    """Can receive from a day, cannot because of something, or not known yet."""
    answer = _answer_value(doing)
    day = day_in(doing, "day") or day_in(doing, "receive_from", needed=answer is AnswerValue.CAN_RECEIVE)
    today = doing.now.astimezone(doing.inbox.zone).date()
    if day is not None and day < today:
        raise Mistake({"receive_from": doing.words.of("That day is past: choose today or a later day.")})
    reason = "Say why, so that the ward can plan."
    text = words_in(doing, "text", needed=reason if answer is AnswerValue.CANNOT_RECEIVE else None)
    return _told(doing, K.ANSWER, answer=answer, receive_from=day, text=text)


def _answer_value(doing: Doing) -> AnswerValue:
    try:
        answer = AnswerValue(doing.text("say"))
    except ValueError:
        answer = AnswerValue.UNCLASSIFIED
    if answer is AnswerValue.UNCLASSIFIED:
        raise Mistake({"": doing.words.of("Choose one of the answers.")})
    return answer


def _classify(doing: Doing) -> str:
    """What a person has written in words, as an answer from when it was written."""
    _, case, voice = voice_of(doing)
    answer = _answer_value(doing)
    day = day_in(doing, "receive_from")
    waiting = {f"{e.notice.sender}/{e.notice.message_id}": e.notice for e in unread(case, voice.mine)}
    notice = waiting.get(doing.text("about"))
    known = messages.known(doing.tx, notice.sender, notice.message_id) if notice is not None else None
    if known is None:
        raise mistake(doing, Unsaid("stale"))
    try:
        home = classify(
            doing.tx, doing.inbox.cases, doing.inbox.outbox.subscriptions, known["id"], answer, doing.now,
            new_id=doing.inbox.new_id(), by=doing.by, receive_from=day,
        )  # fmt: skip
    except NotFound as error:
        raise mistake(doing, Unsaid("stale")) from error
    return f"/stays/{home}"


def _beyond_control(doing: Doing) -> str:
    return _told(doing, K.BEYOND_CONTROL, text=words_in(doing, "text", needed="Say what has happened."))


def _request_sip(doing: Doing) -> str:
    return _told(doing, K.SIP_REQUESTED, text=words_in(doing, "text"))


def _follow_up(doing: Doing) -> str:
    """Ticked off here: no law has the hospital told of it, so it is a fact of the case and no message."""
    row, case, _ = voice_of(doing)
    at = past_in(doing, "at", case.discharged_at)
    try:
        key = form_number(doing.text("key"))
    except Unsaid as error:
        raise mistake(doing, error) from error
    told = (f for _, _, f in case_rows.facts(doing.tx, row["patient"]) if isinstance(f, Notice))
    if any(n.kind is K.FOLLOWED_UP and n.message_id == key for n in told):
        return f"/stays/{row['id']}"
    try:
        doing.inbox.cases.followed_up(
            doing.tx, row["id"], at, doing.now, new_id=key, by=doing.by,
            what=doing.text("what") or None,
        )  # fmt: skip
    except NotFound as error:
        reason = doing.words.told(error.said)
        text = doing.words.marked("It could not be recorded: {reason}.", reason=reason)
        raise Mistake({"what": text}) from error
    return f"/stays/{row['id']}"


_TASK_NOTED = {
    "accepted": "a task of the plan: accepted",
    "rejected": "a task of the plan: declined",
    "on-hold": "a task of the plan: another day proposed",
    "completed": "a task of the plan: done",
}
"""What was said of a task, for the history."""


def _task(doing: Doing) -> str:
    """Take on, decline, propose another day for, or finish what a plan asks; as a change at /fhir."""
    row, _, voice = voice_of(doing)
    reader = Reader(shelves=doing.inbox.shelves, eyes=doing.sight.eyes, partner=None)
    task_id, _, version = doing.text("about").partition("/")
    of_case = reader.of_case(doing.tx, row["id"])
    before = next((r for r in of_case if (r["resourceType"], r["id"]) == ("Task", task_id)), None)
    owner = (before or {}).get("owner") or {}
    if before is None or owner.get("reference") not in {f"Organization/{p}" for p in voice.mine}:
        raise no_stay()
    status = doing.text("say")
    if before["status"] == status and before["meta"]["versionId"] != version:
        return f"/stays/{row['id']}"  # it was pressed twice
    given = before | {"status": status}
    if status == "rejected":
        given["statusReason"] = {"text": words_in(doing, "text", needed="Say why.")}
    elif status == "on-hold":
        day = day_in(doing, "day", needed=True)
        given["businessStatus"] = {"coding": [{"system": NEGOTIATION_SYSTEM, "code": OTHER_DAY}]}
        given["executionPeriod"] = {"start": day.isoformat() if day is not None else ""}
    elif status not in ("accepted", "completed"):
        raise Mistake({"": doing.words.of("Choose one of the answers.")})
    plans = Plans(inbox=doing.inbox, shelves=doing.inbox.shelves, new_id=doing.inbox.new_id)
    try:
        plans.update(doing.tx, reader, given, number(version) or 0, doing.now, partner=None, channel=BOARD)
    except Conflict as error:
        raise mistake(doing, Unsaid("stale")) from error
    except MessageError as error:
        raise mistake(doing, Unsaid("refused", error.reason)) from error
    what = phrase(_TASK_NOTED[status])
    subject = f"case {row['id']}"
    case_rows.note(doing.tx, at=doing.now, subject=subject, what=what, case_id=row["id"], by=doing.by)
    return f"/stays/{row['id']}"


# --- primary care -----------------------------------------------------------------------------------------


def _contact(doing: Doing) -> str:
    party = doing.register.party(doing.text("contact"))
    if party is None and not doing.register.open:
        raise Mistake({"contact": doing.words.of("Choose one of those in the list.")})
    return _told(doing, K.FIXED_CONTACT_NAMED, contact=party.id if party else doing.text("contact"))


def _open_care(doing: Doing) -> str:
    available = {"yes": True, "no": False}.get(doing.text("available"))
    if available is None:
        raise Mistake({"available": doing.words.of("Choose one of those in the list.")})
    return _told(doing, K.OPEN_CARE_AVAILABILITY, open_care_available=available)


def _sip_call(doing: Doing) -> str:
    starts = time_in(doing, "starts")
    if starts <= doing.now:
        raise Mistake({"starts": doing.words.of("A meeting lies ahead: choose a later time.")})
    minutes = doing.text("minutes") or "60"
    lasts = number(minutes)
    if lasts is None or not 0 < lasts <= _LONGEST_MEETING:
        raise Mistake({"minutes": doing.words.of("Write how many minutes it takes, like 60.")})
    may = callable_to(doing.register, doing.now.astimezone(doing.inbox.zone).date())
    chosen = (*doing.form.get("to", ()), *doing.form.get("also", ()))
    called = [party for party in dict.fromkeys(chosen) if party in may or doing.register.open]
    if not called:
        raise Mistake({"to": doing.words.of("Choose who is called.")})
    ends = starts + timedelta(minutes=lasts)
    return _told(doing, K.SIP_CALL, meeting=Meeting(starts=starts, ends=ends), receivers=called)


def _sip_declined(doing: Doing) -> str:
    try:
        who = Decliner(doing.text("who"))
    except ValueError:
        raise Mistake({"who": doing.words.of("Choose one of those in the list.")}) from None
    return _told(doing, K.SIP_DECLINED, declined_by=who, text=words_in(doing, "text"))


def _consent(doing: Doing) -> str:
    match doing.text("say"):
        case "given":
            return _told(doing, K.CONSENT_GIVEN)
        case "withdrawn":
            return _told(doing, K.CONSENT_WITHDRAWN)
        case "refused":
            return _told(doing, K.CONSENT_WITHDRAWN, refused=True)
        case _:
            raise Mistake({"": doing.words.of("Choose one of the answers.")})


# --- everybody --------------------------------------------------------------------------------------------


def _ask(doing: Doing) -> str:
    text = words_in(doing, "text", needed="Write the question.")
    to = doing.text("to")
    speaking = _speaking(doing)
    _, case = speaking.case(doing.tx, doing.row())
    voice = next((v for v in speaking.voices(case, doing.now) if v.party == doing.text("party")), None)
    if to and voice is not None and to not in speaking.receivers(case, voice, K.ENQUIRY, doing.now):
        raise Mistake({"to": doing.words.of("Choose one of those in the list.")})
    return _told(doing, K.ENQUIRY, text=text, receivers=(to,) if to else ())


def _reply(doing: Doing) -> str:
    return _told(doing, K.REPLY, text=words_in(doing, "text", needed="Write the reply."))


def _seen(doing: Doing) -> str:
    """Who, in which role, and when: what Swedish services call kvittens."""
    held = [role for role in Role if role in CARE and doing.person.holds(role)]
    role = doing.words.code("role", held[0]) if held else ""
    return _told(doing, K.SEEN, text=", ".join(part for part in (doing.by, role) if part))


def _take_back(doing: Doing) -> str:
    return _unless_unsaid(
        doing,
        lambda: _speaking(doing).take_back(
            doing.tx, doing.row(), party=doing.text("party"), about=doing.text("about"),
            key=doing.text("key"), now=doing.now, by=doing.by,
        ),
    )  # fmt: skip


# --- told by telephone or on paper ------------------------------------------------------------------------


def _routine(doing: Doing) -> ReserveRoutine:
    return ReserveRoutine(speaking=_speaking(doing))


def _spoken(doing: Doing) -> Spoken:
    """How it was told, when in truth, and why not by message."""
    try:
        way = Way(doing.text("way"))
    except ValueError:
        raise Mistake({"way": doing.words.of("Choose one of those in the list.")}) from None
    at = past_in(doing, "at", _admitted_at(doing))
    why = words_in(doing, "text", needed="Say who spoke with whom, and why it did not go by message.")
    return Spoken(way=way, at=at, reason=numberless(doing, "text", why or ""))


def _record(doing: Doing) -> str:
    kind, sender, receiver = _three(doing)
    try:
        told = NoticeKind(kind)
    except ValueError:
        raise Mistake({"what": doing.words.of("Choose one of those in the list.")}) from None
    spoken, day = _spoken(doing), day_in(doing, "day")
    said: dict[str, Any] = {}
    match told:
        case K.ANSWER:
            answer = doing.text("answer")
            if answer not in {v.value for v in AnswerValue if v is not AnswerValue.UNCLASSIFIED}:
                raise Mistake({"answer": doing.words.of("Choose one of the answers.")})
            said = {"answer": AnswerValue(answer), "receive_from": day}
        case K.READY_FOR_DISCHARGE:
            said = {"ready": day or spoken.at}
        case K.PLANNED_DISCHARGE:
            if day is None:
                raise Mistake({"day": doing.words.of("Choose a day.")})
            said = {"planned_discharge": day}
    return _unless_unsaid(
        doing,
        lambda: _routine(doing).notice(
            doing.tx, doing.row(), told, sender=sender, receiver=receiver, spoken=spoken,
            key=doing.text("key"), now=doing.now, by=doing.by, **said,
        ),
    )  # fmt: skip


def _record_receipt(doing: Doing) -> str:
    sender, message_id, receiver = _three(doing)
    spoken = _spoken(doing)
    return _unless_unsaid(
        doing,
        lambda: _routine(doing).receipt(
            doing.tx, doing.row(), sender=sender, message_id=message_id, receiver=receiver, spoken=spoken,
            now=doing.now, by=doing.by,
        ),
    )  # fmt: skip


def _unrecord(doing: Doing) -> str:
    sender, _, message_id = doing.text("about").partition("/")
    return _unless_unsaid(
        doing,
        lambda: _routine(doing).take_back(
            doing.tx, doing.row(), sender=sender, message_id=message_id, key=doing.text("key"),
            now=doing.now, by=doing.by,
        ),
    )  # fmt: skip


def _three(doing: Doing) -> tuple[str, str, str]:
    first, _, rest = doing.text("what").partition("/")
    second, _, third = rest.rpartition("/")  # a message id may hold anything
    if not (first and second and third):
        raise Mistake({"what": doing.words.of("Choose one of those in the list.")})
    return first, second, third


_WARD = frozenset({Role.WARD})
_MUNICIPALITY = frozenset({Role.MUNICIPALITY})
_PRIMARY_CARE = frozenset({Role.PRIMARY_CARE})

PAGES = (Page(path="/stays/{id}/act", view=acting, roles=CARE),)

NAV = ()

ACTIONS = tuple(
    Action(path=f"/stays/{{id}}/{name}", act=act, roles=roles, again=acting)
    for name, act, roles in (
        ("ready", _ready, _WARD),
        ("withdraw", _withdraw, _WARD),
        ("planned", _planned, _WARD),
        ("care-needs", _care_needs, _WARD),
        ("no-need", _no_need, _WARD),
        ("discharged", _discharged, _WARD),
        ("answer", _answer, _MUNICIPALITY),
        ("beyond-control", _beyond_control, _MUNICIPALITY),
        ("request-sip", _request_sip, _MUNICIPALITY),
        ("classify", _classify, CARE),
        ("contact", _contact, _PRIMARY_CARE),
        ("open-care", _open_care, _PRIMARY_CARE),
        ("sip-call", _sip_call, _PRIMARY_CARE),
        ("sip-declined", _sip_declined, _PRIMARY_CARE),
        ("consent", _consent, _PRIMARY_CARE),
        ("ask", _ask, CARE),
        ("reply", _reply, CARE),
        ("seen", _seen, CARE),
        ("task", _task, CARE),
        ("follow-up", _follow_up, CARE),
        ("take-back", _take_back, CARE),
        ("record", _record, CARE),
        ("record-receipt", _record_receipt, CARE),
        ("unrecord", _unrecord, CARE),
    )
)
"""What people who care for the patients do."""
