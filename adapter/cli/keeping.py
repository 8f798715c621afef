"""Keeping: the store's version, its soundness, its copies, and the settings in force."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adapter.cli.frame import Chosen, Json, app, did, opened, print_json, table
from adapter.config import load, load_region
from adapter.errors import ConfigurationError, StoreError

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
    from adapter.runtime import check_exposure
    from adapter.store import journal as journals

    findings: list[str] = []
    with opened() as built:
        try:
            check_exposure(built.settings, built.register)
        except ConfigurationError as error:
            findings.append(str(error))
        findings += [
            f"endpoint {e.name}: the folder {e.address} does not exist; create it with in/ and out/"
            for e in built.register.endpoints
            if e.transport == "directory" and not Path(e.address).is_dir()
        ]
        if journal:
            with built.store.read() as connection:
                findings += journals.findings(connection, built.agreement, built.cases.roles)
    if as_json:
        print_json({"findings": findings})
    for finding in () if as_json else findings:
        print(f"- {finding}")  # noqa: T201  # output
    if findings:
        raise typer.Exit(1)
    if not as_json:
        print("nothing found wrong")  # noqa: T201  # output


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

        print(hashed(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))  # noqa: T201  # output
        return
    settings = load(Chosen.config)
    document = settings.model_dump(mode="json", exclude={"pseudonym_key", "operators"})
    document["operators"] = [o.name for o in settings.operators]
    document["store"] = _without_password(settings.store)
    for mailbox in document["fhir_mailboxes"]:
        mailbox.pop("token", None)
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
    from adapter.store import Store
    from adapter.store import backup as backups

    store = Store(load(Chosen.config).store)
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
