"""The command line: a contract that scripts depend on (docs/commands.md).

`--json` prints one JSON document and nothing else on standard output; people get tables, and hints on
standard error. Exit status: 0 done, 1 something was refused, quarantined or found wrong, 2 the command line
or the configuration is wrong.
"""

from adapter.cli import running, messages, looking, acting, paying, keeping  # noqa: I001  # the order of the help
from adapter.cli.frame import app, say
from adapter.errors import AdapterError, ConfigurationError, NotFound

__all__ = ["acting", "app", "keeping", "looking", "main", "messages", "paying", "running"]


def main() -> None:
    """Run a command; errors become one plain sentence and an exit status."""
    from adapter.runtime import set_up_logs

    set_up_logs()
    try:
        app(prog_name="discharge-adapter")
    except (ConfigurationError, NotFound) as error:
        say(f"discharge-adapter: {error}")
        raise SystemExit(2) from error
    except AdapterError as error:
        say(f"discharge-adapter: {error}")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
