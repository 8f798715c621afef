"""Receivers in a process of their own: `python -m tests.receivers FOLDER FAULTS NAME...` prints their ports.

Each logs every request to FOLDER/NAME.jsonl. A file FOLDER/kill orders a death: "PID AFTER" makes them
kill that process once, after so many messages, at the instant after a request has been read and before it is
answered: between sending and recording.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from adapter.simulator.faults import Faults
from adapter.simulator.memory import Taken
from adapter.simulator.receivers import FhirReceiver

ORDER = "kill"


async def main(arguments: list[str]) -> None:
    folder, faults, names = Path(arguments[0]), Faults.parse(arguments[1]), arguments[2:]
    fatal = Fatal(folder / ORDER)
    receivers = [
        FhirReceiver(name, clock=now, faults=faults, log=folder / f"{name}.jsonl", on_taken=fatal)
        for name in names
    ]
    for receiver in receivers:
        await receiver.start()
    sys.stdout.write(orjson.dumps({r.name: r.port for r in receivers}).decode() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class Fatal:
    """Kills the process that the order names, once, after so many messages; the order goes with it."""

    def __init__(self, order: Path) -> None:
        self._order = order
        self._said = ""
        self._left = 0

    def __call__(self, _taken: Taken, _bundle: object) -> None:
        try:
            said = self._order.read_text()
        except OSError:
            return
        pid, after = said.split()
        self._left = self._left - 1 if said == self._said else int(after)
        self._said = said
        if self._left <= 0:
            self._order.unlink()
            os.kill(int(pid), signal.SIGKILL)


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the receivers' own clock; they are no part of the adapter


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
