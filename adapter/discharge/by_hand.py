"""What was told by telephone or on paper, and recorded by a person: whether it counts, and what it was.

It is kept as it was told, with who has recorded it. Whether it counts is a question of the agreement, asked
each time that the facts are folded; what does not count is shown, and does nothing. The electronic copy that
comes later is the same notice: it takes the recorded one's place, and counts from when that was told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.notices import NoticeKind, Way, local_date

ANSWERS = (NoticeKind.ANSWER, NoticeKind.REPLY)
"""What counts as an answer, and not as a notice."""


def weighed(facts: Iterable[Fact], terms: Agreement) -> list[Fact]:
    """The facts of one patient, with what was recorded by hand as the agreement has it."""
    known = list(facts)
    if not any(fact.way is not None for fact in known):
        return known
    return [one for fact in known for one in _weighed(fact, terms)]


def counts(
    terms: Agreement, way: Way, kind: NoticeKind | None, parties: Iterable[str | None], at: datetime
) -> bool:
    """Whether a notice of that kind, or without one a receipt, counts when it is given that way."""
    term = terms.by_hand(way, parties, local_date(at, terms.zone))
    if kind is None:
        return term.receipt
    return term.answer if kind in ANSWERS else term.notice


def _weighed(fact: Fact, terms: Agreement) -> Iterator[Fact]:
    if fact.way is None:
        yield fact
    elif isinstance(fact, Evidence):
        yield from _confirmed(fact, fact.way, terms)
    elif not counts(terms, fact.way, fact.kind, (fact.hospital, fact.sender, *fact.receivers), fact.sent_at):
        yield replace(fact, beside=True)
    else:
        yield fact
        for party in fact.receivers:
            yield from _received(fact.sender, fact.message_id, party, fact.sent_at, f"by {fact.way}")


def _confirmed(fact: Evidence, way: Way, terms: Agreement) -> Iterator[Fact]:
    """Somebody at the receiver has said that it is there."""
    if fact.step is Step.CONFIRMED and counts(terms, way, None, (fact.sender, fact.party), fact.at):
        yield from _received(fact.sender, fact.message_id, fact.party, fact.at, fact.source)
    yield fact


def _received(sender: str, message_id: str, party: str, at: datetime, source: str) -> Iterator[Evidence]:
    for step in (Step.DELIVERED, Step.ACCEPTED):
        yield Evidence(step=step, message_id=message_id, sender=sender, party=party, at=at, source=source)
