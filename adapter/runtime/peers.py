"""Whom the adapter speaks to: transports, message servers, the address register, mail and webhook."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from adapter.alarming import Alarms
from adapter.config import Settings
from adapter.config.alarms import PORTS
from adapter.discharge.agreement import Agreement
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.delivery import SPARE
from adapter.messaging.envelope import HER
from adapter.messaging.register import EDI, PLANS, Endpoint, Partner, Party, Register
from adapter.messaging.scopes import permits
from adapter.parcels import MAIL, WEBHOOK
from adapter.pushes import Pushes
from adapter.readers import Reader
from adapter.shelves import Shelves
from adapter.store import Store
from adapter.store import address_register as address_answers
from adapter.store.resources import Eyes
from adapter.subscriptions import Subscriptions
from adapter.telling import ESCALATE_AFTER, Telling
from adapter.transport import Transport
from adapter.transport.address_register import AddressRegister, Kept, RememberedRegister
from adapter.transport.communication_party import Soap
from adapter.transport.directory import Directory
from adapter.transport.edi import Edi
from adapter.transport.edi_access import Access, Account
from adapter.transport.edi_client import MessageServer
from adapter.transport.fhir_plans import FhirPlans
from adapter.transport.fhir_rest import FhirRest
from adapter.transport.mail import Mail, MailServer
from adapter.transport.rest_hook import RestHook
from adapter.transport.webhook import Webhook

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapter.fhir.bundles import Resource

from adapter.runtime.chance import new_id, now


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


def message_servers(settings: Settings, clock: Callable[[], datetime]) -> tuple[MessageServer, ...]:
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


def transports(pushes: Pushes, edi: Edi, mail: MailServer | None) -> Mapping[str, Transport]:
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


def subscriptions_of(
    settings: Settings, register: Register, alarms: Alarms, shelves: Shelves
) -> Subscriptions:
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


def alarms_of(settings: Settings) -> Alarms:
    """Where people are told of alarms, and of what to do about them."""
    webhook, mail = _webhook(settings), _mail(settings)
    if webhook is None and mail is None:
        return Alarms()
    return Alarms(webhook=webhook, mail=mail, to_do=TO_DO)


def telling_of(settings: Settings, alarms: Alarms, register: Register, law: Agreement) -> Telling:
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
        language=settings.mail.language or law.country.language,
    )
