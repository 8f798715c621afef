"""Asking the Norwegian address register: about single HER-ids, and about all of the region file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.frame import Chosen, Json, app, print_json, say, table
from adapter.config import Region, Settings, load
from adapter.errors import ConfigurationError, RegisterError

if TYPE_CHECKING:
    from adapter.store import Store
    from adapter.transport.address_register import LookedUp, RememberedRegister

PANEL = "Look"
COLUMNS = (
    "her_id", "outcome", "kind", "name", "parent", "active", "valid_to", "edi", "fetched_at",
)  # fmt: skip
NO_REGISTER = (
    "no address register is configured; set address_register in [norway] of adapter.toml to its https address"
)


@app.command("look-up", rich_help_panel=PANEL)
def look_up(
    her_ids: Annotated[
        list[str], typer.Argument(metavar="HER-ID...", help="As the address register has them.")
    ],
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask anew, also where the last answer is young.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the Norwegian address register says of HER-ids."""
    settings = load(Chosen.config)
    numbers = _numbers(her_ids)
    with _asked(settings) as register:
        if register is None:
            raise ConfigurationError(NO_REGISTER)
        found = [_looked_up(register, number, refresh=refresh) for number in numbers]
    if as_json:
        print_json(found)
    else:
        _table(found)
    if any(one["outcome"] != "known" for one in found):
        raise typer.Exit(1)


def _numbers(said: list[str]) -> list[str]:
    """HER-ids, each once. What is none is not repeated: it may be the number of a person."""
    from adapter.messaging.communication_party import her_id

    found = [her_id(text) for text in said]
    for place, number in enumerate(found, 1):
        if number is None:
            raise ConfigurationError(f"HER-ID number {place}: a HER-id is a number of 1 to 9 digits")
    return list(dict.fromkeys(number for number in found if number is not None))


def _looked_up(register: "RememberedRegister", number: str, *, refresh: bool) -> dict[str, Any]:
    try:
        return _document(register.look_up(number, refresh=refresh))
    except RegisterError as error:
        nothing = {"fetched_at": None, "stale": None, "party": None}
        return {"her_id": number, "outcome": "unanswered", "error": str(error), **nothing}


def _document(found: "LookedUp") -> dict[str, Any]:
    from adapter.messaging.communication_party import document
    from adapter.store.shown import when

    return {
        "her_id": found.her_id,
        "outcome": "unknown" if found.party is None else "known",
        "error": None,
        "fetched_at": when(found.fetched_at),
        "stale": found.stale,
        "party": None if found.party is None else document(found.party),
    }


def _table(found: list[dict[str, Any]]) -> None:
    from adapter.mappings.kith.xml import OSLO

    table("Address register", COLUMNS, [_row(one) for one in found], OSLO)
    for reason in dict.fromkeys(one["error"] or one["stale"] for one in found):
        if reason is not None:
            say(reason)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """A line of the table; what is stale says so beside its time."""
    from adapter.messaging.communication_party import EDI

    party = one["party"] or {}
    above = filter(None, (party.get("parent_name"), party.get("parent_her_id")))
    edi = (e["address"] for e in party.get("electronic", ()) if e["kind"] == EDI)
    fetched = one["fetched_at"]
    return party | {
        "her_id": one["her_id"],
        "outcome": one["outcome"],
        "parent": " ".join(above),
        "active": "" if not party else "yes" if party["active"] else "no",
        "edi": next(edi, None),
        "fetched_at": f"{fetched} (stale)" if one["stale"] else fetched,
    }


# --- the whole region -------------------------------------------------------------------------------------


def about_the_region(settings: Settings, region: Region | None) -> tuple[list[str], list[str]]:
    """What the address register says otherwise than the region file: problems, and warnings.

    Nothing where no register is configured; what it does not answer is a warning, as it stops no delivery.
    """
    if region is None or settings.norway.address_register is None:
        return [], []
    with _asked(settings) as register:
        assert register is not None
        problems, warnings, asides = _compared(register, region)
    return (
        [f"{settings.region}: {text}" for text in problems],
        [*(f"{settings.region}: {text}" for text in warnings), *asides],
    )


def _compared(register: "RememberedRegister", region: Region) -> tuple[list[str], list[str], list[str]]:
    """Problems and warnings of the region's entries, and what is to be said of the register itself."""
    from adapter.mappings.kith.xml import OSLO
    from adapter.messaging import comparing
    from adapter.messaging.communication_party import her_id

    now = register.clock().astimezone(OSLO)
    found: list[comparing.Difference] = []
    left_out: dict[str, int] = {}
    old: dict[str, int] = {}
    for entry in comparing.entries(region.register_, now.date()):
        number = her_id(entry.her_id)
        if number is None:
            found.append(comparing.no_her_id(entry))
            continue
        try:
            known = register.look_up(number)
        except RegisterError as error:
            left_out[str(error)] = left_out.get(str(error), 0) + 1
            continue
        if known.stale is not None:
            old[known.stale] = old.get(known.stale, 0) + 1
        found += comparing.differences(entry, known.party, now)
    return (
        [one.text for one in found if one.problem],
        [one.text for one in found if not one.problem],
        [
            *(f"{why}. HER-ids of the region not held against it: {n}" for why, n in left_out.items()),
            *(f"{why}. HER-ids of the region held against older answers: {n}" for why, n in old.items()),
        ],
    )


# --- the register and its memory --------------------------------------------------------------------------


@contextmanager
def _asked(settings: Settings) -> "Iterator[RememberedRegister | None]":
    """The register of the settings; it remembers in the store where there is one of this version."""
    from adapter.runtime import address_register

    if settings.norway.address_register is None:
        yield None
        return
    store = _store(settings.store)
    if store is None:
        say("the address register's answers are not remembered: there is no store of this version yet")
    try:
        yield address_register(settings, store)
    finally:
        if store is not None:
            store.close()


def _store(url: str) -> "Store | None":
    from adapter.store import Store, embedded_file
    from adapter.store.migrations import current, newest

    file = embedded_file(url)
    if file is not None and not (file.is_file() and file.stat().st_size):
        return None
    store = Store(url)
    if current(store) == newest():
        return store
    store.close()
    return None
