"""What a simulation came to: messages counted by the party they were for.

A message counts as delivered when its receiver holds one of the same event for the same patient, whatever
id it travelled under; so the count holds for every dialect.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from adapter.discharge.superseding import VERSIONED
from adapter.fhir.bundles import RECEIPT_EVENT
from adapter.messaging.acknowledgement import Status
from adapter.simulator.memory import Memory
from adapter.simulator.systems import Posted


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Distinct messages, except `repeats`, which are arrivals of what was held already."""

    sent: int = 0
    accepted: int = 0  # the adapter has taken responsibility
    delivered: int = 0
    receipted: int = 0  # a positive application receipt came back
    refused: int = 0  # by the adapter, or by a negative receipt
    withheld: int = 0  # held by the receiver, which was told to give no receipt
    parked: int = 0  # waits for a person: what it corrects or cancels was refused by the receiver
    held: int = 0  # by the adapter, until a person has put something right
    cancelled: int = 0  # never sent on: taken back, or replaced by a newer one, before it was ever attempted
    repeats: int = 0
    lost: int = 0  # accepted, neither refused, parked nor cancelled, and not delivered

    @property
    def open(self) -> int:
        """Accepted messages for which a receipt may still come."""
        over = self.receipted + self.refused + self.withheld + self.parked + self.cancelled
        return max(0, self.accepted - over)

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The counts of every party, and whether all was quiet before the time ran out."""

    by_party: dict[str, Counts]
    quiet: bool
    seconds: float
    cases: int

    @property
    def total(self) -> Counts:
        """All parties together."""
        result = Counts()
        for counts in self.by_party.values():
            result = result.plus(counts)
        return result

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "quiet": self.quiet,
            **asdict(self.total),
            "parties": {party: asdict(counts) for party, counts in self.by_party.items()},
        }

    def table(self) -> str:
        """For people: one line a party, and the total."""
        columns = [f.name for f in fields(Counts)]
        rows = [*self.by_party.items(), ("total", self.total)]
        width = max(len("receiver"), *(len(name) for name, _ in rows))
        lines = ["receiver".ljust(width) + "".join(f"{column:>11}" for column in columns)]
        lines += [
            name.ljust(width) + "".join(f"{getattr(counts, column):>11}" for column in columns)
            for name, counts in rows
        ]
        end = "all quiet" if self.quiet else "stopped before all was quiet"
        return "\n".join([*lines, f"{self.cases} cases, {self.seconds:.1f} s, {end}"])


def count(posted: Iterable[Posted], memory: Memory) -> Counts:
    """The counts of one receiving party: what was sent to it, and what it holds."""
    sent = list(posted)
    accepted = [p for p in sent if p.accepted]
    held = [t for t in memory.taken.values() if t.event != RECEIPT_EVENT]
    there = Counter((t.patient, t.event) for t in held)
    needed = Counter((p.patient, p.event) for p in accepted if p.receipt is not Status.REFUSED)
    parked = Counter((p.patient, p.event) for p in _behind_a_refusal(accepted)) & (
        Counter((p.patient, p.event) for p in accepted) - there
    )
    cancelled = Counter((p.patient, p.event) for p in _undone(accepted)) & (
        Counter((p.patient, p.event) for p in accepted) - there - parked
    )
    return Counts(
        sent=len(sent),
        accepted=len(accepted),
        delivered=(Counter((p.patient, p.event) for p in accepted) & there).total(),
        receipted=sum(1 for p in accepted if p.receipt is Status.ACCEPTED),
        refused=sum(1 for p in sent if p.refused or p.receipt is Status.REFUSED),
        withheld=sum(1 for t in held if t.status is None),
        parked=parked.total(),
        cancelled=cancelled.total(),
        repeats=memory.repeats,
        lost=(needed - parked - cancelled - there).total(),
    )


def _behind_a_refusal(accepted: list[Posted]) -> list[Posted]:
    """Messages without a receipt that refer, over others or at once, to one that the receiver refused."""
    by_id = {p.message_id: p for p in accepted}

    def stands_behind(one: Posted) -> bool:
        earlier = by_id.get(one.refers_to or "")
        return earlier is not None and (earlier.receipt is Status.REFUSED or stands_behind(earlier))

    return [p for p in accepted if p.receipt is None and stands_behind(p)]


def _undone(accepted: list[Posted]) -> list[Posted]:
    """Messages without a receipt that a later one takes back or replaces, and those that take them back."""
    of_patient: dict[str, list[Posted]] = {}
    for one in accepted:
        of_patient.setdefault(one.patient, []).append(one)
    undone: list[Posted] = []
    for told in of_patient.values():
        for place, one in enumerate(told):
            by = any(_undoes(later, one) for later in told[place + 1 :])
            if one.receipt is None and (by or any(_undoes(one, earlier) for earlier in undone)):
                undone.append(one)
    return undone


def _undoes(later: Posted, earlier: Posted) -> bool:
    """Whether the later one corrects or cancels the earlier, withdraws it, or is a newer version of it."""
    if later.patient != earlier.patient:
        return False
    withdrawn = (later.event, earlier.event) == ("readiness-withdrawn", "ready-for-discharge")
    newer = later.event == earlier.event and later.event in VERSIONED
    return withdrawn or newer or later.refers_to == earlier.message_id
