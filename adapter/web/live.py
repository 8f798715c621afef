"""`/live`: tells open pages that something has changed, so that they look again (server-sent events).

One watcher a process looks at the store, whoever is connected. A connection is told only the numbers of what
its person may see, under a version that says no more than the time; what happens elsewhere leaves no trace on
it, not even that something did.
"""

import asyncio
import hashlib
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic

import orjson
import structlog
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from adapter.errors import StoreError
from adapter.messaging.people import Person, Role
from adapter.messaging.register import Register
from adapter.sight import Sight
from adapter.store import Store
from adapter.store import cases as case_rows
from adapter.store.news import Change, Newsreader
from adapter.store.statements import Row
from adapter.web.entrance import Came, Entrance
from adapter.web.signing_in import from_another_site

log = structlog.get_logger("live")

MOST = 500
"""Connections of one process."""

MOST_EACH = 40
"""Connections of one person; of an account that several people use, as many as there are."""

MOST_NAMED = 200
"""Numbers that wait for one connection; beyond, it is told to look at everything."""

BEAT = 15.0
"""Seconds between two signs of life; they are events, as no script is told of a comment."""

CHECKED = 5.0
"""Seconds at most since it was asked whether the person may still look, when news is told."""

PACE = 1.0
"""Seconds at least between two pieces of news on one connection; what comes meanwhile is told together."""

RETRY = 3000
"""Milliseconds after which a browser without our script would come again."""

KEPT = 300.0
"""Seconds for which changes are kept for those who come again."""

IDLE = 120.0
"""Seconds without a connection after which the watcher rests."""

LOOKS = 0.25
"""Seconds between two questions whether another look is worth it."""

AT_LEAST = 1.0
"""Seconds after which it looks in any case."""

SLACK = 2.0
"""Seconds by which a version lies back: what was being written when a page was made may come twice."""

_SCRIPT = (Path(__file__).parent / "static" / "live.js").read_bytes()
SCRIPT = f"/static/live.js?v={hashlib.sha256(_SCRIPT).hexdigest()[:12]}"
"""The address of the script that every page has."""

_WATCHERS = (Role.OPERATIONS, Role.AUDITOR)
_CASE = "case"
News = dict[str, set[int]]
"""What has changed, by its kind."""


@dataclass(eq=False)
class _Connected:
    """One open page; all but `person` is touched on the server's own thread only."""

    person: Person
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    news: News = field(default_factory=dict)
    everything: bool = False
    over: bool = False

    def offer(self, news: Mapping[str, Iterable[int]], *, everything: bool = False) -> None:
        """Keep it until the connection takes it; what is too much becomes `everything`."""
        for kind, numbers in news.items():
            self.news.setdefault(kind, set()).update(numbers)
        if everything or sum(map(len, self.news.values())) > MOST_NAMED:
            self.news, self.everything = {}, True
        self.woken.set()

    def take(self) -> bytes | None:
        """What there is to tell, as JSON; None where there is nothing."""
        if not self.news and not self.everything:
            return None
        told = {"all": True} if self.everything else {kind: sorted(ids) for kind, ids in self.news.items()}
        self.news, self.everything = {}, False
        return orjson.dumps(told)

    def end(self) -> None:
        """Close it at once."""
        self.over = True
        self.woken.set()


@dataclass(kw_only=True)
class Live:
    """The live connections of one process, and the watcher behind them."""

    store: Store
    entrance: Entrance
    register: Register
    clock: Callable[[], datetime]
    headers: Mapping[str, str] = field(default_factory=dict)
    steady: Callable[[], float] = monotonic
    beat: float = BEAT
    _connected: set[_Connected] = field(default_factory=set, init=False)
    _kept: deque[tuple[float, list[Change]]] = field(default_factory=deque, init=False)
    _floor: float = field(default=float("inf"), init=False)  # of what was before, nothing is known
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _watcher: threading.Thread | None = field(default=None, init=False)
    _worth: Callable[[], object] | None = field(default=None, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _wanted: float = field(default=0.0, init=False)  # when somebody was last connected
    _process: str = field(default_factory=lambda: secrets.token_hex(4), init=False)

    def routes(self) -> list[BaseRoute]:
        """The stream, and the script that listens to it."""
        return [Route("/live", self._stream), Route("/static/live.js", self._script)]

    def version(self) -> str:
        """How far a page that is made now knows; it tells a time since some moment, and nothing else."""
        return f"{self._process}.{int((self.steady() - SLACK) * 1000)}"

    def stop(self) -> None:
        """End every connection, then the watcher."""
        self._stopped.set()
        with self._lock:
            connected, watcher = list(self._connected), self._watcher
        for one in connected:
            _on_its_thread(one, one.end)
        if watcher is not None:
            watcher.join(timeout=5)

    # --- the connections ---

    async def _script(self, _: Request) -> Response:
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(_SCRIPT, media_type="text/javascript", headers=dict(self.headers) | kept)

    async def _stream(self, request: Request) -> Response:
        headers = dict(self.headers) | {
            "Cache-Control": "no-store, no-transform",
            "X-Accel-Buffering": "no",  # nginx and its like pass each line on at once
        }
        if from_another_site(request):
            return Response(status_code=403, headers=headers)
        came = await self._came(request)
        if came.person is None:
            return Response(status_code=401, headers=headers)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=headers)
        connected = _Connected(person=came.person, loop=asyncio.get_running_loop())
        if not self._let_in(connected):
            return Response(status_code=503, headers=headers | {"Retry-After": "30"})
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        lines = self._lines(request, connected, since)
        return _Stream(lines, over=lambda: self._let_go(connected), headers=headers)

    async def _came(self, request: Request) -> Came:
        """Who is there now; nobody where it cannot be found out."""
        try:
            return await self.entrance.person(request)
        except StoreError:
            return Came()

    def _let_in(self, connected: _Connected) -> bool:
        with self._lock:
            mine = sum(1 for one in self._connected if one.person.id == connected.person.id)
            full = len(self._connected) >= MOST or (connected.person.named and mine >= MOST_EACH)
            if full or self._stopped.is_set():
                return False
            self._connected.add(connected)
            self._wanted = self.steady()
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="live", daemon=True)
                self._watcher.start()
        return True

    def _let_go(self, connected: _Connected) -> None:
        with self._lock:
            self._connected.discard(connected)
            self._wanted = self.steady()

    async def _lines(self, request: Request, connected: _Connected, since: str) -> AsyncIterator[bytes]:
        yield b"retry: %d\n" % RETRY + _event("beat", self.version(), b"1")
        self._catch_up(connected, since)
        looked = self.steady()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(connected.woken.wait(), self.beat)
            connected.woken.clear()
            if connected.over:
                return
            if self.steady() - looked >= min(self.beat, CHECKED):
                came, looked = await self._came(request), self.steady()
                if came.person != connected.person:
                    yield _event("gone", None, b"1")
                    return
            version, news = self.version(), connected.take()
            yield _event("beat", version, b"1") if news is None else _event("news", version, news)
            await asyncio.sleep(min(PACE, self.beat))

    def _catch_up(self, connected: _Connected, since: str) -> None:
        """Offer what has changed since a version; everything, where that is not known any more."""
        process, _, text = since.partition(".")
        at = int(text) / 1000 if text.isascii() and text.isdigit() and len(text) < 16 else -1.0
        with self._lock:
            floor = self._floor
            missed = [change for when, changes in self._kept if when >= at for change in changes]
        if floor == float("inf"):  # the watcher is about to begin, and tells everybody
            return
        if process != self._process or at < floor:
            if since:
                connected.offer({}, everything=True)
        elif missed:
            asyncio.get_running_loop().run_in_executor(None, self._offer_missed, connected, missed)

    def _offer_missed(self, connected: _Connected, missed: list[Change]) -> None:
        try:
            with self.store.read() as tx:
                news = _News(tx, self.register).of(connected.person, missed)
        except StoreError:
            return
        if news:
            _on_its_thread(connected, lambda: connected.offer(news))

    # --- the watcher ---

    def _watch(self) -> None:
        """Look again and again while anybody is connected, and for a while after."""
        reader = Newsreader()
        worth = self._worth = self._worth or self.store.watch()
        hint: object = None
        looked = 0.0  # 0: nothing is known yet
        while not self._stopped.wait(LOOKS):
            if self._nobody():
                return
            at, before = self.steady(), hint
            hint = worth()
            if looked and hint == before and at - looked < AT_LEAST:
                continue
            try:
                with self.store.read() as tx:
                    if looked:
                        self._spread(tx, reader.read(tx, self.clock(), at), at)
                    else:
                        reader.begin(tx, self.clock(), at)
                        self._begin(at)
                looked = at
            except StoreError:
                looked = 0.0  # once it answers, everybody looks anew
            except Exception as error:  # noqa: BLE001  # without the watcher every page would stand still
                log.error("a look for news failed", error=type(error).__name__)
                looked = 0.0

    def _nobody(self) -> bool:
        with self._lock:
            if self._connected or self.steady() - self._wanted < IDLE:
                return False
            self._watcher = None
            self._kept.clear()
            self._floor = float("inf")
            return True

    def _begin(self, at: float) -> None:
        """From here on it is known what changes; whoever is connected may have missed something."""
        with self._lock:
            self._kept.clear()
            self._floor = at
            connected = list(self._connected)
        for one in connected:
            _on_its_thread(one, lambda one=one: one.offer({}, everything=True))  # type: ignore[misc]

    def _spread(self, tx: Connection, changes: list[Change], at: float) -> None:
        """Keep what has changed, and offer to each connection what its person may see of it."""
        with self._lock:
            while self._kept and self._kept[0][0] < at - KEPT:
                self._kept.popleft()
                self._floor = max(self._floor, at - KEPT)
            if not changes:
                return
            self._kept.append((at, changes))
            connected = list(self._connected)
        told, found = _News(tx, self.register), dict[Person, News]()
        for one in connected:
            if one.person not in found:
                found[one.person] = told.of(one.person, changes)
            if news := found[one.person]:
                _on_its_thread(one, lambda one=one, news=news: one.offer(news))  # type: ignore[misc]


class _Stream(StreamingResponse):
    """A stream that tells when it is over, however it ends."""

    def __init__(
        self, lines: AsyncIterator[bytes], *, over: Callable[[], None], headers: Mapping[str, str]
    ) -> None:
        super().__init__(lines, media_type="text/event-stream", headers=headers)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


class _News:
    """Sorts changes by who may see them, in one read of the store."""

    def __init__(self, tx: Connection, register: Register) -> None:
        self._tx = tx
        self._register = register
        self._rows: dict[int, Row | None] = {}

    def of(self, person: Person, changes: Iterable[Change]) -> News:
        """The numbers of what the person may see."""
        sight, watches = Sight(person=person, register=self._register), person.holds(*_WATCHERS)
        found: News = {}
        for change in changes:
            if self._concerns(sight, change, watches=watches) and self._visible(sight, change):
                found.setdefault(change.kind, set()).add(change.id)
        return found

    @staticmethod
    def _concerns(sight: Sight, change: Change, *, watches: bool) -> bool:
        if not watches and (change.kind != _CASE or change.parties is None):
            return False
        if sight.parties is None:
            return True
        return change.parties is not None and not sight.parties.isdisjoint(change.parties)

    def _visible(self, sight: Sight, change: Change) -> bool:
        if change.kind != _CASE:
            return True
        if change.id not in self._rows:
            self._rows[change.id] = case_rows.get(self._tx, change.id)
        row = self._rows[change.id]
        return row is not None and sight.sees_case(self._tx, row)


def _event(name: str, version: str | None, data: bytes) -> bytes:
    number = b"" if version is None else b"id: %s\n" % version.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), number, data)


def _on_its_thread(connected: _Connected, act: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the server has ended
        connected.loop.call_soon_threadsafe(act)
