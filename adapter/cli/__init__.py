"""The command line: a contract that scripts depend on (docs/commands.md).

`--json` prints one JSON document and nothing else on standard output; people get tables, and hints on
standard error. Exit status: 0 done, 1 something was refused, quarantined or found wrong, 2 the command line
or the configuration is wrong.
"""

from adapter.cli import running, messages, looking, registering, readmitting, acting, settling  # noqa: I001  # the order of the help
from adapter.cli import erasing, paying, keeping, trying
import sys
from collections.abc import Sequence

from adapter.cli.frame import app, flush, say
from adapter.errors import AdapterError, ConfigurationError, NotFound

__all__ = [
    "acting", "app", "erasing", "keeping", "looking", "main", "messages", "paying", "readmitting",
    "registering", "running", "settling", "trying",
]  # fmt: skip


def main() -> None:
    """Run a command; errors become one plain sentence and an exit status."""
    from adapter.runtime import set_up_logs

    set_up_logs()
    try:
        try:
            app(_config_first(sys.argv[1:]), prog_name="discharge-adapter")
        finally:
            flush()
    except (ConfigurationError, NotFound) as error:
        say(f"discharge-adapter: {error}")
        raise SystemExit(2) from error
    except AdapterError as error:
        say(f"discharge-adapter: {error}")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        if not _of_the_machine(error):
            raise  # a fault of the program: its traceback is what helps
        say(f"discharge-adapter: {_in_words(error)}")
        raise SystemExit(1) from error


def _config_first(words: Sequence[str]) -> list[str]:
    """`--config FILE` may stand after the command as well; the application reads it before."""
    chosen: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            return [*chosen, *rest, word, *left]
        if word == "--config":
            file = next(left, None)
            if file is None:
                raise ConfigurationError("--config: the settings file is missing after it")
            chosen += [word, file]
        elif word.startswith("--config="):
            chosen.append(word)
        else:
            rest.append(word)
    return [*chosen, *rest]


def _of_the_machine(error: Exception) -> bool:
    """Whether the disk, the network or the database says so; the last without loading it to ask."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("sqlite3", "sqlalchemy")


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        what = error.strerror or type(error).__name__
        return f"{error.filename}: {what}" if error.filename else what
    cause = getattr(error, "orig", None) or error  # without the statement and its values
    return f"the store cannot be used: {(str(cause).splitlines() or [type(error).__name__])[0]}"
