"""What must hold before anything starts, and what `check` tells of the configuration."""

import os
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from adapter.config import Region, Settings
from adapter.config.people import PeopleFile
from adapter.config.soundness import contradictions, missing_folders, unreadable_files
from adapter.discharge.agreement import Agreement, agreement
from adapter.discharge.pathways import NOTHING
from adapter.errors import ConfigurationError
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.register import Register
from adapter.runtime.chance import now
from adapter.runtime.rosters import roster_findings

if TYPE_CHECKING:
    from adapter.config.schemas import SchemaFolder


def findings(settings: Settings, region: Region | None) -> list[str]:
    """What is wrong with the configuration and its files, as `check` tells it."""
    register = region.register_ if region is not None else Register(open=True)
    found = []
    for ask in (
        lambda: agreement_of(settings, region),
        lambda: check_exposure(settings, register),
        lambda: check_tls(settings),
        lambda: people_of(settings, register),
        lambda: compile_schemas(schema_folder(settings)),
    ):
        try:
            ask()
        except ConfigurationError as error:
            found.append(str(error))
    return [
        *found,
        *contradictions(settings, register),
        *unknown_kinds(settings),
        *unreadable_files(settings, register),
        *roster_findings(register, now, UTC),
        *missing_folders(settings, register),
    ]


def people_of(settings: Settings, register: Register) -> PeopleFile | None:
    """The people file, read; and what the provider's values stand for, as far as it is told."""
    if settings.oidc is not None:
        unknown = [
            f"settings: oidc.parties: {name!r} is no party of the region file"
            for name in settings.oidc.parties.values()
            if register.party(name) is None and not register.open
        ]
        refuse(unknown)
    return PeopleFile(settings.people, register) if settings.people is not None else None


def schema_folder(settings: Settings) -> "SchemaFolder | None":
    """The operator's official schemas; nothing of them is read before a KITH message needs it."""
    if settings.norway.schemas is None:
        return None
    from adapter.config.schemas import SchemaFolder

    return SchemaFolder(settings.norway.schemas)


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


def agreement_of(settings: Settings, region: Region | None) -> Agreement:
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


def compile_schemas(schemas: "SchemaFolder | None") -> None:
    if schemas is not None:
        schemas.compile()


def unknown_kinds(settings: Settings) -> list[str]:
    """A misspelt kind of alarm must not be ignored."""
    if not settings.alarms.escalate_after:
        return []
    return [
        f"settings: [alarms] escalate_after: no alarm is of the kind {kind!r}; docs/alarms.md lists them"
        for kind in settings.alarms.escalate_after
        if kind not in TO_DO
    ]


def refuse(findings: Sequence[str]) -> None:
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
    if not settings.people_sign_in:
        missing.append("nobody can sign in (people or [oidc] in adapter.toml)")
    if missing:
        raise ConfigurationError(
            f"will not listen on {settings.host}, where others can reach it: {' and '.join(missing)}. "
            "Configure both, or listen on 127.0.0.1"
        )
