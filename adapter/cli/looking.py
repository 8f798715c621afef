"""Looking: what is in the store, as `store.shown` tells it."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.frame import Id, Json, Limit, app, opened, print_json, put, say, show, table
from adapter.errors import ConfigurationError, NotFound
from adapter.phrases import technical

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapter.cases import Cases
    from adapter.store.statements import Row

PANEL = "Look"

SHOWN = {"cases": 500, "alarms": 500, "quarantine": 500, "deadlines": 1000, "deliveries": 5000}
"""How long a table gets at most where `--limit` says nothing."""

_READMISSION = {"readmission": "a readmission", "possible": "possibly a readmission"}

endpoints_app = typer.Typer(
    help="Where messages are sent, and how each place is.", invoke_without_command=True
)
alarms_app = typer.Typer(help="What needs a person, and who has dealt with it.", invoke_without_command=True)
app.add_typer(alarms_app, name="alarms", rich_help_panel=PANEL)
app.add_typer(endpoints_app, name="endpoints", rich_help_panel=PANEL)


def _found(
    query: "Callable[[int | None], list[Row]]", what: str, limit: int | None, as_json: bool
) -> "list[Row]":
    """The rows of a list; a table that is cut off says so, a document is whole unless `--limit` is given."""
    most = limit if limit is not None or as_json else SHOWN[what]
    if most is None:
        return query(None)
    rows = query(most + 1)
    if len(rows) > most and not as_json:
        say(f"only the first {most} are shown; --limit N shows more, --json all")
    return rows[:most]


@app.command(rich_help_panel=PANEL)
def cases(limit: Limit = None, as_json: Json = False) -> None:
    """Every case, the latest change first."""
    from adapter.store import cases as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = _found(lambda most: rows.listed(connection, limit=most), "cases", limit, as_json)
        whole = partial(_with_planning, built.inbox.cases) if as_json else shown.case
        listed = [whole(connection, row) for row in found]
    show(
        listed if as_json else [_in_days(document, built.agreement.zone) for document in listed],
        as_json,
        "Cases",
        ("id", "patient", "hospital", "municipality", "state", "ready_at", "discharged_at"),
        built.agreement.zone,
    )


def _with_planning(cases: "Cases", connection: "Connection", row: "Row") -> dict[str, Any]:
    from adapter.discharge.planning import document
    from adapter.store import shown

    return shown.case(connection, row, cases.roles) | {
        "planning": document(cases.planning(connection, row["id"]))
    }


@app.command(rich_help_panel=PANEL)
def case(case_id: Id, as_json: Json = False) -> None:
    """One case: its planning, notices, deadlines and deliveries."""
    from adapter.store import cases as rows

    with opened() as built, built.store.read() as connection:
        row = rows.get(connection, case_id)
        if row is None:
            raise NotFound(technical(f"there is no case {case_id}; `discharge-adapter cases` lists them"))
        document = _with_planning(built.inbox.cases, connection, row)
    if as_json:
        print_json(document)
        return
    zone = built.agreement.zone
    columns: tuple[str, ...] = (
        "id",
        "patient",
        "hospital",
        "municipality",
        "state",
        "admitted_at",
        "ready_at",
        "discharged_at",
    )
    table("Case", columns, [_in_days(document, zone)], zone)
    if document["readmission_of"] is not None:
        what = _READMISSION[document["readmission"]]
        put(f"{what} after the discharge of case {document['readmission_of']}")
    for later in document["readmissions"]:
        put(f"followed by case {later['case']}: {_READMISSION[later['readmission']]}")
    if document["reserved"]:
        put("The patient has reserved against passing this on: only the addressed receiver may have it.")
    if document["placements"]:
        table("Placed on", ("name", "at"), document["placements"], zone)
    _planning(document["planning"], zone)
    table("Notices", ("occurred", "kind", "standing", "sender", "sent_at"), document["notices"], zone)
    changed = [
        {"notice": n["kind"], "sent_at": n["sent_at"]} | one
        for n in document["notices"]
        for one in n["changes"]
    ]
    if changed:
        table("What corrections changed", ("notice", "sent_at", "what", "old", "new"), changed, zone)
    for number in _unclassified(document["notices"]):
        put(
            f"message {number} is an answer in free text; when you have read it, say what it means with"
            f" `discharge-adapter classify {number}`"
        )
    table("Deadlines", ("kind", "actor", "due_at", "state", "basis"), document["deadlines"], zone)
    columns = ("id", "standing", "kind", "party", "state", "sent_at", "accepted_at")
    table("Deliveries", columns, document["deliveries"], zone)


def _unclassified(notices: list[dict[str, Any]]) -> list[int]:
    """The messages whose words nobody has classified yet."""
    done = {n["refers_to"] for n in notices if n["kind"] == "answer" and n["standing"] != "new"}
    waiting = (n for n in notices if n["answer"] == "unclassified" and n["message_id"] not in done)
    return [n["message"] for n in waiting if n["message"] is not None]


def _planning(found: dict[str, Any], zone: tzinfo) -> None:
    """How far the planning has come, in a line, and each plan in a row; nothing where none has begun."""
    from adapter.discharge.planning import ConsentState, PlanningState

    consent, meeting = found["consent"], found["meeting"]
    if found["state"] == PlanningState.NOT_STARTED and consent["state"] == ConsentState.NONE:
        return
    line = {"planning": found["state"], "consent": consent["state"]}
    line["contact"] = ", ".join(contact["party"] for contact in found["contacts"]) or None
    line["called_by"] = found["called"]["by"] if found["called"] else None
    line["meeting"] = meeting["starts"] if meeting else None
    table("Planning", tuple(line), [line], zone)
    if found["plans"]:
        columns = ("id", "kind", "state", "versions", "changed_at", "tasks", "tasks_done")
        table("Plans", columns, found["plans"], zone)


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
        str | None, typer.Option(help="waiting, leased, sent, acknowledged, refused, given-up, cancelled")
    ] = None,
    *,
    awaiting: Annotated[
        bool, typer.Option("--awaiting", help="Only those whose receipt is awaited.")
    ] = False,
    limit: Limit = None,
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
        found = _found(
            lambda most: rows.listed(connection, state=state, awaiting=awaiting, limit=most),
            "deliveries",
            limit,
            as_json,
        )
        listed = shown.deliveries(connection, found)
    columns = ("id", "case", "standing", "kind", "party", "state", "next_attempt_at", "error")
    show(listed, as_json, "Deliveries", columns, built.agreement.zone)


@app.command(rich_help_panel=PANEL)
def delivery(delivery_id: Id, as_json: Json = False) -> None:
    """One delivery and its attempts."""
    from adapter.store import deliveries as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        row = rows.get(connection, delivery_id)
        if row is None:
            text = f"there is no delivery {delivery_id}; `discharge-adapter deliveries` lists them"
            raise NotFound(technical(text))
        (document,) = shown.deliveries(connection, [row])
    if as_json:
        print_json(document)
        return
    table(
        "Delivery",
        ("id", "case", "standing", "kind", "party", "state", "sent_at", "delivered_at", "accepted_at"),
        [document],
        built.agreement.zone,
    )
    columns = ("at", "sending", "trigger", "status", "outcome", "ms", "error")
    table("Attempts", columns, document["attempts"], built.agreement.zone)


@app.command(rich_help_panel=PANEL)
def quarantine(limit: Limit = None, as_json: Json = False) -> None:
    """What is held without a receipt, and what was refused, each with its reason."""
    from adapter.store import messages as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = _found(lambda most: rows.held(connection, most), "quarantine", limit, as_json)
        listed = [shown.held(row) for row in found]
    columns = ("id", "outcome", "received_at", "sender", "type", "code", "reason")
    show(listed, as_json, "Held messages", columns, built.agreement.zone)


@app.command("not-relevant", rich_help_panel=PANEL)
def not_relevant(
    days: Annotated[int, typer.Option(min=1, max=36500, help="How far back.")] = 30, as_json: Json = False
) -> None:
    """How many messages were about none of a party's own, so that nothing of them was kept: numbers only."""
    from adapter.store import messages as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = rows.not_relevant(connection, built.clock() - timedelta(days=days))
    listed = [shown.not_relevant(row) for row in found]
    title = f"Not relevant, in the last {days} days"
    show(listed, as_json, title, ("sender", "type", "count", "again", "last"), built.agreement.zone)


@alarms_app.callback()
def alarms(context: typer.Context, limit: Limit = None, as_json: Json = False) -> None:
    """Alarms, those that are on first."""
    if context.invoked_subcommand is not None:
        return
    from adapter.store import alarms as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = _found(lambda most: rows.listed(connection, limit=most), "alarms", limit, as_json)
        listed = [shown.alarm(row) for row in found]
    columns = ("id", "kind", "case", "subject", "text", "since", "until", "seen_by")
    show(listed, as_json, "Alarms", columns, built.agreement.zone)


@app.command(rich_help_panel=PANEL)
def deadlines(
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those past due.")] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Deadlines that are open or were missed, the most urgent first."""
    from adapter.store import cases as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        found = _found(
            lambda most: rows.all_deadlines(connection, overdue=overdue, now=built.clock(), limit=most),
            "deadlines",
            limit,
            as_json,
        )
        listed = [shown.deadline(row) for row in found]
    columns = ("id", "case", "kind", "actor", "party", "due_at", "state", "basis")
    show(listed, as_json, "Deadlines", columns, built.agreement.zone)


@endpoints_app.callback()
def endpoints(context: typer.Context, as_json: Json = False) -> None:
    """Endpoints and their health."""
    if context.invoked_subcommand is not None:
        return
    from adapter.store import deliveries as rows
    from adapter.store import endpoint_health, shown

    with opened() as built, built.store.read() as connection:
        depth: dict[str, dict[str, int]] = {}
        oldest: dict[str, Any] = {}
        for name, state, count, since in rows.queue_depth(connection):
            depth.setdefault(name or "", {})[state] = count
            oldest[name or ""] = min(filter(None, (oldest.get(name or ""), since)), default=None)
        last, paused = rows.last_attempts(connection), rows.pauses(connection)
        ailing = endpoint_health.ailing(connection)
        listed = [
            shown.endpoint(
                e.name,
                e.address,
                e.dialect,
                depth=depth.get(e.name, {}),
                oldest=oldest.get(e.name),
                last=last.get(e.name),
                paused=paused.get(e.name),
                ailing=ailing.get(e.name),
                now=built.clock(),
            )
            for e in built.register.endpoints
        ]
    rest = ("resting_since", "next_probe") if any(one["next_probe"] for one in listed) else ()
    columns = ("name", "dialect", "health", *rest, "waiting", "unreceipted", "last_attempt", "last_error")
    show(listed, as_json, "Endpoints", columns, built.agreement.zone)


@app.command(rich_help_panel=PANEL)
def duties(as_json: Json = False) -> None:
    """What only one process does at a time, and which one does it now."""
    from adapter.store import duties as rows
    from adapter.store import shown

    with opened() as built, built.store.read() as connection:
        now = built.clock()
        listed = [shown.duty(row, now) for row in rows.listed(connection)]
    show(listed, as_json, "Duties", ("name", "holder", "until", "held"), built.agreement.zone)
