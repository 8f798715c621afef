"""A municipality's free text about a ready notice is its answer, which a person has yet to classify.

Norway answers in words (HISD 80806 9.4, HIS 1077). A note alone cannot say what it is about; what it refers
to can, and either may come first. So it is decided anew each time that the facts are folded: a note or reply
of a municipality to the hospital whose ready notice it refers to, or in whose conversation it stands, is an
answer and unclassified. Classified, it is corrected by what a person says of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from adapter.discharge.case import Fact
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing

FREE_TEXT = frozenset((NoticeKind.NOTE, NoticeKind.REPLY))
"""What may be an answer; an enquiry asks, and a deviation is about a message."""

MAY_ANSWER = ("municipality", "municipal-acute-bed", "unknown")
"""Kinds of party whose fixed sentence is an answer; anybody else quotes it."""

MAY_TELL_READINESS = ("hospital", "municipal-acute-bed", "unknown")
"""Kinds of party whose fixed sentence of readiness is a notice; anybody else quotes it."""

_DIALOGUE = FREE_TEXT | {NoticeKind.ENQUIRY, NoticeKind.ANSWER}


def with_answers(facts: Iterable[Fact], roles: Mapping[str, str] | None = None) -> list[Fact]:
    """The facts of one patient, with what answers a ready notice told as an answer.

    `roles` is what kind of party each is; one of whom that is not known may be a municipality.
    """
    known = list(facts)
    told = [fact for fact in known if isinstance(fact, Notice)]
    if not any(notice.kind in FREE_TEXT for notice in told):
        return known
    by_id: dict[str, list[Notice]] = {}
    for notice in told:
        by_id.setdefault(notice.message_id, []).append(notice)
    return [
        _answer(fact, by_id, roles or {}) if isinstance(fact, Notice) and fact.kind in FREE_TEXT else fact
        for fact in known
    ]


def _answer(notice: Notice, by_id: Mapping[str, list[Notice]], roles: Mapping[str, str]) -> Notice:
    if roles.get(notice.sender, "unknown") not in ("municipality", "unknown"):
        return notice
    ready = next((one for one in _about(notice, by_id) if _asks(one, notice)), None)
    if ready is None:
        return notice
    itself = notice.standing is not Standing.NEW  # its reference leads to what it corrects
    return replace(
        notice,
        kind=NoticeKind.ANSWER,
        answer=AnswerValue.UNCLASSIFIED,
        hospital=ready.hospital or ready.sender,
        encounter=notice.encounter or ready.encounter,
        admitted=notice.admitted or ready.admitted,
        refers_to=notice.refers_to if itself else ready.message_id,
    )


def _asks(ready: Notice, notice: Notice) -> bool:
    """Whether a notice of readiness was sent to this sender by whom it answers."""
    return (
        ready.kind is NoticeKind.READY_FOR_DISCHARGE
        and ready.standing is not Standing.CANCELLATION
        and ready.sender in notice.receivers
        and notice.sender in ready.receivers
    )


def _about(notice: Notice, by_id: Mapping[str, list[Notice]]) -> Iterator[Notice]:
    """What a notice refers to, directly or by way of the dialogue in between; then its conversation's."""
    seen = {notice.message_id}
    for start in (notice.refers_to, notice.conversation):
        ahead = [start] if start is not None else []
        while ahead:
            wanted = ahead.pop()
            if wanted in seen:
                continue
            seen.add(wanted)
            for found in sorted(by_id.get(wanted, ()), key=lambda one: (one.sent_at, one.sender)):
                yield found
                if found.kind in _DIALOGUE and found.refers_to is not None:
                    ahead.append(found.refers_to)
