"""A process of the adapter that kills itself with SIGKILL at one instant, forked from the test.

It dies at the Nth call of a function, `before` it or `after` it has done its work. The work is what the
adapter's own jobs do, once: `look`, `deliver`, `prune`, or a command of the command line.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from adapter.config import Region, Settings
from adapter.messaging.register import Partner
from adapter.runtime import Stations, now, stations


def arm(function: str, when: str, number: int) -> None:
    """Put the death into that function."""
    module, _, path = function.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    real, left = getattr(owner, name), [number]

    def fatal(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **more)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, fatal)


def place(folder: Path) -> Region:
    """Indre Sogn, with Årdal's folder below that one."""
    from tests.faults.conftest import with_endpoints
    from tests.stage import region

    return with_endpoints(region(), aardal={"address": str(folder / "aardal")})


def built(folder: Path, clock: Callable[[], Any] = now) -> Stations:
    """The stations over the store in that folder."""
    settings = Settings(store=f"sqlite:///{folder}/store.db", lease=timedelta(seconds=20))
    return stations(settings, region=place(folder), clock=clock)


def look(folder: Path) -> None:
    """One look into Årdal's folder."""
    from adapter.scheduler.polling import Round
    from adapter.transport.directory import DirectoryMailbox

    made = built(folder)
    box = DirectoryMailbox("aardal", folder / "aardal")
    speaker = Partner(name="aardal", parties=("aardal", "laerdal-sjukehus"))
    Round(
        name="aardal",
        channel="directory",
        mailbox=box,
        partner=speaker,
        store=made.store,
        inbox=made.inbox,
        clock=now,
    )()
    made.store.close()


def deliver(folder: Path) -> None:
    """Send what is due, once; leases that have ended are freed before."""
    from adapter.scheduler.delivering import Deliverer
    from adapter.store import deliveries

    ahead = timedelta(seconds=int(os.environ.get("AHEAD", "0")))
    made = built(folder, lambda: now() + ahead)
    made.store.write(lambda tx: deliveries.free_leases(tx, made.clock()))
    carrier = Deliverer(store=made.store, inbox=made.inbox, outbox=made.outbox, clock=made.clock)
    for future in carrier.round():
        future.result()
    carrier.stop()
    made.store.close()


def prune(folder: Path) -> None:
    """Retention, two years from now."""
    from adapter.scheduler import housekeeping

    housekeeping.PRUNED_AT_ONCE = 3
    made = built(folder, lambda: now() + timedelta(days=730))
    keep = timedelta(days=365)
    house = housekeeping.Housekeeping(
        store=made.store,
        outbox=made.outbox,
        clock=made.clock,
        keep_payloads=keep,
        keep_attempts=keep,
        keep_seen=keep,
        keep_accesses=keep,
    )
    house.prune()
    made.store.close()


def run(folder: Path, at: tuple[str, str, int] | None, work: str, *words: object, ahead: int = 0) -> int:
    """Do that work in a process of its own; its exit status, -9 where it has died as told."""
    child = os.fork()
    if child == 0:
        os._exit(_child(folder, at, work, [str(word) for word in words], ahead))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _child(folder: Path, at: tuple[str, str, int] | None, work: str, words: list[str], ahead: int) -> int:
    """Whatever comes of it, this process must not go on as a second pytest."""
    try:
        os.environ |= {"AHEAD": str(ahead), "DISCHARGE_ADAPTER_STORE": f"sqlite:///{folder}/store.db"}
        if at is not None:
            arm(*at)
        jobs = {"look": look, "deliver": deliver, "prune": prune}
        if work in jobs:
            jobs[work](folder)
            return 0
        from adapter.cli import main

        sys.argv = ["discharge-adapter", work, *words]
        main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001  # the exit status tells of it
        traceback.print_exc()
        return 1
    return 0
