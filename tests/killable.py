"""The adapter, which kills itself with SIGKILL between a commit and what the commit is told to.

`python -m tests.killable AFTER …` runs the command line; after so many commits the process is gone at the
instant at which the rows are on the disk and nobody has been answered yet.
"""

import os
import signal
import sys
from typing import Any

from sqlalchemy import text

from adapter.cli import main


def arm(after: int) -> None:
    """Count the writer's commits; at the first after so many that takes a partner's message, die after it."""
    import adapter.store.writer as writer

    whole = writer.Writer._together
    done = 0

    def fatal(self: writer.Writer, batch: list[Any]) -> list[Any]:
        nonlocal done
        before = taken(self) if done >= after else 0
        results = whole(self, batch)
        done += 1
        if done > after and taken(self) > before:
            os.kill(os.getpid(), signal.SIGKILL)
        return results

    writer.Writer._together = fatal  # type: ignore[method-assign]


def taken(writer: Any) -> int:
    """How many messages have come in over HTTP."""
    with writer._engine.connect() as connection:
        return int(
            connection.execute(text("SELECT count(*) FROM message WHERE channel = 'http'")).scalar_one()
        )


if __name__ == "__main__":
    arm(int(sys.argv.pop(1)))
    main()
