"""The region at a glance: each party with what waits for it, and in one sentence what stands still.

Pure: made of what `store.overview` found. A party that does not answer is told from one that catches up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from adapter.messaging.register import Endpoint, Register, Side
from adapter.messaging.resting import Health
from adapter.store.overview import Queue
from adapter.store.statements import Row
from adapter.web.wording import Mark, Wording

NOTHING = Queue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One party on the overview."""

    id: str
    name: str
    kind: str
    ours: bool
    reach: str  # a code of the field's catalog
    mark: Mark  # the same in words
    queue: Queue
    last_delivered: datetime | None
    last_error: str | None = None


def tiles(
    register: Register,
    day: date,
    say: Wording,
    *,
    queues: Mapping[str, Queue],
    tries: Mapping[str, Row],
    delivered: Mapping[str, datetime],
    paused: Iterable[str],
    ailing: Mapping[str, Health],
) -> list[Tile]:
    """A tile for every party that exists on `day` or for which something waits, in the register's order."""
    stopped = frozenset(paused)
    known = [p for p in register.parties if p.valid_on(day) or p.id in queues]
    strangers = sorted((set(queues) | set(delivered)) - {p.id for p in register.parties})
    made = []
    for party in known:
        endpoint = register.endpoint_of(party)
        queue, last = queues.get(party.id, NOTHING), tries.get(party.id)
        reach = _reach(endpoint, queue, last, stopped, ailing)
        made.append(
            Tile(
                id=party.id,
                name=party.name,
                kind=party.kind,
                ours=party.side is Side.OURS,
                reach=reach,
                mark=say.mark("reach", reach),
                queue=queue,
                last_delivered=delivered.get(party.id),
                last_error=last["error"] if last is not None and last["outcome"] != "sent" else None,
            )
        )
    return made + [
        _stranger(party_id, queues.get(party_id, NOTHING), delivered.get(party_id), say)
        for party_id in strangers
    ]


def _stranger(party_id: str, queue: Queue, delivered: datetime | None, say: Wording) -> Tile:
    """One who is in no region file; that it has no endpoint is then no warning."""
    reach = "receiving"
    if queue.parked > queue.homeless:
        reach = "needs-person"
    elif queue.homeless:
        reach = "no-endpoint"
    mark = say.mark("reach", reach)
    return Tile(
        id=party_id,
        name=party_id,
        kind="unlisted",
        ours=True,
        reach=reach,
        mark=replace(mark, level="plain") if reach == "no-endpoint" else mark,
        queue=queue,
        last_delivered=delivered,
    )


def _reach(
    endpoint: Endpoint | None,
    queue: Queue,
    last: Row | None,
    stopped: frozenset[str],
    ailing: Mapping[str, Health],
) -> str:
    if endpoint is None:
        return "no-endpoint" if queue.waiting else "reads-here"
    if endpoint.name in stopped:
        return "paused"
    health = ailing.get(endpoint.name)
    if health is not None and health.resting_since is not None:
        return "resting"
    if health is not None and health.window is not None:
        return "catching-up"
    if last is not None and last["outcome"] == "retry":
        return "silent"
    if queue.retried > queue.parked:
        return "catching-up"
    if queue.parked:
        return "needs-person"
    if last is not None and last["outcome"] == "gave-up":
        return "turned-away"
    if queue.waiting:
        return "sending"
    if queue.unreceipted:
        return "receipt-awaited"
    if last is None:
        return "unused"
    return "folder" if endpoint.transport == "directory" else "receiving"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsettled:
    """What no party shows and a person must still see to."""

    alarms: int = 0  # open
    overdue: int = 0  # deadlines
    held: int = 0  # messages in quarantine

    def words(self, say: Wording) -> str:
        """Each that there is, with its count; empty where there is none."""
        told = (
            (self.alarms, say.count("{number} open alarm", "{number} open alarms", self.alarms)),
            (
                self.overdue,
                say.count("{number} overdue deadline", "{number} overdue deadlines", self.overdue),
            ),
            (self.held, say.count("{number} held message", "{number} held messages", self.held)),
        )
        return say.list([text for count, text in told if count])


def summary(shown: Sequence[Tile], unsettled: Unsettled, say: Wording) -> Mark:
    """The region in one sentence; all is well only where nothing waits for a person."""
    down = [t for t in shown if t.mark.level == "bad"]
    if down:
        return Mark(words=_down(down, say), level="bad")
    catching = [t for t in shown if t.reach == "catching-up"]
    if catching:
        count = sum(t.queue.waiting for t in catching)
        words = say.count(
            "{names} is catching up: {messages} to go.",
            "{names} are catching up: {messages} to go.",
            len(catching),
            names=_names(catching, say),
            messages=say.count("{number} message", "{number} messages", count),
        )
        return Mark(words=words, level="busy")
    stuck = [t for t in shown if t.mark.level == "warn"]
    if stuck:
        one, many = "{names} needs a person's attention.", "{names} need a person's attention."
        return Mark(words=say.count(one, many, len(stuck), names=_names(stuck, say)), level="warn")
    what = unsettled.words(say)
    if what:
        return Mark(words=say.of("To be seen to by a person: {what}.", what=what), level="warn")
    unsent = sum(t.queue.homeless for t in shown)
    if unsent:
        words = say.count(
            "All is well. {number} message would be sent on if an endpoint were configured.",
            "All is well. {number} messages would be sent on if an endpoint were configured.",
            unsent,
        )
        return Mark(words=words, level="good")
    return Mark(words=say.of("Every party is being reached, and nothing stands still."), level="good")


def _down(down: Sequence[Tile], say: Wording) -> str:
    names = _names(down, say)
    silent = say.count("{names} does not answer.", "{names} do not answer.", len(down), names=names)
    count = sum(t.queue.waiting for t in down)
    if not count:
        kept = say.of("Nothing waits.")
    elif len(down) == 1:
        kept = say.count(
            "{number} message waits and will be sent, in order, when it answers again.",
            "{number} messages wait and will be sent, in order, when it answers again.",
            count,
        )
    else:
        kept = say.count(
            "{number} message waits and will be sent, in order, when they answer again.",
            "{number} messages wait and will be sent, in order, when they answer again.",
            count,
        )
    return f"{silent} {kept}"


def _names(shown: Sequence[Tile], say: Wording) -> str:
    names = [t.name for t in shown]
    if len(names) > 4:
        some, others = ", ".join(names[:3]), say.number(len(names) - 3)
        return say.of("{names} and {number} others", names=some, number=others)
    return say.list(names)
