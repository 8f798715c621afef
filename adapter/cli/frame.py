"""What every command shares: the application, its options, the stations it works with, and how it prints.

Documents go to standard output, everything said to people beside them to standard error.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.config import load
from adapter.errors import OutputError

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


Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, max=10**9, help="Show so many at most; --json shows all without it."),
]


class Chosen:
    """What was chosen before the command."""

    config: Path | None = None


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        put(f"discharge-adapter {version('discharge-adapter')}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option(help="The settings file (default: adapter.toml); also after the command."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    Chosen.config = config


@contextmanager
def opened(*, create: bool = False) -> "Iterator[Stations]":
    """The stations over the configured store, closed again afterwards; `create` makes one that is missing."""
    from adapter.runtime import stations

    built = stations(load(Chosen.config), say=say, create=create)
    try:
        yield built
    finally:
        built.store.close()


def say(text: str) -> None:
    """A sentence to people, on standard error; nobody reads it where that is closed or full."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # hints go to standard error


def put(text: str) -> None:
    """What a command has to print, and a line's end."""
    try:
        sys.stdout.write(f"{text}\n")
    except OSError as error:
        raise _unwritable(error) from error


def flush() -> None:
    """Whatever is still on its way to standard output; OutputError where that does not take it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> OutputError:
    with suppress(OSError):  # or Python would try once more at its end, and say so in its own way
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return OutputError("whoever reads standard output closed it before all was written")
    return OutputError(f"standard output cannot be written: {error.strerror}")


def print_json(document: object) -> None:
    """The one document of `--json`."""
    import orjson

    put(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str).decode())


def did(document: dict[str, Any], as_json: bool, text: str) -> None:
    """What a command has done."""
    if as_json:
        print_json(document)
    else:
        put(text)


def listed_ids(ids: Sequence[int]) -> str:
    """Ids in a sentence."""
    return ", ".join(str(one) for one in ids)


def show(
    documents: list[dict[str, Any]],
    as_json: bool,
    title: str,
    columns: Sequence[str],
    zone: tzinfo | None = None,
) -> None:
    """A list, as JSON or as a table on the clock of `zone`."""
    if as_json:
        print_json(documents)
    else:
        table(title, columns, documents, zone)


_WHOLE = ("id", "case", "state", "outcome", "kind", "health", "dialect", "name", "actor", "code")
_NAMES = ("patient", "party", "hospital", "municipality", "sender")
_PROSE = ("error", "reason", "text", "basis", "last_error", "why")
_READABLE, _NARROW = 18, 10  # the least widths of a column of prose
_PIPED = 160  # characters of a line, where no terminal tells its own width
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def table(
    title: str, columns: Sequence[str], documents: Sequence[dict[str, Any]], zone: tzinfo | None = None
) -> None:
    """For people: no word of a heading broken, instants to the minute, on the clock of `zone`.

    Where the terminal is too narrow, more is folded; nothing is cut off.
    """
    from rich.console import Console
    from rich.table import Table

    if not documents:
        put(f"{title}: none")
        return
    drawn = StringIO()
    console = Console(
        file=drawn,
        width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED,
        markup=False,
        highlight=False,
        force_terminal=sys.stdout.isatty() or None,
    )
    rows = [[_cell(document.get(column), zone) for column in columns] for document in documents]
    widths = _widths(columns, rows, console.width)
    made = Table(title=title, title_justify="left")
    for column, width in zip(columns, widths, strict=True):
        made.add_column(" ".join(column.split("_")), width=width, overflow="fold")
    for row in rows:
        made.add_row(*row)
    console.print(made)
    put(drawn.getvalue().rstrip("\n"))


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """How wide each column is: what must stay on one line first, then headings, then as much as there is."""
    from rich.cells import cell_len

    headings = [" ".join(column.split("_")) for column in columns]
    longest = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    room -= 3 * len(columns) + 1  # the lines between them
    made: list[int] = []
    all_short = [column for column in columns if column not in _PROSE]
    for prose, whole in (
        (_READABLE, all_short),
        (_NARROW, all_short),
        (_READABLE, (*_WHOLE, *_NAMES)),
        (_NARROW, (*_WHOLE, *_NAMES)),
        (_NARROW, _WHOLE),
        (_NARROW, ()),
        (1, ()),
    ):
        made = [
            most if column in whole else min(most, prose if column in _PROSE or prose == 1 else word)
            for column, most in zip(columns, longest, strict=True)
            for word in [max(len(word) for word in column.split("_"))]
        ]
        if sum(made) <= room:
            break
    for _ in range(room - sum(made)):
        wanting = [place for place, most in enumerate(longest) if made[place] < most]
        if not wanting:
            break
        made[min(wanting, key=lambda place: made[place])] += 1
    return made


def _cell(value: object, zone: tzinfo | None) -> str:
    def told(found: re.Match[str]) -> str:
        day, time, offset = found.groups()
        if zone is None:
            return f"{day} {time}{offset}"
        local = datetime.fromisoformat(found.group()).astimezone(zone)
        return local.strftime("%Y-%m-%d %H:%M")

    return "" if value is None else _INSTANT.sub(told, str(value))
