"""What runs by itself: the jobs of the clock, those that poll mailboxes, those that watch the adapter."""

import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.bulks import Bulks
from adapter.config import FhirMailboxSettings, MessageServerSettings
from adapter.inbox import Acceptance
from adapter.messaging.register import PLANS, Endpoint, Partner, Register
from adapter.owing import Owing
from adapter.plans import Plans
from adapter.pushes import Pulls
from adapter.reconciliation import Comparison, Daily, Reconciliation
from adapter.reconciliation.fhir_servers import WithMailbox, WithPlans
from adapter.reconciliation.message_servers import WithMessageServer
from adapter.restoring import Receipts, Restoring
from adapter.store import embedded_file
from adapter.store.remembered import Notes
from adapter.transport.directory import DirectoryMailbox
from adapter.transport.edi_client import MessageServer
from adapter.transport.edi_mailbox import EdiMailbox
from adapter.transport.fhir_plans_mailbox import PlansMailbox
from adapter.transport.fhir_rest import FhirMailbox

if TYPE_CHECKING:
    from adapter.scheduler.delivering import Deliverer
    from adapter.scheduler.duties import Duties
    from adapter.scheduler.watching import Clocks

from adapter.runtime.chance import new_id
from adapter.runtime.peers import her_ids
from adapter.runtime.stations import Stations

CLOCK = "clock"
"""The duty of whoever watches the deadlines and everything else that the clock brings."""


PLANS_LOOK = timedelta(seconds=30)
"""How often it is looked at what has changed in the plans on a partner's server."""


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The jobs of one process over one store."""

    built: Stations
    deliverer: "Deliverer"
    duties: "Duties"
    clocks: "Clocks"
    accepted: Callable[[Acceptance], None]  # told of each message that a mailbox has brought

    def all(self) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """Every job by its name, with how often it runs."""
        return self._jobs() | self._watches()

    def _watches(self) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """Jobs that tell people, and that watch the adapter itself."""
        from adapter.scheduler.mailing import Mailing
        from adapter.scheduler.watching import Backlog, Disk

        built, chosen = self.built, self.built.settings.alarms
        backlog = Backlog(
            store=self.duties.guarded(CLOCK), outbox=built.outbox, clock=built.clock, longest=chosen.backlog
        )
        jobs: dict[str, tuple[timedelta, Callable[[], object]]] = {
            "backlog": (timedelta(seconds=30), self.duties.only(CLOCK, backlog)),
            "bring back": (timedelta(seconds=10), self.duties.only(CLOCK, self.clocks.bring_back)),
            "compare clocks": (timedelta(seconds=30), self.clocks.compare),
        }
        folder = chosen.disk or folder_of(built.settings.store)
        if folder is not None:
            disk = Disk(
                store=built.store,
                alarms=built.outbox.alarms,
                clock=built.clock,
                folder=folder,
                machine=socket.gethostname(),
                room=_room,
                share=chosen.disk_free_share,
                least=chosen.disk_free_bytes,
            )
            jobs["disk"] = (timedelta(seconds=60), disk)
        if built.outbox.alarms.endpoints:
            mailing = Mailing(
                store=built.store, telling=built.telling, clock=built.clock, nudge=self.deliverer.nudge
            )
            jobs |= {
                "tell": (timedelta(seconds=3), mailing.alarms),
                "digest": (timedelta(seconds=20), mailing.digest),
            }
        return jobs

    def _jobs(self) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """What is done now and then: what only one process may do, under a duty."""
        from adapter.scheduler.deadlines import Deadlines
        from adapter.scheduler.duties import EVERY
        from adapter.scheduler.heads import DailyHead
        from adapter.scheduler.housekeeping import Housekeeping
        from adapter.scheduler.indexing import Indexing
        from adapter.scheduler.many import Many
        from adapter.scheduler.naming import Naming
        from adapter.scheduler.older import Older
        from adapter.scheduler.reckoning import Reckoning
        from adapter.scheduler.rehoming import Rehoming
        from adapter.scheduler.shelving import Shelving
        from adapter.scheduler.subscriptions import Heartbeats

        built, duties = self.built, self.duties
        store = duties.guarded(CLOCK)
        keep = built.settings.retention
        house = Housekeeping(
            store=store,
            outbox=built.outbox,
            clock=built.clock,
            keep_payloads=keep.payloads,
            keep_attempts=keep.attempts,
            keep_seen=keep.seen,
            keep_accesses=keep.accesses,
            keep_log=keep.log,
            keep_ledger=keep.ledger,
        )
        clock_of_the_law = Deadlines(
            store=store,
            cases=built.cases,
            outbox=built.outbox,
            register=built.register,
            clock=built.clock,
        )
        heartbeats = Heartbeats(
            store=store,
            subscriptions=built.outbox.subscriptions,
            clock=built.clock,
            nudge=self.deliverer.nudge,
        )
        shelving = Shelving(shelves=replace(built.shelves, store=store))
        of_one: dict[str, tuple[timedelta, Callable[[], object]]] = {
            "deadlines": (timedelta(seconds=2), clock_of_the_law),
            "leases": (timedelta(seconds=5), house.free_leases),
            "receipts": (timedelta(seconds=5), house.missing_receipts),
            "late": (timedelta(seconds=15), house.give_up_late),
            "shelve": (timedelta(seconds=2), shelving),
            "words": (timedelta(seconds=2), Indexing(store=store)),
            "owed": (
                timedelta(seconds=3),
                Reckoning(store=store, owing=Owing(cases=built.cases), clock=built.clock),
            ),
            "names": (timedelta(seconds=2), Naming(shelves=replace(built.shelves, store=store))),
            "many": (
                timedelta(seconds=1),
                Many(
                    bulks=Bulks(inbox=replace(built.inbox, store=store)),
                    clock=built.clock,
                    nudge=self.deliverer.nudge,
                ),
            ),
            "heartbeats": (timedelta(seconds=1), heartbeats),
            "prune": (timedelta(hours=1), house.prune),
            "journal": (timedelta(hours=1), DailyHead(store, built.clock)),
            "older": (timedelta(minutes=10), Older(store=store)),
            "homes": (timedelta(minutes=1), Rehoming(store=store, cases=built.cases, clock=built.clock)),
            "reconcile": (
                timedelta(minutes=1),
                Daily(
                    reconciliation=reconciliation(replace(built, store=store)),
                    at=built.settings.reconcile_at,
                    zone=built.agreement.zone,
                ),
            ),
            "held receipts": (
                timedelta(seconds=30),
                Receipts(inbox=replace(built.inbox, store=store), clock=built.clock),
            ),
        }
        each: dict[str, tuple[timedelta, Callable[[], object]]] = {
            "deliver": (timedelta(seconds=1), self.deliverer.nudge),
            "duties": (EVERY, duties),
        }
        watched = {name: (every, duties.only(CLOCK, job)) for name, (every, job) in of_one.items()}
        polled = {name: (every, duties.only(name, job)) for name, (every, job) in self._polls().items()}
        return each | watched | polled

    def _polls(self) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """A job for every mailbox: directory endpoints' `in/`, servers with plans, those of the settings."""
        from adapter.scheduler.polling import Round

        built, settings = self.built, self.built.settings

        def make(*, name: str, **of_it: Any) -> Round:
            store = self.duties.guarded(f"poll {name}")
            inbox = replace(built.inbox, store=store)
            return Round(
                name=name, store=store, inbox=inbox, clock=built.clock, observe=self.accepted, **of_it
            )

        jobs: dict[str, tuple[timedelta, Callable[[], object]]] = {}
        for endpoint in built.register.endpoints:
            if endpoint.transport == PLANS:
                jobs[f"poll {endpoint.name}"] = (
                    PLANS_LOOK,
                    make(
                        name=endpoint.name,
                        channel="poll",
                        mailbox=PlansMailbox(endpoint, Pulls(pushes=built.pushes, plans=plans_of(built))),
                        partner=built.register.speakers_at(endpoint),
                    ),
                )
            if endpoint.transport != "directory":
                continue
            box = DirectoryMailbox(endpoint.name, Path(endpoint.address), largest=settings.max_message_bytes)
            partner = built.register.speakers_at(endpoint)
            jobs[f"poll {endpoint.name}"] = (
                timedelta(seconds=1),
                make(name=endpoint.name, channel="directory", mailbox=box, partner=partner),
            )
        for folder in settings.directory_mailboxes:
            jobs[f"poll {folder.name}"] = (
                folder.every,
                make(
                    name=folder.name,
                    channel="directory",
                    mailbox=DirectoryMailbox(folder.name, folder.address, largest=settings.max_message_bytes),
                    partner=_partner(built.register, folder.partner),
                ),
            )
        for server in settings.fhir_mailboxes:
            endpoint = _polled(server)
            jobs[f"poll {server.name}"] = (
                server.every,
                make(
                    name=server.name,
                    channel="poll",
                    mailbox=FhirMailbox(
                        endpoint,
                        clock=built.clock,
                        overlap=server.overlap,
                        largest=settings.max_message_bytes,
                    ),
                    partner=_partner(built.register, server.partner),
                ),
            )
        for one, server_settings in zip(built.message_servers, settings.message_servers, strict=True):
            jobs |= self._message_server(one, server_settings)
        return jobs

    def _message_server(
        self, server: MessageServer, chosen: MessageServerSettings
    ) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """A job that asks what became of messages posted there, and one that fetches the mail."""
        from adapter.scheduler.confirming import Confirming
        from adapter.scheduler.polling import Round

        built, asks = self.built, self.duties.guarded(f"confirm {server.name}")
        asking = Confirming(
            server=server,
            store=asks,
            inbox=replace(built.inbox, store=asks),
            numbers=partial(her_ids, built.register),
            clock=built.clock,
            fetches=bool(chosen.her_ids),
        )
        jobs: dict[str, tuple[timedelta, Callable[[], object]]] = {
            f"confirm {server.name}": (chosen.status_every, asking)
        }
        if chosen.her_ids:
            polls = self.duties.guarded(f"poll {server.name}")
            fetching = Round(
                name=server.name,
                channel="poll",
                mailbox=EdiMailbox(
                    server,
                    chosen.her_ids,
                    Notes(store=polls, place=server.name, clock=built.clock),
                    largest=built.settings.max_message_bytes,
                ),
                partner=None,  # the server has made sure of who sends what
                store=polls,
                inbox=replace(built.inbox, store=polls),
                clock=built.clock,
                observe=self.accepted,
            )
            jobs[f"poll {server.name}"] = (chosen.every, fetching)
        return jobs


def plans_of(built: Stations) -> Plans:
    """What is changed in plans, here or on partners' servers, becomes messages."""
    return Plans(inbox=built.inbox, shelves=built.shelves, new_id=new_id)


def _room(folder: Path) -> tuple[int, int]:
    found = shutil.disk_usage(folder)
    return found.total, found.free


def folder_of(store: str) -> Path | None:
    """The folder of an embedded store, whose disk is watched; None for another."""
    file = embedded_file(store)
    return file.absolute().parent if file is not None else None


def _polled(server: FhirMailboxSettings) -> Endpoint:
    """A FHIR server of the settings as an endpoint."""
    return Endpoint(
        name=server.name,
        transport="fhir",
        address=server.address,
        dialect="fhir",
        token=server.token,
        timeout=server.timeout,
        client_certificate=server.certificate,
        trust=server.trust,
    )


def restoring(built: Stations, jobs: Mapping[str, tuple[timedelta, Callable[[], object]]]) -> Restoring:
    """What follows where the store was put back from a backup."""
    from adapter.scheduler.duties import OfOne
    from adapter.scheduler.polling import Round

    known = (job.job for _, job in jobs.values() if isinstance(job, OfOne))
    looks = [job for job in known if isinstance(job, Round)]
    return Restoring(
        store=built.store,
        outbox=built.outbox,
        folders=[one.mailbox for one in looks if isinstance(one.mailbox, DirectoryMailbox)],
        message_servers=[one.name for one in built.settings.message_servers if one.her_ids],
        partners=[one.name for one in built.register.partners],
        clock=built.clock,
    )


def reconciliation(built: Stations) -> Reconciliation:
    """What is compared once a day: message servers, polled FHIR servers, servers of plans."""
    settings, register = built.settings, built.register
    mail: list[Comparison] = [
        WithMessageServer(
            server=one,
            store=built.store,
            register=register,
            numbers=partial(her_ids, register),
            her_ids=chosen.her_ids,
            zone=built.agreement.zone,
            clock=built.clock,
        )
        for one, chosen in zip(built.message_servers, settings.message_servers, strict=True)
    ]
    mail += [
        WithMailbox(endpoint=_polled(one), store=built.store, clock=built.clock)
        for one in settings.fhir_mailboxes
    ]
    mail += [
        WithPlans(endpoint=one, store=built.store, shelves=built.shelves, clock=built.clock)
        for one in register.endpoints
        if one.transport == PLANS
    ]
    return Reconciliation(store=built.store, alarms=built.outbox.alarms, comparisons=mail, clock=built.clock)


def _partner(register: Register, name: str | None) -> Partner | None:
    return next((p for p in register.partners if p.name == name), None)
