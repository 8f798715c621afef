"""The partners' public keys: those of the region file, or those that a partner publishes at its `jwks_url`.

They are fetched only from that address, over the wire of all our transports: no redirect, bounded in size and
time. What was fetched is kept as long as its Cache-Control says, a minute at least and an hour at most.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from starlette.concurrency import run_in_threadpool

from adapter.messaging.keys import Key, UnusableKey, read_set
from adapter.messaging.register import Endpoint, Partner
from adapter.transport.wire import UNUSABLE, Wire, prepared

log = structlog.get_logger("smart")

LARGEST = 256 * 1024
"""Bytes of a JWK Set."""

WITHIN = 5.0
"""Seconds for connecting, and for the whole answer."""

SOONEST = timedelta(minutes=1)
"""Between two fetches for one partner, whatever its clients ask for."""

LONGEST = timedelta(hours=1)
"""After which keys are fetched anew."""

STALE = timedelta(hours=24)
"""For which keys are used after they came last, while their address does not answer."""

MOST_WAITING = 16
"""Requests of one partner that wait for its keys; further ones are sent away."""


class TooBusy(Exception):
    """Too many requests wait for these keys already."""


@dataclass(kw_only=True)
class _Fetched:
    """What is known of one partner's address."""

    keys: tuple[Key, ...] = ()
    came_at: datetime | None = None
    asked_at: datetime | None = None
    fresh_until: datetime | None = None
    fault: str | None = None  # what the last fetch met, in words without the address
    waiting: int = 0
    one: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys of all partners."""

    clock: Callable[[], datetime]
    _wire: Wire = field(default_factory=Wire, repr=False, compare=False)
    _by_partner: dict[str, _Fetched] = field(default_factory=dict, repr=False, compare=False)

    async def of(self, partner: Partner, key_id: str) -> tuple[tuple[Key, ...], str | None]:
        """The partner's keys, fetched anew where they are old or `key_id` is not among them.

        With them a fault of its address, in words, where that may be why the key is missing. Raises TooBusy.
        """
        if partner.jwks_url is None:
            return partner.keys, None
        known = self._by_partner.setdefault(partner.name, _Fetched())
        if self._must_ask(known, key_id):
            await self._asked(known, partner, partner.jwks_url, key_id)
        if known.came_at is None or known.came_at + STALE <= self.clock():
            return (), known.fault
        return known.keys, known.fault

    def _must_ask(self, known: _Fetched, key_id: str) -> bool:
        now = self.clock()
        if known.asked_at is not None and now - SOONEST < known.asked_at <= now:
            return False
        old = known.fresh_until is None or known.fresh_until <= now
        return old or all(key.id != key_id for key in known.keys)

    async def _asked(self, known: _Fetched, partner: Partner, url: str, key_id: str) -> None:
        """Fetch them, one request for all who wait."""
        if known.waiting >= MOST_WAITING:
            raise TooBusy
        known.waiting += 1
        try:
            async with known.one:
                if self._must_ask(known, key_id):
                    await run_in_threadpool(self._fetch, known, partner.name, url)
        finally:
            known.waiting -= 1

    def _fetch(self, known: _Fetched, name: str, url: str) -> None:
        now = self.clock()
        found, known.fault, max_age = self._ask(name, url)
        known.asked_at = now  # only now: who comes meanwhile waits for this answer
        if found is None:
            log.warning("the keys of a partner could not be fetched", partner=name, fault=known.fault)
            return
        keep = LONGEST if max_age is None else timedelta(seconds=min(max_age, LONGEST.total_seconds()))
        known.keys, known.came_at, known.fresh_until = found, now, now + max(keep, SOONEST)

    def _ask(self, name: str, url: str) -> tuple[tuple[Key, ...] | None, str | None, float | None]:
        """The keys there, what went wrong, and for how many seconds they may be kept."""
        place = Endpoint(name=name, transport="fhir", address=url, dialect="jwks", timeout=WITHIN)
        try:
            request = prepared("GET", url, None, "application/json")
        except ValueError:
            return None, UNUSABLE, None
        reply = self._wire.call(request, place, most=LARGEST)
        if reply.error is not None or reply.status != 200:
            return None, reply.error or f"HTTP {reply.status}", None
        try:
            return read_set(reply.body), None, reply.max_age
        except UnusableKey as error:
            return None, f"what is there {error}", None
