"""Acting: what a person does about an endpoint, a delivery or a held message; each is noted in the history.

Several ids are one transaction: where one of them cannot be, nothing is done about the others either.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from adapter.cli.frame import By, Id, Ids, Json, app, did, listed_ids, opened, show
from adapter.cli.looking import alarms_app, endpoints_app
from adapter.discharge.pathways import FOLLOW_UP
from adapter.errors import ConfigurationError, NotFound
from adapter.messaging.envelope import masked
from adapter.messaging.register import ReceiptWhen, Side
from adapter.phrases import technical

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapter.runtime import Stations

T = TypeVar("T")

PANEL = "Act"
At = Annotated[str | None, typer.Option(help="When, as 2024-03-08T10:00:00+01:00 (default: now).")]


@endpoints_app.command()
def pause(name: str, by: By = None, as_json: Json = False) -> None:
    """Let an endpoint's messages wait."""
    from adapter.store import deliveries as rows

    with opened() as built:
        _known_endpoint(built, name)
        built.store.write(lambda tx: rows.pause(tx, name, built.clock(), by))
    did({"endpoint": name, "paused": True}, as_json, f"{name} is paused; its messages wait")


@endpoints_app.command()
def resume(name: str, as_json: Json = False) -> None:
    """Let them go again; an endpoint that rests is tried at once."""
    from adapter.store import deliveries as rows

    with opened() as built:
        _known_endpoint(built, name)
        built.store.write(lambda tx: rows.resume(tx, name))
        built.store.write(lambda tx: built.outbox.resting.end(tx, name, built.clock()))
    did({"endpoint": name, "paused": False}, as_json, f"{name} is open again")


@alarms_app.command()
def seen(ids: Ids, by: By = None, as_json: Json = False) -> None:
    """Say that you have taken notice; an alarm stays on until it ends."""
    with opened() as built:
        _each(built, ids, partial(built.outbox.alarms.see, now=built.clock(), by=by))
    did({"seen": ids}, as_json, f"seen: {listed_ids(ids)}; open until the cause is over")


@alarms_app.command()
def close(
    alarm_id: Id,
    by: Annotated[str, typer.Option("--by", help="Who has dealt with it.")],
    why: Annotated[str, typer.Option("--why", help="What was done; no name of a patient.")],
    as_json: Json = False,
) -> None:
    """End the alarm of a missed deadline by recording what was done."""
    with opened() as built:
        act = partial(built.outbox.alarms.close, now=built.clock(), by=by, why=why)
        _each(built, [alarm_id], act)
    did({"closed": alarm_id}, as_json, f"alarm {alarm_id} is over; noted in the history")


def _known_endpoint(built: "Stations", name: str) -> None:
    """NotFound unless it is one of the region, or of alarms, or `subscription/<id>` of one that there is."""
    with built.store.read() as connection:
        subscribed = built.outbox.subscriptions.endpoint(connection, name) is not None
    if built.outbox.endpoint(name) is None and not subscribed:
        there = (*built.register.endpoints, *built.outbox.alarms.endpoints)
        known = ", ".join(e.name for e in there) or "none is configured"
        raise NotFound(technical(f"there is no endpoint {name!r}; known: {known}"))


def _each(built: "Stations", ids: Sequence[int], act: Callable[["Connection", int], T]) -> list[T]:
    """Act on every id in one transaction; what came of each."""
    return built.store.write(lambda tx: [act(tx, one) for one in ids])


@app.command(rich_help_panel=PANEL)
def resend(ids: Ids, by: By = None, as_json: Json = False) -> None:
    """Send the same content once more; the schedule stays as it is."""
    with opened() as built:
        _each(built, ids, partial(built.outbox.resend, now=built.clock(), by=by))
    did({"resent": ids}, as_json, f"due at once: {listed_ids(ids)}; a running adapter sends within a second")


@app.command(rich_help_panel=PANEL)
def reissue(
    ids: Ids,
    to: Annotated[str | None, typer.Option(help="Another party.")] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Write notices anew with new ids, for a corrected address; the old deliveries are closed."""
    with opened() as built:
        if to is not None and built.register.party(to) is None:
            known = ", ".join(p.id for p in built.register.parties) or "none, without a region file"
            raise NotFound(technical(f"--to {to}: there is no such party; known: {known}"))
        if to is not None:
            _refuse_receiver(built, ids, to)
        new = _each(built, ids, partial(built.inbox.reissue, now=built.clock(), to=to, by=by))
    did(
        {"reissued": dict(zip(map(str, ids), new, strict=True))},
        as_json,
        f"new deliveries: {listed_ids(new)}",
    )


def _refuse_receiver(built: "Stations", ids: Sequence[int], to: str) -> None:
    """Where a party has no way to get a message, or sent it itself; said before anything is closed."""
    party = built.register.party(to)
    assert party is not None
    unread = built.region is not None and to in built.region.unread
    board = party.side is Side.OURS and party.receipt is ReceiptWhen.STORED and not unread
    if built.register.endpoint_of(party) is None and not board:
        raise ConfigurationError(
            f"--to {to}: has no endpoint, and nobody has said that its board is its system; in the region "
            'file name its endpoint, or write receipt = "stored", or choose another party'
        )
    with built.store.read() as connection:
        own = [one for one in ids if _sender(connection, one) == to]
    if own:
        raise ConfigurationError(
            f"--to {to}: sent delivery {listed_ids(own)} itself; name the party that is to have it"
        )


def _sender(connection: "Connection", delivery_id: int) -> str | None:
    """Who sent the message of a delivery; None where there is none."""
    from adapter.store import deliveries, messages

    row = deliveries.get(connection, delivery_id)
    message = messages.get(connection, row["message_row"]) if row and row["message_row"] else None
    return message["sender"] if message else None


@app.command(name="give-up", rich_help_panel=PANEL)
def give_up(ids: Ids, by: By = None, as_json: Json = False) -> None:
    """Stop trying to deliver."""
    with opened() as built:
        _each(built, ids, partial(built.outbox.give_up, now=built.clock(), by=by))
    did({"given_up": ids}, as_json, f"given up: {listed_ids(ids)}; tell the receiver another way")


@app.command(name="followed-up", rich_help_panel=PANEL)
def followed_up(
    case_id: Id,
    at: At = None,
    what: Annotated[
        str | None, typer.Option(help="Which follow-up, as call (default: every one that it could be).")
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Record that a patient has been followed up after discharge; it meets the follow-ups of the case."""
    with opened() as built:
        now = built.clock()
        when = _instant(at) if at is not None else now

        def record(tx: "Connection") -> list[str]:
            before = _met(built, tx, case_id, now)
            built.cases.followed_up(tx, case_id, when, now, new_id=str(uuid.uuid4()), by=by, what=what)
            return list((_met(built, tx, case_id, now) - before).elements())

        met = built.store.write(record)
    outcome = (
        f"; it meets {', '.join(met)}"
        if met
        else f", but it meets no follow-up; see what is due with `discharge-adapter explain --case {case_id}`"
    )
    did(
        {"case": case_id, "followed_up": True, "met": met},
        as_json,
        f"case {case_id}: recorded as followed up{outcome}",
    )


def _met(built: "Stations", tx: "Connection", case_id: int, now: datetime) -> Counter[str]:
    """The kinds of follow-up of a case that are met, each as often as it is."""
    told = built.cases.explained(tx, case_id, now)["deadlines"]
    return Counter(
        d["kind"] for d in told if d["kind"].startswith(FOLLOW_UP) and d["state"].startswith("met")
    )


@app.command(rich_help_panel=PANEL)
def place(
    case_id: Id,
    name: Annotated[str, typer.Argument(help="A pathway or priority group of the region.")],
    off: Annotated[bool, typer.Option("--off", help="Take the case off again.")] = False,
    at: At = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Place a case on a pathway or in a priority group; it gets the follow-ups of that."""
    if off and at is not None:
        raise ConfigurationError("--at: has no use with --off: a case that is taken off was never placed")
    with opened() as built:
        now = built.clock()
        when = _instant(at) if at is not None else now
        cases = built.cases
        if off:
            built.store.write(
                lambda tx: cases.take_off(tx, case_id, name, now, new_id=lambda: str(uuid.uuid4()), by=by)
            )
        else:
            built.store.write(
                lambda tx: cases.place(tx, case_id, name, when, now, new_id=str(uuid.uuid4()), by=by)
            )
    done = f"taken off {name}" if off else f"placed on {name}"
    did({"case": case_id, "placement": name, "placed": not off}, as_json, f"case {case_id}: {done}")


Because = Annotated[str, typer.Option("--because", help="Why, for the history; no name of a patient.")]


@app.command(name="close", rich_help_panel=PANEL)
def close_case(case_id: Id, because: Because, at: At = None, by: By = None, as_json: Json = False) -> None:
    """Say that a stay is over though no message has said so; its deadlines close, and nothing is sent."""
    from adapter.closing import close

    why = _reason(because)
    with opened() as built:
        now = built.clock()
        when = _instant(at) if at is not None else now
        built.store.write(
            lambda tx: close(
                tx, built.inbox.shelves, case_id, when, now, new_id=str(uuid.uuid4()), by=by, why=why
            )
        )
    again = f"`discharge-adapter reopen {case_id}` takes it back"
    did({"case": case_id, "state": "closed"}, as_json, f"case {case_id} is closed; {again}")


@app.command(name="reopen", rich_help_panel=PANEL)
def reopen_case(case_id: Id, because: Because, by: By = None, as_json: Json = False) -> None:
    """Take a closing by hand back: the case is again as its messages tell."""
    from adapter.closing import reopen

    why = _reason(because)
    with opened() as built:
        now = built.clock()
        built.store.write(
            lambda tx: reopen(tx, built.inbox.shelves, case_id, now, new_id=str(uuid.uuid4()), by=by, why=why)
        )
    did({"case": case_id, "reopened": True}, as_json, f"case {case_id} is open again")


@app.command(name="report-sent", rich_help_panel=PANEL)
def report_sent(case_id: Id, at: At = None, by: By = None, as_json: Json = False) -> None:
    """Tick off the report of admission that a case waits for: the municipality's own system has sent it."""
    from adapter.closing import report_sent as tick_off

    with opened() as built:
        now = built.clock()
        when = _instant(at) if at is not None else now
        shelves = built.inbox.shelves
        built.store.write(
            lambda tx: tick_off(tx, shelves, case_id, when, now, new_id=str(uuid.uuid4()), by=by)
        )
    told = f"case {case_id}: the report of admission is ticked off"
    did({"case": case_id, "report_sent": True}, as_json, told)


def _reason(text: str) -> str:
    """One line for the history; ConfigurationError where it says nothing, or may hold a person's number."""
    why = " ".join(text.split())
    if not why:
        raise ConfigurationError("--because: says nothing; write why, for the history")
    if masked(why) != why:
        raise ConfigurationError("--because: leave out what looks like an identity number")
    return why


def _instant(text: str) -> datetime:
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        made = None
    if made is None or made.tzinfo is None:
        raise ConfigurationError(f"--at {text}: is no time with an offset; write 2024-03-08T10:00:00+01:00")
    return made


@app.command(rich_help_panel=PANEL)
def release(ids: Ids, by: By = None, as_json: Json = False) -> None:
    """Take quarantined messages, after our own data has been corrected."""
    with opened() as built:
        built.rosters.look()  # an API is not asked in the middle of a unit of work
        release_one = partial(built.inbox.release, now=built.clock(), by=by)
        results = list(zip(ids, _each(built, ids, release_one), strict=True))
    told = [{"id": one, "outcome": d.outcome, "reason": d.reason, "case": d.case_id} for one, d in results]
    show(told, as_json, "Released", ("id", "outcome", "case", "reason"))
    if any(done.outcome not in ("accepted", "not-relevant") for _, done in results):
        raise typer.Exit(1)
