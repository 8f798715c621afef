"""What a board lists is the same by whichever way the store looks for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from adapter.discharge.notices import NoticeKind
from adapter.messaging.people import Person, Role
from adapter.scheduler.deadlines import Deadlines
from adapter.sight import Sight
from adapter.stays import Board
from adapter.store import resources, stays, tables
from adapter.store.stays import Asked, Due
from adapter.web.boards import STILL
from tests.conftest import StandingClock
from tests.stage import SYNNOVE, TORBJORN, Stage, answering, stage

K = NoticeKind
WHOM = ((SYNNOVE, "sogndal"), (TORBJORN, "luster"))


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Two stays in which much is late: one that goes on, one that has ended."""
    made = stage(store_url, clock)
    made.post.answer = answering(clock)
    for number, (who, where) in enumerate(WHOM):
        for kind in (K.ADMITTED, K.READY_FOR_DISCHARGE, *([K.DISCHARGED] if number else [])):
            more = {"ready": clock()} if kind is K.READY_FOR_DISCHARGE else {}
            made.receive(
                made.message(kind, subject=who, receivers=(where,), encounter=f"LS-{number}", **more)
            )
            made.deliver()
            clock.forward(hours=2)
    clock.forward(days=3)
    built = made.built
    Deadlines(
        store=built.store, cases=built.cases, outbox=made.outbox, register=built.register, clock=clock
    )()
    yield made
    made.close()


@pytest.mark.parametrize("role", [Role.WARD, Role.MUNICIPALITY, Role.PRIMARY_CARE])
@pytest.mark.parametrize("forward", [0, 20, 40])
def test_what_is_overdue_is_the_same_where_nobody_is_registered(
    play: Stage, clock: StandingClock, role: Role, forward: int
):
    """There deadlines are looked for by their time, elsewhere by whom they are about."""
    clock.forward(days=forward)
    now, register = clock(), play.built.register
    person = Person(id="e", name="Everybody", roles=frozenset({role}), parties=None)
    sight = Sight(person=person, register=register)
    board = Board(role=role, sight=sight, cases=play.built.cases, now=now)
    everybody = tuple(party.id for party in register.parties)
    of_all = replace(board.scope, parties=None, concerned=everybody)
    open_house = replace(of_all, concerned=None)
    asked = {
        "late": Asked(concerns=("current", "left"), due=Due(before=now, after=now - STILL)),
        "in": Asked(due=Due(before=now, after=now - STILL)),
        "soon": Asked(concerns=("left",), due=Due(kinds=("follow-up-",), after=now - STILL)),
        "ever": Asked(concerns=("current", "left"), due=Due(before=now)),
    }
    with play.built.store.read() as tx:
        found = stays.counts(tx, open_house, asked)
        assert found == stays.counts(tx, of_all, asked)
        pages = [
            [
                row["id"]
                for row in stays.page(tx, scope, asked["late"], sort="left", descending=False, limit=9)
            ]
            for scope in (open_house, of_all)
        ]
    assert pages[0] == pages[1]
    assert len(pages[0]) == found["late"]
    if forward < 30 and role is not Role.PRIMARY_CARE:
        assert found["late"]
    if forward > 30:
        assert not found["late"]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_lies_of_one_patient_is_found_without_walking_along_a_partys_shelf(play: Stage):
    """Over SQLite, where the plan can be read: a hospital's shelf holds all its patients."""
    play.built.shelves.catch_up()
    (case, _) = play.rows(tables.case)
    eyes = resources.Eyes(parties=("laerdal-sjukehus",))
    by_id = resources.Wanted(kind="Patient", ids=(case["patient"],), by_id=True)
    with play.built.store.read() as tx:
        said: list[tuple[str, Any]] = []
        event.listen(tx, "before_cursor_execute", lambda _c, _u, sql, values, *_: said.append((sql, values)))
        assert resources.of_case(tx, eyes, case["patient"], {case["id"]})
        assert resources.search(tx, eyes, by_id)
        asked = tuple(said)
        plans = [tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all() for sql, values in asked]
    steps = [step[3] for plan in plans for step in plan]
    assert not any("shelf_time" in step for step in steps), steps
