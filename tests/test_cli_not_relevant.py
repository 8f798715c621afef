"""The counts of what nobody may keep, on the command line; and what `check` says of a roster."""

from pathlib import Path

import pytest

from tests.shell import FIXTURES, Shell
from tests.test_relevance import ANNES

STIN = FIXTURES / "medcom" / "home-after-a-fall" / "admitted.json"
REGION = """
name = "Danmark"
agreement = "denmark"

[[party]]
id = "hospital"
name = "Hospital"
kind = "hospital"
side = "theirs"
identifiers = ["SOR|{sender}"]
endpoint = "hospital"

[[endpoint]]
name = "hospital"
transport = "directory"
dialect = "medcom"
address = "mail"

[[party]]
id = "kommune"
name = "Kommune"
kind = "municipality"
receipt = "stored"
identifiers = ["SOR|{receiver}"]
roster = "roster"
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    for folder in ("in", "out"):
        (tmp_path / "mail" / folder).mkdir(parents=True)
    sender, receiver = _parties()
    (tmp_path / "region.toml").write_text(REGION.format(sender=sender, receiver=receiver))
    (tmp_path / "adapter.toml").write_text("region = 'region.toml'\n")
    (tmp_path / "roster").write_text(f"{ANNES}\n")
    return made


def _parties() -> tuple[str, str]:
    import json

    from adapter.fhir.bundles import SOR

    entries = [entry["resource"] for entry in json.loads(STIN.read_bytes())["entry"]]
    by_id = {
        f"Organization/{one['id']}": next(i["value"] for i in one["identifier"] if i["system"] == SOR)
        for one in entries
        if one["resourceType"] == "Organization"
    }
    head = entries[0]
    return by_id[head["sender"]["reference"]], by_id[head["destination"][0]["receiver"]["reference"]]


def test_they_are_counted(shell: Shell):
    taken = shell("receive", STIN)
    assert (taken.status, "not-relevant" in taken.said) == (0, True)
    (row,) = shell("not-relevant", "--json").json
    assert (row["sender"], row["type"], row["count"], row["again"]) == ("hospital", "STIN", 1, 0)
    assert shell("check", "--journal").status == 0


def test_a_roster_that_cannot_be_used_is_told_by_check(shell: Shell):
    assert shell("check").status == 0
    (shell.folder / "roster").write_text(f"{ANNES}\n123\n")
    done = shell("check")
    told = done.said + done.out.decode()
    assert done.status == 1
    assert "line 2" in told and ANNES not in told


def test_what_cannot_be_decided_is_told_and_not_stored(shell: Shell):
    (shell.folder / "roster").unlink()
    done = shell("receive", STIN)
    assert done.status != 0
    assert "roster" in done.said
    assert shell("not-relevant", "--json").json == []
