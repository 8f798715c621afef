"""The pretend region: one hospital tells stories, the municipalities take them in and answer.

Every partner is a separate server on loopback or a folder of its own, and speaks to the adapter over HTTP
with its own token. `run` tells a number of stories and reports; `live` goes on for as long as it is let.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
from adapter.errors import ConfigurationError
from adapter.fhir.bundles import RECEIPT_EVENT, Bundle, Clinician, Subject, Unit, address_of, follow, header
from adapter.fhir.notices import message_bundle, notice_in, subject_in
from adapter.mappings import kith
from adapter.messaging.acknowledgement import Status
from adapter.messaging.envelope import Address
from adapter.messaging.register import Party, Register
from adapter.simulator.faults import Faults
from adapter.simulator.memory import Memory, Taken
from adapter.simulator.people import People
from adapter.simulator.receivers import Clock, FhirReceiver, PloReceiver
from adapter.simulator.report import Counts, Report, count
from adapter.simulator.stories import LOGISTICS, Cast, Step, Story, tell
from adapter.simulator.systems import Identity, Posted, System
from adapter.simulator.threads import LoopThread

OSLO = ZoneInfo("Europe/Oslo")
WARD = Unit(name="Medisinsk sengepost", phone="57000000")
DOCTOR = Clinician(
    identifiers=(("urn:oid:2.16.578.1.12.4.1.4.4", "8000001"),),
    family="Nesøy",
    given="Marta",
    profession="LE",
)

_NAMESPACE = uuid.UUID("c0a1f6de-3e52-5f0b-9a63-7d7c2b1f8e20")
_ANSWERS = (AnswerValue.CAN_RECEIVE, AnswerValue.CANNOT_RECEIVE, AnswerValue.NOT_KNOWN)
_ANSWER_WEIGHTS = (7, 2, 1)
_ANSWER_HOURS = (1.0, 8.0)
_APPREC_AFTER = 0.2  # seconds
_TO_A_SHARED_SERVICE = 0.15  # of the patients go to a service that one municipality hosts for the others
_AT_AN_OFFICE = 0.4  # of the patients have their GP at an office of the region that reads on its board
_LONGEST_STAY = 14 * 24 * 3600.0  # seconds
_PATIENCE = 60.0  # seconds after the last story must be over
_SETTLED = 8.0
"""Seconds without news after which what was taken back, and is not there, was never sent: nobody says so."""

_LOOK = 0.05  # seconds between two looks at whether all is quiet


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """The demo's rhythm: one municipality is down for `lasts`, first after `first`, then `every` so often."""

    first: float = 20.0  # seconds
    lasts: float = 45.0
    every: float = 240.0


class SimulatedRegion:
    """The partners of `register`, as they would be around an adapter at `adapter_url`.

    `tokens` are the bearer tokens by partner's name; `folder` takes the receivers' logs; `speed` says how
    many seconds of a stay pass in one real second. The same seed tells the same stories. Patients who go home
    are placed on `pathway`, where there is one.
    """

    def __init__(
        self,
        register: Register,
        adapter_url: str,
        tokens: Mapping[str, str],
        *,
        folder: Path,
        clock: Clock,
        seed: int = 0,
        faults: Faults = Faults(),  # noqa: B008  # frozen
        speed: float = 3600.0,
        pathway: str | None = None,
    ) -> None:
        self._register = register
        self._pathway = pathway
        self._url = adapter_url.rstrip("/") + "/fhir/$process-message"
        self._tokens = tokens
        self._folder = folder
        self._clock = clock
        self._seed = seed
        self._faults = faults
        self._speed = speed
        self._tales = random.Random(f"tales/{seed}")  # noqa: S311  # a simulation, no secret
        self._answering = random.Random(f"answers/{seed}")  # noqa: S311  # the same
        self._living = random.Random(f"life/{seed}")  # noqa: S311  # the same
        self._people = People(seed)
        self._thread: LoopThread | None = None
        self._work: set[asyncio.Task[None]] = set()
        self.stories: list[Story] = []
        self.systems: dict[str, System] = {}  # by party id
        self.receivers: dict[str, FhirReceiver | PloReceiver] = {}  # by endpoint name
        self.hospital = self._only_hospital()
        self.municipalities = tuple(p for p in register.parties if p.kind == "municipality" and p.endpoint)
        if not self.municipalities:
            raise ConfigurationError(
                "the simulation needs a municipality with an endpoint, and this region has none; give it "
                "one, or, in Sweden, a hospital, a party of kind open-care and a municipality with a "
                "partner each"
            )
        self.offices = tuple(p for p in register.parties if p.kind == "gp" and p.endpoint is None)
        self._lives = False
        self.hosted = tuple(p for p in register.parties if p.hosted_by in {m.id for m in self.municipalities})
        for party in (self.hospital, *self.municipalities):
            self._equip(party)

    def _only_hospital(self) -> Party:
        found = [p for p in self._register.parties if p.kind == "hospital"]
        if len(found) != 1:
            raise ConfigurationError(
                f"the simulation needs a region with one hospital; this has {len(found)}"
            )
        return found[0]

    def _equip(self, party: Party) -> None:
        """Give the party its computer, and the receiving end at its endpoint."""
        token = self._token_of(party)
        if token is not None:
            identity = Identity(party=party.id, address=address(party), token=token)
            self.systems[party.id] = System(identity, self._url)
        elif party is self.hospital:
            raise ConfigurationError(f"no partner in the region has a token to speak for {party.id}")
        endpoint = self._register.endpoint_of(party)
        if endpoint is None or endpoint.name in self.receivers:
            return
        hear = self._hearing(party)
        log = self._folder / f"{endpoint.name}.jsonl"
        if endpoint.transport == "directory":
            self.receivers[endpoint.name] = PloReceiver(
                endpoint.name,
                Path(endpoint.address),
                kith,
                clock=self._clock,
                faults=self._faults,
                seed=self._seed,
                log=log,
                delay=_APPREC_AFTER,
                on_taken=hear,
            )
        else:
            port = urlsplit(endpoint.address).port or 0
            self.receivers[endpoint.name] = FhirReceiver(
                endpoint.name,
                clock=self._clock,
                port=port,
                faults=self._faults,
                seed=self._seed,
                log=log,
                on_taken=hear,
            )

    def _token_of(self, party: Party) -> str | None:
        partners = (p.name for p in self._register.partners if party.id in p.parties)
        return next((self._tokens[name] for name in partners if name in self._tokens), None)

    # --- starting and stopping ----------------------------------------------------------------------------

    def start(self) -> None:
        """Open every receiving end. Nothing is sent yet."""
        self._thread = LoopThread("simulated-region")
        for receiver in self.receivers.values():
            self._thread.call(receiver.start())

    def stop(self) -> None:
        """End all of it."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        thread.call(self._close())
        thread.stop()

    async def _close(self) -> None:
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for receiver in self.receivers.values():
            await receiver.stop()
        for system in self.systems.values():
            system.close()

    def run(
        self,
        cases: int,
        *,
        within: float | None = None,
        limit: float | None = None,
        progress: Callable[[Report], None] | None = None,
    ) -> Report:
        """Tell so many stories; return when every receipt is there, or after `limit` seconds.

        The stories begin one after another `within` so many seconds. `progress` is called with the counts
        so far, several times a second.
        """
        thread = self._running()
        spread = min(10.0, cases * 0.05) if within is None else within
        last = spread + _LONGEST_STAY / self._speed + _PATIENCE if limit is None else limit
        began = monotonic()
        thread.call(self._begin(cases, spread))
        counts, since = None, 0.0
        while True:
            sleep(_LOOK)
            report = thread.call(self._report(monotonic() - began))
            if progress is not None:
                progress(report)
            if report.total != counts:
                counts, since = report.total, report.seconds
            settled = report.total.cancelled == 0 or report.seconds - since >= _SETTLED
            if (report.quiet and settled) or report.seconds >= last:
                return report

    def live(self, *, per_minute: float = 5.0, outage: Outage = Outage()) -> None:
        """Let stories begin at a gentle pace until `stop`, while one municipality after another is down.

        A GP's office that reads on its board is told, with the municipality, of its own patients.
        """
        thread = self._running()
        self._lives = True
        thread.call(self._spawn(self._keep_telling(60 / per_minute)))
        thread.call(self._spawn(self._keep_failing(outage)))

    def report(self) -> Report:
        """The counts so far."""
        return self._running().call(self._report(0.0))

    def _running(self) -> LoopThread:
        if self._thread is None:
            self.start()
        assert self._thread is not None
        return self._thread

    async def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._go(work)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # --- the hospital -------------------------------------------------------------------------------------

    async def _begin(self, cases: int, spread: float) -> None:
        for number in range(cases):
            self._go(self._play(spread * number / max(1, cases)))

    async def _keep_telling(self, every: float) -> None:
        while True:
            self._go(self._play(0.0))
            await asyncio.sleep(every * self._living.uniform(0.5, 1.5))

    async def _keep_failing(self, outage: Outage) -> None:
        await asyncio.sleep(outage.first)
        names = [p.endpoint for p in self.municipalities if p.endpoint]
        while True:
            self.receivers[self._living.choice(names)].break_down(outage.lasts)
            await asyncio.sleep(outage.every)

    async def _play(self, after: float) -> None:
        """One story, step by step; each waits until the adapter has taken the one before."""
        story = self._new_story(after)
        loop = asyncio.get_running_loop()
        began = loop.time() + after
        for step in story.steps:
            await asyncio.sleep(began + step.after.total_seconds() - loop.time())
            await self._tell(story, step)

    def _new_story(self, after: float) -> Story:
        municipality = self._tales.choice(self.municipalities)
        if self.hosted and self._tales.random() < _TO_A_SHARED_SERVICE:
            municipality = self._tales.choice(self.hosted)
        story = tell(
            self._tales,
            cast=Cast(
                hospital=self.systems[self.hospital.id].identity.address,
                municipality=address(municipality),
                party=municipality.id,
                kinds=self._told(municipality),
                pathway=self._pathway,
                office=self._office(),
            ),
            subject=self._people.one(municipality.id),
            start=self._clock().astimezone(OSLO) + timedelta(seconds=after),
            speed=self._speed,
        )
        self.stories.append(story)
        return story

    def _office(self) -> Address | None:
        """The patient's GP, who is freely chosen; none while a report is made, which counts what arrives."""
        if not self._lives or not self.offices or self._living.random() >= _AT_AN_OFFICE:
            return None
        return address(self._living.choice(self.offices))

    def _told(self, party: Party) -> tuple[NoticeKind, ...] | None:
        """What a receiver can be told: its dialect may have no more, and acute beds get no early notices."""
        endpoint = self._register.endpoint_of(party)
        if endpoint is not None and endpoint.dialect.startswith("plo"):
            return LOGISTICS
        if party.kind == "municipal-acute-bed":
            return tuple(kind for kind in NoticeKind if kind is not NoticeKind.CARE_NEEDS)
        return None

    async def _tell(self, story: Story, step: Step) -> None:
        cast = story.cast
        bundle = message_bundle(
            step.notice,
            subject=story.subject,
            sender=cast.hospital,
            receivers=cast.receivers(step.notice.kind),
            hospital=cast.hospital,
            transmission_id=_transmission(step.notice),
            responsible=DOCTOR,
            unit=WARD,
            discharged_to=step.discharged_to,
        )
        system = self.systems[self.hospital.id]
        message = _posted(step.notice, story.subject, cast.party)
        content = orjson.dumps(bundle)
        for _ in range(2 if step.again else 1):
            await system.tell(message, content)

    # --- the municipalities -------------------------------------------------------------------------------

    def _hearing(self, party: Party) -> Callable[[Taken, Bundle], None]:
        """What the party does with a message that its receiving end has taken."""

        def hear(one: Taken, bundle: Bundle) -> None:
            if one.event == RECEIPT_EVENT and party.id in self.systems:
                self.systems[party.id].hear(one)
            elif one.event == NoticeKind.READY_FOR_DISCHARGE and self._answers(party, one):
                self._go(self._answer(party, bundle))

        return hear

    def _answers(self, party: Party, one: Taken) -> bool:
        """Logistics messages have no answer of their own; what was refused is not answered either."""
        endpoint = self._register.endpoint_of(party)
        speaks_fhir = endpoint is not None and endpoint.dialect == "fhir"
        return (
            speaks_fhir
            and party is not self.hospital
            and party.id in self.systems
            and one.status is not Status.REFUSED
        )

    async def _answer(self, party: Party, bundle: Bundle) -> None:
        await asyncio.sleep(self._answering.uniform(*_ANSWER_HOURS) * 3600 / self._speed)
        asked, subject = notice_in(bundle, zone=OSLO), subject_in(bundle)
        hospital = address_of(follow(bundle, (header(bundle) or {}).get("sender")))
        system = self.systems[party.id]
        now = self._clock().astimezone(OSLO)
        said = self._answering.choices(_ANSWERS, weights=_ANSWER_WEIGHTS)[0]
        notice = Notice(
            kind=NoticeKind.ANSWER,
            message_id=str(uuid.UUID(int=self._answering.getrandbits(128), version=4)),
            sent_at=now,
            occurred=now,
            sender=system.identity.address.token,
            receivers=(hospital.token,),
            hospital=hospital.token,
            encounter=asked.encounter,
            admitted=asked.admitted,
            answer=said,
            receive_from=now.date() if said is AnswerValue.CAN_RECEIVE else None,
            refers_to=asked.message_id,
        )
        answer = message_bundle(
            notice,
            subject=subject,
            sender=system.identity.address,
            receivers=(hospital,),
            hospital=hospital,
            transmission_id=_transmission(notice),
        )
        await system.tell(_posted(notice, subject, self.hospital.id), orjson.dumps(answer))

    # --- what it came to ----------------------------------------------------------------------------------

    async def _report(self, seconds: float) -> Report:
        posted = [p for system in self.systems.values() for p in system.posted.values()]
        by_party: dict[str, Counts] = {}
        for party in (self.hospital, *self.municipalities):
            memory = self.receivers[party.endpoint].memory if party.endpoint else Memory()
            served = {party.id, *(p.id for p in self.hosted if p.hosted_by == party.id)}
            by_party[party.id] = count((p for p in posted if p.to in served), memory)
        quiet = not self._work and all(c.open == 0 and c.lost == 0 for c in by_party.values())
        return Report(by_party=by_party, quiet=quiet, seconds=seconds, cases=len(self.stories))


def address(party: Party) -> Address:
    """How messages write the party: its nursing service or ward first, where it has one, then itself."""
    services = sorted(party.services, key=lambda s: s.role not in ("nursing", "ward"))
    most_specific = services[0].identifiers if services else ()
    return Address(identifiers=(*most_specific, *party.identifiers), name=party.name)


def _transmission(notice: Notice) -> str:
    return str(uuid.uuid5(_NAMESPACE, notice.message_id))


def _posted(notice: Notice, subject: Subject, to: str) -> Posted:
    number = subject.identifiers[0][1] if subject.identifiers else ""
    return Posted(
        message_id=notice.message_id,
        event=notice.kind.value,
        patient=number,
        to=to,
        refers_to=notice.refers_to,
    )
