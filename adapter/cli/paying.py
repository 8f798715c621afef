"""Paying: a month's statement, its closing, and what the parties say of single charges."""

import csv
import sys
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.frame import By, Ids, Json, app, did, listed_ids, opened, print_json, table
from adapter.errors import ConfigurationError

if TYPE_CHECKING:
    from adapter.discharge.ledger import EntryState
    from adapter.ledger import Statement

PANEL = "Pay"
COLUMNS = (
    "id", "date", "case", "municipality", "payee", "amount", "currency", "kind", "state", "reverses", "why",
    "agreement", "days_over",
)  # fmt: skip
payments_app = typer.Typer(
    help="What is owed for patients who were ready for discharge.", invoke_without_command=True
)
app.add_typer(payments_app, name="payments", rich_help_panel=PANEL)

Why = Annotated[str, typer.Option("--why", help="The reason, for the history.")]


@payments_app.callback()
def payments(
    context: typer.Context,
    *,
    month: Annotated[str | None, typer.Option(help="The month, as 2024-03.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the lines as CSV.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Book it for good; the month must be over.")] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """A month's statement: each charged day and each mean, and what each municipality owes."""
    if context.invoked_subcommand is not None:
        return
    if month is None:
        raise ConfigurationError("--month: is missing; write --month 2024-03")
    known_month(month)
    if as_csv and as_json:
        raise ConfigurationError("--csv and --json: choose one of them")
    with opened() as built:
        if close:
            made = built.store.write(lambda tx: built.ledger.close(tx, month, built.clock(), by=by))
        else:
            with built.store.read() as connection:
                made = built.ledger.statement(connection, month, built.clock())
    if as_json:
        print_json(document(made))
    elif as_csv:
        _csv(made)
    else:
        _tables(made, built.agreement.zone)


def known_month(month: str) -> None:
    from adapter.ledger import bounds

    try:
        bounds(month)
    except ValueError as error:
        raise ConfigurationError(f"--month {month}: is no month; write it as 2024-03") from error


def document(statement: "Statement") -> dict[str, Any]:
    """A statement as JSON."""
    from adapter.discharge.ledger import shown
    from adapter.store.shown import when

    return {
        "month": statement.month,
        "closed_at": when(statement.closed_at),
        "lines": [dict(shown(line)) for line in statement.lines],
        "totals": [
            {
                "municipality": total.debtor,
                "payee": total.payee,
                "days": total.days,
                "days_over": None if total.days_over is None else f"{total.days_over:f}",
                "amount": None if total.amount is None else f"{total.amount:f}",
                "currency": total.currency,
            }
            for total in statement.totals
        ],
    }


def _csv(statement: "Statement") -> None:
    writer = csv.DictWriter(sys.stdout, ("month", *COLUMNS), lineterminator="\n")
    writer.writeheader()
    for line in document(statement)["lines"]:
        writer.writerow({"month": statement.month, **line})


def _tables(statement: "Statement", zone: tzinfo) -> None:
    """For people: the lines and the totals, on the clock of `zone`."""
    told = document(statement)
    closed = statement.closed_at
    state = (
        f"closed {closed.astimezone(zone):%Y-%m-%d %H:%M}"
        if closed
        else "open: worked out now, booked when closed"
    )
    over = ("days_over",) if any(line["agreement"] for line in told["lines"]) else ()
    reverses = ("reverses",) if any(line["reverses"] for line in told["lines"]) else ()
    lines = (
        "id",
        "date",
        "case",
        "municipality",
        "payee",
        *over,
        "amount",
        "currency",
        "kind",
        *reverses,
        "state",
        "why",
    )
    table(f"{statement.month}, {state}", lines, told["lines"])
    table("Totals", ("municipality", "payee", "days", *over, "amount", "currency"), told["totals"])
    if any(total["amount"] is None for total in told["totals"]):
        print("no amount: a price is not known here; set it in the agreement's terms (amounts)")  # noqa: T201  # output


def _settle(ids: list[int], state: "EntryState", why: str, by: str | None, as_json: bool) -> None:
    with opened() as built:
        built.store.write(
            lambda tx: [built.ledger.settle(tx, one, state, built.clock(), by=by, why=why) for one in ids]
        )
    did({state.value: ids}, as_json, f"{state.value}: {listed_ids(ids)}")


@payments_app.command()
def dispute(ids: Ids, why: Why, by: By = None, as_json: Json = False) -> None:
    """Somebody says that a booked charge is not owed; it stands, marked so."""
    from adapter.discharge.ledger import EntryState

    _settle(ids, EntryState.DISPUTED, why, by, as_json)


@payments_app.command()
def uphold(ids: Ids, why: Why, by: By = None, as_json: Json = False) -> None:
    """It is owed after all."""
    from adapter.discharge.ledger import EntryState

    _settle(ids, EntryState.UPHELD, why, by, as_json)


@payments_app.command()
def waive(ids: Ids, why: Why, by: By = None, as_json: Json = False) -> None:
    """It is not asked for; a reversal is booked with the next month that is closed."""
    from adapter.discharge.ledger import EntryState

    _settle(ids, EntryState.WAIVED, why, by, as_json)
