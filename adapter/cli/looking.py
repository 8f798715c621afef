"""Looking: what is in the store, as `store.shown` tells it."""

from datetime import datetime, tzinfo
from typing import Annotated, Any

import typer

from adapter.cli.frame import Id, Json, app, opened, print_json, show, table
from adapter.errors import ConfigurationError, NotFound

PANEL = "Look"

endpoints_app = typer.Typer(
    help="Where messages are sent, and how each place is.", invoke_without_command=True
)
alarms_app = typer.Typer(help="What needs a person, and who has dealt with it.", invoke_without_command=True)
app.add_typer(alarms_app, name="alarms", rich_help_panel=PANEL)
app.add_typer(endpoints_app, name="endpoints", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def cases(as_json: Json = False) -> None:
    """Every case, the latest change first."""
    from adapter.store import cases as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        listed = [shown.case(connection, row) for row in rows.listed(connection)]
    show(
        listed if as_json else [_in_days(document, built.agreement.zone) for document in listed],
        as_json,
        "Cases",
        ("id", "patient", "hospital", "municipality", "state", "ready_at", "discharged_at"),
    )


@app.command(rich_help_panel=PANEL)
def case(case_id: Id, as_json: Json = False) -> None:
    """One case: its notices, deadlines and deliveries."""
    from adapter.store import cases as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        row = rows.get(connection, case_id)
        if row is None:
            raise NotFound(f"there is no case {case_id}; `discharge-adapter cases` lists them")
        document = shown.case(connection, row)
    if as_json:
        print_json(document)
        return
    table(
        "Case",
        ("id", "patient", "hospital", "municipality", "state", "admitted_at"),
        [_in_days(document, built.agreement.zone)],
    )
    table("Notices", ("occurred", "kind", "standing", "sender", "sent_at"), document["notices"])
    table("Deadlines", ("kind", "actor", "due_at", "state", "basis"), document["deadlines"])
    table(
        "Deliveries",
        ("id", "standing", "kind", "party", "state", "sent_at", "accepted_at"),
        document["deliveries"],
    )


def _in_days(case: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """A case for a table: a moment told as a day is that day where the hospital is."""
    days = {
        name: datetime.fromisoformat(case[name]).astimezone(zone).date().isoformat()
        for name in case["day_only"]
    }
    return case | days


@app.command(rich_help_panel=PANEL)
def deliveries(
    state: Annotated[
        str | None, typer.Option(help="waiting, leased, sent, acknowledged, refused, given-up")
    ] = None,
    *,
    awaiting: Annotated[
        bool, typer.Option("--awaiting", help="Only those whose receipt is awaited.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The delivery log, the newest first."""
    from adapter.messaging.delivery import DeliveryState
    from adapter.store import deliveries as rows
    from adapter.store import shown

    states = [s.value for s in DeliveryState]
    if state is not None and state not in states:
        raise ConfigurationError(f"--state {state}: write one of {', '.join(states)}")
    with opened() as built, built.store.read() as connection:
        found = rows.listed(connection, state=state, awaiting=awaiting, limit=5000)
        listed = shown.deliveries(connection, found)
    columns = ("id", "case", "standing", "kind", "party", "state", "next_attempt_at", "error")
    show(listed, as_json, "Deliveries", columns)


@app.command(rich_help_panel=PANEL)
def delivery(delivery_id: Id, as_json: Json = False) -> None:
    """One delivery and its attempts."""
    from adapter.store import deliveries as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        row = rows.get(connection, delivery_id)
        if row is None:
            raise NotFound(f"there is no delivery {delivery_id}; `discharge-adapter deliveries` lists them")
        (document,) = shown.deliveries(connection, [row])
    if as_json:
        print_json(document)
        return
    table(
        "Delivery",
        ("id", "case", "standing", "kind", "party", "state", "sent_at", "delivered_at", "accepted_at"),
        [document],
    )
    table("Attempts", ("at", "trigger", "status", "outcome", "ms", "error"), document["attempts"])


@app.command(rich_help_panel=PANEL)
def quarantine(as_json: Json = False) -> None:
    """What is held without a receipt, and what was refused, each with its reason."""
    from adapter.store import messages as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        listed = [shown.held(row) for row in rows.held(connection)]
    show(
        listed, as_json, "Held messages", ("id", "outcome", "received_at", "sender", "type", "code", "reason")
    )


@alarms_app.callback()
def alarms(context: typer.Context, as_json: Json = False) -> None:
    """Alarms, those that are on first."""
    if context.invoked_subcommand is not None:
        return
    from adapter.store import alarms as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        listed = [shown.alarm(row) for row in rows.listed(connection)]
    show(listed, as_json, "Alarms", ("id", "kind", "subject", "text", "since", "until", "seen_by"))


@app.command(rich_help_panel=PANEL)
def deadlines(
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those past due.")] = False,
    as_json: Json = False,
) -> None:
    """Deadlines that are open or were missed, the most urgent first."""
    from adapter.store import cases as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = rows.all_deadlines(connection, overdue=overdue, now=built.clock())
        listed = [shown.deadline(row) for row in found]
    show(listed, as_json, "Deadlines", ("id", "case", "kind", "actor", "party", "due_at", "state", "basis"))


@endpoints_app.callback()
def endpoints(context: typer.Context, as_json: Json = False) -> None:
    """Endpoints and their health."""
    if context.invoked_subcommand is not None:
        return
    from adapter.store import deliveries as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        depth: dict[str, dict[str, int]] = {}
        oldest: dict[str, Any] = {}
        for name, state, count, since in rows.queue_depth(connection):
            depth.setdefault(name or "", {})[state] = count
            oldest[name or ""] = min(filter(None, (oldest.get(name or ""), since)), default=None)
        last, paused = rows.last_attempts(connection), rows.pauses(connection)
        listed = [
            shown.endpoint(
                e.name,
                e.address,
                e.dialect,
                depth=depth.get(e.name, {}),
                oldest=oldest.get(e.name),
                last=last.get(e.name),
                paused=paused.get(e.name),
            )
            for e in built.register.endpoints
        ]
    columns = ("name", "dialect", "health", "waiting", "unreceipted", "last_attempt", "last_error")
    show(listed, as_json, "Endpoints", columns)
