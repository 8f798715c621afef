"""The adapter, which kills itself with SIGKILL between a commit and what the commit is told to.

`python -m tests.killable AFTER …` runs the command line; after so many commits the process is gone at the
instant at which the rows are on the disk and nobody has been answered yet.
"""

import os
import signal
import sys

from adapter.cli import main


def arm(after: int) -> None:
    """Count the writer's commits; at the last one, die right after it."""
    import adapter.store.writer as writer

    whole = writer.Writer._commit
    done = 0

    def fatal(self: writer.Writer, batch: list[object]) -> None:
        nonlocal done
        done += 1
        if done < after:
            whole(self, batch)  # type: ignore[arg-type]
            return
        with self._engine.begin() as connection:
            for unit, _future in batch:  # type: ignore[misc]
                writer._run_one(connection, unit)
        os.kill(os.getpid(), signal.SIGKILL)

    writer.Writer._commit = fatal  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(int(sys.argv.pop(1)))
    main()
