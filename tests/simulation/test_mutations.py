"""The simulation sees what it is there to see: each guard that is taken away is missed within a few seeds.

A mutation that no seed notices is a hole in the simulation, and fails here.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from adapter.messaging.delivery import Leased
from adapter.parcels import Parcel
from adapter.scheduler.deadlines import Deadlines
from adapter.scheduler.housekeeping import Housekeeping
from adapter.store import deliveries, messages, savepoint
from adapter.store import writer as writers
from adapter.store.writer import Unit
from tests.simulation import invariants
from tests.simulation.run import live
from tests.simulation.world import Disk, Fate, InlineWriter, disk

SEEDS = 60
"""Within so many a missing guard must be found; most are within five."""


def found_within(seeds: int, invariant: str) -> int | None:
    """The first seed that breaks that invariant."""
    return next((seed for seed in range(1, seeds + 1) if _breaks(seed, invariant)), None)


def _breaks(seed: int, invariant: str) -> bool:
    try:
        return any(finding.startswith(invariant) for finding in live(seed).findings)
    except Exception as fault:  # noqa: BLE001  # what was broken on purpose may break the adapter, too
        return invariant == "stumbled" and fault is not None


def without_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement is kept at once: a unit that is cut off leaves its first half."""

    @contextmanager
    def nothing(_tx: Connection) -> Any:
        yield

    monkeypatch.setattr(savepoint, "savepoint", nothing)
    monkeypatch.setattr("adapter.inbox.savepoint", nothing)

    def run_one(connection: Connection, unit: Unit) -> tuple[Any, BaseException | None]:
        connection.connection.dbapi_connection.commit()  # the BEGIN of this batch: from here on none is open
        try:
            return unit(connection), None
        except Exception as error:  # noqa: BLE001  # as the one that it stands for
            return None, error

    monkeypatch.setattr(writers, "_run_one", run_one)


def without_the_lease_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has ever held a delivery may record."""

    def forgiving(act: Callable[..., bool]) -> Callable[..., bool]:
        def acting(tx: Connection, leased: Leased, *args: Any, **values: Any) -> bool:
            row = deliveries.get(tx, leased.id)
            assert row is not None
            return act(tx, replace(leased, fence=row["fence"]), *args, **values)

        return acting

    monkeypatch.setattr(deliveries, "change_leased", forgiving(deliveries.change_leased))
    monkeypatch.setattr(deliveries, "hand_over", forgiving(deliveries.hand_over))


def without_the_order_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message has a lane of its own, so that any of a case may be claimed."""
    monkeypatch.setattr(Parcel, "lane", property(lambda parcel: f"{parcel.message_id}:{parcel.party}"))


def without_the_duplicate_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message has ever come before, and the database has nothing against its coming twice."""

    def without_an_index(fate: Fate) -> Disk:
        made = disk(fate)
        made.look("DROP INDEX message_identity")
        return made

    monkeypatch.setattr("tests.simulation.run.disk", without_an_index)
    monkeypatch.setattr(messages, "known", lambda *_: None)


def acknowledging_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of a unit is told while it still waits to be written."""
    commit = InlineWriter._commit

    def tell_first(writer: InlineWriter, batch: list[tuple[Unit, Future[Any]]], **more: Any) -> None:
        told = [(unit, Future[Any]()) for unit, future in batch if future.done()]
        if told:
            commit(writer, told, **more)
        new = [item for item in batch if not item[1].done()]
        with writer._engine.connect() as connection, connection.begin() as transaction:
            results = [writers._run_one(connection, unit) for unit, _ in new]
            transaction.rollback()
        for (_, future), (result, error) in zip(new, results, strict=True):
            future.set_result(result) if error is None else future.set_exception(error)
        writer._waiting = new + writer._waiting

    monkeypatch.setattr(InlineWriter, "_commit", tell_first)


def never_freeing_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead worker held stays held."""
    monkeypatch.setattr(Housekeeping, "free_leases", lambda _: 0)


def firing_a_second_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the law is ahead."""
    look = Deadlines.__call__

    def early(deadlines: Deadlines) -> int:
        return look(replace(deadlines, clock=lambda: deadlines.clock() + timedelta(seconds=1)))

    monkeypatch.setattr(Deadlines, "__call__", early)


def passing_receipts_back_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody remembers which receipts have been passed back."""
    monkeypatch.setattr(deliveries, "receipted", lambda *_: False)


@pytest.mark.parametrize(
    ("mutation", "invariant"),
    [
        (without_the_transaction, invariants.ACKNOWLEDGED),
        (without_the_lease_check, invariants.LEASE),
        (without_the_order_guard, invariants.ORDER),
        (without_the_duplicate_table, invariants.ONCE),
        (acknowledging_before_the_commit, invariants.ACKNOWLEDGED),
        (never_freeing_leases, invariants.STUCK),
        (firing_a_second_early, invariants.DEADLINE),
        (passing_receipts_back_twice, invariants.ONCE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_guard_that_is_taken_away_is_missed(
    monkeypatch: pytest.MonkeyPatch, mutation: Callable[[pytest.MonkeyPatch], None], invariant: str
):
    mutation(monkeypatch)
    assert found_within(SEEDS, invariant) is not None
