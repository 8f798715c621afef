"""`look-up`, and what `check` says of the region's HER-ids, against a pretend register over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.simulator.address_register import AddressRegisterServer, Registered, Trouble, registered
from tests.registers import LAERDAL, MARTA, NURSING, ended, register
from tests.shell import ALONE, Ended, Shell

NOBODY = "1"


@pytest.fixture
def server() -> Iterator[AddressRegisterServer]:
    """A register that says of the smallest region what its region file says."""
    with register(*registered(load_region(ALONE).register_), MARTA) as made:
        yield made


@pytest.fixture
def shell(tmp_path: Path, server: AddressRegisterServer) -> Shell:
    made = Shell(tmp_path).with_region()
    settings = made.folder / "adapter.toml"
    settings.write_text(f'{settings.read_text()}[norway]\naddress_register = "{server.url}"\n')
    assert made("migrate").status == 0
    return made


# --- look-up ----------------------------------------------------------------------------------------------


def test_look_up_shows_a_table_and_says_whose_a_her_id_is(shell: Shell) -> None:
    done = shell("look-up", "8143511")
    assert done.status == 0
    shown = done.out.decode()
    for words in ("8143511", "known", "service", "Sjuke", "LÆRDAL", "8143510", "nursing-8"):
        assert words in shown
    assert "'" not in shown
    assert done.said == ""


def test_look_up_prints_one_document_with_each_her_id_once(
    shell: Shell, server: AddressRegisterServer
) -> None:
    server.put(replace(LAERDAL, name="Lærdal kommune"))
    done = shell("look-up", "81.43510", "8143510", "8143590", "--json")
    first, second = done.json
    assert done.status == 0
    assert (first["her_id"], first["outcome"], first["stale"], first["error"]) == (
        "8143510", "known", None, None,
    )  # fmt: skip
    assert first["fetched_at"].endswith("Z")
    assert first["party"]["name"] == "Lærdal kommune"
    assert first["party"]["valid_to"] is None
    assert first["party"]["electronic"][0] == {
        "kind": "E_EDI", "address": "laerdal@edi.example", "inherited": False,
    }  # fmt: skip
    assert (second["party"]["kind"], second["party"]["parent_her_id"]) == ("person", "8143510")


def test_a_her_id_that_nobody_has_is_status_1(shell: Shell) -> None:
    done = shell("look-up", "8143510", NOBODY, "--json")
    assert done.status == 1
    assert [(one["her_id"], one["outcome"]) for one in done.json] == [("8143510", "known"), ("1", "unknown")]
    assert done.json[1]["party"] is None


def test_the_second_look_asks_nobody_unless_it_is_told_to(
    shell: Shell, server: AddressRegisterServer
) -> None:
    first = shell("look-up", "8143510", "--json").json
    assert shell("look-up", "8143510", "--json").json == first
    assert server.asked == ["8143510"]
    assert shell("look-up", "8143510", "--refresh").status == 0
    assert len(server.asked) == 2


def test_while_the_register_is_down_the_old_answer_is_shown_as_stale(
    shell: Shell, server: AddressRegisterServer
) -> None:
    before = shell("look-up", "8143510", "--json").json
    server.trouble = Trouble.FAULT
    done = shell("look-up", "8143510", "8143511", "--refresh", "--json")
    assert done.status == 1
    known, unanswered = done.json
    assert known["party"] == before[0]["party"]
    assert "answers with a fault" in known["stale"]
    assert (unanswered["outcome"], unanswered["party"]) == ("unanswered", None)
    assert unanswered["error"] == known["stale"]
    assert server.asked == ["8143510"] * 2
    told = shell("look-up", "8143510", "--refresh")
    assert (told.status, "(stale)" in told.out.decode()) == (0, True)
    assert told.said.strip() == known["stale"]


def test_without_a_store_the_register_is_asked_and_nothing_is_kept(
    shell: Shell, server: AddressRegisterServer
) -> None:
    (shell.folder / "discharge-adapter.db").unlink()
    done = shell("look-up", "8143510")
    assert done.status == 0
    assert "answers are not remembered" in done.said
    assert not (shell.folder / "discharge-adapter.db").exists()


@pytest.mark.parametrize("text", ["", "Lærdal", "15076500565", "0", "8143510;DROP"])
def test_what_is_no_her_id_is_refused_and_not_repeated(shell: Shell, text: str) -> None:
    done = shell("look-up", "8143510", text)
    assert (done.status, done.out) == (2, b"")
    assert "HER-ID number 2: a HER-id is a number of 1 to 9 digits" in done.said
    assert not text or text not in done.said


def test_without_a_register_look_up_says_what_to_set(tmp_path: Path) -> None:
    done = Shell(tmp_path)("look-up", "8143510")
    assert (done.status, done.out) == (2, b"")
    assert "set address_register in [norway]" in done.said


# --- check ------------------------------------------------------------------------------------------------


def checked(shell: Shell) -> tuple[int, list[str], list[str]]:
    done = shell("check", "--json")
    return done.status, done.json["findings"], done.json["warnings"]


def test_a_region_that_is_as_the_register_says_has_nothing_wrong(
    shell: Shell, server: AddressRegisterServer
) -> None:
    assert checked(shell) == (0, [], [])
    assert server.asked == ["8143500", "8143501", "8143510", "8143511", "8143512"]
    assert checked(shell) == (0, [], [])
    assert len(server.asked) == 5


def test_check_finds_who_is_unknown_has_ended_or_is_not_active(
    shell: Shell, server: AddressRegisterServer
) -> None:
    del server.parties["8143501"]
    server.put(ended(LAERDAL, "2020-01-01"))
    server.put(replace(NURSING, active=False))
    server.put(replace(server.parties["8143512"], valid_from="2099-01-01T00:00:00"))
    status, findings, warnings = checked(shell)
    assert (status, warnings) == (1, [])
    ward, laerdal, nursing, case_work = findings
    assert ward.startswith(
        "region.toml: [[party]] id = 'laerdal-sjukehus': [[party.service]] role = 'ward': "
    )
    assert "HER-id 8143501 is unknown to the address register; correct it, or ask Lærdal sjukehus" in ward
    assert "HER-id 8143510 has ended in the address register, on 2020-01-01; ask whom" in laerdal
    assert "HER-id 8143511 is not active in the address register" in nursing
    assert "HER-id 8143512 begins in the address register on 2099-01-01; wait" in case_work


def test_check_warns_of_another_name_parent_kind_or_number(
    shell: Shell, server: AddressRegisterServer
) -> None:
    region = shell.folder / "region.toml"
    region.write_text(region.read_text().replace('["HER|8143510"]', '["HER|8143510", "ENH|999999999"]', 1))
    stranger = Registered(her_id="7", kind="Organization", name="Årdal kommune")
    server.put(replace(LAERDAL, name="BORGUND", display_name=None))
    server.put(replace(NURSING, parent=stranger))
    server.put(Registered(her_id="8143512", kind="Organization", name="Sakshandsaming"))
    status, findings, warnings = checked(shell)
    assert (status, findings) == (0, [])
    name, number, parent, kind = warnings
    assert "is called 'BORGUND' in the address register, and 'Lærdal kommune' here; is it the right" in name
    assert "organisation number 987654321 in the address register, and 999999999 here" in number
    assert "belongs to 'Årdal kommune' (HER-id 7) in the address register, and to 'Lærdal kommune'" in parent
    assert "is an organisation in the address register, and a service here" in kind


def test_a_party_that_has_ended_here_is_not_asked_about(shell: Shell, server: AddressRegisterServer) -> None:
    region = shell.folder / "region.toml"
    text = region.read_text().replace('id = "laerdal"', 'id = "laerdal"\nvalid_to = 2019-12-31', 1)
    region.write_text(text)
    assert checked(shell) == (0, [], [])
    assert server.asked == ["8143500", "8143501"]


def test_an_identifier_that_is_no_her_id_is_found(shell: Shell) -> None:
    region = shell.folder / "region.toml"
    region.write_text(region.read_text().replace("HER|8143512", "HER|15076500565"))
    status, (finding,), _ = checked(shell)
    assert status == 1
    assert "role = 'case-work': a HER-id is a number of 1 to 9 digits" in finding
    assert "15076500565" not in finding


def test_a_register_that_is_down_is_a_warning_and_stops_nothing(
    shell: Shell, server: AddressRegisterServer
) -> None:
    server.trouble = Trouble.FAULT
    status, findings, (warning,) = checked(shell)
    assert (status, findings) == (0, [])
    assert warning.startswith("the address register answers with a fault")
    assert warning.endswith("HER-ids of the region not held against it: 5")
    assert len(server.asked) == 1


def test_older_answers_are_held_against_the_region_while_it_is_down(
    shell: Shell, server: AddressRegisterServer
) -> None:
    server.put(ended(LAERDAL, "2020-01-01"))
    checked(shell)
    server.trouble = Trouble.FAULT
    done: Ended = shell("check", "--json", norway__address_register_age="PT0.000001S")
    (finding,), (warning,) = done.json["findings"], done.json["warnings"]
    assert "HER-id 8143510 has ended" in finding
    assert warning.endswith("HER-ids of the region held against older answers: 5")


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('address_register = "http://register.example/AR"', "must be an https:// URL"),
        ('address_register = "https://solveig:x@register.example/AR"', "without user and password"),
        ('address_register_user = "solveig"', "go together; set both or neither"),
        ('address_register_user = "s"\naddress_register_password = "geheim"\naddress_register_token = "t"',
         "exclude each other; set one"),
        ('address_register_soap = "1.3"', "address_register_soap"),
        ('address_register_age = "PT0S"', "must be more than"),
        ('adress_register = "https://register.example"', "is it misspelt?"),
    ],
)  # fmt: skip
def test_settings_of_the_register_that_cannot_be_used_are_named(
    tmp_path: Path, settings: str, words: str
) -> None:
    made = Shell(tmp_path)
    (tmp_path / "adapter.toml").write_text(f"[norway]\n{settings}\n")
    done = made("config")
    assert done.status == 2
    assert "adapter.toml: norway" in done.said and words in done.said
    assert "geheim" not in done.said


def test_config_hides_the_register_s_secrets_and_check_finds_a_missing_ca_bundle(tmp_path: Path) -> None:
    made = Shell(tmp_path)
    (tmp_path / "adapter.toml").write_text(
        '[norway]\naddress_register = "https://register.example/AR"\naddress_register_trust = "no/ca.pem"\n'
        'address_register_user = "solveig"\naddress_register_password = "geheim"\n'
    )
    done = made("config", "--json")
    assert done.json["norway"]["address_register_user"] == "solveig"
    assert b"geheim" not in done.out + made("config").out
    (finding,) = made("check", "--json").json["findings"]
    assert "[norway] address_register_trust: the file no/ca.pem cannot be read" in finding
    (tmp_path / "token.toml").write_text('[norway]\naddress_register_token = "geheim"\n')
    for words in (("--json",), ()):
        done = made("config", *words, "--config", "token.toml")
        assert (done.status, b"geheim" in done.out) == (0, False)
