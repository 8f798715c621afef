"""Receivers in a process of their own: `python -m tests.receivers FOLDER NAME...` prints their ports as JSON.

Each logs every request to FOLDER/NAME.jsonl. `--kill PID_FILE EVERY` makes them kill the adapter at the
instant after a request has been read and before it is answered: between sending and recording.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from adapter.simulator.memory import Taken
from adapter.simulator.receivers import FhirReceiver


async def main(arguments: list[str]) -> None:
    folder, names, fatal = Path(arguments[0]), arguments[1:], None
    if "--kill" in names:
        at = names.index("--kill")
        fatal = Fatal(Path(names[at + 1]), int(names[at + 2]))
        names = names[:at]
    receivers = [
        FhirReceiver(name, clock=now, log=folder / f"{name}.jsonl", on_taken=fatal) for name in names
    ]
    for receiver in receivers:
        await receiver.start()
    sys.stdout.write(orjson.dumps({r.name: r.port for r in receivers}).decode() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class Fatal:
    """Kills the adapter once after every so many messages."""

    def __init__(self, pid_file: Path, every: int) -> None:
        self._pid_file = pid_file
        self._every = every
        self._seen = 0

    def __call__(self, _taken: Taken, _bundle: object) -> None:
        self._seen += 1
        if self._seen % self._every == 0:
            try:
                os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                return  # it is not there at this moment: killed already, and not yet started again


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the receivers' own clock; they are no part of the adapter


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
