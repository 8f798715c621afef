"""A municipality's roster: the identity numbers of whom it may be told, a line each, from a file or an API.

    # citizens with a relevant case, 2026-03-02
    010160-5995

What is kept of it in memory are keyed hashes. No number stands in an error: a line is named by its number.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapter.errors import ConfigurationError
from adapter.messaging.register import Endpoint, RosterPlace
from adapter.relevance import Roster, hashed
from adapter.transport.wire import UNUSABLE, Wire, prepared

LARGEST = 64 * 1024 * 1024
"""Bytes of a roster: some five million numbers."""

WITHIN = 10.0
"""Seconds for connecting to an API, and for its whole answer."""

SOONEST, LATEST = timedelta(seconds=10), timedelta(minutes=15)
"""Between two looks at an API, a quarter of how old the roster may be."""

# CPR: DDMMYY-XXXX; a replacement number has letters among its last four
_NUMBER = re.compile(r"[0-9]{6}-?[0-9A-Z]{4}", re.ASCII | re.IGNORECASE)


def read_roster(text: bytes, key: bytes) -> frozenset[bytes]:
    """The numbers of a roster, hashed. ConfigurationError where it cannot be used.

    One that breaks off would make strangers of the municipality's own, whose messages would be gone for good.
    """
    if len(text) > LARGEST:
        raise ConfigurationError(f"it has more than {LARGEST // 1024**2} MiB")
    try:
        whole = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("it is not in UTF-8; save it in that encoding") from None
    if whole and not whole.endswith("\n"):
        raise ConfigurationError("its last line does not end: it was cut off, or is still being written")
    found = set()
    for count, line in enumerate(whole.splitlines(), 1):
        number = line.partition("#")[0].strip()
        if not number:
            continue
        if not _NUMBER.fullmatch(number):
            raise ConfigurationError(f"line {count} is no CPR number; write one a line, as DDMMYY-XXXX")
        found.add(hashed(key, number))
    if not found:
        raise ConfigurationError("it names nobody; leave roster out where the party may be told of everybody")
    return frozenset(found)


@dataclass(kw_only=True)
class RosterFile:
    """A file, read again as soon as it has changed."""

    path: Path
    key: bytes = field(repr=False)
    _state: tuple[int, ...] | None = None
    _fault: str | None = None

    def look(self, now: datetime) -> Roster | None:
        """The roster where the file is another than at the last look, else None.

        ConfigurationError as long as it cannot be used.
        """
        try:
            with self.path.open("rb") as file:
                before = os.fstat(file.fileno())
                state = (before.st_mtime_ns, before.st_size, before.st_ctime_ns, before.st_ino)
                if state == self._state and self._fault is None:
                    return None
                if state == self._state:
                    raise ConfigurationError(self._fault)
                text = file.read(LARGEST + 1)
                after = os.fstat(file.fileno())
        except OSError as error:
            self._state = None
            raise ConfigurationError(f"{self.path}: cannot be read: {error.strerror}") from None
        if (after.st_mtime_ns, after.st_size) != state[:2]:
            return None  # it is being written: the next look tells
        self._state, self._fault = state, None
        try:
            numbers = read_roster(text, self.key)
        except ConfigurationError as error:
            self._fault = f"{self.path}: {error}"
            raise ConfigurationError(self._fault) from None
        written = datetime.fromtimestamp(before.st_mtime, UTC)
        return Roster(numbers=numbers, as_of=min(written, now))


@dataclass(kw_only=True)
class RosterApi:
    """An address that answers with the same text, asked now and then."""

    party: str
    place: RosterPlace
    key: bytes = field(repr=False)
    _asked: datetime | None = None
    _fault: str | None = None
    _wire: Wire = field(default_factory=Wire, repr=False, compare=False)

    @property
    def every(self) -> timedelta:
        """How often it is asked."""
        return min(max(self.place.within / 4, SOONEST), LATEST)

    def look(self, now: datetime) -> Roster | None:
        """The roster where it was time to ask, else None. ConfigurationError until it answers again."""
        if self._asked is not None and now - self.every < self._asked <= now:
            if self._fault is not None:
                raise ConfigurationError(self._fault)
            return None
        self._asked, self._fault = now, None
        try:
            return Roster(numbers=read_roster(self._answer(), self.key), as_of=now)
        except ConfigurationError as error:
            self._fault = f"its API: {error}"
            raise ConfigurationError(self._fault) from None

    def _answer(self) -> bytes:
        """What stands there; the address, which may hold a secret, is in no fault."""
        at = Endpoint(
            name=f"roster of {self.party}",
            transport="fhir",
            address=self.place.address,
            dialect="roster",
            timeout=WITHIN,
        )
        try:
            request = prepared("GET", self.place.address, self.place.token, "text/plain")
        except ValueError:
            raise ConfigurationError(UNUSABLE) from None
        reply = self._wire.call(request, at, most=LARGEST)
        if reply.error is not None or reply.status != 200:
            raise ConfigurationError(reply.error or f"it answers HTTP {reply.status}")
        return reply.body


def source(party: str, place: RosterPlace, key: bytes) -> Callable[[datetime], Roster | None]:
    """How a party's roster is looked at: what is new of it; None where nothing is."""
    if place.asked:
        return RosterApi(party=party, place=place, key=key).look
    return RosterFile(path=Path(place.address), key=key).look
