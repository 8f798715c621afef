"""What the adapter watches about itself: room on the disk, messages that wait, and its own clock.

Each alarm ends a little after its cause, so that what hovers about the limit is told of once. Room, clocks
and time are arguments.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import structlog
from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.errors import AdapterError
from adapter.messaging.resting import PROBES
from adapter.outbox import Outbox
from adapter.parcels import SUBSCRIPTION
from adapter.phrases import Phrase, dated, phrase
from adapter.store import Store, deliveries, watching
from adapter.store import alarms as alarm_rows

log = structlog.get_logger("watching")

SLACK = 1.2
"""So many times the limit must be free again until an alarm about the disk ends."""

APART = timedelta(minutes=1)
"""By how much two workers' clocks may differ before one's lease looks impossible to the other."""

TOGETHER = 1.0
"""Seconds within which two clocks must be read to be compared."""

Room = Callable[[Path], tuple[int, int]]
"""Bytes in all, and bytes free, of the disk that a folder is on; raises OSError."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The room on one disk."""

    store: Store
    alarms: Alarms
    clock: Callable[[], datetime]
    folder: Path
    machine: str  # as another has another disk by that name
    room: Room
    share: float
    least: int  # bytes

    def __call__(self) -> bool:
        """Look; whether there is too little."""
        try:
            whole, free = self.room(self.folder)
        except OSError as error:
            log.warning("room on the disk cannot be asked", folder=str(self.folder), error=error.strerror)
            return False
        limit, subject = max(self.share * whole, self.least), f"disk of {self.folder} on {self.machine}"
        little = free < limit
        if little:
            text = phrase(
                "{free} of {whole} are free on the disk of {folder} on {machine}; make room there",
                free=_bytes(free),
                whole=_bytes(whole),
                folder=str(self.folder),
                machine=self.machine,
            )
            self.store.write(
                lambda tx: self.alarms.start(tx, kind="disk", subject=subject, text=text, now=self.clock())
            )
        elif free >= limit * SLACK and self._on(subject):
            self.store.write(lambda tx: self.alarms.end(tx, "disk", subject, self.clock()))
        return little

    def _on(self, subject: str) -> bool:
        with self.store.read() as tx:
            return alarm_rows.is_open(tx, "disk", subject)


def _bytes(number: int) -> Phrase:
    if number >= 1024**3:
        return phrase("{size} GiB", size=Decimal(f"{number / 1024**3:.1f}"))
    return phrase("{size} MiB", size=Decimal(f"{number / 1024**2:.0f}"))


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Messages that wait for too long, by endpoint."""

    store: Store
    outbox: Outbox
    clock: Callable[[], datetime]
    longest: timedelta

    def __call__(self) -> int:
        """Look; for how many endpoints the oldest message waits too long."""
        now = self.clock()
        with self.store.read() as tx:
            late = self._late(tx, now)
            on = watching.subjects(tx, "backlog")
            paused = deliveries.paused(tx)
        over = [subject for subject in on if subject.removeprefix("endpoint ") not in late]
        if late or over:
            self.store.write(lambda tx: self._tell(tx, late, over, paused, now))
        return len(late)

    def _late(self, tx: Connection, now: datetime) -> Mapping[str, datetime]:
        """Endpoints that there are; of subscribers, others tell."""
        return {
            name: since
            for name, since in watching.oldest_waiting(tx).items()
            if now - since > self.longest
            and not name.startswith(f"{SUBSCRIPTION}/")
            and self.outbox.endpoint(name) is not None
        }

    def _tell(
        self,
        tx: Connection,
        late: Mapping[str, datetime],
        over: list[str],
        paused: frozenset[str],
        now: datetime,
    ) -> None:
        alarms, zone = self.outbox.alarms, self.outbox.cases.agreement.zone
        for subject in over:
            alarms.end(tx, "backlog", subject, now)
        for name, since in late.items():
            text = phrase(
                "a message for {endpoint} has waited since {since}: it is paused; resume it"
                if name in paused
                else "a message for {endpoint} has waited since {since}: see `discharge-adapter endpoints`",
                endpoint=name,
                since=dated(since.astimezone(zone)),
            )
            alarms.start(tx, kind="backlog", subject=f"endpoint {name}", text=text, now=now)


class Clocks:
    """Holds this machine's clock against one that only goes on, and against the database's.

    The ticks of the scheduler follow the clock of the machine, and would stand still after it was set back.
    So this has a thread of its own, and `after_jump` has the ticks begin anew.
    """

    def __init__(
        self,
        *,
        store: Store,
        outbox: Outbox,
        clock: Callable[[], datetime],
        steady: Callable[[], float],  # seconds, from any beginning, never set
        machine: str,
        most: timedelta,
        after_jump: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._outbox = store, outbox
        self._clock, self._steady = clock, steady
        self._machine, self._most, self._after_jump = machine, most, after_jump
        self._last, _ = self._read()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, every: float) -> None:
        """Look again and again, with so many seconds between."""
        self._thread = threading.Thread(target=self._run, args=(every,), name="clocks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, every: float) -> None:
        while not self._stop.wait(every):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # nobody else would notice that the ticks stand still
                said = str(error) if isinstance(error, AdapterError) else type(error).__name__
                log.error("the clock could not be looked at", error=said)

    def look(self) -> float:
        """Compare since the last look; returns the seconds by which the clock was set, forward or back."""
        (wall_before, steady_before), ((wall, steady), together) = self._last, self._read()
        if not together:
            return 0.0  # the next look tells
        jump = (wall - wall_before).total_seconds() - (steady - steady_before)
        if abs(jump) > self._most.total_seconds():
            log.warning("the clock was set", seconds=round(jump, 1))
            self._after_jump()
            self._tell_of(jump, wall_before)
        self._last = wall, steady  # not before it is told of: what failed is found again
        return jump

    def _read(self) -> tuple[tuple[datetime, float], bool]:
        """Both clocks, and whether they were read at one moment: a process may be held up in between."""
        before, wall, after = self._steady(), self._clock(), self._steady()
        return (wall, before), after - before < TOGETHER

    def _tell_of(self, jump: float, before: datetime) -> None:
        zone = self._outbox.cases.agreement.zone
        text = phrase(
            "the clock of {machine} was set {seconds} s forward at {at}; look at its time synchronisation, "
            "and at the deadlines of that time"
            if jump > 0
            else "the clock of {machine} was set {seconds} s back at {at}; look at its time synchronisation, "
            "and at the deadlines of that time",
            machine=self._machine,
            seconds=round(abs(jump)),
            at=dated(before.astimezone(zone)),
        )
        subject = f"clock of {self._machine}"
        self._store.write(
            lambda tx: self._outbox.alarms.start(
                tx, kind="clock", subject=subject, text=text, now=self._clock()
            )
        )

    def bring_back(self) -> tuple[int, int]:
        """What waits for a time that a wrong clock has named is due now; how many messages and leases.

        So are the probes of endpoints that rest.
        """
        now, schedule = self._clock(), self._outbox.schedule
        longest = max(*schedule.delays, schedule.retry_after_ceiling) * (1 + schedule.jitter)
        far, held = now + longest + APART, now + self._outbox.lease + APART
        pause = max(PROBES[-1] * (1 + schedule.jitter), schedule.retry_after_ceiling, self._outbox.lease)
        probed = now + pause + APART
        with self._store.read() as tx:
            resting, waiting = watching.probes_too_far(tx, probed), watching.too_far(tx, far, held)
        if resting:
            self._store.write(lambda tx: watching.bring_back_probes(tx, probed, now))
        if not waiting:
            return 0, 0
        brought = self._store.write(lambda tx: watching.bring_back(tx, far, held, now))
        log.warning("waited for a time that a wrong clock had named", messages=brought[0], leases=brought[1])
        return brought

    def compare(self) -> float | None:
        """Seconds by which our clock is ahead of the database server's; None where there is no other."""
        before = self._clock()
        with self._store.read() as tx:
            told = watching.database_clock(tx)
            subject = f"clocks of {self._machine} and the database"
            on = told is not None and alarm_rows.is_open(tx, "clock", subject)
        if told is None:
            return None
        between = before + (self._clock() - before) / 2
        ahead = between.timestamp() - told
        if abs(ahead) > self._most.total_seconds():
            self._apart(ahead, subject)
        elif on and abs(ahead) < self._most.total_seconds() / 2:
            self._store.write(lambda tx: self._outbox.alarms.end(tx, "clock", subject, self._clock()))
        return ahead

    def _apart(self, ahead: float, subject: str) -> None:
        text = phrase(
            "the clock of {machine} is {seconds} s ahead of the database server's; look at the time "
            "synchronisation of both"
            if ahead > 0
            else "the clock of {machine} is {seconds} s behind the database server's; look at the time "
            "synchronisation of both",
            machine=self._machine,
            seconds=round(abs(ahead)),
        )
        self._store.write(
            lambda tx: self._outbox.alarms.start(
                tx, kind="clock", subject=subject, text=text, now=self._clock()
            )
        )
