"""Settling what a machine cannot: whose version of a plan is kept, and what an answer in words means."""

import uuid
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from adapter.cli.frame import LARGEST_ID, By, Id, Json, app, did, opened, show
from adapter.errors import ConfigurationError

PANEL = "Act"
conflicts_app = typer.Typer(
    help="Plans changed both here and on a partner's server, and whose version is kept.",
    invoke_without_command=True,
)
app.add_typer(conflicts_app, name="plan-conflicts", rich_help_panel=PANEL)


class Kept(StrEnum):
    """Whose version of a plan."""

    OURS = "ours"
    THEIRS = "theirs"


@conflicts_app.callback()
def plan_conflicts(context: typer.Context, as_json: Json = False) -> None:
    """Plans in conflict, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    from adapter.pushes import conflicts

    with opened() as built, built.store.read() as connection:
        listed = conflicts(connection)
    columns = ("id", "plan", "party", "version", "changed_by", "changed_there", "changed_there_at", "keep")
    shown = [
        one | {"changed_there": ", ".join(one["changed_there"])} if not as_json else one for one in listed
    ]
    show(shown, as_json, "Plans in conflict", columns, built.agreement.zone)


@conflicts_app.command()
def keep(
    whose: Annotated[Kept, typer.Argument(help="Which version.")],
    number: Id,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Keep our version, which overwrites theirs, or theirs, which becomes the next one here."""
    from adapter.pushes import keep_ours, keep_theirs

    act = keep_ours if whose is Kept.OURS else keep_theirs
    with opened() as built:
        now = built.clock()
        built.store.write(lambda tx: act(tx, built.outbox, number, now, by=by))
    done = {
        Kept.OURS: "ours is kept: it is put on their server at once, unless that has changed again",
        Kept.THEIRS: "theirs is kept: it becomes the next version here with the next look at their server",
    }
    did({"conflict": number, "keep": whose.value}, as_json, f"conflict {number}: {done[whose]}")


class Said(StrEnum):
    """What a person can say that a municipality's words mean."""

    CAN_RECEIVE = "can-receive"
    CANNOT_RECEIVE = "cannot-receive"
    NOT_KNOWN = "not-known"


@app.command(rich_help_panel=PANEL)
def classify(
    message: Annotated[
        int, typer.Argument(metavar="MESSAGE", min=0, max=LARGEST_ID, help="As the lists show it.")
    ],
    answer: Annotated[Said, typer.Argument(help="What it says.")],
    by: Annotated[str, typer.Option("--by", help="Who has read it.")],
    receive_from: Annotated[
        str | None, typer.Option("--from", help="From which day on, as 2024-03-08, where it says so.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a municipality's answer in free text means; the deadlines and the payment follow it."""
    from adapter.classifying import classify as say
    from adapter.discharge.notices import AnswerValue

    day = _day(receive_from) if receive_from is not None else None
    with opened() as built:
        case_id = built.store.write(
            lambda tx: say(
                tx,
                built.cases,
                built.outbox.subscriptions,
                message,
                AnswerValue(answer.value),
                built.clock(),
                new_id=str(uuid.uuid4()),
                by=by,
                receive_from=day,
            )
        )
    told = {
        "message": message,
        "case": case_id,
        "answer": answer.value,
        "receive_from": receive_from,
        "by": by,
    }
    since = f" from {receive_from}" if receive_from is not None else ""
    did(told, as_json, f"message {message} (case {case_id}): {answer.value}{since}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--from {text}: is no day; write 2024-03-08") from None
