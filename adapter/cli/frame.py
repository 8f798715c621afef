"""What every command shares: the application, its options, the stations it works with, and how it prints.

Documents go to standard output, everything said to people beside them to standard error.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.config import load

if TYPE_CHECKING:
    from adapter.runtime import Stations

app = typer.Typer(
    name="discharge-adapter",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Carries discharge messages between hospitals and municipalities, and keeps their deadlines.",
)

LARGEST_ID = 2**63 - 1

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it, for the history.")]
Id = Annotated[int, typer.Argument(metavar="ID", min=0, max=LARGEST_ID, help="As the lists show it.")]
Ids = Annotated[
    list[int], typer.Argument(metavar="ID...", min=0, max=LARGEST_ID, help="As the lists show them.")
]


class Chosen:
    """What was chosen before the command."""

    config: Path | None = None


@app.callback()
def _options(
    config: Annotated[Path | None, typer.Option(help="The settings file (default: adapter.toml)")] = None,
) -> None:
    Chosen.config = config


@contextmanager
def opened() -> "Iterator[Stations]":
    """The stations over the configured store, closed again afterwards."""
    from adapter.runtime import stations

    built = stations(load(Chosen.config), say=say)
    try:
        yield built
    finally:
        built.store.close()


def say(text: str) -> None:
    """A sentence to people, on standard error."""
    print(text, file=sys.stderr)  # noqa: T201  # hints go to standard error


def print_json(document: object) -> None:
    """The one document of `--json`."""
    import orjson

    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def did(document: dict[str, Any], as_json: bool, text: str) -> None:
    """What a command has done."""
    if as_json:
        print_json(document)
    else:
        print(text)  # noqa: T201  # output


def listed_ids(ids: Sequence[int]) -> str:
    """Ids in a sentence."""
    return ", ".join(str(one) for one in ids)


def show(documents: list[dict[str, Any]], as_json: bool, title: str, columns: Sequence[str]) -> None:
    """A list, as JSON or as a table."""
    if as_json:
        print_json(documents)
    else:
        table(title, columns, documents)


_WHOLE = ("id", "case", "state", "outcome", "kind", "health", "dialect", "name", "actor", "code")
_PROSE = ("error", "reason", "text", "basis", "last_error")
_PIPED = 160  # characters of a line, where no terminal tells its own width
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def table(title: str, columns: Sequence[str], documents: Sequence[dict[str, Any]]) -> None:
    """For people: instants to the minute, no word of a heading broken."""
    from rich.console import Console
    from rich.table import Table

    if not documents:
        print(f"{title}: none")  # noqa: T201  # output
        return
    made = Table(title=title, title_justify="left")
    for column in columns:
        words = column.split("_")
        made.add_column(
            " ".join(words),
            no_wrap=column in _WHOLE,
            min_width=18 if column in _PROSE else max(len(word) for word in words),
            overflow="fold",
        )
    for document in documents:
        made.add_row(*(_cell(document.get(column)) for column in columns))
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED
    Console(width=width, markup=False, highlight=False).print(made)


def _cell(value: object) -> str:
    return "" if value is None else _INSTANT.sub(r"\1 \2\3", str(value))
