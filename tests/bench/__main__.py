"""`make bench`: how fast, on this machine, load generator and receivers included. Nothing here is a test.

Every figure is of real processes on loopback: the adapter with its embedded store (synchronous FULL, every
message validated), five receivers that answer with a receipt in the response, one load generator.
"""

import argparse
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson

from adapter.simulator.load import Load, begin_apart, finish
from tests.bench.boards import boards
from tests.bench.drains import MANY, drains
from tests.bench.fhir import PATIENTS, fhir
from tests.bench.law import law
from tests.bench.searching import DELIVERIES, search
from tests.bench.year import CASES
from tests.rig import SENDER, TOKEN, Rig, rig


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--backlog", type=int, default=20000)
    parser.add_argument("--waiting", type=int, default=MANY)
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--deliveries", type=int, default=DELIVERIES)
    parser.add_argument(
        "--only",
        choices=(
            "through",
            "offered",
            "drain",
            "start",
            "steps",
            "law",
            "fhir",
            "norway",
            "drains",
            "boards",
            "search",
        ),
        default=None,
    )
    parser.add_argument("--cases", type=int, default=CASES, help="of the region's year")
    parser.add_argument(
        "--keep", type=Path, help="the folder in which a filled store stays, for the next time"
    )
    parser.add_argument("--role", choices=("all", "apart"), default="apart")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "roles": "one process" if chosen.role == "all" else "web and worker, two processes",
        "date": datetime.now(UTC).date().isoformat(),  # noqa: TID251  # the bench's own clock
    }
    parts = {
        "start": start,
        "through": lambda: through(chosen.messages, chosen.role),
        "offered": lambda: offered(100, 30, chosen.role),
        "drain": lambda: drain(chosen.backlog, chosen.role),
        "steps": steps,
        "norway": norway,
        "law": law,
        "fhir": lambda: fhir(chosen.patients),
        "drains": lambda: drains(chosen.waiting),
        "search": lambda: search(chosen.deliveries),
        "boards": lambda: boards(chosen.keep, chosen.cases),
    }
    for name, measure in parts.items():
        if chosen.only in (None, name):
            figures |= measure()
            if not chosen.json:
                say(name, figures)
    if chosen.json:
        print(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode())


_SAID: set[str] = set()


def say(part: str, figures: dict[str, object]) -> None:
    for name, value in figures.items():
        if name not in _SAID:
            _SAID.add(name)
            print(f"{name:<44} {value}", flush=True)


def folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="bench-")


def load(made: Rig, count: int, **more: object) -> Load:
    return Load(
        url=made.url,
        token=TOKEN,
        sender=SENDER,
        receivers=made.receiver_addresses,
        at=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251  # the bench's own clock
        count=count,
        **more,  # type: ignore[arg-type]
    )


def quiet(made: Rig, count: int, limit: float = 240.0) -> float:
    """Wait until so many messages have their receipt; returns when that was."""
    until = time.perf_counter() + limit
    while time.perf_counter() < until:
        if made.count("attempt") >= count and made.unfinished() == 0:
            return time.perf_counter()
        time.sleep(0.1)
    raise SystemExit(f"not quiet after {limit} s: {made.log()[-2000:]}")


def lost(made: Rig, acknowledged: "tuple[str, ...]") -> int:
    arrived = {a["message_id"] for a in made.arrivals()}
    return len(set(acknowledged) - arrived)


def start() -> dict[str, object]:
    with folder() as path, rig(Path(path)) as made:
        made.start()
        first = made.ready_after
        made.kill()
        made.start()
        return {"ready to serve, empty store / existing (s)": f"{first:.2f} / {made.ready_after:.2f}"}


def through(count: int, role: str) -> dict[str, object]:
    with folder() as path, rig(Path(path)) as made:
        made.start(role=role)
        warm = finish(begin_apart(load(made, 200, connections=4)))
        quiet(made, 200)
        commits = made.commits()
        cpu = made.cpu()
        began = time.perf_counter()
        result = finish(begin_apart(load(made, count, connections=32, first=1000)))
        seconds = quiet(made, count + 200) - began
        memory = made.memory()
        cpu = made.cpu() - cpu
        commits = made.commits() - commits
        missing = lost(made, result.acknowledged + warm.acknowledged)
        made.adapter.terminate()
        made.adapter.wait()
        stored = sum(f.stat().st_size for f in Path(path).glob("store.db*"))
        payload = sum(len(load(made, 1).moulds().content(1000 + n)) for n in range(0, count, 100)) * 100
        return {
            "accepted, forwarded, receipted (messages/s)": round(count / seconds, 1),
            "  accepted (messages/s)": round(result.rate, 1),
            "  accept p50 / p99 (ms), unbounded load": f"{result.p50_ms:.1f} / {result.p99_ms:.1f}",
            "  lost": missing,
            "  commits per message": round(commits / count, 2),
            "  processor time of the adapter (ms/message)": round(cpu * 1000 / count, 2),
            "  resident memory of the adapter (MiB)": round(memory / 2**20, 1),
            "  stored / payload": round(stored / (payload * (count + 200) / count), 2),
        }


def offered(rate: float, seconds: int, role: str) -> dict[str, object]:
    with folder() as path, rig(Path(path)) as made:
        made.start(role=role)
        finish(begin_apart(load(made, 100, connections=4)))
        quiet(made, 100)
        commits = made.commits()
        count = int(rate * seconds)
        result = finish(begin_apart(load(made, count, connections=16, rate=rate, first=1000)))
        quiet(made, count + 100)
        commits = made.commits() - commits
        return {
            f"at {rate:.0f}/s offered: accept p50 / p99 / max (ms)": (
                f"{result.p50_ms:.1f} / {result.p99_ms:.1f} / {result.max_ms:.1f}"
            ),
            f"at {rate:.0f}/s offered: commits per message": round(commits / count, 2),
            f"at {rate:.0f}/s offered: lost": lost(made, result.acknowledged),
        }


def drain(count: int, role: str) -> dict[str, object]:
    with folder() as path, rig(Path(path)) as made:
        made.start(role="web")
        result = finish(begin_apart(load(made, count, connections=16)))
        made.kill()
        made.start(role=role)
        before, cpu, began = made.count("attempt"), made.cpu(), time.perf_counter()
        seconds = quiet(made, count) - began
        cpu, memory = made.cpu() - cpu, made.memory()
        return {
            f"drain of {count} (messages/s)": round((count - before) / seconds, 1),
            "  processor time of the adapter, draining (ms/message)": round(cpu * 1000 / (count - before), 2),
            "  resident memory of the adapter after the drain (MiB)": round(memory / 2**20, 1),
            "  lost after the drain": lost(made, result.acknowledged),
            "  accepted with nobody sending (messages/s)": round(result.rate, 1),
        }


def norway() -> dict[str, object]:
    from tests.bench.norway import cost

    return cost()


def steps() -> dict[str, object]:
    from tests.bench.steps import cost_per_step

    return cost_per_step()


if __name__ == "__main__":
    main()
