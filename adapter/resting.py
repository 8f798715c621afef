"""Endpoints that are not well: counted, let rest, probed, and brought back; a person is told once.

`messaging.resting` decides, the table remembers, for all workers together. What a process has read of it last
it also keeps in memory, so that what is taken by an endpoint that is well costs nothing here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.messaging.delivery import Leased, Reply, Trigger
from adapter.messaging.register import Endpoint, Register
from adapter.messaging.resting import Health, Sign, after_failure, after_life, sign
from adapter.messaging.retry import Schedule
from adapter.parcels import WEBHOOK
from adapter.phrases import Phrase, dated, phrase, plural
from adapter.store import deliveries, endpoint_health
from adapter.store import resting as queue

_MOST_NAMED = 3  # parties of an endpoint, in its alarm


@dataclass(frozen=True, kw_only=True)
class Resting:
    """What is known of the endpoints of a register that are not well."""

    register: Register
    alarms: Alarms
    schedule: Schedule
    known: dict[str, Health] = field(default_factory=dict)  # as last read, or written: a hint
    passed: dict[str, deliveries.Place] = field(default_factory=dict)  # how far claims have looked in vain

    def look(self, tx: Connection) -> dict[str, Health]:
        """Every endpoint that is not well, as it stands in the store now."""
        found = endpoint_health.ailing(tx)
        for name in set(self.known) - set(found):
            self.known.pop(name, None)
        self.known.update(found)
        return found

    def held(self, endpoint: str, leased: Sequence[Leased], now: datetime) -> list[Leased]:
        """What of that which has been claimed is not to be sent now, as its endpoint has begun to rest."""
        health = self.known.get(endpoint)
        if health is None or not health.holds(now):
            return []
        return [one for one in leased if not one.probe and one.trigger is not Trigger.PERSON]

    # --- what may go ---

    def claim(
        self, tx: Connection, name: str, health: Health, *, most: int, now: datetime, lease_until: datetime
    ) -> list[Leased]:
        """Lease what may go to an endpoint that is not well."""
        if health.holds(now):
            by_hand = queue.claim_by_hand(tx, name, most=most, now=now, lease_until=lease_until)
            return by_hand + self._probe(tx, name, health, now, lease_until)
        if health.window is None:
            return self._claim(tx, name, most, now, lease_until)
        on_the_way = queue.on_the_way(tx, name)
        room = min(most, health.window - on_the_way)
        if room <= 0:
            return []
        taken = self._claim(tx, name, room, now, lease_until)
        if not taken and not on_the_way and not queue.due(tx, name, now):
            self._put(tx, name, None, now)  # nothing is left with which to find out how much it can take
        return taken

    def _claim(
        self, tx: Connection, name: str, most: int, now: datetime, lease_until: datetime
    ) -> list[Leased]:
        return deliveries.claim(tx, name, most=most, now=now, lease_until=lease_until, passed=self.passed)

    def _probe(
        self, tx: Connection, name: str, health: Health, now: datetime, lease_until: datetime
    ) -> list[Leased]:
        """The one message that finds out whether an endpoint that rests lives again, when it is time."""
        if health.resting_since is None or health.probe_at is None or health.probe_at > now:
            return []
        found = queue.probe(tx, name, now)
        if found is None or not endpoint_health.take_probe(tx, name, health.probe_at, lease_until):
            return []
        planned = found["next_attempt_at"]
        leased = deliveries.lease(tx, [found["id"]], lease_until)
        return [replace(one, probe=True, next_attempt_at=planned) for one in leased]

    # --- what came of it ---

    def learn(
        self, tx: Connection, leased: Leased, reply: Reply, now: datetime, *, lives: bool, jitter: float
    ) -> Health | None:
        """Take what an attempt tells about its endpoint; `lives` says that a receipt proves it alive."""
        name, told = leased.endpoint, Sign.LIVES if lives else sign(reply)
        endpoint = self._endpoint(name)
        if endpoint is None or told is Sign.NOTHING or (told is Sign.LIVES and name not in self.known):
            return self.known.get(name)
        before = endpoint_health.get(tx, name)
        if told is Sign.LIVES:
            after = before and after_life(
                before, now=now, concurrency=endpoint.concurrency, schedule=self.schedule
            )
        else:
            after = after_failure(
                before, reply, probe=leased.probe, now=now, schedule=self.schedule, jitter=jitter
            )
        if after != before or name in self.known:
            self._put(tx, name, after, now)
        if after is not None and after.resting_since is not None:
            self._tell(tx, name, after, now)
        return after

    def end(self, tx: Connection, name: str, now: datetime) -> bool:
        """A person says that an endpoint is well; False where it was so already."""
        ailed = endpoint_health.get(tx, name) is not None
        self._put(tx, name, None, now)
        return ailed

    def forget(self, tx: Connection, now: datetime) -> None:
        """Endpoints that the region file no longer has rest no more."""
        for name in endpoint_health.ailing(tx):
            if self._endpoint(name) is None:
                self.end(tx, name, now)

    def late(
        self, tx: Connection, paused: Collection[str], now: datetime, most: int
    ) -> list[tuple[int, Phrase]]:
        """What has waited too long for endpoints that rest, each with their last fault.

        Only after a probe in vain: it may live again where nobody could try it for days, as we did not run.
        """
        found: list[tuple[int, Phrase]] = []
        for name, health in endpoint_health.ailing(tx).items():
            tried = health.probe_at is not None and health.probe_at > now and not queue.on_the_way(tx, name)
            if health.resting_since is not None and tried and name not in paused and len(found) < most:
                ids = queue.late(tx, name, now - self.schedule.give_up_after, most - len(found))
                found += [(number, _fault(health)) for number in ids]
        return found

    def _put(self, tx: Connection, name: str, health: Health | None, now: datetime) -> None:
        endpoint_health.put(tx, name, health)
        if health is None:
            self.known.pop(name, None)
            self.alarms.end(tx, "endpoint-resting", about(name), now)
        else:
            self.known[name] = health

    def _tell(self, tx: Connection, name: str, health: Health, now: datetime) -> None:
        """One alarm a rest. The webhook's own is not posted: to post it is what does not work."""
        assert health.resting_since is not None
        waiting = queue.waiting(tx, name) + queue.on_the_way(tx, name)
        self.alarms.start(
            tx,
            kind="endpoint-resting",
            subject=about(name),
            text=plural(
                "{endpoint} has not been reached {times} times in a row and rests since {since}; {number} "
                "message waits, and will be sent when it answers again; the last fault: {fault}. Ask whoever "
                "runs it; where something is urgent, telephone the receiver",
                "{endpoint} has not been reached {times} times in a row and rests since {since}; {number} "
                "messages wait, and will be sent when it answers again; the last fault: {fault}. Ask whoever "
                "runs it; where something is urgent, telephone the receiver",
                waiting,
                endpoint=self._whose(name),
                times=health.failures,
                since=dated(health.resting_since, "%Y-%m-%d %H:%M UTC"),
                fault=_fault(health),
            ),
            now=now,
            post=name != WEBHOOK,
        )

    def _whose(self, name: str) -> Phrase:
        places = ((party, self.register.endpoint_of(party)) for party in self.register.parties)
        names = [party.name for party, found in places if found is not None and found.name == name]
        if not names:
            return phrase("the endpoint {name}", name=name)
        if len(names) <= _MOST_NAMED:
            return phrase("the endpoint {name} ({parties})", name=name, parties=names)
        more = len(names) - _MOST_NAMED
        return phrase(
            "the endpoint {name} ({parties}, {more} others)",
            name=name,
            parties=names[:_MOST_NAMED],
            more=more,
        )

    def _endpoint(self, name: str) -> Endpoint | None:
        return self.alarms.webhook if name == WEBHOOK else self.register.endpoint(name)


def _fault(health: Health) -> Phrase:
    return health.error or phrase("none was told")


def about(name: str) -> str:
    """The subject of an endpoint's alarm."""
    return f"endpoint {name}"
