"""Readmissions: the counts of a month."""

import csv
import sys
from typing import Annotated, Any

import typer

from adapter.cli.frame import Json, app, opened, print_json, table
from adapter.cli.looking import PANEL
from adapter.cli.paying import known_month
from adapter.errors import ConfigurationError

COUNTS = ("discharges", "readmissions", "possible", "watched")
COLUMNS = ("municipality", *COUNTS)


@app.command(rich_help_panel=PANEL)
def readmissions(
    month: Annotated[str | None, typer.Option(help="The month of the discharges, as 2024-03.")] = None,
    *,
    exact: Annotated[bool, typer.Option("--exact", help="Do not withhold the numbers 1 to 4.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the lines as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """How many discharges of a month were followed by a readmission, for each municipality."""
    if month is None:
        raise ConfigurationError("--month: is missing; write --month 2024-03")
    known_month(month)
    if as_csv and as_json:
        raise ConfigurationError("--csv and --json: choose one of them")
    lines = _lines(month, exact=exact)
    if as_json:
        print_json({"month": month, "withheld": not exact, "lines": lines})
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, ("month", *COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows({"month": month, **line} for line in lines)
    else:
        table(f"Readmissions after discharges of {month}", COLUMNS, lines)


def _lines(month: str, *, exact: bool) -> list[dict[str, Any]]:
    from adapter.readmissions import counted, withheld

    with opened() as built, built.store.read() as connection:
        found = counted(connection, built.cases, month, built.clock())
    return [
        {"municipality": one.municipality}
        | {name: getattr(one, name) if exact else withheld(getattr(one, name)) for name in COUNTS}
        for one in found
    ]
