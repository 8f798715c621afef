"""The stations over one store: everything that the command line works with when nothing runs by itself.

Every choice between evaluation mode (no region) and a configured region is made here.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from adapter.cases import Cases
from adapter.config import Region, Settings, load_region
from adapter.config.soundness import contradictions
from adapter.discharge.agreement import Agreement
from adapter.errors import ConfigurationError
from adapter.inbox import Inbox
from adapter.ledger import Ledger
from adapter.mappings.checking import NO_CHECKS, Checks
from adapter.messaging.register import Register
from adapter.outbox import Outbox
from adapter.pushes import Pushes
from adapter.resting import Resting
from adapter.shelves import Shelves
from adapter.store import MADE_BY, Store, messages, must_exist
from adapter.store.migrations import current, migrate
from adapter.store.remembered import Notes
from adapter.telling import Telling
from adapter.transport.edi import Edi
from adapter.transport.edi_client import MessageServer

if TYPE_CHECKING:
    from adapter.config.schemas import SchemaFolder

from adapter.runtime.chance import jitter, new_id, now
from adapter.runtime.checks import agreement_of, refuse, schema_folder, unknown_kinds
from adapter.runtime.peers import (
    alarms_of,
    her_ids,
    mail_server,
    message_servers,
    subscriptions_of,
    telling_of,
    transports,
)
from adapter.runtime.rosters import Rosters

EVALUATION = (
    "No region is configured: the adapter runs for evaluation. Every addressed receiver counts as ours with "
    "its board as its system, nothing leaves this machine, and messages marked as production are refused."
)


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
    rosters: Rosters


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
    law = agreement_of(settings, region)
    register = region.register_ if region is not None else Register(open=True)
    refuse([*contradictions(settings, register), *unknown_kinds(settings)])
    schemas = schema_folder(settings)
    store = over if over is not None else _store(settings.store, create=create)
    key = _pseudonym_key(settings, store)
    cases = Cases(agreement=law, roles={p.id: p.kind for p in register.parties})
    alarms = alarms_of(settings)
    shelves = Shelves(store=store, cases=cases, register=register, zone=law.zone, pseudonym_key=key)
    pushes = Pushes(store=store, shelves=shelves, clock=clock)
    servers = message_servers(settings, clock)
    edi = Edi(
        {server.access.account.address: server for server in servers},
        notes=lambda name: Notes(store=store, place=name, clock=clock),
        numbers=partial(her_ids, register),
    )
    schedule = settings.retry.schedule()
    outbox = Outbox(
        cases=cases,
        register=register,
        transports=transports(pushes, edi, mail_server(settings)),
        schedule=schedule,
        jitter=jitter,
        lease=settings.lease,
        lead_time=settings.telephone_before,
        alarms=alarms,
        subscriptions=subscriptions_of(settings, register, alarms, shelves),
        resting=Resting(register=register, alarms=alarms, schedule=schedule),
    )
    rosters = Rosters(register, key=key, clock=clock, zone=law.zone)
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
        rosters=rosters,
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
        telling=telling_of(settings, alarms, register, law),
        rosters=rosters,
    )


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
