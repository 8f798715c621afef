"""Keeping: the store's version, its soundness, its copies, and the settings in force."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.frame import Chosen, Json, app, did, opened, print_json, put, say, table
from adapter.cli.registering import about_the_region
from adapter.config import load, load_region
from adapter.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from adapter.reconciliation import Compared
    from adapter.store.chain import Head

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
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="NUMBER:HASH", help="With --journal: prove that this head is still in it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the configuration and the store."""
    from adapter.runtime import findings as of_configuration
    from adapter.runtime import schema_coverage

    noted = _noted(head, journal=journal)
    settings = load(Chosen.config)
    region = load_region(settings.region) if settings.region is not None else None
    warnings = list(region.warnings) if region is not None else []
    told, chained = _about_the_store(settings.store, journal=journal, noted=noted)
    findings = [*of_configuration(settings, region), *told]
    unlike, doubtful = about_the_region(settings, region)
    findings, warnings = [*findings, *unlike], [*warnings, *doubtful]
    schemas = schema_coverage(settings)
    for warning in warnings:
        say(f"warning: {warning}")
    if as_json:
        document = {"findings": findings, "warnings": warnings, "schemas": schemas}
        print_json(document | ({"journal": chained} if journal else {}))
    elif schemas is not None:
        missing = f"; not those of {', '.join(schemas['missing'])}" if schemas["missing"] else ""
        put(f"official schemas: all of {', '.join(schemas['covered'])}{missing}")
    if chained is not None and not as_json:
        entries = "1 entry" if chained["entries"] == 1 else f"{chained['entries']} entries"
        put(f"journal: {entries}, head {chained['head'] or 'none yet'}")
    for finding in () if as_json else findings:
        put(f"- {finding}")
    if findings:
        raise typer.Exit(1)
    if not as_json:
        put("nothing found wrong")


def _noted(head: str | None, *, journal: bool) -> "Head | None":
    """The head that somebody wrote down, as the option has it."""
    from adapter.store.chain import Head

    if head is None:
        return None
    if not journal:
        raise typer.BadParameter("goes with --journal", param_hint="--head")
    try:
        return Head.read(head)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--head") from error


def _about_the_store(
    url: str, *, journal: bool, noted: "Head | None" = None
) -> tuple[list[str], dict[str, Any] | None]:
    """What is wrong with the store, and how long its journal is; no store before the first start is fine."""
    from adapter.store import MADE_BY, Store, chain, embedded_file, must_exist
    from adapter.store import journal as journals
    from adapter.store.migrations import current, newest

    file = embedded_file(url)
    if file is not None and file.absolute().parent.is_dir() and not file.exists() and not journal:
        say(f"there is no store at {file.absolute()} yet; {MADE_BY}")
        return [], None
    must_exist(url)
    store = Store(url)
    try:
        version = current(store)
        if version is None:
            return [f"there is nothing of ours in the store that the settings name; {MADE_BY}"], None
        if file is None or version > newest():  # an older embedded one is migrated at the start
            try:
                store.ready()
            except StoreError as error:
                return [str(error)], None
    finally:
        store.close()
    if not journal:
        return [], None
    with opened() as built, built.store.read() as connection:
        told = journals.findings(connection, built.agreement, built.cases.roles, noted)
        last = chain.head(connection)
        head = str(last) if last is not None else None
        return told, {"entries": chain.entries(connection), "head": head}


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
        from adapter.web.passwords import hash_password as hashed

        put(hashed(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))
        return
    settings = load(Chosen.config)
    document = settings.model_dump(mode="json", exclude={"pseudonym_key"})
    document["store"] = _without_password(settings.store)
    for mailbox in document["fhir_mailboxes"]:
        mailbox.pop("token", None)
    for secret in ("address_register_password", "address_register_token"):
        document["norway"].pop(secret)
    document["mail"].pop("password")
    document.pop("alarm_webhook_token")
    if settings.oidc is not None:
        document["oidc"].pop("client_secret")
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
    from adapter.runtime import now
    from adapter.store import Store, must_exist
    from adapter.store import backup as backups

    url = load(Chosen.config).store
    must_exist(url)
    store, taken_at = Store(url), now()
    try:
        with _in_words(file):
            backups.write(store, file, taken_at)
    finally:
        store.close()
    size = file.stat().st_size
    document = {"backup": str(file), "bytes": size, "taken_at": _utc(taken_at)}
    did(document, as_json, f"{file}: {size} bytes")


@app.command(rich_help_panel=PANEL)
def restore(
    file: Annotated[Path | None, typer.Argument(help="The backup.")] = None,
    *,
    put_back: Annotated[
        str | None,
        typer.Option(
            "--put-back", metavar="INSTANT", help="The store was put back by other means, as of then."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of an embedded store that is not there (stop the adapter first)."""
    from adapter.runtime import now
    from adapter.store import backup as backups

    if (file is None) == (put_back is None):
        raise ConfigurationError("name the backup, or with --put-back the moment of one that is in place")
    url = load(Chosen.config).store
    if file is None:
        placed, of = _without_password(url), _was_put_back(str(put_back))
    else:
        with _in_words(file):
            place, of = backups.restore(url, file, now())
        placed = str(place)
    document = {"restored": placed, "backup_of": _utc(of)}
    did(document, as_json, f"restored to {placed}" if file is not None else f"noted: as it was at {_utc(of)}")


def _was_put_back(text: str) -> datetime:
    """A store that pg_restore, a snapshot or the like has put back: its next start is told so."""
    from adapter.store import restored

    try:
        of = datetime.fromisoformat(text)
    except ValueError:
        of = None
    with opened() as built:
        if of is None or of.tzinfo is None or of > built.clock():
            raise ConfigurationError(
                f"--put-back {text}: write an instant that has been, with its offset, "
                "as 2026-11-26T03:00:00+01:00"
            )
        told = restored.Restored(at=built.clock(), of=of)
        built.store.write(lambda tx: restored.mark(tx, told))
    return of


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@app.command(rich_help_panel=PANEL)
def reconcile(as_json: Json = False) -> None:
    """Compare what we hold open with what partners' servers hold, now."""
    from adapter.runtime import reconciliation

    with opened() as built:
        compared = reconciliation(built)()
    if as_json:
        print_json([_told(one) for one in compared])
    for one in () if as_json else compared:
        count = f"{len(one.differences)} differences" if one.differences else "the same"
        put(f"{one.peer}: {one.fault or count}")
        for difference in one.differences:
            put(f"- {difference.what}: {difference.text}")
    if not compared and not as_json:
        put("there is no server to compare with")
    if any(one.differences or one.fault for one in compared):
        raise typer.Exit(1)


def _told(one: "Compared") -> dict[str, object]:
    found = [{"what": d.what, "text": d.text} for d in one.differences]
    return {"peer": one.peer, "fault": one.fault, "differences": found}


@contextmanager
def _in_words(file: Path) -> Iterator[None]:
    """What the disk or the database says, as a sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{file}: {getattr(error, 'strerror', None) or error}; nothing has been replaced"
        ) from error
