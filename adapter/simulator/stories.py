"""What happens to a patient: a stay told as notices, each at its time.

Pure given the random numbers and the start: the same seed tells the same stories. Hours are those of the
stay; `speed` says how many of its seconds pass in one real second, and the times written are the real ones.
"""

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir.bundles import Subject
from adapter.messaging.envelope import Address

K = NoticeKind

LOGISTICS = (K.ADMITTED, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.DISCHARGED, K.DECEASED)
"""What a receiver of Norwegian logistics messages can be told."""

TOLD_TO_THE_GP = (K.ADMITTED, K.PLANNED_DISCHARGE, K.DISCHARGED, K.PLACED, K.DECEASED)
"""Of what the hospital tells the municipality, what it tells the patient's GP in the same message."""

HOME = ("urn:oid:2.16.578.1.12.4.1.1.8408", "1", "Bosted/arbeidssted")
CARE_HOME = ("urn:oid:2.16.578.1.12.4.1.1.8408", "11", "Sykehjem/aldershjem")


class Plot(StrEnum):
    """How a stay goes."""

    USUAL = "usual"
    WITHDRAWN = "withdrawn"  # ready, then not, then ready again
    CORRECTED = "corrected"  # the ready notice is sent anew with another time
    CANCELLED = "cancelled"  # the admission was somebody else's
    DECEASED = "deceased"


_LIKELIHOOD = {
    Plot.USUAL: 60,
    Plot.WITHDRAWN: 15,
    Plot.CORRECTED: 10,
    Plot.CANCELLED: 5,
    Plot.DECEASED: 10,
}
_SENT_TWICE = 0.05
_NEEDS = "Treng hjelp til stell og mat. Bur aleine i hus med trapp."
_REPORT = "Held fram med gangtrening. Kontroll hos fastlegen om to veker."


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """Who tells whom. `kinds`: what the receiver can be told; None is everything."""

    hospital: Address
    municipality: Address
    party: str  # the municipality's id in the register
    kinds: tuple[NoticeKind, ...] | None = None
    pathway: str | None = None  # on which a patient who goes home is placed
    office: Address | None = None  # the patient's GP, where one of the region's is it

    def receivers(self, kind: NoticeKind) -> tuple[Address, ...]:
        """Who is told that; the municipality first, as the responsible one."""
        told = self.office is not None and kind in TOLD_TO_THE_GP
        return (self.municipality, self.office) if told and self.office else (self.municipality,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One notice, so long after the story's start; `again` sends the same message once more."""

    after: timedelta
    notice: Notice
    again: bool = False
    discharged_to: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One stay of one patient."""

    plot: Plot
    cast: Cast
    subject: Subject
    steps: tuple[Step, ...]


def tell(
    rng: random.Random,
    *,
    cast: Cast,
    subject: Subject,
    start: datetime,
    speed: float,
    plot: Plot | None = None,
) -> Story:
    """A story that begins at `start`; its plot is drawn where none is given."""
    chosen = plot or rng.choices(list(_LIKELIHOOD), weights=list(_LIKELIHOOD.values()))[0]
    author = _Author(rng, cast, start, speed)
    steps = [s for s in author.steps(chosen) if cast.kinds is None or s.notice.kind in cast.kinds]
    return Story(plot=chosen, cast=cast, subject=subject, steps=tuple(_some_twice(steps, rng)))


def _some_twice(steps: Iterable[Step], rng: random.Random) -> Iterable[Step]:
    for step in steps:
        yield replace(step, again=True) if rng.random() < _SENT_TWICE else step


class _Author:
    """Writes the notices of one stay, hour by hour."""

    def __init__(self, rng: random.Random, cast: Cast, start: datetime, speed: float) -> None:
        self._rng = rng
        self._cast = cast
        self._start = start
        self._speed = speed
        self._hour = 0.0
        self._encounter = f"opphald-{rng.randrange(10**9):09}"
        self._admitted: datetime | None = None

    def steps(self, plot: Plot) -> list[Step]:
        """The steps of that plot, in the order of their times."""
        admitted = self._step(K.ADMITTED)
        self._admitted = self._at
        if plot is Plot.CANCELLED:
            self._pass(1, 4)
            return [admitted, self._anew(admitted, Standing.CANCELLATION)]
        if plot is Plot.DECEASED:
            return [admitted, *self._before_ready(), self._later(6, 48, K.DECEASED)]
        told = [admitted, *self._before_ready(), self._ready()]
        if plot is Plot.WITHDRAWN:
            told.append(self._later(4, 12, K.READINESS_WITHDRAWN, ready=told[-1].notice.ready))
            self._pass(12, 36)
            told.append(self._ready())
        if plot is Plot.CORRECTED:
            self._pass(1, 3)
            told.append(self._anew(told[-1], Standing.CORRECTION))
        return told + self._end()

    def _before_ready(self) -> list[Step]:
        needs = self._later(2, 20, K.CARE_NEEDS, text=_NEEDS)
        self._pass(12, 24)
        planned = self._step(K.PLANNED_DISCHARGE, planned_discharge=(self._at + timedelta(days=1)).date())
        self._pass(12, 48)
        return [needs, planned]

    def _ready(self) -> Step:
        return self._step(K.READY_FOR_DISCHARGE, ready=self._at)

    def _end(self) -> list[Step]:
        where = self._rng.choice((HOME, HOME, CARE_HOME))
        discharged = replace(self._later(10, 40, K.DISCHARGED), discharged_to=where)
        placed = []
        if self._cast.pathway is not None and where is HOME:
            placed = [self._step(K.PLACED, placement=self._cast.pathway)]
        return [discharged, *placed, self._later(0.5, 2, K.DISCHARGE_REPORT, text=_REPORT)]

    @property
    def _after(self) -> timedelta:
        return timedelta(hours=self._hour) / self._speed

    @property
    def _at(self) -> datetime:
        exact = self._start + self._after
        return exact.replace(microsecond=exact.microsecond // 1000 * 1000)

    def _pass(self, least: float, most: float) -> None:
        self._hour += self._rng.uniform(least, most)

    def _later(self, least: float, most: float, kind: NoticeKind, **said: object) -> Step:
        self._pass(least, most)
        return self._step(kind, **said)

    def _step(self, kind: NoticeKind, **said: object) -> Step:
        notice = Notice(
            kind=kind,
            message_id=self._new_id(),
            sent_at=self._at,
            occurred=self._at,
            sender=self._cast.hospital.token,
            receivers=tuple(address.token for address in self._cast.receivers(kind)),
            hospital=self._cast.hospital.token,
            encounter=self._encounter,
            admitted=self._admitted,
        )
        return Step(after=self._after, notice=replace(notice, **said))  # type: ignore[arg-type]  # Notice's own fields

    def _anew(self, earlier: Step, standing: Standing) -> Step:
        """The same notice corrected or cancelled, now."""
        notice = replace(
            earlier.notice,
            message_id=self._new_id(),
            sent_at=self._at,
            standing=standing,
            refers_to=earlier.notice.message_id,
        )
        if standing is Standing.CORRECTION:
            notice = replace(notice, occurred=self._at, ready=self._at)
        return Step(after=self._after, notice=notice)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
