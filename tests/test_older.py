"""A process of the older version goes on over the upgraded store; what it leaves out is put right."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from adapter.discharge.notices import NoticeKind
from adapter.ledger import Ledger
from adapter.owing import Owing
from adapter.scheduler.naming import Naming
from adapter.scheduler.older import Older
from adapter.scheduler.reckoning import Reckoning
from adapter.store import protections
from adapter.store.older import Missed
from adapter.store.retention import beside
from adapter.store.tables import case, protection, resource, resource_token, resource_version
from tests.conftest import StandingClock
from tests.stage import Stage, answering, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Synnøve is ready for two days and a half, which is counted; she lies on the shelves."""
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        assert made.receive(made.message(kind)).outcome == "accepted"
        made.deliver()
        clock.forward(hours=1)
    made.built.shelves.catch_up()
    clock.forward(days=2)
    count(made)
    yield made
    made.close()


def count(play: Stage) -> int:
    owing = Owing(cases=play.built.cases)
    return Reckoning(store=play.built.store, owing=owing, clock=play.clock)()


def caught_up(play: Stage) -> Missed:
    return Older(store=play.built.store)()


def days(play: Stage) -> list[int]:
    ledger = Ledger(cases=play.built.cases)
    with play.built.store.read() as tx:
        return [line.day.day for line in ledger.statement(tx, "2014-03", play.clock()).lines]


def told_by_the_older(play: Stage, unit: Callable[[], object]) -> None:
    """What is kept of the payments stays as it was: the older process knows nothing of it."""
    (before,) = play.rows(case)
    kept = {name: before[name] for name in ("owed_by", "owed_at", "owed_again")}
    unit()
    play.write(lambda tx: tx.execute(update(case).values(**kept)))


def marked(tx: Connection) -> None:
    """Its newest Patient, marked as the older version marks a protected one."""
    newest = select(resource.c.version).where(resource.c.type == "Patient")
    values = {"version": tx.execute(newest).scalar_one(), "name": "_protected", "value": "true"}
    tx.execute(insert(resource_token).values(**values))


def patient(play: Stage) -> str:
    return str(play.rows(case)[0]["patient"])


def is_protected(play: Stage) -> bool:
    with play.built.store.read() as tx:
        return protections.is_protected(tx, patient(play))


def test_days_that_an_older_process_ended_are_counted_anew(play: Stage, clock: StandingClock):
    clock.forward(minutes=1)
    home = play.message(K.DISCHARGED, occurred=clock() - timedelta(days=1, hours=12))
    told_by_the_older(play, lambda: play.receive(home))
    assert days(play) == [3, 4]  # as it was counted before the older process was told
    clock.forward(minutes=1)
    assert caught_up(play).counted == 1
    assert days(play) == [3]
    assert count(play) == 1
    assert days(play) == [3]
    assert caught_up(play) == Missed()


def test_an_identity_that_an_older_process_was_told_to_protect_is_protected(play: Stage):
    assert caught_up(play) == Missed()
    play.write(marked)
    assert caught_up(play).protected == 1
    assert is_protected(play)
    assert caught_up(play) == Missed()


def test_a_mark_from_before_a_protection_was_lifted_does_not_put_it_back(play: Stage, clock: StandingClock):
    play.write(marked)
    caught_up(play)
    lifted = {"by": "Kari", "why": "The register says so.", "now": clock()}
    assert play.write(lambda tx: protections.lift(tx, patient(play), **lifted))
    assert caught_up(play) == Missed()
    assert not is_protected(play)
    later = clock() + timedelta(minutes=1)
    play.write(lambda tx: tx.execute(update(resource_version).values(at=later)))  # it was told again since
    assert caught_up(play).protected == 1
    assert is_protected(play)


def test_a_name_that_an_older_process_put_on_a_shelf_gets_its_place(play: Stage):
    play.write(lambda tx: tx.execute(update(resource_version).values(sort_key=None)))
    assert caught_up(play).unlisted == 1
    assert Naming(shelves=play.built.shelves)() == 1
    assert caught_up(play) == Missed()


def test_of_a_patient_who_is_forgotten_the_marks_go_before_the_protection(play: Stage):
    """Else somebody who catches up between the steps would put the protection back, for good."""
    tables = [step.table for step in beside(patient(play))]
    assert tables.index(resource_token) < tables.index(protection)
    play.write(marked)
    play.write(lambda tx: tx.execute(delete(resource_token)))
    assert caught_up(play) == Missed()
