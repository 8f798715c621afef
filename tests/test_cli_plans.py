"""`plan-conflicts`: what a person sees of a plan that was changed at both ends, and decides."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.store import tables
from tests.conftest import REGION, StandingClock
from tests.municipal_server import OURS, SERVER, Place, place
from tests.shell import Shell
from tests.stage import SYNNOVE


def opened(folder: Path, luster: Place) -> Shell:
    """The command line over the same store and region."""
    text = REGION.read_text().replace(
        'endpoint = "luster"\n', f'endpoint = "luster"\nplans_endpoint = "{SERVER}"\n', 1
    )
    there = f'address = "{luster.server.base}"\ntransport = "fhir-plans"\ndialect = "fhir"\n'
    (folder / "region.toml").write_text(f'{text}\n[[endpoint]]\nname = "{SERVER}"\n{there}')
    (folder / "adapter.toml").write_text(f'region = "region.toml"\nstore = "sqlite:///{folder}/store.db"\n')
    return Shell(folder)


def in_conflict(luster: Place) -> None:
    luster.put()
    luster.edit("Goal", description={"text": "Gå til postkassen med stokk"})
    luster.told(goal="Gå til butikken")
    assert luster.deliver() == ["gave-up"]


def test_a_conflict_is_listed_without_anything_of_the_patient(tmp_path: Path, clock: StandingClock) -> None:
    with place(f"sqlite:///{tmp_path}/store.db", clock) as luster:
        in_conflict(luster)
        shell = opened(tmp_path, luster)
        (found,) = shell("plan-conflicts", "--json").json
        assert (found["plan"], found["party"], found["endpoint"]) == (OURS, "luster", SERVER)
        assert (found["version"], found["changed_by"], found["changed_there"]) == (
            2,
            "laerdal-sjukehus",
            ["Goal"],
        )
        assert found["delivery"] == luster.delivery()["id"]
        table = shell("plan-conflicts").out.decode()
        for personal in (SYNNOVE.family, SYNNOVE.identifiers[0][1], "butikken", "stokk"):
            assert str(personal) not in f"{found}{table}"


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_one_version_is_kept(tmp_path: Path, clock: StandingClock, whose: str) -> None:
    with place(f"sqlite:///{tmp_path}/store.db", clock) as luster:
        in_conflict(luster)
        shell = opened(tmp_path, luster)
        (found,) = shell("plan-conflicts", "--json").json
        done = shell("plan-conflicts", "keep", whose, found["id"], "--by", "Solveig", "--json")
        assert done.json == {"conflict": found["id"], "keep": whose}
        clock.at = datetime.now(UTC) + timedelta(seconds=1)  # noqa: TID251  # after the command, which has its own
        if whose == "ours":
            assert luster.deliver() == ["sent"]
            assert luster.server.one("Goal")["description"]["text"] == "Gå til butikken"
        else:
            assert luster.poll() == 1
            assert luster.goal_here() == "Gå til postkassen med stokk"
        assert shell("plan-conflicts", "--json").json == []
        assert luster.alarms() == []
        assert len(luster.stage.rows(tables.history, by="Solveig")) == 1


def test_there_is_nothing_to_decide_where_there_is_no_conflict(tmp_path: Path, clock: StandingClock) -> None:
    with place(f"sqlite:///{tmp_path}/store.db", clock) as luster:
        luster.put()
        done = opened(tmp_path, luster)("plan-conflicts", "keep", "theirs", 7)
        assert done.status == 2
        assert "there is no conflict 7" in done.said


def test_another_word_than_ours_and_theirs_is_refused(tmp_path: Path) -> None:
    assert Shell(tmp_path)("plan-conflicts", "keep", "both", 1).status == 2
