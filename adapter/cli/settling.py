"""Settling: plans that have changed at both ends, and whose version a person keeps."""

from enum import StrEnum
from typing import Annotated

import typer

from adapter.cli.frame import By, Id, Json, app, did, opened, show

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
