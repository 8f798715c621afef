"""What many messages that wait cost: in order, by one worker or two, to far receivers, beside a dead one.

A store is filled as the adapter fills it, through the inbox, while nobody delivers; then workers drain it to
receivers that give their receipt in the response.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from adapter.config import load as load_settings
from adapter.discharge.notices import NoticeKind
from adapter.incoming import Incoming
from adapter.runtime import stations
from adapter.simulator import moulds
from adapter.simulator.moulds import Moulds, Said, Stays
from tests.conftest import _sql, packaged_postgres
from tests.rig import SENDER, Rig, rig

MANY = 100_000
FOUR = ("laerdal", "aurland", "luster", "sogndal")
EIGHT = (*FOUR, "vik", "aardal", "hoeyanger", "balestrand")

_ADMITTED, _NEEDS = Said(kind=NoticeKind.ADMITTED), Said(kind=NoticeKind.CARE_NEEDS)
_READY, _NOTE = Said(kind=NoticeKind.READY_FOR_DISCHARGE), Said(kind=NoticeKind.NOTE)
LONG = (_ADMITTED, _NEEDS, *([_NOTE] * 8), _READY, *([_NOTE] * 8), Said(kind=NoticeKind.DISCHARGED))
"""A stay of twenty messages, of which none makes another old before it has left."""


class LongStays(Stays):
    """Twenty messages a patient."""

    together = len(LONG)


def drains(count: int = MANY) -> dict[str, object]:
    """All of it; `count` messages where the issue is how many there are, fewer where it is not."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        figures = drained(place / "long", count, long=True)
        figures |= drained(place / "single", count, long=False)
        figures |= far(place / "far", max(2000, count // 10))
        figures |= dead(place / "dead", max(2000, count // 10), max(1000, count // 2))
        with packaged_postgres(place / "data") as server:
            figures |= two_workers(place / "two", server, max(2000, count // 20))
        return figures


# --- filling ----------------------------------------------------------------------------------------------


def contents(made: Rig, count: int, *, long: bool, names: Sequence[str] | None = None) -> Iterator[bytes]:
    at = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # the bench's own clock
    chosen = [made.receiver_addresses[made.names.index(name)] for name in names or made.names]
    if long:
        before, moulds.STAYS = moulds.STAYS, (LONG,)
        try:
            cast: Moulds | Stays = LongStays(SENDER, chosen, at=at)
        finally:
            moulds.STAYS = before
        cases = count // len(LONG)
        # told in turn: the second message of every stay after the first of all
        return (cast.content(stay * len(LONG) + place) for place in range(len(LONG)) for stay in range(cases))
    cast = Moulds(SENDER, chosen, at=at)
    return (cast.content(n) for n in range(count))


def fill(made: Rig, told: Iterator[bytes]) -> float:
    """Through the inbox, in this process; seconds a message."""
    made.port, made.worker_port = made.port or 1, made.worker_port or 1
    made.write_configuration()
    settings = load_settings(made.config)
    built = stations(replace_region(settings, made))
    now = built.clock()
    began, count, pending = time.perf_counter(), 0, []
    for content in told:
        prepared = built.inbox.read(Incoming(content=content))
        pending.append(built.store.submit(lambda tx, p=prepared: built.inbox.take(tx, p, now)))
        count += 1
        if len(pending) >= 500:
            assert all(one.result().outcome == "accepted" for one in pending)
            pending = []
    assert all(one.result().outcome == "accepted" for one in pending)
    built.store.close()
    return (time.perf_counter() - began) / count


def replace_region(settings, made: Rig):
    return settings.model_copy(update={"region": made.folder / "region.toml", "store": made.url_of_store})


# --- draining ---------------------------------------------------------------------------------------------


@contextmanager
def ready(folder: Path, **more: object) -> Iterator[Rig]:
    folder.mkdir(parents=True, exist_ok=True)
    with rig(folder, **more) as made:
        made.port = made.worker_port = 0
        yield made


def rate(made: Rig, workers: int, limit: float = 900.0, *, of: str = "", until: int = 0) -> float:
    """Messages a second that so many workers deliver, until all of them (or of some parties) have arrived."""
    where = f"delivery WHERE state = 'acknowledged'{of}"
    before = made.count(where)
    made.write_configuration()
    for _ in range(workers):
        made.one_more_worker()
    while made.count(where) == before:
        time.sleep(0.02)
    first, began = made.count(where), time.perf_counter()
    end, done = began + limit, first
    while done < until:
        if time.perf_counter() > end:
            raise SystemExit(f"not drained after {limit} s: {made.log()[-2000:]}")
        time.sleep(_pause(done - first, until - first, time.perf_counter() - began))
        done = made.count(where)
    return (until - first) / (time.perf_counter() - began)


def _pause(done: int, wanted: int, seconds: float) -> float:
    """Seconds until the next count, which reads the whole log and so slows what is measured.

    A quarter of what is left at the rate so far, from a tenth of a second to five.
    """
    left = seconds * (wanted - done) / done if done else 0.0
    return min(5.0, max(0.1, left / 4))


def in_order(made: Rig) -> int:
    """Lanes whose messages arrived in another order than they were enqueued."""
    place = {name: n for n, (name,) in enumerate(made.rows("SELECT message_id FROM delivery ORDER BY id"))}
    lanes = dict(made.rows("SELECT message_id, lane FROM delivery"))
    last: dict[object, int] = {}
    wrong = set()
    for arrival in sorted(made.arrivals(), key=lambda a: str(a["at"])):
        name = arrival["message_id"]
        if last.get(lanes[name], -1) > place[name]:
            wrong.add(lanes[name])
        last[lanes[name]] = max(last.get(lanes[name], -1), place[name])
    return len(wrong)


def drained(folder: Path, count: int, *, long: bool) -> dict[str, object]:
    with ready(folder, concurrency=4) as made:
        took = fill(made, contents(made, count, long=long))
        memory: list[int] = []
        began = rate_with(made, 1, count, lambda: memory.append(resident(made)))
        cases = count // len(LONG) if long else count
        name = f"drain: {count} messages over {cases} cases"
        size = sum(f.stat().st_size for f in folder.glob("store.db*"))
        return {
            f"{name} (messages/s)": round(began, 1),
            f"{name}: lanes out of order": in_order(made),
            f"{name}: memory at a tenth / at the end (MiB)": f"{memory[len(memory) // 10]} / {memory[-1]}",
            f"{name}: taken in (messages/s, one process)": round(1 / took, 1),
            f"{name}: stored bytes a message": size // count,
        }


def rate_with(made: Rig, workers: int, count: int, look: Callable[[], None]) -> float:
    """The rate, and something looked at every second."""
    import threading

    stop = threading.Event()

    def looking() -> None:
        while not stop.wait(1.0):
            if made.others:
                look()

    watcher = threading.Thread(target=looking)
    watcher.start()
    try:
        return rate(made, workers, until=count)
    finally:
        stop.set()
        watcher.join()
        look()


def resident(made: Rig) -> int:
    """MiB of the workers."""
    import psutil

    return sum(psutil.Process(number).memory_info().rss for number in made.others) >> 20


def far(folder: Path, count: int) -> dict[str, object]:
    with ready(folder, names=FOUR, concurrency=8, faults="slow=*:50ms") as made:
        fill(made, contents(made, count, long=False))
        found = rate(made, 1, until=count)
        return {"drain: receivers 50 ms away, 32 sends at a time, one worker (messages/s)": round(found, 1)}


def two_workers(folder: Path, server: str, count: int) -> dict[str, object]:
    figures: dict[str, object] = {}
    rates = []
    for workers in (0, 1, 2):
        name = f"drain_{workers}"
        _sql(server, f"CREATE DATABASE {name}" + (" TEMPLATE drain_0" if workers else ""))
        url = make_url(server).set(database=name, drivername="postgresql")
        store = url.render_as_string(hide_password=False)
        with ready(folder / name, names=FOUR, concurrency=2, faults="slow=*:20ms", store=store) as made:
            if not workers:
                fill(made, contents(made, count, long=False))
                continue
            rates.append(rate(made, workers, until=count))
    figures["drain: PostgreSQL, receivers that take 20 ms, 8 sends a worker: one (messages/s)"] = round(
        rates[0], 1
    )
    figures["drain: … two workers"] = f"{rates[1]:.1f} = {rates[1] / rates[0]:.2f} times one"
    return figures


def dead(folder: Path, count: int, waiting: int) -> dict[str, object]:
    """Seven receivers get `count`, the eighth is down and has so many waiting."""
    rates = []
    living = EIGHT[:-1]
    for name, many in (("without", 0), ("with", waiting)):
        with ready(folder / name, names=EIGHT, faults=f"down={EIGHT[-1]}:10m") as made:
            if many:
                fill(made, contents(made, many, long=True, names=EIGHT[-1:]))
            fill(made, (c for c in shifted(made, count, living)))
            others = f" AND party <> '{EIGHT[-1]}'"
            rates.append(rate(made, 1, of=others, until=count))
    return {
        f"drain: seven receivers, an eighth dead with {waiting} waiting (messages/s)": round(rates[1], 1),
        "drain: … against none waiting for it": f"{rates[1] / rates[0]:.3f} times",
    }


def shifted(made: Rig, count: int, names: Sequence[str]) -> Iterator[bytes]:
    """Patients that no long stay has."""
    at = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # the bench's own clock
    chosen = [made.receiver_addresses[made.names.index(name)] for name in names]
    cast = Moulds(SENDER, chosen, at=at, seed=1)
    return (cast.content(1_000_000 + n) for n in range(count))
