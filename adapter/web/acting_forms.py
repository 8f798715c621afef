"""The forms of a case: what each asks for, in the reader's language.

A form carries its own number, by which it tells once however often it is sent, and what stood when it was
made, by which one that is too old is known.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from adapter.closing import OPEN
from adapter.discharge.case import Case, CaseState, Entry, Step
from adapter.discharge.notices import AnswerValue, NoticeKind, Standing, Way, local_date
from adapter.discharge.reporting import ReportState, report_tasks
from adapter.discharge.turns import MUNICIPALITY, Turn, answered, known, unread
from adapter.fhir.asking import is_of_the_adapter
from adapter.fhir.bundles import Resource
from adapter.fhir.negotiating import proposes_other_day
from adapter.messaging.envelope import masked
from adapter.messaging.register import Register
from adapter.readers import Reader
from adapter.reserve_routine import BY_HOSPITAL, BY_MUNICIPALITY, allowed
from adapter.speaking import Speaking, Voice
from adapter.store.statements import Row
from adapter.web.site import Look
from adapter.web.stay_contents import said

K = NoticeKind

_NO_NAME = re.compile(r"[^A-Za-z0-9-]")
_LONGEST_QUOTE = 500
_CONTACTS = ("open-care", "gp", "municipality")
_TASKS_OPEN = ("requested", "received", "on-hold", "ready", "accepted", "in-progress")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a form; labels and options are in the reader's language."""

    name: str
    label: str
    type: str = "text"  # of the input; or textarea, select, checks
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()  # value and words, of a select or of checks
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
        parts = (self.name, self.say, self.about, self.party)
        return _NO_NAME.sub("-", "-".join(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one voice over one case."""

    look: Look
    speaking: Speaking
    row: Row
    case: Case
    voice: Voice

    def made(self) -> Iterator[Form]:
        """All of them, the most urgent first."""
        if self.voice.silent:
            yield from self._reports()
            yield from self._by_hand()
            yield from self._ending()
            return
        for turn in self.speaking.turns(self.case, self.voice):
            make = _MAKERS.get(turn.kind)
            if make is not None:
                yield from make(self, turn)
        yield from self._unread()
        yield from self._tasks()
        yield from self._follow_ups()
        yield from self._back()
        yield from self._reports()
        yield from self._by_hand()
        yield from self._ending()

    # --- making ---

    def _form(
        self, name: str, title: str, button: str, turn: Turn | None = None, *, about: str = "", **more: Any
    ) -> Form:
        return Form(
            name=name,
            title=self.look.words.of(title),
            button=self.look.words.of(button),
            party=self.voice.party,
            key=self.look.inbox.new_id(),
            about=turn.about if turn is not None else about,
            **more,
        )

    def _field(self, name: str, label: str, type: str = "text", **more: Any) -> Field:
        return Field(name=name, label=self.look.words.of(label), type=type, **more)

    def _of(self, sentence: str, **values: Any) -> str:
        return self.look.words.of(sentence, **values)

    @property
    def _today(self) -> date:
        return self.look.now.astimezone(self.look.inbox.zone).date()

    @property
    def _now(self) -> str:
        """The clock where the hospital is, as a field of a form has it."""
        return f"{self.look.now.astimezone(self.look.inbox.zone):%Y-%m-%dT%H:%M}"

    def _to(self, kind: NoticeKind, turn: Turn | None = None) -> str:
        """Who will be told."""
        named = self.speaking.receivers(self.case, self.voice, kind, self.look.now, turn)
        return self._of(
            "It goes to {parties}.", parties=self.look.words.list(map(self.look.words.party, named))
        )

    def _what(self, entry: Entry) -> str:
        """A notice in words: what, of whom, when."""
        words, notice = self.look.words, entry.notice
        kind, sender = words.code("notice", notice.kind.value), words.party(notice.sender)
        return words.sentence(
            self._of(
                "{notice} from {party}, {when}", notice=kind, party=sender, when=words.when(notice.sent_at)
            )
        )

    def _quoted(self, entry: Entry) -> str:
        """The same with its words, without what steers the page and without a person's number."""
        text = masked(said(entry.notice.text or "", _LONGEST_QUOTE))
        return f"{self._what(entry)}: “{text}”" if text else self._what(entry)

    # --- the ward ---

    def ready(self, turn: Turn) -> Iterator[Form]:
        fields = [self._field("ready", "Ready from", "datetime-local", value=self._now, required=True)]
        fields.append(self._field("estimate", "This time is an estimate", "checkbox"))
        if K.SIP_CALL in self._known:
            fields.append(
                self._field("sip_needed", "A coordinated individual plan (SIP) is needed", "checkbox")
            )
        yield self._form(
            "ready", "The patient is ready for discharge", "Tell that the patient is ready", turn,
            fields=tuple(fields), lead=self._to(turn.kind), open=True,
        )  # fmt: skip

    def withdraw(self, turn: Turn) -> Iterator[Form]:
        yield self._form(
            "withdraw",
            "The patient is not ready after all",
            "Withdraw readiness",
            turn,
            lead=self._to(turn.kind),
        )

    def plan_date(self, turn: Turn) -> Iterator[Form]:
        day = self._field("planned", "Expected to leave on", "date", value=turn.about, required=True)
        yield self._form(
            "planned",
            "Revise the planned date",
            "Tell the new date",
            turn,
            fields=(day,),
            lead=self._to(turn.kind),
        )

    def care_needs(self, turn: Turn) -> Iterator[Form]:
        before = self._quoted(turn.entry) if turn.entry is not None else ""
        hint = self._of("It replaces what was told before: write all of it.") if before else ""
        text = self._field("text", "What help the patient will need", "textarea", required=True, hint=hint)
        lead = " ".join(part for part in (before, self._to(turn.kind, turn)) if part)
        yield self._form(
            "care-needs", "Tell of care needs", "Send the care needs", turn, fields=(text,), lead=lead
        )

    def no_need(self, turn: Turn) -> Iterator[Form]:
        text = self._field("text", "Why", "textarea")
        told = self._of("What the municipality was to do before discharge falls away.")
        yield self._form(
            "no-need", "The municipality is not needed", "Tell that there is no need", turn,
            fields=(text,), lead=f"{told} {self._to(turn.kind)}",
        )  # fmt: skip

    def discharged(self, turn: Turn) -> Iterator[Form]:
        at = self._field("at", "Left at", "datetime-local", value=self._now, required=True)
        how = self._field(
            "how", "How", "select",
            options=(("", self._of("Discharged")), ("against-advice", self._of("Left against advice"))),
        )  # fmt: skip
        yield self._form(
            "discharged", "The patient has left", "Tell that the patient has left", turn,
            fields=(at, how), lead=self._to(turn.kind),
        )  # fmt: skip

    # --- the municipality ---

    def answer(self, turn: Turn) -> Iterator[Form]:
        words = self.look.words
        assert turn.entry is not None
        last = answered(self.case, turn.entry, self.voice.mine)
        lead = self._answered(last.notice.answer, last.notice.receive_from) if last is not None else ""
        ready = local_date(turn.entry.notice.ready or turn.entry.notice.occurred, self.look.inbox.zone)
        days = dict.fromkeys(
            max(d, self._today) for d in (ready, self._today, self._today + timedelta(days=1))
        )
        quick = tuple((day.isoformat(), self._of("From {day}", day=words.day(day))) for day in sorted(days))
        first = self._field("receive_from", "Another day", "date")
        yield self._form(
            "answer", "We can receive the patient", "Can receive from this day", turn,
            lead=lead, quick=quick, fields=(first,), say="can-receive", open=True,
        )  # fmt: skip
        why = self._field("text", "Why not", "textarea", required=True)
        when = self._field("receive_from", "From when it is expected, if that is known", "date")
        yield self._form(
            "answer", "We cannot receive the patient", "Cannot receive", turn,
            fields=(why, when), say="cannot-receive",
        )  # fmt: skip
        yield self._form("answer", "It is not known yet", "Not known yet", turn, say="not-known", open=True)

    def _answered(self, answer: AnswerValue | None, day: date | None) -> str:
        spoken = self.look.words.code("said", answer)
        if day is not None:
            spoken = self._of("{answer}, from {day}", answer=spoken, day=self.look.words.day(day))
        return self._of("Answered so far: {answer}. A new answer replaces it.", answer=spoken)

    def beyond_control(self, turn: Turn) -> Iterator[Form]:
        why = self._field("text", "What has happened", "textarea", required=True)
        yield self._form(
            "beyond-control", "Circumstances beyond our control", "Tell the hospital", turn, fields=(why,),
            lead=self._of("The days stand, and are marked as disputed until the parties have agreed."),
        )  # fmt: skip

    def request_sip(self, turn: Turn) -> Iterator[Form]:
        why = self._field("text", "What it should be about", "textarea")
        yield self._form(
            "request-sip", "Ask for a SIP", "Ask for a SIP", turn, fields=(why,), lead=self._to(turn.kind)
        )

    def _unread(self) -> Iterator[Form]:
        """Answers in free text: what they mean is for a person to say."""
        words = self.look.words
        options = tuple(
            (v.value, words.code("said", v)) for v in AnswerValue if v is not AnswerValue.UNCLASSIFIED
        )
        for e in unread(self.case, self.voice.mine):
            which = self._field("say", "What it means", "select", options=options)
            day = self._field("receive_from", "Can receive from", "date")
            lead = self._quoted(e)
            yield self._form(
                "classify", "Classify an answer in free text", "This is what it means",
                about=f"{e.notice.sender}/{e.notice.message_id}", fields=(which, day), lead=lead, open=True,
            )  # fmt: skip

    # --- primary care ---

    def contact(self, turn: Turn) -> Iterator[Form]:
        parties = [p for p in self.look.register.parties if p.kind in _CONTACTS and p.valid_on(self._today)]
        mine = [p for p in parties if p.id == self.voice.party]
        others = [p for p in parties if p.id != self.voice.party]
        options = tuple((p.id, p.name) for p in (*mine, *others)) or (
            (self.voice.party, self.look.words.party(self.voice.party)),
        )
        where = self._field("contact", "Where the fixed care contact works", "select", options=options)
        yield self._form(
            "contact", "Name the fixed care contact", "Name the contact", turn,
            fields=(where,), lead=self._to(turn.kind), open=True,
        )  # fmt: skip

    def open_care(self, turn: Turn) -> Iterator[Form]:
        options = (("yes", self._of("Available")), ("no", self._of("Not available yet")))
        what = self._field("available", "Open care after discharge", "select", options=options)
        yield self._form(
            "open-care", "State whether open care is available", "Tell it", turn,
            fields=(what,), lead=self._to(turn.kind), open=True,
        )  # fmt: skip

    def sip_call(self, turn: Turn) -> Iterator[Form]:
        named = self.speaking.others(self.case, self.voice, self.look.now)
        called = self._field("to", "Who is called", "checks", value="all", options=self._parties(named))
        more = callable_to(self.look.register, self._today, (*named, *self.voice.mine))
        also = self._field("to", "Also", "checks", options=self._parties(more))
        yield self._form(
            "sip-call", "Call to a SIP", "Call to the meeting", turn,
            fields=(
                self._field("starts", "Begins", "datetime-local", required=True),
                self._field("minutes", "Minutes", "number", value="60"),
                called,
                *((replace(also, name="also"),) if more else ()),
            ),
        )  # fmt: skip

    def _parties(self, named: Iterable[str]) -> tuple[tuple[str, str], ...]:
        return tuple((party, self.look.words.party(party)) for party in named)

    def sip_declined(self, turn: Turn) -> Iterator[Form]:
        options = (("patient", self._of("The patient")), ("party", self._of("We")))
        who = self._field("who", "Who declines", "select", options=options)
        why = self._field("text", "Why", "textarea")
        yield self._form(
            "sip-declined", "A SIP is declined", "Tell it", turn, fields=(who, why), lead=self._to(turn.kind)
        )

    def consent_given(self, turn: Turn) -> Iterator[Form]:
        yield self._form(
            "consent",
            "The patient consents",
            "Record the consent",
            turn,
            say="given",
            lead=self._to(turn.kind),
        )

    def consent_withdrawn(self, turn: Turn) -> Iterator[Form]:
        if turn.about:
            title, button, say = (
                "The patient withdraws the consent",
                "Record that it is withdrawn",
                "withdrawn",
            )
        else:
            title, button, say = "The patient does not consent", "Record the refusal", "refused"
        lead = self._of("No plan is shared from then on.")
        yield self._form("consent", title, button, turn, say=say, lead=lead)

    # --- both ---

    def reply(self, turn: Turn) -> Iterator[Form]:
        assert turn.entry is not None
        text = self._field("text", "The reply", "textarea", required=True)
        yield self._form(
            "reply", "Answer an enquiry", "Send the reply", turn, fields=(text,), open=True,
            lead=self._quoted(turn.entry),
        )  # fmt: skip

    def ask(self, turn: Turn) -> Iterator[Form]:
        named = self.speaking.receivers(self.case, self.voice, turn.kind, self.look.now, turn)
        fields = [self._field("text", "The question", "textarea", required=True)]
        if len(named) > 1:
            options = tuple((party, self.look.words.party(party)) for party in named)
            fields.insert(0, self._field("to", "To", "select", options=options))
        lead = self._to(turn.kind) if len(named) == 1 else ""
        yield self._form("ask", "Ask a question", "Send the question", turn, fields=tuple(fields), lead=lead)

    def seen(self, turn: Turn) -> Iterator[Form]:
        assert turn.entry is not None
        yield self._form("seen", "Sign for a notice", "Seen", turn, lead=self._what(turn.entry), open=True)

    def _tasks(self) -> Iterator[Form]:
        """What a plan asks of this party, in the state in which it stands."""
        for task in tasks_of(self.look, self.row, self.voice):
            code = task.get("code") or {}
            what = code.get("text") or next(
                (c.get("display") for c in code.get("coding") or () if c.get("display")), ""
            )
            about = f"{task['id']}/{task['meta']['versionId']}"
            lead = what or self._of("A task of the plan")
            status = task["status"]
            if status in ("requested", "received", "on-hold"):
                if status != "on-hold" or not proposes_other_day(task):
                    yield self._form(
                        "task",
                        "Take on a task of the plan",
                        "Take it on",
                        about=about,
                        lead=lead,
                        say="accepted",
                    )
                    day = self._field("day", "The day that we propose", "date", required=True)
                    yield self._form(
                        "task", "Propose another day for a task", "Propose the day", about=about, lead=lead,
                        fields=(day,), say="on-hold",
                    )  # fmt: skip
                why = self._field("text", "Why", "textarea", required=True)
                yield self._form(
                    "task", "Decline a task of the plan", "Decline it", about=about, lead=lead,
                    fields=(why,), say="rejected",
                )  # fmt: skip
            elif status in ("accepted", "in-progress"):
                yield self._form(
                    "task",
                    "A task of the plan is done",
                    "It is done",
                    about=about,
                    lead=lead,
                    say="completed",
                )

    def _follow_ups(self) -> Iterator[Form]:
        """What was to follow the discharge: ticked off when it has been done."""
        if self.case.state is not CaseState.DISCHARGED:
            return
        words = self.look.words
        kinds = self.look.inbox.cases.agreement.follow_up_kinds
        options = (
            ("", self._of("Every one that it could be")),
            *((k, words.code("deadline", f"follow-up-{k}")) for k in kinds),
        )
        which = self._field("what", "Which", "select", options=options)
        at = self._field("at", "When it was", "datetime-local", value=self._now, required=True)
        yield self._form("follow-up", "A follow-up that was made", "Tick it off", fields=(which, at))

    def _back(self) -> Iterator[Form]:
        for e in self.speaking.revocable(self.look.tx, self.case, self.voice):
            about = e.notice.message_id
            lead = f"{self._what(e)}. {self._of('Everybody who was told it is told that it was an error.')}"
            yield self._form(
                "take-back", "Take back what was told in error", "Take it back", about=about, lead=lead
            )

    # --- the municipality: its report of admission, and a stay of which no message tells the end ---

    def _reports(self) -> Iterator[Form]:
        """Ticked off when the municipality's own system has sent it: a task, and no message of ours."""
        for task in report_tasks(self.case, self.look.inbox.cases.roles):
            if task.party not in self.voice.mine or task.state is not ReportState.REQUESTED:
                continue
            words = self.look.words
            lead = self._of(
                "{party} asked for it, {when}.", party=words.party(task.hospital),
                when=words.when(task.asked_by.sent_at),
            )  # fmt: skip
            at = self._field("at", "When it was", "datetime-local", value=self._now, required=True)
            yield self._form(
                "report-sent", "The report of admission has been sent", "Tick it off", fields=(at,), lead=lead
            )

    def _ending(self) -> Iterator[Form]:
        if not answers_for_the_stay(self.case, self.voice):
            return
        why = self._field("why", "Why; it stands in the history", required=True)
        if self.case.state in OPEN:
            at = self._field("at", "When it was", "datetime-local", value=self._now, required=True)
            yield self._form(
                "close", "The stay is over, though no message has said so", "Close the case",
                fields=(why, at), lead=self._of(
                    "Its deadlines close. Nothing is sent, and no payment ends by it. "
                    "A later admission is a new case."
                ),
            )  # fmt: skip
        elif self.case.state is CaseState.CLOSED:
            yield self._form("reopen", "The stay is not over after all", "Open the case again", fields=(why,))

    # --- told by telephone or on paper ---

    def _by_hand(self) -> Iterator[Form]:
        told = self.speaking.others(self.case, self.voice, self.look.now)
        pairs = [(self.voice.party, p) for p in told] + [(p, self.voice.party) for p in told]
        words = self.look.words
        options = tuple(
            (f"{kind.value}/{sender}/{receiver}", self._of(
                "{notice}: {sender} told {receiver}", notice=words.code("notice", kind.value),
                sender=words.party(sender), receiver=words.party(receiver),
            ))
            for sender, receiver in pairs
            for kind in self._recorded(sender, receiver)
        )  # fmt: skip
        ways = tuple((way.value, words.code("way", way)) for way in Way)
        how = self._field("way", "How", "select", options=ways)
        at = self._field("at", "When it was", "datetime-local", value=self._now, required=True)
        why = self._field("text", "Who spoke with whom, and why not by message", "textarea", required=True)
        if options:
            no_answer = (("", "–"),)
            answers = no_answer + tuple(
                (v.value, words.code("said", v)) for v in AnswerValue if v is not AnswerValue.UNCLASSIFIED
            )
            yield self._form(
                "record", "Record what was told by telephone or on paper", "Record it", lead=self._weight(),
                fields=(
                    self._field("what", "What", "select", options=options), how, at,
                    self._field("answer", "Of an answer: which", "select", options=answers),
                    self._field("day", "The day that was named, if one was", "date"), why,
                ),
            )  # fmt: skip
        sent = tuple(
            (f"{e.notice.sender}/{e.notice.message_id}/{party}", f"{self._what(e)} → {words.party(party)}")
            for e in self.case.entries
            if e.counts and e.notice.way is None and e.notice.kind in BY_HOSPITAL + BY_MUNICIPALITY
            for party in e.notice.receivers
            if e.first(Step.ACCEPTED, party) is None
            and {e.notice.sender, party} & {self.voice.party, *self.voice.mine}
        )
        if sent:
            yield self._form(
                "record-receipt", "Record that a notice is there", "Record it",
                fields=(self._field("what", "Which notice", "select", options=sent), how, at, why),
            )  # fmt: skip
        for e in self.case.entries:
            if e.notice.way is None or e.void or e.notice.standing is Standing.CANCELLATION:
                continue
            if {e.notice.sender, *e.notice.receivers} & set(self.voice.mine):
                yield self._form(
                    "unrecord", "Take back what was recorded in error", "Take it back",
                    about=f"{e.notice.sender}/{e.notice.message_id}", lead=self._what(e),
                )  # fmt: skip

    def _recorded(self, sender: str, receiver: str) -> tuple[NoticeKind, ...]:
        party = self.look.register.party(sender)
        kinds = allowed(self.case, sender, party.kind if party is not None else "unknown", receiver)
        return tuple(kind for kind in kinds if kind in self._known)

    def _weight(self) -> str:
        """What counts of it, by the agreement between the parties today."""
        terms = self.look.inbox.cases.agreement
        parties = (self.case.hospital, self.case.municipality)
        term = terms.by_hand(Way.TELEPHONE, parties, self._today)
        named = {"notice": term.notice, "answer": term.answer, "receipt": term.receipt}
        yes = [self.look.words.code("told", name) for name, does in named.items() if does]
        no = [self.look.words.code("told", name) for name, does in named.items() if not does]
        told = []
        if yes:
            told.append(self._of("By telephone counts: {what}.", what=self.look.words.list(yes)))
        if no:
            told.append(self._of("By telephone does not count: {what}.", what=self.look.words.list(no)))
        return " ".join((*told, f"({self.look.words.law(term.basis)})"))

    @property
    def _known(self) -> frozenset[NoticeKind]:
        return known(self.look.inbox.cases.agreement)


def callable_to(register: Register, day: date, but: Iterable[str] = ()) -> tuple[str, ...]:
    """Whoever can be called to a SIP, whether or not the caller knows that they have been told."""
    kinds = ("municipality", "open-care", "hospital")
    return tuple(
        p.id for p in register.parties if p.kind in kinds and p.valid_on(day) and p.id not in set(but)
    )


def answers_for_the_stay(case: Case, voice: Voice) -> bool:
    """Whether it is the stay's municipality, which alone closes it: others only took part."""
    return voice.part == MUNICIPALITY and case.municipality in (None, voice.party, *voice.mine)


def tasks_of(look: Look, row: Row, voice: Voice) -> list[Resource]:
    """The Tasks of plans of that case that this party owns and has not finished, as it may read them."""
    reader = Reader(shelves=look.inbox.shelves, eyes=look.sight.eyes, partner=None)
    owners = {f"Organization/{party}" for party in voice.mine}
    return [
        task
        for task in reader.of_case(look.tx, row["id"])
        if task["resourceType"] == "Task"
        and not is_of_the_adapter(task)
        and (task.get("owner") or {}).get("reference") in owners
        and task.get("status") in _TASKS_OPEN
    ]


_MAKERS: Mapping[NoticeKind, Callable[[Forms, Turn], Iterator[Form]]] = {
    K.READY_FOR_DISCHARGE: Forms.ready,
    K.READINESS_WITHDRAWN: Forms.withdraw,
    K.PLANNED_DISCHARGE: Forms.plan_date,
    K.CARE_NEEDS: Forms.care_needs,
    K.NO_MUNICIPAL_NEED: Forms.no_need,
    K.DISCHARGED: Forms.discharged,
    K.ANSWER: Forms.answer,
    K.BEYOND_CONTROL: Forms.beyond_control,
    K.SIP_REQUESTED: Forms.request_sip,
    K.FIXED_CONTACT_NAMED: Forms.contact,
    K.OPEN_CARE_AVAILABILITY: Forms.open_care,
    K.SIP_CALL: Forms.sip_call,
    K.SIP_DECLINED: Forms.sip_declined,
    K.CONSENT_GIVEN: Forms.consent_given,
    K.CONSENT_WITHDRAWN: Forms.consent_withdrawn,
    K.REPLY: Forms.reply,
    K.ENQUIRY: Forms.ask,
    K.SEEN: Forms.seen,
}
