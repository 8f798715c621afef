"""Names in lists: sorted as the region's language does, and read in for those from before the upgrade."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, insert, select, update

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import Resource
from adapter.scheduler.naming import Naming
from adapter.shelves import Shelves
from adapter.store import unlisted
from adapter.store.statements import Row
from adapter.store.tables import patient_unlisted, resource, resource_version, shelf
from tests.conftest import StandingClock
from tests.stage import SYNNOVE, TORBJORN, Stage, stage

pytestmark = pytest.mark.postgres_in_soak


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """Synnøve and Torbjørn are in hospital; both lie on the shelves."""
    made = stage(store_url, clock)
    for subject, encounter in ((SYNNOVE, "LS-1"), (TORBJORN, "LS-2")):
        content = made.message(NoticeKind.ADMITTED, subject=subject, encounter=encounter)
        assert made.receive(content).outcome == "accepted"
    made.built.shelves.catch_up()
    yield made
    made.close()


def patients(play: Stage) -> list[tuple[str | None, str | None]]:
    query = (
        select(resource_version.c.label, resource_version.c.sort_key)
        .join(resource, resource.c.version == resource_version.c.id)
        .where(resource.c.type == "Patient")
        .order_by(resource_version.c.id)
    )
    with play.built.store.read() as tx:
        return [tuple(row) for row in tx.execute(query)]  # type: ignore[misc]


def grown_old(tx: Connection) -> None:
    """As the store was before lists had names, with what the upgrade notes to be done."""
    blank: dict[str, None] = dict.fromkeys(("label", "sorted_as", "sort_key", "born"))
    tx.execute(update(resource_version).values(**blank))
    older = select(shelf.c.version).where(shelf.c.type == "Patient").distinct()
    tx.execute(insert(patient_unlisted).from_select(["version"], older))


def naming(play: Stage) -> Naming:
    return Naming(shelves=play.built.shelves)


def test_who_was_there_before_the_upgrade_gets_the_name_of_the_newest_message(play: Stage):
    before = patients(play)
    assert [label for label, _ in before] == ["Fjellheim, Synnøve", "Vik-Hansen, Torbjørn"]
    play.write(grown_old)
    assert patients(play) == [(None, None)] * 2
    assert naming(play)() == 2
    assert patients(play) == before
    assert naming(play)() == 0


def test_a_name_that_lists_have_already_is_only_sorted_anew(play: Stage):
    before = patients(play)
    play.write(grown_old)
    play.write(lambda tx: tx.execute(update(resource_version).values(label="Fjellheim, Synnøve")))
    assert naming(play)() == 2
    assert patients(play) == [before[0]] * 2


def test_a_message_that_cannot_be_read_stops_no_other(play: Stage, monkeypatch: pytest.MonkeyPatch):
    play.write(grown_old)
    read = type(play.built.shelves)._rendered
    with play.built.store.read() as tx:
        bad = unlisted.some(tx, 10)[0]["id"]

    def rendered(self: Shelves, tx: Connection, version: Row, name: str) -> Resource | None:
        if version["id"] == bad:
            raise KeyError("a fault of ours")
        return read(self, tx, version, name)

    monkeypatch.setattr(Shelves, "_rendered", rendered)
    assert naming(play)() == 2
    assert patients(play).count((None, None)) == 1
    assert naming(play)() == 0


def test_whose_message_is_gone_stays_without_a_name_and_is_not_tried_again(play: Stage):
    play.write(grown_old)
    play.write(lambda tx: tx.execute(update(resource_version).values(message_row=999)))
    assert naming(play)() == 2
    assert patients(play) == [(None, None)] * 2
    with play.built.store.read() as tx:
        assert not unlisted.waiting(tx)


def test_what_retention_has_taken_meanwhile_waits_no_longer(play: Stage):
    play.write(lambda tx: tx.execute(insert(patient_unlisted).values(version=999)))
    assert naming(play)() == 0
    assert naming(play)() == 0
    with play.built.store.read() as tx:
        assert not unlisted.waiting(tx)


def test_somebody_new_is_never_waited_for(play: Stage):
    content = play.message(NoticeKind.ADMITTED, subject=replace(SYNNOVE, family="Åsen"), encounter="LS-3")
    play.receive(content)
    play.built.shelves.catch_up()
    with play.built.store.read() as tx:
        assert not unlisted.waiting(tx)
