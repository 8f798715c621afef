"""Who has signed for what: a notice `seen` is evidence about the one that it refers to.

Swedish services call it kvittens: a person has read it, and says so. It counts for the party in whose name it
was said, from when it was sent; whichever of the two comes first, the case is the same.
"""

from collections.abc import Iterable

from adapter.discharge.case import Evidence, Fact, Step
from adapter.discharge.notices import Notice, NoticeKind, Standing


def with_signatures(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of one patient, with what people have signed for as evidence."""
    known = list(facts)
    told = [fact for fact in known if isinstance(fact, Notice)]
    taken_back = {(n.sender, n.refers_to) for n in told if n.standing is Standing.CANCELLATION}
    signed = [
        n
        for n in told
        if n.kind is NoticeKind.SEEN
        and n.standing is not Standing.CANCELLATION
        and n.refers_to is not None
        and (n.sender, n.message_id) not in taken_back
    ]
    if not signed:
        return known
    by_id: dict[str, list[Notice]] = {}
    for notice in told:
        by_id.setdefault(notice.message_id, []).append(notice)
    more = (
        Evidence(
            step=Step.SEEN,
            message_id=about.message_id,
            sender=about.sender,
            party=seen.sender,
            at=seen.sent_at,
            source=seen.text or "",
        )
        for seen in signed
        for about in by_id.get(str(seen.refers_to), ())
        if seen.sender in about.receivers and about.sender in seen.receivers
    )
    return [*known, *more]
