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
from adapter.web.wording import STORED, Mark, Wording, place, read

Document = Mapping[str, Any]
_ORDER = [step.value for step in Step]
POSSIBLE = "The messages do not tell enough to be certain."


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
    lines = [f"From {say.party(notice['sender'])} to {_parties(notice['receivers'], say)}."]
    if notice["ready"] is not None:
        lines.append(f"Ready from {say.local(notice['ready'])}{', an estimate' * notice['estimate']}.")
    if notice["answer"] is not None:
        lines.append(f"{say.kind(notice['answer'])}{_from(notice, say)}.")
    if notice["placement"] is not None:
        lines.append(f"On: {notice['placement']}.")
    if notice["fulfils"] is not None:
        lines.append(f"It was: {say.kind(notice['fulfils']).lower()}.")
    lines += _planning(notice, say)
    if notice["reserved"]:
        lines.append("Reserved: only the addressed receiver may have it.")
    lines.append(f"Sent {say.local(notice['sent_at'])}.")
    mark = {
        "correction": Mark(words="Correction", level="warn"),
        "cancellation": Mark(words="Cancellation", level="bad"),
    }.get(notice["standing"])
    return Event(
        at=_instant(notice, say.zone),
        told=notice["occurred"],
        what="notice",
        title=say.kind(notice["kind"]),
        mark=mark or _overruled(notice),
        lines=tuple(lines),
        evidence=_evidence(notice, say),
        href=f"/messages/{notice['message']}" if notice["message"] is not None else None,
        link="the message",
    )


def _planning(notice: Document, say: Wording) -> list[str]:
    """What a notice of the planning says beyond its kind."""
    lines = []
    if notice["refused"]:
        lines.append("Refused at once.")
    if notice["declined_by"] is not None:
        lines.append(f"By the {notice['declined_by']}.")
    if notice["contact"] is not None:
        lines.append(f"At {say.party(notice['contact'])}.")
    if notice["meeting"] is not None:
        lines.append(f"Meeting {say.local(notice['meeting'])}.")
    if notice["plan"] is not None:
        lines.append(f"{say.plan_kind(notice['plan']['kind'])}, {notice['plan']['status']}.")
    return lines


def _evidence(notice: Document, say: Wording) -> tuple[Document, ...]:
    """What is known about a notice; that we store it for a party's board is said once, and as what it is."""
    told = sorted(notice["evidence"], key=lambda e: (e["at"], _ORDER.index(e["step"])))
    return tuple(
        {**e, "source": None, "href": None, "mark": STORED}
        if e["source"] == STORED_HERE
        else {**e, "href": place(e["source"]), "mark": say.step(e["step"])}
        for e in told
        if (e["source"], e["step"]) != (STORED_HERE, Step.DELIVERED)
    )


def _overruled(notice: Document) -> Mark | None:
    """What a later notice has done to this one, whether or not it named it."""
    if notice["cancelled"]:
        return Mark(words="Cancelled later", level="warn")
    return Mark(words="Corrected later", level="warn") if notice["replaced_by"] is not None else None


def _from(notice: Document, say: Wording) -> str:
    return f" from {say.local(notice['receive_from'])}" if notice["receive_from"] is not None else ""


def _instant(notice: Document, zone: tzinfo) -> datetime:
    occurred, sent = read(notice["occurred"]), read(notice["sent_at"])
    assert occurred is not None and isinstance(sent, datetime)
    return instant(occurred, sent_at=sent, zone=zone).astimezone(UTC)


def _deadline(deadline: Document, say: Wording) -> Event:
    for_whom = deadline["actor"] == "hospital" and deadline["kind"] != PLAN_TASK
    joint = " for " if for_whom else ", "
    whom = f"{joint}{say.party(deadline['party'])}" if deadline["party"] else ""
    lines = [f"By the {say.kind(deadline['actor']).lower()}{whom}.", f"Basis: {deadline['basis']}."]
    if deadline["reason"]:
        lines.append(f"{say.sentence(deadline['reason'])}.")
    if deadline["settled_at"] is not None:
        lines.append(f"Settled {say.local(deadline['settled_at'])}.")
    elif deadline["noted_at"] is not None:
        lines.append(f"What was done was recorded {say.local(deadline['noted_at'])}.")
    elif deadline["state"] in ("open", "missed"):
        lines.append(f"{say.left(deadline['due_at'])}.")
    return Event(
        at=_at(deadline["due_at"]),
        told=deadline["due_at"],
        what="deadline",
        title=f"Due: {say.kind(deadline['kind']).lower()}",
        mark=say.deadline(deadline["state"]),
        lines=tuple(lines),
    )


def _delivery(delivery: Document, say: Wording) -> Event:
    lines = []
    for word in ("sent", "delivered", "accepted"):
        if delivery[f"{word}_at"] is not None:
            lines.append(f"{say.kind(word)} {say.local(delivery[f'{word}_at'], seconds=True)}.")
    if delivery["error"]:
        lines.append(f"{say.sentence(delivery['error'])}.")
    return Event(
        at=_at(delivery["created_at"]),
        told=delivery["created_at"],
        what="delivery",
        title=f"{say.notice(delivery)} to {say.party(delivery['party'])}",
        mark=say.delivery(delivery),
        lines=tuple(lines),
        href=f"/deliveries/{delivery['id']}",
        link=f"delivery {delivery['id']}",
    )


def _note(note: Row, say: Wording) -> Event:
    by = f"By {note['by']}." if note["by"] else "By the adapter."
    return Event(
        at=note["at"],
        told=note["at"],
        what="note",
        title=f"{say.kind(note['subject'])}: {note['what']}",
        lines=(by,),
        href=place(note["subject"]),
        link="more",
    )


def _readmissions(case: Document, say: Wording) -> Iterator[Event]:
    """The links to the case before and to those after, each at the admission that makes it."""
    if case["readmission_of"] is not None and case["admitted_at"] is not None:
        at, title = case["admitted_at"], f"{say.readmission(case)} after an earlier stay"
        yield _linked(at, title, case["readmission_of"], case["readmission"])
    for later in case["readmissions"]:
        title = f"Admitted again: {say.readmission(later).lower()}"
        yield _linked(later["admitted_at"], title, later["case"], later["readmission"])


def _linked(at: str, title: str, case_id: int, verdict: str) -> Event:
    possible = verdict == Verdict.POSSIBLE
    return Event(
        at=_at(at),
        told=at,
        what="note",
        title=title,
        lines=(POSSIBLE,) if possible else (),
        href=f"/cases/{case_id}",
        link=f"case {case_id}",
    )


def _parties(ids: Sequence[str], say: Wording) -> str:
    return ", ".join(say.party(party_id) for party_id in ids) or "nobody named"


def _at(told: str) -> datetime:
    moment = read(told)
    assert isinstance(moment, datetime)
    return moment
