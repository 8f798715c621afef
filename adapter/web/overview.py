"""The region at a glance: each party with what waits for it, and in one sentence what stands still.

Pure: made of what `store.overview` found. A party that does not answer is told from one that catches up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from adapter.messaging.register import Endpoint, Party, Register, Side
from adapter.messaging.resting import Health
from adapter.store.overview import Queue
from adapter.store.statements import Row
from adapter.web.wording import FOLDER, Mark

NOTHING = Queue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One party on the overview."""

    id: str
    name: str
    kind: str
    ours: bool
    mark: Mark
    queue: Queue
    last_delivered: datetime | None
    last_error: str | None = None


def tiles(
    register: Register,
    day: date,
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
        made.append(
            Tile(
                id=party.id,
                name=party.name,
                kind=party.kind,
                ours=party.side is Side.OURS,
                mark=_mark(party, endpoint, queue, last, stopped, ailing),
                queue=queue,
                last_delivered=delivered.get(party.id),
                last_error=last["error"] if last is not None and last["outcome"] != "sent" else None,
            )
        )
    return made + [
        Tile(
            id=party_id,
            name=party_id,
            kind="not in a region file",
            ours=True,
            mark=_stranger(queues.get(party_id, NOTHING)),
            queue=queues.get(party_id, NOTHING),
            last_delivered=delivered.get(party_id),
        )
        for party_id in strangers
    ]


def _stranger(queue: Queue) -> Mark:
    if queue.parked > queue.homeless:
        return Mark(words="Waiting for a person", level="warn")
    if queue.homeless:
        return Mark(words="No endpoint configured")
    return Mark(words="Receiving", level="good")


def _mark(
    party: Party,
    endpoint: Endpoint | None,
    queue: Queue,
    last: Row | None,
    stopped: frozenset[str],
    ailing: Mapping[str, Health],
) -> Mark:
    if endpoint is None:
        if queue.waiting:
            return Mark(words="No endpoint configured", level="warn")
        return Mark(words="Reads on these pages", level="good")
    if endpoint.name in stopped:
        return Mark(words="Paused by a person", level="warn")
    health = ailing.get(endpoint.name)
    if health is not None and health.resting_since is not None:
        return Mark(words="Rests: does not answer", level="bad")
    if health is not None and health.window is not None:
        return Mark(words="Catching up", level="busy")
    if last is not None and last["outcome"] == "retry":
        return Mark(words="Does not answer", level="bad")
    if queue.retried > queue.parked:
        return Mark(words="Catching up", level="busy")
    if queue.parked:
        return Mark(words="Waiting for a person", level="warn")
    if last is not None and last["outcome"] == "gave-up":
        return Mark(words="Turned a message away", level="warn")
    if queue.waiting:
        return Mark(words="Sending", level="busy")
    if queue.unreceipted:
        return Mark(words="Receipt awaited", level="busy")
    if last is None:
        return Mark(words="Nothing sent yet", level="plain")
    if endpoint.transport == "directory":
        return FOLDER
    return Mark(words="Receiving", level="good")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsettled:
    """What no party shows and a person must still see to."""

    alarms: int = 0  # open
    overdue: int = 0  # deadlines
    held: int = 0  # messages in quarantine

    def words(self) -> str:
        """Each that there is, with its count; empty where there is none."""
        named = ((self.alarms, "open alarm"), (self.overdue, "overdue deadline"), (self.held, "held message"))
        told = [f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in named if count]
        return _names(told) if told else ""


def summary(shown: Sequence[Tile], unsettled: Unsettled) -> Mark:
    """The region in one sentence; all is well only where nothing waits for a person."""
    down = [t for t in shown if t.mark.level == "bad"]
    if down:
        names = _names([t.name for t in down])
        count = sum(t.queue.waiting for t in down)
        verb = "does" if len(down) == 1 else "do"
        kept = (
            f"{_messages(count)} {'waits' if count == 1 else 'wait'} and will be sent, in order, when "
            f"{'it answers' if len(down) == 1 else 'they answer'} again."
            if count
            else "Nothing waits."
        )
        return Mark(words=f"{names} {verb} not answer. {kept}", level="bad")
    catching = [t for t in shown if t.mark.words == "Catching up"]
    if catching:
        count = sum(t.queue.waiting for t in catching)
        verb = "is" if len(catching) == 1 else "are"
        return Mark(
            words=f"{_names([t.name for t in catching])} {verb} catching up: {_messages(count)} to go.",
            level="busy",
        )
    stuck = [t for t in shown if t.mark.level == "warn"]
    if stuck:
        verb = "needs" if len(stuck) == 1 else "need"
        return Mark(words=f"{_names([t.name for t in stuck])} {verb} a person's attention.", level="warn")
    if unsettled.words():
        return Mark(words=f"To be seen to by a person: {unsettled.words()}.", level="warn")
    unsent = sum(t.queue.homeless for t in shown)
    if unsent:
        return Mark(
            words=f"All is well. {_messages(unsent)} would be sent on if an endpoint were configured.",
            level="good",
        )
    return Mark(words="Every party is being reached, and nothing stands still.", level="good")


def _names(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
