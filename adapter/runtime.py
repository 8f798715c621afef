"""The one place that builds things: store, transports, clock, scheduler, web; start and stop.

The clock, randomness and new ids live here and are handed on as arguments; so does every choice between
evaluation mode (no region) and a configured region.
"""

import logging
import os
import random
import secrets
import shutil
import socket
import sys
import threading
import traceback
import uuid
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from adapter.alarming import Alarms
from adapter.cases import Cases
from adapter.config import FhirMailboxSettings, MessageServerSettings, Region, Settings, load_region
from adapter.config.alarms import PORTS
from adapter.config.soundness import contradictions, missing_folders, unreadable_files
from adapter.discharge.agreement import Agreement, agreement
from adapter.discharge.pathways import NOTHING
from adapter.errors import ConfigurationError, StoreError
from adapter.inbox import Acceptance, Inbox
from adapter.ledger import Ledger
from adapter.mappings.checking import NO_CHECKS, Checks
from adapter.messaging.delivery import SPARE, Leased, Reply
from adapter.messaging.envelope import HER
from adapter.messaging.register import EDI, PLANS, Endpoint, Partner, Party, Register
from adapter.messaging.scopes import permits
from adapter.outbox import Outbox
from adapter.parcels import MAIL, WEBHOOK
from adapter.plans import Plans
from adapter.pushes import Pulls, Pushes
from adapter.readers import Reader
from adapter.reconciliation import Comparison, Daily, Reconciliation
from adapter.reconciliation.fhir_servers import WithMailbox, WithPlans
from adapter.reconciliation.message_servers import WithMessageServer
from adapter.resting import Resting
from adapter.restoring import Receipts, Restoring
from adapter.shelves import Shelves
from adapter.store import MADE_BY, Store, embedded_file, messages, must_exist
from adapter.store import address_register as address_answers
from adapter.store.migrations import current, migrate
from adapter.store.remembered import Notes
from adapter.store.resources import Eyes
from adapter.subscribers import Subscribers
from adapter.subscriptions import Subscriptions
from adapter.telling import ESCALATE_AFTER, Telling
from adapter.transport import Transport
from adapter.transport.address_register import AddressRegister, Kept, RememberedRegister
from adapter.transport.communication_party import Soap
from adapter.transport.directory import Directory, DirectoryMailbox
from adapter.transport.edi import Edi
from adapter.transport.edi_access import Access, Account
from adapter.transport.edi_client import MessageServer
from adapter.transport.edi_mailbox import EdiMailbox
from adapter.transport.fhir_plans import FhirPlans
from adapter.transport.fhir_plans_mailbox import PlansMailbox
from adapter.transport.fhir_rest import FhirMailbox, FhirRest
from adapter.transport.mail import Mail, MailServer
from adapter.transport.rest_hook import RestHook
from adapter.transport.webhook import Webhook

if TYPE_CHECKING:
    import uvicorn
    from sqlalchemy import Connection
    from starlette.applications import Starlette

    from adapter.config.schemas import SchemaFolder
    from adapter.fhir.bundles import Resource
    from adapter.scheduler.clockwork import Clockwork
    from adapter.scheduler.delivering import Deliverer
    from adapter.scheduler.duties import Duties
    from adapter.scheduler.watching import Clocks
    from adapter.web.metrics import Door, Metrics

log = structlog.get_logger("runtime")

CLOCK = "clock"
"""The duty of whoever watches the deadlines and everything else that the clock brings."""

PLANS_LOOK = timedelta(seconds=30)
"""How often it is looked at what has changed in the plans on a partner's server."""

EVALUATION = (
    "No region is configured: the adapter runs for evaluation. Every addressed receiver counts as ours with "
    "its board as its system, nothing leaves this machine, and messages marked as production are refused."
)


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)  # noqa: TID251  # here, and nowhere else


def new_id() -> str:
    """A new random UUID."""
    return str(uuid.uuid4())


def process_name() -> str:
    """A name that no other process has, on this machine or another."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def jitter() -> float:
    """A random number in [-1, 1] by which waits are spread."""
    return random.uniform(-1, 1)  # noqa: S311  # spreads load; secures nothing


def set_up_logs(stream: object = None, *, quiet: bool = False) -> None:
    """One line of JSON a unit of work on standard error; never an identity number, never a body.

    `quiet` leaves out what goes as it should. What libraries and ended threads say is put into the same form.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning" if quiet else "info"),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),  # type: ignore[arg-type]  # a stream
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Libraries)] + [_Libraries()]
    threading.excepthook = _thread_ended
    warnings.showwarning = _warned


class _Libraries(logging.Handler):
    """What libraries warn of, as one line like ours: their words, and never what they fill in.

    Arguments, errors' texts and further lines may hold an address or a message.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        words = (
            record.msg.strip().split("\n")[0] if isinstance(record.msg, str) else type(record.msg).__name__
        )
        error = record.exc_info[1] if record.exc_info else None
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        structlog.get_logger().log(level, words, logger=record.name, **_without_its_text(error))


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else None
    log.error("a thread has ended", thread=name, **_without_its_text(args.exc_value))


def _warned(
    message: object,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    log.warning("a library warns", warning=category.__name__, at=f"{filename}:{lineno}")


def _without_its_text(error: BaseException | None) -> dict[str, str]:
    """An error as a log may hold it: its kind and place."""
    if error is None:
        return {}
    places = [f"{place.filename}:{place.lineno}" for place in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "at": places[-1] if places else "unknown"}


@dataclass(frozen=True, kw_only=True)
class Stations:
    """Everything that the command line works with when nothing runs by itself."""

    settings: Settings
    region: Region | None
    agreement: Agreement
    register: Register
    store: Store
    cases: Cases
    ledger: Ledger
    outbox: Outbox
    inbox: Inbox
    shelves: Shelves
    pushes: Pushes
    message_servers: tuple[MessageServer, ...]
    clock: Callable[[], datetime]
    schemas: "SchemaFolder | None"
    telling: Telling


def stations(
    settings: Settings,
    *,
    region: Region | None = None,
    clock: Callable[[], datetime] = now,
    say: Callable[[str], None] | None = None,
    create: bool = True,
    over: Store | None = None,
) -> Stations:
    """Build the stations over the configured store; an empty or older embedded store is migrated first.

    Without `create` a store that is not there, or is empty, is a ConfigurationError.

    `region` replaces the region file's, for the simulated region; `over` is a store that is open and of this
    version already. `say` is told once about evaluation mode.
    """
    if region is None and settings.region is not None:
        region = load_region(settings.region)
    if region is None and say is not None:
        say(EVALUATION)
    law = _agreement(settings, region)
    register = region.register_ if region is not None else Register(open=True)
    _refuse([*contradictions(settings, register), *_unknown_kinds(settings)])
    schemas = schema_folder(settings)
    store = over if over is not None else _store(settings.store, create=create)
    key = _pseudonym_key(settings, store)
    cases = Cases(agreement=law, roles={p.id: p.kind for p in register.parties})
    alarms = _alarms(settings)
    shelves = Shelves(store=store, cases=cases, register=register, zone=law.zone, pseudonym_key=key)
    pushes = Pushes(store=store, shelves=shelves, clock=clock)
    servers = _message_servers(settings, clock)
    edi = Edi(
        {server.access.account.address: server for server in servers},
        notes=lambda name: Notes(store=store, place=name, clock=clock),
        numbers=partial(her_ids, register),
    )
    schedule = settings.retry.schedule()
    outbox = Outbox(
        cases=cases,
        register=register,
        transports=_transports(pushes, edi, mail_server(settings)),
        schedule=schedule,
        jitter=jitter,
        lease=settings.lease,
        lead_time=settings.telephone_before,
        alarms=alarms,
        subscriptions=_subscriptions(settings, register, alarms, shelves),
        resting=Resting(register=register, alarms=alarms, schedule=schedule),
    )
    inbox = Inbox(
        store=store,
        cases=cases,
        outbox=outbox,
        register=register,
        shelves=shelves,
        zone=law.zone,
        pseudonym_key=key,
        new_id=new_id,
        clock_tolerance=settings.clock_tolerance,
        checks=checks_by(settings, schemas),
    )
    return Stations(
        settings=settings,
        region=region,
        agreement=law,
        register=register,
        store=store,
        cases=cases,
        ledger=Ledger(cases=cases),
        outbox=outbox,
        inbox=inbox,
        shelves=shelves,
        pushes=pushes,
        message_servers=servers,
        clock=clock,
        schemas=schemas,
        telling=_telling(settings, alarms, register, law),
    )


def schema_folder(settings: Settings) -> "SchemaFolder | None":
    """The operator's official schemas; nothing of them is read before a KITH message needs it."""
    if settings.norway.schemas is None:
        return None
    from adapter.config.schemas import SchemaFolder

    return SchemaFolder(settings.norway.schemas)


def checks_by(settings: Settings, schemas: "SchemaFolder | None") -> Checks:
    """What every message in and out is held against beside the typed reading."""
    if schemas is None:
        return NO_CHECKS
    from adapter.mappings.kith.schemas import Schemas

    refuse = settings.norway.schema_errors == "refuse"
    return Checks(faults=Schemas(held=schemas.held).faults, refuse=refuse)


def _store(url: str, *, create: bool) -> Store:
    """The store, of this program's version."""
    if not create:
        must_exist(url)
    store = Store(url)
    version = current(store)
    if version is None and not create:
        store.close()
        raise ConfigurationError(f"there is nothing of ours in the store that the settings name; {MADE_BY}")
    if store.embedded or version is None:
        migrate(store)
    else:
        store.ready()
    return store


def findings(settings: Settings, region: Region | None) -> list[str]:
    """What is wrong with the configuration and its files, as `check` tells it."""
    register = region.register_ if region is not None else Register(open=True)
    found = []
    for ask in (
        lambda: _agreement(settings, region),
        lambda: check_exposure(settings, register),
        lambda: check_tls(settings),
        lambda: _compile(schema_folder(settings)),
    ):
        try:
            ask()
        except ConfigurationError as error:
            found.append(str(error))
    return [
        *found,
        *contradictions(settings, register),
        *_unknown_kinds(settings),
        *unreadable_files(settings, register),
        *missing_folders(settings, register),
    ]


class _StoredAnswers:
    """What the store remembers of one address register's answers."""

    def __init__(self, store: Store, register: str) -> None:
        self._store, self._register = store, register

    def get(self, her_id: str) -> Kept | None:
        """The answer put last."""
        with self._store.read() as connection:
            found = address_answers.answer(connection, self._register, her_id)
        return None if found is None else Kept(fetched_at=found[0], document=found[1])

    def put(self, her_id: str, kept: Kept) -> None:
        """Remember an answer, also after a restart."""
        self._store.write(
            lambda tx: address_answers.keep(
                tx, self._register, her_id, fetched_at=kept.fetched_at, document=kept.document
            )
        )


class _PassingAnswers(dict[str, Kept]):
    """What is remembered where there is no store yet: as long as the process lives."""

    put = dict.__setitem__


def address_register(
    settings: Settings, store: Store | None, *, clock: Callable[[], datetime] = now
) -> RememberedRegister | None:
    """The address register of the settings, None where they name none; without a store it forgets."""
    norway = settings.norway
    address = norway.address_register
    if address is None:
        return None
    user, password = norway.address_register_user, norway.address_register_password
    shown = b64encode(f"{user}:{password}".encode()).decode() if user is not None else None
    endpoint = Endpoint(
        name="address register",
        transport="soap",
        address=address,
        dialect="soap",
        timeout=norway.address_register_timeout,
        token=norway.address_register_token,
        trust=norway.address_register_trust,
        headers=(("Authorization", f"Basic {shown}"),) if shown is not None else (),
    )
    soap = Soap(norway.address_register_soap)
    return RememberedRegister(
        register=AddressRegister(endpoint=endpoint, soap=soap, new_id=new_id, sleep=sleep),
        answers=_StoredAnswers(store, address) if store is not None else _PassingAnswers(),
        clock=clock,
        age=norway.address_register_age,
        unknown_age=norway.address_register_unknown_age,
    )


def schema_coverage(settings: Settings) -> dict[str, list[str]] | None:
    """The standards whose official schemas the operator has, and those of which some or all are missing.

    None where there is no folder, or it cannot be used, which `findings` tells.
    """
    try:
        schemas = schema_folder(settings)
        covered, missing = schemas.coverage() if schemas is not None else ([], [])
    except ConfigurationError:
        return None
    return {"covered": covered, "missing": missing} if schemas is not None else None


def _compile(schemas: "SchemaFolder | None") -> None:
    if schemas is not None:
        schemas.compile()


def _agreement(settings: Settings, region: Region | None) -> Agreement:
    name = settings.agreement or (region.agreement if region is not None else "norway")
    terms = {} if settings.answer_within is None else {"answer_within": settings.answer_within}
    if region is None:
        return agreement(name, terms or None)
    if name != region.agreement and (region.accords or region.own != NOTHING):
        raise ConfigurationError(
            f"{settings.region}: agreement = {region.agreement!r}, and the setting agreement is {name!r}: "
            "what its parties have agreed on and its follow-ups would not hold; leave the setting out"
        )
    if name != region.agreement:
        return agreement(name, terms or None)
    return agreement(name, terms or None, region.accords, region.own)


def _message_servers(settings: Settings, clock: Callable[[], datetime]) -> tuple[MessageServer, ...]:
    """The accounts at message servers; nothing is asked there, and no key read, before it is needed."""
    accounts = (
        Account(
            name=one.name,
            address=one.address,
            token_url=one.token_url,
            client_id=one.client_id,
            key=one.key,
            key_id=one.key_id,
            algorithm=one.algorithm,
            audience=one.audience,
            scope=one.scope,
            dpop_key=one.dpop_key,
            source=one.source_system,
            timeout=one.timeout,
            trust=one.trust,
        )
        for one in settings.message_servers
    )
    return tuple(MessageServer(Access(one, clock=clock, new_id=new_id)) for one in accounts)


def her_ids(register: Register, party: str) -> tuple[frozenset[int], frozenset[int]]:
    """The HER-ids of a party, then also those of the parties that it speaks for."""
    known = register.party(party)
    if known is None:
        return frozenset(), frozenset()
    others = (register.party(one) for one in register.spoken_for(known))
    return _numbers(known), frozenset[int]().union(*(_numbers(one) for one in others if one is not None))


def _numbers(party: Party) -> frozenset[int]:
    pairs = (*party.identifiers, *(pair for service in party.services for pair in service.identifiers))
    return frozenset(int(value) for system, value in pairs if system == HER and value.isdecimal())


def _transports(pushes: Pushes, edi: Edi, mail: MailServer | None) -> Mapping[str, Transport]:
    return {
        EDI: edi,
        "fhir": FhirRest(),
        PLANS: FhirPlans(pushes),
        "directory": Directory(),
        "webhook": Webhook(),
        "mail": Mail(mail),
        "rest-hook": RestHook(),
    }


LONGEST_TOLD = 30
"""Seconds that a subscriber may take to answer, where a lease lasts that long."""


def _subscriptions(settings: Settings, register: Register, alarms: Alarms, shelves: Shelves) -> Subscriptions:
    within_a_lease = int((settings.lease - SPARE).total_seconds()) - 1
    return Subscriptions(
        register=register,
        alarms=alarms,
        base=settings.fhir_base,
        new_id=new_id,
        most_failures=settings.subscription_failures,
        longest=max(1, min(LONGEST_TOLD, within_a_lease)),
        shown=partial(_shown, shelves),
    )


def _shown(shelves: Shelves, tx: "Connection", partner: Partner | None, name: str) -> "Resource | None":
    """The resource of that name, as a subscriber may read it; None where its scopes do not allow that."""
    if partner is not None and not permits(partner.scopes, name.partition("/")[0], "r"):
        return None
    while shelves.shelve(tx):
        pass
    eyes = Eyes(parties=partner.parties if partner else None, roles=partner.roles if partner else ())
    reader = Reader(shelves=shelves, eyes=eyes, partner=partner.name if partner else None)
    return reader.read(tx, *name.split("/", 1))


def _webhook(settings: Settings) -> Endpoint | None:
    if settings.alarm_webhook is None:
        return None
    return Endpoint(
        name=WEBHOOK,
        transport="webhook",
        address=settings.alarm_webhook,
        dialect="alarm",
        concurrency=1,
        token=settings.alarm_webhook_token,
    )


def _mail(settings: Settings) -> Endpoint | None:
    if settings.mail.server is None:
        return None
    return Endpoint(
        name=MAIL,
        transport="mail",
        address=settings.mail.server,
        dialect="alarm",
        concurrency=1,
        timeout=settings.mail.timeout,
        trust=settings.mail.trust,
    )


def mail_server(settings: Settings) -> MailServer | None:
    """Where alarms are handed in as mail, None where the settings name no server."""
    mail = settings.mail
    if mail.server is None or mail.sender is None:
        return None
    return MailServer(
        host=mail.server,
        port=mail.port or PORTS[mail.security],
        security=mail.security,
        sender=mail.sender,
        recipients=frozenset((*mail.to, *mail.escalate_to)),
        user=mail.user,
        password=mail.password,
    )


def _alarms(settings: Settings) -> Alarms:
    """Where people are told of alarms; the words of the pages say what to do about them."""
    webhook, mail = _webhook(settings), _mail(settings)
    if webhook is None and mail is None:
        return Alarms()
    from adapter.web.wording import TO_DO

    return Alarms(webhook=webhook, mail=mail, to_do=TO_DO)


def _telling(settings: Settings, alarms: Alarms, register: Register, law: Agreement) -> Telling:
    chosen = settings.alarms
    return Telling(
        alarms=alarms,
        register=register,
        zone=law.zone,
        to=settings.mail.to,
        escalate_to=settings.mail.escalate_to,
        window=chosen.window,
        again_after=chosen.again_after,
        escalate_after={**ESCALATE_AFTER, **chosen.escalate_after},
        digest_at=chosen.digest_at if chosen.digest else None,
        page=f"{settings.public_url}/alarms" if settings.public_url is not None else None,
    )


def _unknown_kinds(settings: Settings) -> list[str]:
    """A misspelt kind of alarm must not be ignored."""
    if not settings.alarms.escalate_after:
        return []
    from adapter.web.wording import TO_DO

    return [
        f"settings: [alarms] escalate_after: no alarm is of the kind {kind!r}; docs/alarms.md lists them"
        for kind in settings.alarms.escalate_after
        if kind not in TO_DO
    ]


def _pseudonym_key(settings: Settings, store: Store) -> bytes:
    """The key of the patients' pseudonyms: the setting's, else one that the store made for itself."""
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.encode()
    with store.read() as connection:
        kept = messages.value(connection, "pseudonym-key")
    if kept is None:
        store.write(lambda tx: messages.set_value(tx, "pseudonym-key", secrets.token_hex(32)))
        with store.read() as connection:
            kept = messages.value(connection, "pseudonym-key")
    assert kept is not None
    return bytes.fromhex(kept)


class Adapter:
    """The running adapter: `all` of it, or only its `web` or its `worker` side."""

    metrics: "Metrics | None" = None
    deliverer: "Deliverer | None" = None
    clockwork: "Clockwork | None" = None
    clocks: "Clocks | None" = None
    duties: "Duties"  # this, and the jobs, of a process that delivers
    jobs: "Mapping[str, tuple[timedelta, Callable[[], object]]]"

    def __init__(self, built: Stations, *, role: str = "all") -> None:
        self.built = built
        self.role = role
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._warming: threading.Thread | None = None
        self._door: Door | None = None
        # Each role imports only what it needs: two roles apart are two processes' memory.
        if role != "worker" or built.settings.worker_port is not None:
            from adapter.web.metrics import Metrics

            self.metrics = Metrics(built.store, built.clock)
        if role != "web":
            from adapter.scheduler.clockwork import Clockwork
            from adapter.scheduler.delivering import Deliverer
            from adapter.scheduler.duties import Duties

            self.deliverer = Deliverer(
                store=built.store,
                inbox=built.inbox,
                outbox=built.outbox,
                clock=built.clock,
                observe=self._attempted,
                watch=built.store.watch() if role == "worker" or not built.store.embedded else None,
            )
            self.duties = Duties(store=built.store, holder=process_name(), clock=built.clock)
            self.clocks = self._clocks()
            self.jobs = self._jobs(self.deliverer, self.duties) | self._watches(self.deliverer)
            self.clockwork = Clockwork(self.jobs)

    def _clocks(self) -> "Clocks":
        from adapter.scheduler.watching import Clocks

        built = self.built
        return Clocks(
            store=built.store,
            outbox=built.outbox,
            clock=built.clock,
            steady=monotonic,
            machine=socket.gethostname(),
            most=built.settings.alarms.clock_difference,
            after_jump=lambda: self.clockwork.begin_anew(built.clock()) if self.clockwork else None,
        )

    def _watches(self, deliverer: "Deliverer") -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """Jobs that tell people, and that watch the adapter itself."""
        from adapter.scheduler.mailing import Mailing
        from adapter.scheduler.watching import Backlog, Disk

        built, chosen = self.built, self.built.settings.alarms
        assert self.clocks is not None
        jobs: dict[str, tuple[timedelta, Callable[[], object]]] = {
            "backlog": (
                timedelta(seconds=30),
                Backlog(store=built.store, outbox=built.outbox, clock=built.clock, longest=chosen.backlog),
            ),
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
                store=built.store, telling=built.telling, clock=built.clock, nudge=deliverer.nudge
            )
            jobs |= {
                "tell": (timedelta(seconds=3), mailing.alarms),
                "digest": (timedelta(seconds=20), mailing.digest),
            }
        return jobs

    def _jobs(
        self, deliverer: "Deliverer", duties: "Duties"
    ) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """What is done now and then: what only one process may do, under a duty."""
        from adapter.scheduler.deadlines import Deadlines
        from adapter.scheduler.duties import EVERY
        from adapter.scheduler.heads import DailyHead
        from adapter.scheduler.housekeeping import Housekeeping
        from adapter.scheduler.shelving import Shelving
        from adapter.scheduler.subscriptions import Heartbeats

        built, store = self.built, duties.guarded(CLOCK)
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
            nudge=deliverer.nudge,
        )
        shelving = Shelving(shelves=replace(built.shelves, store=store))
        of_one: dict[str, tuple[timedelta, Callable[[], object]]] = {
            "deadlines": (timedelta(seconds=2), clock_of_the_law),
            "leases": (timedelta(seconds=5), house.free_leases),
            "receipts": (timedelta(seconds=5), house.missing_receipts),
            "late": (timedelta(seconds=15), house.give_up_late),
            "shelve": (timedelta(seconds=2), shelving),
            "heartbeats": (timedelta(seconds=1), heartbeats),
            "prune": (timedelta(hours=1), house.prune),
            "journal": (timedelta(hours=1), DailyHead(store, built.clock)),
            "reconcile": (
                timedelta(minutes=1),
                Daily(
                    reconciliation=reconciliation(built),
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
            "deliver": (timedelta(seconds=1), deliverer.nudge),
            "duties": (EVERY, duties),
        }
        watched = {name: (every, duties.only(CLOCK, job)) for name, (every, job) in of_one.items()}
        polled = {name: (every, duties.only(name, job)) for name, (every, job) in self._polls(duties).items()}
        return each | watched | polled

    def _polls(self, duties: "Duties") -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """A job for every mailbox: directory endpoints' `in/`, servers with plans, those of the settings."""
        from adapter.scheduler.polling import Round

        built, settings = self.built, self.built.settings

        def make(*, name: str, **of_it: Any) -> Round:
            store = duties.guarded(f"poll {name}")
            inbox = replace(built.inbox, store=store)
            return Round(
                name=name, store=store, inbox=inbox, clock=built.clock, observe=self._accepted, **of_it
            )

        jobs: dict[str, tuple[timedelta, Callable[[], object]]] = {}
        for endpoint in built.register.endpoints:
            if endpoint.transport == PLANS:
                jobs[f"poll {endpoint.name}"] = (
                    PLANS_LOOK,
                    make(
                        name=endpoint.name,
                        channel="poll",
                        mailbox=PlansMailbox(endpoint, Pulls(pushes=built.pushes, plans=self._plans)),
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
            jobs |= self._message_server(one, server_settings, duties)
        return jobs

    def restoring(self) -> Restoring:
        """What follows where the store was put back from a backup."""
        from adapter.scheduler.duties import OfOne
        from adapter.scheduler.polling import Round

        built, settings = self.built, self.built.settings
        known = (job.job for _, job in self.jobs.values() if isinstance(job, OfOne))
        looks = [job for job in known if isinstance(job, Round)]
        return Restoring(
            store=built.store,
            outbox=built.outbox,
            folders=[one.mailbox for one in looks if isinstance(one.mailbox, DirectoryMailbox)],
            message_servers=[one.name for one in settings.message_servers if one.her_ids],
            partners=[one.name for one in built.register.partners],
            clock=built.clock,
        )

    def _message_server(
        self, server: MessageServer, chosen: MessageServerSettings, duties: "Duties"
    ) -> dict[str, tuple[timedelta, Callable[[], object]]]:
        """A job that asks what became of messages posted there, and one that fetches the mail."""
        from adapter.scheduler.confirming import Confirming
        from adapter.scheduler.polling import Round

        built, asks = self.built, duties.guarded(f"confirm {server.name}")
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
            polls = duties.guarded(f"poll {server.name}")
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
                observe=self._accepted,
            )
            jobs[f"poll {server.name}"] = (chosen.every, fetching)
        return jobs

    @property
    def _plans(self) -> Plans:
        return Plans(inbox=self.built.inbox, shelves=self.built.shelves, new_id=new_id)

    def app(self) -> "Starlette":
        """The web application."""
        from adapter.web import health, pages
        from adapter.web.app import application
        from adapter.web.fhir.endpoint import FhirEndpoint
        from adapter.web.partners import ProcessMessage
        from adapter.web.plan_pages import PlanPages
        from adapter.web.plan_store import stored_plans
        from adapter.web.signing_in import Doorkeeper
        from adapter.web.smart.endpoint import TokenEndpoint
        from adapter.web.smart.keys import Keys
        from adapter.web.smart.tokens import Tokens
        from adapter.web.subscribing import Subscribing

        built, settings = self.built, self.built.settings
        assert self.metrics is not None
        tokens = Tokens(store=built.store, clock=built.clock)
        doorkeeper = Doorkeeper(
            register=built.register,
            operators={o.name: o.password_scrypt for o in settings.operators},
            tokens=tokens,
        )
        smart = TokenEndpoint(
            register=built.register,
            tokens=tokens,
            keys=Keys(clock=built.clock),
            clock=built.clock,
            public_url=settings.public_url,
        )
        door = ProcessMessage(
            inbox=built.inbox,
            doorkeeper=doorkeeper,
            clock=built.clock,
            most=settings.max_message_bytes,
            accepted=self._accepted,
        )
        endpoint = FhirEndpoint(
            shelves=built.shelves,
            plans=self._plans,
            doorkeeper=doorkeeper,
            clock=built.clock,
            zone=built.agreement.zone,
            public_url=settings.public_url,
            served=self.metrics.served,
        )
        subscribing = Subscribing(
            store=built.store,
            subscribers=Subscribers(subscriptions=built.outbox.subscriptions),
            doorkeeper=doorkeeper,
            clock=built.clock,
            nudge=self._nudge,
        )
        shown = pages.Pages(
            store=built.store,
            inbox=built.inbox,
            register=built.register,
            region=built.region.name if built.region is not None else None,
            doorkeeper=doorkeeper,
            clock=built.clock,
        )
        hosts = ["127.0.0.1", "localhost", "[::1]", settings.host]
        if settings.public_url is not None:
            hosts.append(urlsplit(settings.public_url).hostname or "")
        if not settings.loopback:
            hosts = ["*"]  # behind a name of the operator's choosing; everybody must sign in there
        watched = health.routes(built.store, self.metrics, doorkeeper if settings.metrics_sign_in else None)
        plans = PlanPages(
            load=stored_plans(built.shelves),
            doorkeeper=doorkeeper,
            clock=built.clock,
            zone=built.agreement.zone,
            country=built.agreement.name,
        )
        partners = [*door.routes(), *smart.routes(), *subscribing.routes(), *endpoint.routes()]
        return application([*partners, *watched, *plans.routes(), *shown.routes()], hosts=hosts)

    def start(self) -> str | None:
        """Start what the role asks for; returns the address to open, None for a worker."""
        check_exposure(self.built.settings, self.built.register)
        check_tls(self.built.settings)
        _refuse(unreadable_files(self.built.settings, self.built.register))
        _compile(self.built.schemas)
        if self.deliverer is not None and self.clockwork is not None:
            self.restoring()()
            self.built.store.write(lambda tx: self.built.outbox.find_endpoints(tx, self.built.clock()))
            self.deliverer.start()
            self.duties()
            self.clockwork.start()
        if self.clocks is not None:
            self.clocks.start(every=1.0)
        if self.role == "worker":
            self._show_metrics()
            return None
        from adapter.fhir.validation import warm
        from adapter.web.app import serve, server

        settings = self.built.settings
        self._server = server(
            self.app(),
            host=settings.host,
            port=settings.port,
            certificate=settings.tls_certificate,
            key=settings.tls_key,
            client_ca=settings.client_ca,
        )
        self._thread = threading.Thread(target=serve, args=(self._server,), name="web", daemon=True)
        self._thread.start()
        self._warming = threading.Thread(target=warm, name="warm", daemon=True)
        self._warming.start()
        return self._listening()

    def _show_metrics(self) -> None:
        """A worker's own counters, where the settings give it a port for them."""
        port = self.built.settings.worker_port
        if port is not None and self.metrics is not None:
            from adapter.web.metrics import Door

            self._door = Door(self.metrics, port)

    def _listening(self) -> str:
        """Wait until the port is bound; raises ConfigurationError where it cannot be."""
        assert self._server is not None and self._thread is not None
        while not self._server.started:
            self._thread.join(timeout=0.01)
            if not self._thread.is_alive() and not self._server.started:
                settings = self.built.settings
                raise ConfigurationError(
                    f"cannot listen on {settings.host}:{settings.port}; is something else listening there? "
                    "Choose another with --port"
                )
        host = self.built.settings.host
        port = self._server.servers[0].sockets[0].getsockname()[1]
        scheme = "https" if self.built.settings.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def wait(self, stop: threading.Event) -> None:
        """Run until `stop` is set or the server ends."""
        while not stop.is_set() and (self._thread is None or self._thread.is_alive()):
            stop.wait(0.5)

    def stop(self) -> None:
        """Take nothing more, let what is on its way finish, close the store."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self.clocks is not None:
            self.clocks.stop()
        if self.clockwork is not None:
            self.clockwork.stop()
            self._leave()
        if self.deliverer is not None:
            self.deliverer.stop()
        if self._door is not None:
            self._door.close()
        if self._warming is not None:
            self._warming.join()  # inside native code it cannot be left behind: the process would abort
        self.built.store.close()

    def _leave(self) -> None:
        """Others need not wait for what this process did; without the store they wait a few seconds."""
        try:
            self.duties.leave()
        except StoreError as error:
            log.warning("duties not given back", error=str(error))

    def _accepted(self, done: Acceptance, seconds: float | None = None) -> None:
        if self.metrics is not None:
            self.metrics.accepted(done, seconds)
        more = {} if seconds is None else {"ms": round(seconds * 1000, 1)}
        log_acceptance(done, **more)
        self._nudge()

    def _nudge(self) -> None:
        if self.deliverer is not None:
            self.deliverer.nudge()

    def _attempted(self, leased: Leased, reply: Reply, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.attempted(leased, reply, outcome)


def log_acceptance(done: Acceptance, **more: object) -> None:
    """The one line a message gets; the reason stays in the store, where its reader has signed in."""
    structlog.get_logger("inbox").info(
        "message",
        row=done.message_row,
        type=done.type,
        dialect=done.dialect,
        sender=done.sender,
        outcome=done.outcome,
        code=done.code,
        case=done.case_id,
        **more,
    )


def _room(folder: Path) -> tuple[int, int]:
    found = shutil.disk_usage(folder)
    return found.total, found.free


def folder_of(store: str) -> Path | None:
    """The folder of an embedded store, whose disk is watched; None for another."""
    file = embedded_file(store)
    return file.absolute().parent if file is not None else None


def _refuse(findings: Sequence[str]) -> None:
    if findings:
        raise ConfigurationError("\n".join(findings))


def check_tls(settings: Settings) -> None:
    """Half a TLS configuration is none; say which half is missing before anything listens."""
    pair = (("tls_certificate", settings.tls_certificate), ("tls_key", settings.tls_key))
    given = [name for name, path in pair if path is not None]
    if len(given) == 1:
        raise ConfigurationError(f"{given[0]} is set alone; TLS needs tls_certificate and tls_key")
    if settings.client_ca is not None and not given:
        raise ConfigurationError("client_ca is set, but not tls_certificate and tls_key; set them as well")
    for name, path in (*pair, ("client_ca", settings.client_ca)):
        if path is not None and not os.access(path, os.R_OK):
            raise ConfigurationError(f"{name}: the file {path} cannot be read")


def check_exposure(settings: Settings, register: Register) -> None:
    """Refuse to be reachable from elsewhere while anybody could come in without signing in."""
    if settings.loopback:
        return
    missing = []
    if not register.partners:
        missing.append("no partner has a token or certificate ([[partner]] in the region file)")
    if not settings.operators:
        missing.append("no operator has a password (operators in adapter.toml)")
    if missing:
        raise ConfigurationError(
            f"will not listen on {settings.host}, where others can reach it: {' and '.join(missing)}. "
            "Configure both, or listen on 127.0.0.1"
        )


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
