"""Danish messages on the command line: received for evaluation, and converted both ways."""

from pathlib import Path

import orjson
import pytest

from adapter.fhir import wire
from tests.mappings.medcom.compare import differences
from tests.shell import FIXTURES, Shell

MEDCOM = FIXTURES / "medcom" / "home-after-a-fall"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_notification_is_received_and_acknowledged(shell: Shell) -> None:
    done = shell("receive", "--json", MEDCOM / "admitted.json")
    [told] = done.json
    assert (told["outcome"], told["warning"]) == ("accepted", None)
    response = told["acknowledgement"]["entry"][0]["resource"]["response"]
    assert response["code"] == "ok"


def test_converting_there_and_back_keeps_every_element(shell: Shell) -> None:
    ours = shell("convert", MEDCOM / "leave-ended.xml", "--to", "fhir")
    assert ours.status == 0
    (shell.folder / "ours.json").write_bytes(ours.out)
    back = shell("convert", "ours.json", "--to", "medcom")
    assert back.status == 0, back.said
    came = wire.parse((MEDCOM / "leave-ended.json").read_bytes())
    found = differences(came, orjson.loads(back.out))
    address = came["entry"][0]["fullUrl"]
    id_ = came["entry"][0]["resource"]["id"]
    assert {text for text in found if "MessageHeader" not in text.split(":")[0]} <= {
        f"{address} is missing",
        f"urn:uuid:{id_} is new",
    }


def test_xml_is_converted_to_the_same_as_json(shell: Shell) -> None:
    made = [shell("convert", MEDCOM / f"discharged.{form}", "--to", "medcom").out for form in ("json", "xml")]
    assert wire.parse(made[0]) == wire.parse(made[1])


def test_a_message_of_our_own_without_cpr_is_not_converted(shell: Shell) -> None:
    done = shell("convert", FIXTURES / "fhir" / "admitted" / "message.json", "--to", "medcom")
    assert done.status != 0
    assert "has no SOR-ID" in done.said or "has no GLN" in done.said or "CPR" in done.said


def test_the_dialect_is_named_where_it_is_asked_for(shell: Shell) -> None:
    done = shell("convert", MEDCOM / "admitted.json", "--to", "xdis")
    assert done.status != 0 and "medcom" in done.said
