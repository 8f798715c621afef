"""Whether settings and region fit each other and the disk: what neither file can tell alone.

Each function returns findings, a sentence each: where, what is wrong and what to do; none where all is well.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from adapter.config import DirectoryMailboxSettings, FhirMailboxSettings, Settings
from adapter.config.values import written
from adapter.messaging.delivery import SPARE
from adapter.messaging.register import EDI, PLANS, Endpoint, Register
from adapter.messaging.signing import UnusableSigningKey, read_signing_key

_WHAT = {PLANS: "a plan", EDI: "a message"}


def contradictions(settings: Settings, register: Register) -> list[str]:
    """What must be set right before anything starts: it would stop delivery or reading without a word."""
    return [
        *_short_leases(settings, register),
        *_mailboxes(settings, register),
        *_nameless(settings, register),
        *_message_servers(settings, register),
    ]


def _short_leases(settings: Settings, register: Register) -> Iterable[str]:
    """Nothing is sent whose answer might come after its lease, so too short a lease sends nothing at all."""
    webhook = Endpoint(name="", transport="webhook", address="", dialect="alarm")
    named = [(f"[[endpoint]] name = {e.name!r}: {_told(e)}", e) for e in register.endpoints]
    if settings.alarm_webhook is not None:
        named.append((f"alarm_webhook: its time-out is {webhook.timeout:g} s", webhook))
    if settings.mail.server is not None:
        mail = replace(webhook, transport="mail", timeout=settings.mail.timeout)
        named.append((f"[mail]: timeout = {mail.timeout:g}", mail))
    for where, endpoint in named:
        spare = settings.lease.total_seconds() - endpoint.longest
        if spare <= SPARE.total_seconds():
            yield (
                f"{settings.region or 'settings'}: {where}: the setting lease = {written(settings.lease)} "
                f"must be more than {SPARE.total_seconds():g} s longer; lengthen it, or shorten the time-out"
            )


def _told(e: Endpoint) -> str:
    said = f"timeout = {e.timeout:g}"
    return (
        said if e.longest == e.timeout else f"{said}, so that {_WHAT[e.transport]} may take {e.longest:g} s"
    )


def _mailboxes(settings: Settings, register: Register) -> Iterable[str]:
    """Mailboxes whose partner nobody knows, or that share a name, of which only one would be read."""
    boxes: list[DirectoryMailboxSettings | FhirMailboxSettings] = [
        *settings.directory_mailboxes,
        *settings.fhir_mailboxes,
    ]
    partners = {p.name for p in register.partners}
    taken = {e.name for e in register.endpoints if e.transport in ("directory", PLANS)}
    servers = {server.name for server in settings.message_servers}
    for name in sorted(servers & taken):
        yield f"message server {name!r}: an endpoint that is read has that name; choose another"
    taken |= servers
    for box in boxes:
        if box.partner is not None and box.partner not in partners:
            yield f"mailbox {box.name!r}: the region file has no [[partner]] called {box.partner!r}"
        if box.name in taken:
            yield f"mailbox {box.name!r}: another mailbox or directory endpoint has that name; choose another"
        taken.add(box.name)


def _message_servers(settings: Settings, register: Register) -> Iterable[str]:
    """Endpoints at a message server where nobody has said how to sign in, and servers that say the same."""
    known = {server.address for server in settings.message_servers}
    for e in register.endpoints:
        if e.transport == EDI and e.address.rstrip("/") not in known:
            yield (
                f"{settings.region or 'settings'}: [[endpoint]] name = {e.name!r}: no [[message_servers]] of "
                "the settings has that address; add one that says how to sign in there"
            )
    for what in ("name", "address"):
        given = [getattr(server, what) for server in settings.message_servers]
        for value in sorted({one for one in given if given.count(one) > 1}):
            yield f"two [[message_servers]] have the {what} {value!r}; one account serves all HER-ids there"
    fetched = [her_id for server in settings.message_servers for her_id in server.her_ids]
    for her_id in sorted({one for one in fetched if fetched.count(one) > 1}):
        yield f"[[message_servers]]: the mail of HER-id {her_id} is fetched twice; name it once"


def _nameless(settings: Settings, register: Register) -> Iterable[str]:
    """Clients that could not address a token request: what a client says our address is proves nothing."""
    if settings.loopback or settings.public_url is not None:
        return
    for partner in register.partners:
        if partner.client_id is not None:
            yield (
                f"{settings.region or 'settings'}: [[partner]] name = {partner.name!r}: client_id needs the "
                "setting public_url, the https:// address by which partners reach this adapter; set it"
            )


def unreadable_files(settings: Settings, register: Register) -> list[str]:
    """Certificates, keys and CA bundles of our connections that cannot be read, or not be used."""
    unreadable = [
        f"{where}: the file {file} cannot be read"
        for where, file in _files(settings, register)
        if file is not None and not _readable(file)
    ]
    return [*unreadable, *_unusable_keys(settings)]


def _readable(file: str | Path) -> bool:
    return Path(file).is_file() and os.access(file, os.R_OK)


def _unusable_keys(settings: Settings) -> Iterable[str]:
    """Keys that no token would be given for: found before anything waits for one."""
    for one in settings.message_servers:
        for what, file, algorithm in (("key", one.key, one.algorithm), ("dpop_key", one.dpop_key, None)):
            if file is None or not _readable(file):
                continue
            try:
                read_signing_key(file.read_bytes(), algorithm=algorithm)
            except UnusableSigningKey as error:
                yield f"message server {one.name}: {what}: the file {file} {error}"


def _files(settings: Settings, register: Register) -> Iterable[tuple[str, str | None]]:
    for e in register.endpoints:
        yield from _of_connection(f"endpoint {e.name}", e.client_certificate, e.trust)
    for m in settings.fhir_mailboxes:
        yield from _of_connection(f"mailbox {m.name}", m.certificate, m.trust)
    for s in settings.message_servers:
        where = f"message server {s.name}"
        yield f"{where}: key", str(s.key)
        yield f"{where}: dpop_key", str(s.dpop_key) if s.dpop_key is not None else None
        yield f"{where}: trust", s.trust
    yield "[mail] trust", settings.mail.trust
    yield "[norway] address_register_trust", settings.norway.address_register_trust


def _of_connection(
    where: str, certificate: tuple[str, str] | None, trust: str | None
) -> Iterable[tuple[str, str | None]]:
    shown, key = certificate or (None, None)
    yield f"{where}: client_certificate", shown
    yield f"{where}: client_key", key
    yield f"{where}: trust", trust


def missing_folders(settings: Settings, register: Register) -> list[str]:
    """Folders of directory endpoints and mailboxes that are not there; a mount may come back by itself."""
    wanted: list[tuple[str, Path, tuple[str, ...]]] = [
        (f"endpoint {e.name}", Path(e.address), ("in", "out"))
        for e in register.endpoints
        if e.transport == "directory"
    ]
    wanted += [(f"mailbox {m.name}", m.address, ("in",)) for m in settings.directory_mailboxes]
    if settings.alarms.disk is not None:
        wanted.append(("settings: [alarms] disk", settings.alarms.disk, ("",)))
    return [
        f"{where}: the folder {folder / below} does not exist; create it, or mount the share it is on"
        for where, folder, parts in wanted
        for below in parts
        if not (folder / below).is_dir()
    ]
