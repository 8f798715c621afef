"""What has happened in a case and what is due in it, as one list in time order.

Notices stand at the instant of their event, as in the fold; a day without a time is ordered as the fold
orders it. Deadlines stand where they are due, deliveries where they were made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from adapter.discharge.case import Step
from adapter.discharge.notices import instant
from adapter.discharge.plan_tasks import KIND as PLAN_TASK
from adapter.discharge.readmission import Verdict
from adapter.inbox import STORED_HERE
from adapter.store.statements import Row
from adapter.web.wording import Mark, Wording, place
from adapter.web.words import read

Document = Mapping[str, Any]
_ORDER = [step.value for step in Step]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One entry of the timeline."""

    at: datetime
    told: str  # the instant or day as it is shown
    what: str  # notice, deadline, delivery, note
    title: str
    mark: Mark | None = None
    lines: tuple[str, ...] = ()
    evidence: tuple[Document, ...] = field(default=())
    href: str | None = None
    link: str | None = None


def timeline(case: Document, notes: Sequence[Row], say: Wording) -> list[Event]:
    """Everything of the case, oldest first."""
    events = [_notice(n, say) for n in case["notices"]]
    events += [_deadline(d, say) for d in case["deadlines"]]
    events += [_delivery(d, say) for d in case["deliveries"]]
    events += [_note(n, say) for n in notes]
    events += _readmissions(case, say)
    return sorted(events, key=lambda event: event.at)


def _notice(notice: Document, say: Wording) -> Event:
    sender, receivers = say.party(notice["sender"]), _parties(notice["receivers"], say)
    lines = [say.of("From {sender} to {receivers}.", sender=sender, receivers=receivers)]
    if notice["way"] is not None:
        way = say.code("way", notice["way"])
        lines.append(say.of("Told {way}, recorded by {name}.", way=way, name=notice["recorded_by"]))
    if notice["ready"] is not None:
        ready = "Ready from {moment}, an estimate." if notice["estimate"] else "Ready from {moment}."
        lines.append(say.of(ready, moment=say.local(notice["ready"])))
    if notice["answer"] is not None:
        lines.append(_answer(notice, say))
    if notice["placement"] is not None:
        lines.append(say.of("On: {placement}.", placement=notice["placement"]))
    if notice["fulfils"] is not None:
        lines.append(say.of("It was: {what}.", what=say.code("follow-up", notice["fulfils"])))
    lines += _planning(notice, say)
    lines += [_changed(one, say) for one in notice["changes"]]
    if notice["reserved"]:
        lines.append(say.of("Reserved: only the addressed receiver may have it."))
    lines.append(say.of("Sent {moment}.", moment=say.local(notice["sent_at"])))
    standing = notice["standing"]
    mark = say.mark("standing", standing) if standing in ("correction", "cancellation") else None
    return Event(
        at=_instant(notice, say.zone),
        told=notice["occurred"],
        what="notice",
        title=say.heading("notice", notice["kind"]),
        mark=mark or _overruled(notice, say),
        lines=tuple(lines),
        evidence=_evidence(notice, say),
        href=f"/messages/{notice['message']}" if notice["message"] is not None else None,
        link=say.of("See the message"),
    )


def _answer(notice: Document, say: Wording) -> str:
    answer = say.heading("answer", notice["answer"])
    if notice["receive_from"] is None:
        return say.of("{answer}.", answer=answer)
    return say.of("{answer} from {moment}.", answer=answer, moment=say.local(notice["receive_from"]))


def _planning(notice: Document, say: Wording) -> list[str]:
    """What a notice of the planning says beyond its kind."""
    lines = []
    if notice["refused"]:
        lines.append(say.of("Refused at once."))
    if notice["declined_by"] is not None:
        lines.append(say.sentence(say.code("declined-by", notice["declined_by"])))
    if notice["contact"] is not None:
        lines.append(say.of("At {place}.", place=say.party(notice["contact"])))
    if notice["meeting"] is not None:
        lines.append(say.of("Meeting {moment}.", moment=say.local(notice["meeting"])))
    if notice["plan"] is not None:
        kind = say.heading("plan-kind", notice["plan"]["kind"] or "unknown")
        status = say.code("plan-status", notice["plan"]["status"])
        lines.append(say.of("{kind}, {status}.", kind=kind, status=status))
    return lines


def _changed(one: Document, say: Wording) -> str:
    """What a correction has changed, in one line."""
    old, new = (_shown(one["what"], one[name], say) for name in ("old", "new"))
    return say.of(
        "Changed: {what}, from {old} to {new}.", what=say.code("stay-field", one["what"]), old=old, new=new
    )


def _shown(what: str, value: Any, say: Wording) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return say.of("yes") if value else say.of("no")
    if what in ("kind", "answer"):
        return say.code("notice" if what == "kind" else "answer", value)
    if what == "receivers":
        return _parties(value, say)
    return say.party(value) if what in ("hospital", "contact") else say.local(value)


def _evidence(notice: Document, say: Wording) -> tuple[Document, ...]:
    """What is known about a notice; that we store it for a party's board is said once, and as what it is."""
    told = sorted(notice["evidence"], key=lambda e: (e["at"], _ORDER.index(e["step"])))
    return tuple(
        {**e, "source": None, "href": None, "mark": say.mark("step", "stored")}
        if e["source"] == STORED_HERE
        else {**e, "href": place(e["source"]), "mark": say.mark("step", e["step"])}
        for e in told
        if (e["source"], e["step"]) != (STORED_HERE, Step.DELIVERED)
    )


def _overruled(notice: Document, say: Wording) -> Mark | None:
    """What a later notice has done to this one, whether or not it named it."""
    if notice["cancelled"]:
        return Mark(words=say.of("Cancelled later"), level="warn")
    if notice["replaced_by"] is not None:
        return Mark(words=say.of("Corrected later"), level="warn")
    return None


def _instant(notice: Document, zone: tzinfo) -> datetime:
    occurred, sent = read(notice["occurred"]), read(notice["sent_at"])
    assert occurred is not None and isinstance(sent, datetime)
    return instant(occurred, sent_at=sent, zone=zone).astimezone(UTC)


def _deadline(deadline: Document, say: Wording) -> Event:
    actor = say.code("actor", deadline["actor"])
    for_whom = deadline["actor"] == "hospital" and deadline["kind"] != PLAN_TASK
    if deadline["party"]:
        by = "By the {actor} for {party}." if for_whom else "By the {actor}, {party}."
        lines = [say.of(by, actor=actor, party=say.party(deadline["party"]))]
    else:
        lines = [say.of("By the {actor}.", actor=actor)]
    lines.append(say.of("Basis: {basis}.", basis=say.law(deadline["basis"])))
    if deadline["reason"]:
        lines.append(say.reason(deadline, sentence=True))
    if deadline["settled_at"] is not None:
        lines.append(say.of("Settled {moment}.", moment=say.local(deadline["settled_at"])))
    elif deadline["noted_at"] is not None:
        noted = say.local(deadline["noted_at"])
        lines.append(say.of("What was done was recorded {moment}.", moment=noted))
    elif deadline["state"] in ("open", "missed"):
        lines.append(f"{say.left(deadline['due_at'])}.")
    return Event(
        at=_at(deadline["due_at"]),
        told=deadline["due_at"],
        what="deadline",
        title=say.of("Due: {what}", what=say.due(deadline["kind"])),
        mark=say.mark("deadline-state", deadline["state"]),
        lines=tuple(lines),
    )


def _delivery(delivery: Document, say: Wording) -> Event:
    lines = []
    if delivery["sent_at"] is not None:
        lines.append(say.of("Sent {moment}.", moment=say.local(delivery["sent_at"], seconds=True)))
    if delivery["delivered_at"] is not None:
        lines.append(say.of("Delivered {moment}.", moment=say.local(delivery["delivered_at"], seconds=True)))
    if delivery["accepted_at"] is not None:
        lines.append(say.of("Accepted {moment}.", moment=say.local(delivery["accepted_at"], seconds=True)))
    if delivery["error"]:
        lines.append(say.told(delivery["error"], begin=True, stop=True))
    notice, party = say.notice(delivery), say.party(delivery["party"])
    return Event(
        at=_at(delivery["created_at"]),
        told=delivery["created_at"],
        what="delivery",
        title=say.of("{notice} to {party}", notice=notice, party=party),
        mark=say.delivery(delivery),
        lines=tuple(lines),
        href=f"/deliveries/{delivery['id']}",
        link=say.of("See delivery {number}", number=delivery["id"]),
    )


def _note(note: Row, say: Wording) -> Event:
    by = say.of("By {name}.", name=note["by"]) if note["by"] else say.of("By the adapter.")
    return Event(
        at=note["at"],
        told=note["at"],
        what="note",
        title=say.marked(
            "{subject}: {what}",
            subject=say.sentence(say.subject(note["subject"])),
            what=say.told(note["what"]),
        ),
        lines=(by,),
        href=place(note["subject"]),
        link=say.of("See more"),
    )


def _readmissions(case: Document, say: Wording) -> Iterator[Event]:
    """The links to the case before and to those after, each at the admission that makes it."""
    if case["readmission_of"] is not None and case["admitted_at"] is not None:
        title = (
            say.of("Possible readmission after an earlier stay")
            if case["readmission"] == Verdict.POSSIBLE
            else say.of("Readmission after an earlier stay")
        )
        yield _linked(case["admitted_at"], title, case["readmission_of"], case["readmission"], say)
    for later in case["readmissions"]:
        what = say.code("readmission", later["readmission"])
        title = say.of("Admitted again: {what}", what=what)
        yield _linked(later["admitted_at"], title, later["case"], later["readmission"], say)


def _linked(at: str, title: str, case_id: int, verdict: str, say: Wording) -> Event:
    possible = verdict == Verdict.POSSIBLE
    return Event(
        at=_at(at),
        told=at,
        what="note",
        title=title,
        lines=(say.of("The messages do not tell enough to be certain."),) if possible else (),
        href=f"/cases/{case_id}",
        link=say.of("See case {number}", number=case_id),
    )


def _parties(ids: Sequence[str], say: Wording) -> str:
    return ", ".join(say.party(party_id) for party_id in ids) or say.of("nobody named")


def _at(told: str) -> datetime:
    moment = read(told)
    assert isinstance(moment, datetime)
    return moment
