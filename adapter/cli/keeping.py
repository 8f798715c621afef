"""Keeping: the store's version, its soundness, its copies, and the settings in force."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adapter.cli.frame import Chosen, Json, app, did, opened, print_json, put, say, table
from adapter.cli.registering import about_the_region
from adapter.config import load, load_region
from adapter.errors import StoreError

PANEL = "Keep"


@app.command(rich_help_panel=PANEL)
def migrate(as_json: Json = False) -> None:
    """Bring the store to the version that this program needs."""
    from adapter.store import Store
    from adapter.store.migrations import migrate as migrated

    store = Store(load(Chosen.config).store)
    before, after = migrated(store)
    store.close()
    did({"from": before, "to": after}, as_json, f"the store is of version {after} (was {before or 'empty'})")


@app.command(rich_help_panel=PANEL)
def check(
    *,
    journal: Annotated[
        bool, typer.Option("--journal", help="Also hold the store's records against each other.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the configuration and the store."""
    from adapter.runtime import findings as of_configuration
    from adapter.runtime import schema_coverage

    settings = load(Chosen.config)
    region = load_region(settings.region) if settings.region is not None else None
    warnings = list(region.warnings) if region is not None else []
    findings = [*of_configuration(settings, region), *_about_the_store(settings.store, journal=journal)]
    unlike, doubtful = about_the_region(settings, region)
    findings, warnings = [*findings, *unlike], [*warnings, *doubtful]
    schemas = schema_coverage(settings)
    for warning in warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json({"findings": findings, "warnings": warnings, "schemas": schemas})
    elif schemas is not None:
        missing = f"; not those of {', '.join(schemas['missing'])}" if schemas["missing"] else ""
        put(f"official schemas: all of {', '.join(schemas['covered'])}{missing}")
    for finding in () if as_json else findings:
        put(f"- {finding}")
    if findings:
        raise typer.Exit(1)
    if not as_json:
        put("nothing found wrong")


def _about_the_store(url: str, *, journal: bool) -> list[str]:
    """What is wrong with the store; that there is none yet is not, before the first start."""
    from adapter.store import MADE_BY, Store, embedded_file, must_exist
    from adapter.store import journal as journals
    from adapter.store.migrations import current

    file = embedded_file(url)
    if file is not None and file.absolute().parent.is_dir() and not file.exists() and not journal:
        say(f"there is no store at {file.absolute()} yet; {MADE_BY}")
        return []
    must_exist(url)
    store = Store(url)
    try:
        if current(store) is None:
            return [f"there is nothing of ours in the store that the settings name; {MADE_BY}"]
    finally:
        store.close()
    if not journal:
        return []
    with opened() as built, built.store.read() as connection:
        return list(journals.findings(connection, built.agreement, built.cases.roles))


@app.command(rich_help_panel=PANEL)
def config(
    *,
    hash_password: Annotated[
        bool, typer.Option("--hash-password", help="Ask for a password, print its hash.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The settings in force, secrets left out."""
    if hash_password:
        from adapter.web.signing_in import hash_password as hashed

        put(hashed(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))
        return
    settings = load(Chosen.config)
    document = settings.model_dump(mode="json", exclude={"pseudonym_key", "operators"})
    document["operators"] = [o.name for o in settings.operators]
    document["store"] = _without_password(settings.store)
    for mailbox in document["fhir_mailboxes"]:
        mailbox.pop("token", None)
    for secret in ("address_register_password", "address_register_token"):
        document["norway"].pop(secret)
    document["mail"].pop("password")
    if settings.region is not None:
        region = load_region(settings.region)
        register = region.register_
        document["region_parties"] = {
            p.id: f"{p.name} ({', '.join(filter(None, (p.side.value, p.endpoint)))})"
            for p in register.parties
        }
    if as_json:
        print_json(document)
        return
    table("Settings", ("setting", "value"), [{"setting": k, "value": v} for k, v in document.items()])


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


@app.command(rich_help_panel=PANEL)
def backup(file: Path, as_json: Json = False) -> None:
    """Write a copy of the embedded store, also while the adapter runs."""
    from adapter.store import Store, must_exist
    from adapter.store import backup as backups

    url = load(Chosen.config).store
    must_exist(url)
    store = Store(url)
    with _in_words(file):
        backups.write(store, file)
    store.close()
    did({"backup": str(file), "bytes": file.stat().st_size}, as_json, f"{file}: {file.stat().st_size} bytes")


@app.command(rich_help_panel=PANEL)
def restore(file: Path, as_json: Json = False) -> None:
    """Put a backup in the place of an embedded store that is not there (stop the adapter first)."""
    from adapter.store import backup as backups

    with _in_words(file):
        placed = backups.restore(load(Chosen.config).store, file)
    did({"restored": str(placed)}, as_json, f"restored to {placed}")


@contextmanager
def _in_words(file: Path) -> Iterator[None]:
    """What the disk or the database says, as a sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{file}: {getattr(error, 'strerror', None) or error}; nothing has been replaced"
        ) from error
