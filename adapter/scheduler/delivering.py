"""Deliver what is due: claim in one transaction, send with none open, record in another.

One thread looks for work, a few per endpoint carry it, at most as many as the endpoint allows. Every endpoint
has threads of its own, and a carrier that waits long for an answer does not count among those that may be at
work at a time: so hung receivers, however many, hold up only themselves.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from adapter.errors import AdapterError
from adapter.inbox import Inbox
from adapter.incoming import Incoming, Prepared
from adapter.messaging.delivery import SPARE, Leased, Reply
from adapter.outbox import Outbox
from adapter.parcels import SUBSCRIPTION
from adapter.phrases import phrase
from adapter.scheduler.recording import Record, on_record
from adapter.scheduler.troubles import Troubles
from adapter.store import Store

log = structlog.get_logger("outbox")

BATCH = 32
"""Deliveries leased together: more save little, fewer cost a commit each."""

TELLERS = 4
"""Carriers that subscribers may have together: slow ones must not hold up messages."""

PATIENCE = 1.0
"""Seconds that a carrier waits for an answer until another may work in its stead: it costs no computing."""

WATCH = 0.025
"""Seconds between two looks at whether another process has written."""

AFTER_A_FAULT = 1.0
"""Seconds until the next look after one that failed, so that a lasting fault does not fill the log."""


class Deliverer:
    """Finds due deliveries and carries them; `nudge` makes it look at once."""

    def __init__(
        self,
        *,
        store: Store,
        inbox: Inbox,
        outbox: Outbox,
        clock: Callable[[], datetime],
        carriers: int = 32,
        pause: float = 0.01,
        watch: Callable[[], object] | None = None,
        observe: Callable[[Leased, Reply, str], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock
        self._pause = pause  # seconds between two looks: what comes meanwhile shares a claim
        self._watch = watch  # tells whether another process has written, where one may have
        self._observe = observe
        self._carriers = carriers  # at work at a time, not counting hung ones
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._busy: dict[str, int] = {}
        self._asked: dict[object, float] = {}  # by carrier: since when it waits for an answer
        self._turn = 0  # which endpoint is asked first: each in turn
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: object = None
        self._troubles = Troubles()

    def start(self) -> None:
        """Begin looking."""
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let what is being sent finish, claim nothing more."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def nudge(self) -> None:
        """There may be work."""
        self._wake.set()

    def round(self) -> list[Future[None]]:
        """Claim what is due for endpoints with a free carrier, and set the carriers to work."""
        free, passed = self._in_turn(self._free()), self._outbox.resting.passed
        before = dict(passed)
        claimed = self.claim(free)
        if any(free.get(name) and place != before.get(name) for name, place in passed.items()):
            self.nudge()  # what was looked at is held by its lanes; there is more behind it
        by_endpoint: dict[str, list[Leased]] = {}
        for item in claimed:
            by_endpoint.setdefault(item.endpoint, []).append(item)
        started = []
        for name, items in by_endpoint.items():
            share = max(1, -(-len(items) // free.get(name, 1)))
            for start in range(0, len(items), share):
                carrier = object()
                with self._lock:
                    self._busy[name] = self._busy.get(name, 0) + 1
                    self._asked[carrier] = monotonic()
                some = items[start : start + share]
                started.append(self._pool(name).submit(self._carry, carrier, name, some))
        return started

    # what a round is made of: each step by itself needs no thread

    def claim(self, free: Mapping[str, int]) -> list[Leased]:
        """Lease what is due, for each endpoint as much as so many free carriers take."""
        told, room = self._told(), self._room()
        now = self._clock()

        def enough(taken: Sequence[Leased]) -> bool:
            return _carriers(Counter(item.endpoint for item in taken), free) >= room

        def claim(tx: Connection) -> list[Leased]:
            wanted = {name: n * BATCH for name, n in free.items()} if room > 0 else {}
            taken = self._outbox.claim(tx, wanted, now, enough)
            return taken + self._outbox.claim_notifications(tx, told, TELLERS - len(told), now)

        return self._store.write(claim)

    def _pool(self, name: str) -> ThreadPoolExecutor:
        """The threads of an endpoint; subscribers share theirs."""
        endpoint = self._outbox.endpoint(name)
        if name not in self._pools and endpoint is None:
            name = SUBSCRIPTION
        if name not in self._pools:
            most = endpoint.concurrency if endpoint is not None else TELLERS
            self._pools[name] = ThreadPoolExecutor(max_workers=most, thread_name_prefix=f"carrier-{name}")
        return self._pools[name]

    def _room(self) -> int:
        """How many more carriers may begin now."""
        now = monotonic()
        with self._lock:
            return self._carriers - sum(1 for since in self._asked.values() if now - since < PATIENCE)

    def _in_turn(self, free: dict[str, int]) -> dict[str, int]:
        """The endpoints beginning with another one each time, so that none is always the last."""
        names = list(free)
        self._turn += 1
        first = self._turn % len(names) if names else 0
        return {name: free[name] for name in names[first:] + names[:first]}

    def _free(self) -> dict[str, int]:
        """How many more carriers each endpoint allows."""
        endpoints = [*self._outbox.register.endpoints, *self._outbox.alarms.endpoints]
        with self._lock:
            return {e.name: e.concurrency - self._busy.get(e.name, 0) for e in endpoints}

    def _told(self) -> frozenset[str]:
        """The subscribers to whom something is being sent."""
        with self._lock:
            return frozenset(n for n, busy in self._busy.items() if busy and n.startswith(f"{SUBSCRIPTION}/"))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._woken():
                    continue
                self._wake.clear()
                if self._stop.is_set():
                    return
                self.round()
                if (ended := self._troubles.over("look")) is not None:
                    log.info("due deliveries are looked for again", error=ended[0], failed=ended[1])
            except Exception as error:  # noqa: BLE001  # without this thread nothing would ever be sent again
                if self._troubles.failed("look", _said(error)):
                    log.error("could not look for due deliveries", error=_said(error))
                self._stop.wait(AFTER_A_FAULT)
                self._wake.set()
            self._stop.wait(self._pause)

    def _woken(self) -> bool:
        """Wait for a nudge, or for what another process has written; False where neither came.

        To be told of that is a hint: where it cannot be had, there may be work all the time.
        """
        if self._watch is None:
            return self._wake.wait()
        before = self._seen
        nudged = self._wake.wait(WATCH)
        try:
            self._seen = self._watch()
        except Exception as error:  # noqa: BLE001  # a hint that fails must not keep anything from being sent
            if self._troubles.failed("watch", _said(error)):
                log.error("cannot see what other processes write", error=_said(error))
            return True
        if (ended := self._troubles.over("watch")) is not None:
            log.info("what other processes write is seen again", error=ended[0], failed=ended[1])
        return nudged or self._seen != before

    def _carry(self, carrier: object, endpoint: str, items: Sequence[Leased]) -> None:
        recording: list[Record | Future[None]] = []
        left = list(items)
        try:
            while left:
                on_record(recording)
                back = self.not_now(left)
                if back:
                    recording.append(self.give_back(back))
                    left = [item for item in left if item not in back]
                    continue
                item = left.pop(0)
                self._asked[carrier] = monotonic()
                recording.append(self.settle(item, self.send(item)))
        except Exception as error:  # noqa: BLE001  # what is left waits for its lease to end
            log.error("a carrier failed; what it held is sent later", endpoint=endpoint, error=_said(error))
        finally:
            self._await(recording, endpoint)
            with self._lock:
                self._asked.pop(carrier, None)
                self._busy[endpoint] -= 1
                if not self._busy[endpoint]:
                    del self._busy[endpoint]
            self.nudge()

    def not_now(self, items: Sequence[Leased]) -> list[Leased]:
        """What is given back: all where the time is up, or what an endpoint that has begun to rest holds."""
        now = self._clock()
        if self._stop.is_set() or now > items[0].lease_until - self._margin(items[0]):
            return list(items)
        return self._outbox.resting.held(items[0].endpoint, items, now)

    def give_back(self, items: Sequence[Leased]) -> "Future[None]":
        """Release what was claimed and will not be tried."""
        return self._store.submit(partial(self._outbox.release, leased=items, now=self._clock()))

    def _await(self, recording: "Sequence[Record | Future[None]]", endpoint: str) -> None:
        """Wait until every attempt is on the disk; of one that is not, the message is sent again."""
        for future in recording:
            error = future.exception()
            if error is not None:
                log.error(
                    "could not record what was sent; it will be sent again",
                    endpoint=endpoint,
                    error=_said(error),
                )

    def send(self, item: Leased) -> Reply:
        """The reply; a fault of our own counts as a failed attempt, so that it is repeated and told of."""
        try:
            return self._outbox.send(item)
        except Exception as error:  # noqa: BLE001  # one message's fault must not hold up its neighbours
            log.error("could not send", endpoint=item.endpoint, delivery=item.id, error=_said(error))
            fault = type(error).__name__
            said = phrase("the adapter itself failed while sending ({fault})", fault=fault)
            return Reply(error=said, ours=True)

    def _margin(self, item: Leased) -> timedelta:
        """No sending starts that might outlast its lease."""
        found = item.to or self._outbox.endpoint(item.endpoint)
        return timedelta(seconds=found.longest if found else 0) + SPARE

    def settle(self, item: Leased, reply: Reply) -> Record:
        """Record the attempt, and take the message in the response, in one transaction."""
        answer: Prepared | None = None
        if reply.body:
            incoming = Incoming(content=reply.body, content_type=reply.content_type, channel="reply")
            answer = self._inbox.read(incoming)
        said = answer.reading.acknowledgement if answer is not None and answer.reading else None
        receipted = (
            said is not None
            and said.original_id == item.message_id
            and answer is not None
            and self._inbox.speaks_for(answer, item)
        )

        tried: list[datetime] = []

        def unit(tx: Connection) -> None:
            if tried and self._outbox.recorded(tx, item, tried):
                return  # a commit whose answer was lost
            now = self._clock()
            tried.append(now)
            outcome = self._outbox.record(tx, item, reply, now, receipted=receipted)
            if reply.final:
                self._inbox.held_there(tx, item, now)
            elif answer is not None and (receipted or said is None) and answer.reading is not None:
                self._inbox.reply(tx, answer, item, now)
            elif answer is not None and reply.taken:
                self._inbox.odd_answer(tx, answer, item, now)
            self._observe(item, reply, outcome)

        return Record(self._store, unit, until=item.lease_until, clock=self._clock, stopping=self._stop.wait)


def _carriers(taken: Counter[str], free: Mapping[str, int]) -> int:
    """How many carriers that is, with at most as many an endpoint as are free there."""
    return sum(min(count, free.get(name, 1)) for name, count in taken.items())


def _said(error: BaseException) -> str:
    """What may stand in a log: our own words, of anything unexpected its kind alone (it may quote a body)."""
    return str(error) if isinstance(error, AdapterError) else type(error).__name__
