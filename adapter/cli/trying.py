"""Trying whether alarms arrive: one test alarm, by mail and webhook, through the delivery log like any."""

from functools import partial
from typing import TYPE_CHECKING, Any

from adapter.cli.frame import Json, opened, print_json, put
from adapter.cli.looking import alarms_app
from adapter.errors import ConfigurationError
from adapter.phrases import phrase

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapter.runtime import Stations

SUBJECT = "test alarm"

AHEAD = (
    "it was not tried, for an earlier one waits there; `discharge-adapter deliveries --state waiting` shows "
    "it and its fault, and `resend ID` tries it at once"
)

ROUNDS = 100
"""Looks at what came of it, a tenth of a second apart where a running adapter may be sending it."""


@alarms_app.command()
def test(as_json: Json = False) -> None:
    """Send one test alarm to everybody who is told of alarms, and say what came of it."""
    import typer

    with opened() as built:
        if not built.outbox.alarms.endpoints:
            raise ConfigurationError(
                "alarms go nowhere but on the pages: set server, sender and to in [mail], or alarm_webhook"
            )
        found = _tried(built)
    if as_json:
        print_json(found)
    else:
        for one in found:
            put(f"{one['to']}: " + ("taken" if one["taken"] else f"not taken: {one['error']}"))
    if not all(one["taken"] for one in found):
        raise typer.Exit(1)


def _tried(built: "Stations") -> list[dict[str, Any]]:
    """Start the alarm, carry its deliveries, and take back what did not go."""
    from time import sleep

    from adapter.store import alarms as rows
    from adapter.store import deliveries

    ids = built.store.write(lambda tx: _started(built, tx))
    for _ in range(ROUNDS):
        if not _carried(built):
            with built.store.read() as tx:
                if all(deliveries.attempts(tx, [number]) for number in ids):
                    break
            sleep(0.1)
    with built.store.read() as tx:
        found = [_came_of(built, tx, number) for number in ids]
    for one in found:
        if not one["taken"]:
            built.store.write(partial(_given_up, built, one["delivery"]))
    built.store.write(lambda tx: rows.end(tx, kind="test", subject=SUBJECT, now=built.clock()))
    return found


def _given_up(built: "Stations", number: int, tx: "Connection") -> None:
    why = phrase("a test, which is not tried again")
    built.outbox.close(tx, number, why, built.clock(), by=None)


def _started(built: "Stations", tx: "Connection") -> list[int]:
    """The deliveries of a new test alarm."""
    from adapter.store import alarms as rows
    from adapter.store import deliveries

    now, alarms = built.clock(), built.outbox.alarms
    rows.end(tx, kind="test", subject=SUBJECT, now=now)  # one that was broken off
    alarms.start(tx, kind="test", subject=SUBJECT, text=phrase("A test: nothing is wrong."), now=now)
    number = rows.number(tx, "test", SUBJECT)
    assert number is not None
    posted = deliveries.sent_as(tx, f"alarm-{number}-started", None)
    return [*([posted["id"]] if posted else []), *built.telling.test(tx, number, now)]


def _carried(built: "Stations") -> int:
    """Send what is due for those who are told of alarms; how many that were."""
    wanted = {endpoint.name: 1 for endpoint in built.outbox.alarms.endpoints}
    leased = built.store.write(lambda tx: built.outbox.claim(tx, wanted, built.clock()))
    for one in leased:
        reply = built.outbox.send(one)
        built.store.write(partial(built.outbox.record, leased=one, reply=reply, now=built.clock()))
    return len(leased)


def _came_of(built: "Stations", tx: "Connection", number: int) -> dict[str, Any]:
    import orjson

    from adapter.parcels import MAIL
    from adapter.store import deliveries, messages

    row = deliveries.get(tx, number)
    assert row is not None
    to = "the webhook"
    if row["endpoint"] == MAIL:
        to = orjson.loads(messages.content(tx, row["payload"]) or b"{}").get("to", "mail")
    taken = row["sent_at"] is not None
    why = None if taken else row["error"] or AHEAD
    return {"to": to, "delivery": number, "taken": taken, "error": why}
