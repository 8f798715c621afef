"""Erasing a case that must not be here: shown first, done only when that is said."""

from typing import Annotated, Any

import typer

from adapter.cli.frame import Id, Json, app, did, opened, put

PANEL = "Act"
erase_app = typer.Typer(help="Remove what must not be here; a journalled act.", no_args_is_help=True)
app.add_typer(erase_app, name="erase", rich_help_panel=PANEL)


@erase_app.command()
def case(
    case_id: Id,
    by: Annotated[str, typer.Option("--by", help="Who does it, for the history.")],
    why: Annotated[str, typer.Option("--why", help="For what reason; no name of a patient.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a case with all that was told of it; only that messages came, their ids and hashes stay."""
    from adapter.erasing import erase, preview

    with opened() as built:
        if yes:
            now = built.clock()
            going = built.store.write(lambda tx: erase(tx, built.outbox, case_id, now, by=by, why=why))
            built.store.shorten(always=True)  # else the write-ahead log would have it for a while
        else:
            with built.store.read() as connection:
                going = preview(connection, case_id)
    document = going.document
    if not as_json:
        _told(document)
    end = "erased" if yes else "nothing has been erased; say --yes to do it"
    did(document | {"erased": yes}, as_json, f"case {going.case_id}: {end}")


def _told(document: dict[str, Any]) -> None:
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in document["rows"].items())
    messages, deliveries = len(document["messages"]), len(document["deliveries"])
    put(f"contents of {messages} messages and {deliveries} deliveries; {rows}")
    if document["closes"]:
        put(f"deliveries that are given up: {', '.join(map(str, document['closes']))}")
    if document["received_by"]:
        put(f"has gone out already, tell them: {', '.join(document['received_by'])}")
    if document["plans_elsewhere"]:
        put(f"stands on partners' servers, have it removed there: {', '.join(document['plans_elsewhere'])}")
    put("backups made before still have it: erase it again after a restore")
