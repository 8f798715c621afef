"""The command line as scripts use it: which stream gets what, what the exit status says, and the documents.

Commands run in an empty folder and without any setting; those that last run as a process of their own.
"""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from lxml import etree

from adapter.cli.frame import table
from adapter.cli.looking import SHOWN
from adapter.store import Store, alarms
from tests import warm
from tests.conftest import OSLO
from tests.shell import FIXTURES, Shell, environment

PLO = FIXTURES / "plo"
REGION = FIXTURES / "regions" / "indre-sogn.toml"
VASTERBOTTEN = FIXTURES / "regions" / "vasterbotten.toml"
ALONE = FIXTURES / "regions" / "laerdal-alone.toml"
AT = datetime(2014, 3, 5, 9, 0, tzinfo=UTC)
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
ADMITTED = PLO / "home-with-help" / "admitted.plo-1.6.xml"
READY = PLO / "home-with-help" / "ready.plo-1.6.xml"
APPREC = {
    "http://www.kith.no/xmlstds/apprec/2004-11-21": "AppRec-v1-2004-11-21.xsd",
    "http://www.kith.no/xmlstds/apprec/2012-02-15": "AppRec-v1.1.xsd",
}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# --- receive ----------------------------------------------------------------------------------------------


def test_the_acknowledgement_goes_to_standard_output_and_everything_else_beside_it(shell: Shell) -> None:
    done = shell("receive", ADMITTED)
    assert done.status == 0
    receipt = etree.fromstring(done.out)
    assert etree.QName(receipt).localname == "AppRec"
    assert receipt.find("{*}Status").get("V") == "1"
    assert f"{ADMITTED}: accepted, case 1" in done.said


def test_evaluation_is_said_once_on_standard_error(shell: Shell) -> None:
    done = shell("receive", ADMITTED, READY)
    assert done.said.count("No region is configured") == 1
    assert b"No region" not in done.out
    assert "No region" not in shell.with_region()("cases").said


def test_a_message_is_read_from_standard_input(shell: Shell) -> None:
    (told,) = shell("receive", "-", "--json", stdin=ADMITTED.read_bytes()).json
    assert (told["file"], told["outcome"], told["case"]) == ("-", "accepted", 1)
    assert isinstance(told["acknowledgement"], str)


def test_a_fhir_message_is_acknowledged_with_a_json_object(shell: Shell) -> None:
    (told,) = shell("receive", FIXTURES / "fhir" / "admitted" / "message.json", "--json").json
    header = told["acknowledgement"]["entry"][0]["resource"]
    assert header["response"]["code"] == "ok"
    (xml,) = shell("receive", FIXTURES / "fhir" / "ready-for-discharge" / "message.xml", "--json").json
    assert xml["acknowledgement"].lstrip().startswith("<")


def test_a_duplicate_is_success_without_a_second_receipt(shell: Shell) -> None:
    assert shell("receive", ADMITTED).status == 0
    again = shell("receive", ADMITTED)
    assert (again.status, again.out) == (0, b"")
    assert "is given once" in again.said
    (told,) = shell("receive", ADMITTED, "--json").json
    assert (told["outcome"], told["acknowledgement"]) == ("duplicate", None)


def test_the_worst_of_several_messages_is_the_exit_status(shell: Shell) -> None:
    done = shell("receive", ADMITTED, PLO / "refused-on-arrival" / "patient-unclear.plo-1.6.xml", "--json")
    assert done.status == 1
    good, bad = done.json
    assert (good["outcome"], good["reason"]) == ("accepted", None)
    assert (bad["outcome"], bad["case"], bad["code"]) == ("refused", None, "E36")
    assert etree.fromstring(bad["acknowledgement"].encode()).find("{*}Status").get("V") == "2"


def test_every_fixture_has_an_outcome_and_nothing_else_is_printed(shell: Shell) -> None:
    files = sorted([*PLO.glob("*/*.xml"), *FIXTURES.glob("fhir/*/message.*")])
    done = shell("receive", "--json", *files)
    told = done.json
    assert [t["file"] for t in told] == [str(f) for f in files]
    for one in told:
        refused = "refused-on-arrival" in one["file"]
        assert one["outcome"] in (("refused",) if refused else ("accepted", "quarantined", "duplicate")), one
        assert one["outcome"] != "quarantined" or one["code"] == "unknown-original", one
        assert {"file", "outcome", "reason", "case", "acknowledgement"} <= set(one)
    assert shell("check", "--journal").status == 0


def test_production_is_refused_in_evaluation(shell: Shell) -> None:
    text = ADMITTED.read_text()
    text = re.sub(r'<ProcessingStatus V="[^"]*"[^>]*/>', '<ProcessingStatus V="P" DN="Produksjon"/>', text)
    if "ProcessingStatus" not in text:
        text = text.replace("<MsgId>", '<ProcessingStatus V="P" DN="Produksjon"/><MsgId>')
    assert 'V="P"' in text
    done = shell("receive", "-", "--json", stdin=text.encode())
    (told,) = done.json
    assert (done.status, told["outcome"]) == (1, "refused")
    assert "configure a region" in told["reason"]
    assert shell("cases", "--json").json == []


def test_of_a_message_over_the_limit_the_head_the_size_and_the_hash_are_kept(shell: Shell) -> None:
    large, size = shell.folder / "large.xml", 100_000_000
    with large.open("wb") as file:
        file.write(ADMITTED.read_bytes()[:1000])
        file.truncate(size)
    with large.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    done = shell("receive", large)
    assert done.status == 1
    assert "95 MiB, over the limit" in done.said
    (held,) = shell("quarantine", "--json").json
    assert (held["size"], held["sha256"], held["releasable"]) == (size, digest, False)
    assert (shell.folder / "discharge-adapter.db").stat().st_size < 1_000_000


def test_a_file_that_is_not_there_stops_everything_before_anything_is_taken(shell: Shell) -> None:
    done = shell("receive", ADMITTED, "nowhere.xml")
    assert (done.status, done.out) == (2, b"")
    assert "nowhere.xml: cannot be read: No such file or directory" in done.said
    assert not list(shell.folder.glob("*.db"))


if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    LOGISTICS = sorted(NORWAY.glob("plo-1.?/Pasientlogistikk_*.xml"))

    @cache
    def schema(namespace: str) -> etree.XMLSchema:
        return etree.XMLSchema(etree.parse(NORWAY / "xsd" / APPREC[namespace]))

    def valid(acknowledgement: str) -> None:
        document = etree.fromstring(acknowledgement.encode())
        schema(etree.QName(document).namespace).assertValid(document)

    def test_every_official_logistics_sample_gets_a_valid_receipt_and_a_case(tmp_path: Path) -> None:
        assert len(LOGISTICS) == 14
        for number, path in enumerate(LOGISTICS):
            (tmp_path / str(number)).mkdir()
            shell = Shell(tmp_path / str(number))  # the samples use one message id several times
            done = shell("receive", path, "--json")
            (told,) = done.json
            assert (done.status, told["outcome"]) == (0, "accepted"), told
            valid(told["acknowledgement"])
            (case,) = shell("cases", "--json").json
            assert case["id"] == told["case"]
            assert len(case["notices"]) == 1

    def test_every_report_of_the_official_samples_is_taken_with_a_valid_receipt(shell: Shell) -> None:
        others = [p for p in sorted(NORWAY.glob("plo-1.?/*.xml")) if p not in LOGISTICS]
        done = shell("receive", "--json", *others)
        assert done.status == 0
        assert len(done.json) == 30
        for told in done.json:
            assert told["outcome"] == "accepted", told
            valid(told["acknowledgement"])

    def test_the_receipts_of_our_fixtures_are_valid(shell: Shell) -> None:
        done = shell("receive", "--json", *sorted(PLO.glob("*/*.plo-*.xml")))
        answered = [t["acknowledgement"] for t in done.json if t["acknowledgement"] is not None]
        assert len(answered) > 20
        for acknowledgement in answered:
            valid(acknowledgement)


# --- where the output goes --------------------------------------------------------------------------------


def piped(shell: Shell, command: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `adapter` is the program; its status is that of the first in a pipe."""
    words = f"adapter() {{ '{sys.executable}' -m adapter.cli \"$@\"; }}; {command}; exit ${{PIPESTATUS[0]}}"
    env = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", words], cwd=shell.folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("form", ["", " --json", " --limit 1"])
def test_a_full_device_is_said_in_one_sentence(shell: Shell, form: str) -> None:
    shell.with_region()("receive", ADMITTED, READY)
    done = piped(shell, f"adapter cases{form} > /dev/full")
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if "only the first" not in line]
    assert said == "discharge-adapter: standard output cannot be written: No space left on device"


def test_a_closed_pipe_is_said_in_one_sentence(shell: Shell) -> None:
    shell.with_region()("receive", *PLO.glob("home-with-help/*.plo-1.6.xml"))
    done = piped(shell, "(sleep 0.2; adapter cases --json) | true")
    assert done.returncode == 1
    assert done.stderr == (
        "discharge-adapter: whoever reads standard output closed it before all was written\n"
    )


def test_what_a_command_has_done_is_done_also_where_it_cannot_say_so(shell: Shell) -> None:
    done = piped(shell, f"adapter receive {ADMITTED} > /dev/full")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert len(shell("cases", "--json").json) == 1


# --- convert and explain ----------------------------------------------------------------------------------


def test_converting_there_and_back_keeps_what_was_said(shell: Shell) -> None:
    fhir = FIXTURES / "fhir" / "ready-for-discharge" / "message.json"
    there = shell("convert", fhir, "--to", "plo-1.6")
    assert there.status == 0
    (shell.folder / "there.xml").write_bytes(there.out)
    back = orjson.loads(shell("convert", "there.xml", "--to", "fhir").out)
    first = orjson.loads(fhir.read_bytes())

    def header(bundle: dict[str, Any]) -> dict[str, Any]:
        return bundle["entry"][0]["resource"]

    def patient(bundle: dict[str, Any]) -> dict[str, Any]:
        return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")

    assert header(back)["id"] == header(first)["id"]
    assert header(back)["eventCoding"]["code"] == "ready-for-discharge"
    assert patient(back)["identifier"][0]["value"] == patient(first)["identifier"][0]["value"]
    assert not (shell.folder / "discharge-adapter.db").exists()


def test_losses_are_listed_beside_the_message(shell: Shell) -> None:
    done = shell("convert", READY, "--to", "plo-1.5")
    assert "lost: " in done.said
    assert b"lost" not in done.out
    told = shell("convert", READY, "--to", "plo-1.5", "--json").json
    assert told["to"] == "plo-1.5"
    assert [f"lost: {loss}" for loss in told["losses"]] == [
        line for line in done.said.splitlines() if line.startswith("lost: ")
    ]


def test_a_receipt_is_not_converted(shell: Shell) -> None:
    done = shell("convert", PLO / "receipt-for-an-admission" / "accepted.apprec-1.1.xml", "--to", "fhir")
    assert done.status == 2
    assert "a receipt; only notices are converted" in done.said


def test_a_message_that_has_no_form_there_says_so(shell: Shell) -> None:
    done = shell("convert", FIXTURES / "fhir" / "sip-call" / "message.json", "--to", "plo-1.6")
    assert (done.status, done.out) == (1, b"")
    assert done.said.startswith("discharge-adapter: ")
    assert "Traceback" not in done.said


@pytest.mark.parametrize("content", [b"", b"nothing that anybody knows", b"<html/>"], ids=str)
def test_content_that_nobody_recognises_is_a_refusal_and_no_slip_of_the_fingers(
    shell: Shell, content: bytes
) -> None:
    (shell.folder / "unknown.xml").write_bytes(content)
    done = shell("convert", "unknown.xml", "--to", "fhir")
    assert (done.status, done.out) == (1, b"")
    assert "unknown.xml: neither a KITH message nor a FHIR Bundle" in done.said


def test_standard_input_is_converted_as_a_file_is(shell: Shell) -> None:
    told = shell("convert", "-", "--to", "plo-1.5", "--json", stdin=READY.read_bytes()).json
    assert told == shell("convert", READY, "--to", "plo-1.5", "--json").json | {"file": "-"}


def test_that_nothing_is_owed_is_said_and_why(shell: Shell) -> None:
    scenarios = FIXTURES / "scenarios"
    norway = shell("explain", scenarios / "norway-ready-announced-and-answered.json").out.decode()
    assert "no day is charged\n" in norway
    assert "- the municipality can receive Thursday 2014-03-06" in norway
    sweden = shell("explain", scenarios / "sweden-plan-needed-and-no-call.json").out.decode()
    assert "no day is charged\n" in sweden
    told = shell(
        "explain", scenarios / "sweden-plan-needed-and-no-call.json", "--language", "sv"
    ).out.decode()
    assert "ingen dag debiteras\n" in told


def test_a_total_is_told_with_its_currency_in_the_language_that_was_asked_for(shell: Shell) -> None:
    scenario = FIXTURES / "scenarios" / "sweden-withdrawn-and-ready-again.json"
    assert "liable from Tuesday 2019-05-14, total 15600 SEK\n" in shell("explain", scenario).out.decode()
    own = shell("explain", scenario, "--language", "sv").out.decode()
    assert "betalningsansvar från tisdag 2019-05-14, totalt 15600 SEK\n" in own


def test_a_reason_says_for_which_of_several_municipalities_it_is(shell: Shell) -> None:
    scenario = FIXTURES / "scenarios" / "norway-ready-announced-and-answered.json"
    told = shell("explain", scenario).out.decode()
    reasons = [line for line in told.splitlines() if line.startswith("- early-notice, ")]
    assert [line.split(": ")[0] for line in reasons] == [
        "- early-notice, municipality:Lærdal",
        "- early-notice, municipality:Årdal",
    ]


def test_a_key_that_is_wrong_is_told_with_the_scenarios_file(shell: Shell) -> None:
    (shell.folder / "stay.json").write_text(
        '{"agreement": "norway", "now": "2024-03-01T10:00:00+01:00", '
        '"events": [{"kind": "ready", "at": "2024-03-01T10:00:00+01:00"}]}'
    )
    done = shell("explain", "stay.json")
    assert (done.status, done.out) == (2, b"")
    assert "stay.json: events[0]: kind: 'ready' is unknown" in done.said


def test_explain_gives_each_deadline_its_basis(shell: Shell) -> None:
    told = shell("explain", FIXTURES / "scenarios" / "sweden-ready-friday-after-noon.json", "--json").json
    assert {"kind", "actor", "due_at", "state", "basis"} <= set(told["deadlines"][0])
    assert set(told["payment"]) >= {"liable_from", "days", "total", "basis", "reasons"}
    assert told["payment"]["liable_from"] == "2022-03-08"


@pytest.mark.parametrize("content", ["{", "[]", '{"agreement": "mars"}', None], ids=str)
def test_a_scenario_that_cannot_be_used_says_where(shell: Shell, content: str | None) -> None:
    if content is not None:
        (shell.folder / "scenario.json").write_text(content)
    done = shell("explain", "scenario.json")
    assert (done.status, done.out) == (2, b"")
    assert re.match(r"discharge-adapter: \w+", done.said)


# --- looking ----------------------------------------------------------------------------------------------


def test_a_case_is_shown_with_all_that_belongs_to_it(shell: Shell) -> None:
    shell("receive", ADMITTED, READY)
    (listed,) = shell("cases", "--json").json
    case = shell("case", 1, "--json").json
    assert case == listed
    assert (case["state"], case["hospital"]) == ("ready", "her-8143500")
    assert [n["kind"] for n in case["notices"]] == ["admitted", "ready-for-discharge"]
    kinds = [d["kind"] for d in case["deadlines"]]
    assert sorted(kinds) == ["answer", "early-notice", "payment-start", "report-of-admission"]
    assert [d["state"] for d in case["deliveries"]] == ["waiting", "waiting"]
    assert re.fullmatch(r"P[A-Z2-7]{16}", case["patient"])


def test_the_delivery_log_is_filtered_by_state(shell: Shell) -> None:
    shell("receive", ADMITTED)
    (waiting,) = shell("deliveries", "--state", "waiting", "--json").json
    assert waiting == shell("delivery", waiting["id"], "--json").json
    assert waiting["error"] == "no endpoint is configured for this party"
    assert shell("deliveries", "--state", "sent", "--json").json == []
    assert shell("deliveries", "--awaiting", "--json").json == []


def test_the_log_and_the_case_tell_a_cancellation_from_what_it_cancels(shell: Shell) -> None:
    home = PLO / "death-at-home"
    shell("receive", home / "death.plo-1.6.xml", home / "death-cancelled.plo-1.6.xml")
    assert [d["standing"] for d in shell("deliveries", "--json").json] == ["cancellation", "new"]
    for command in (("deliveries",), ("case", 1), ("delivery", 2)):
        assert b"cancellation" in shell(*command).out


def test_deadlines_may_be_only_those_overdue(shell: Shell) -> None:
    shell("receive", ADMITTED, READY)
    assert {d["kind"] for d in shell("deadlines", "--json").json} >= {"early-notice", "answer"}
    assert [d["kind"] for d in shell("deadlines", "--overdue", "--json").json] == ["early-notice"]


LISTS = ["cases", "deliveries", "quarantine", "alarms", "deadlines", "endpoints"]


@pytest.mark.parametrize("command", LISTS)
def test_an_empty_list_is_one_document_and_a_sentence(shell: Shell, command: str) -> None:
    shell("migrate")
    assert shell(command, "--json").json == []
    assert shell(command).out.decode().endswith(": none\n")


def test_a_table_that_is_cut_off_says_so_and_a_document_is_whole(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cases", "deliveries", "deadlines"):
        monkeypatch.setitem(SHOWN, name, 1)
    shell("receive", ADMITTED, READY, *PLO.glob("death-in-hospital/*.plo-1.6.xml"))
    for command in ("cases", "deliveries", "deadlines"):
        everything = shell(command, "--json")
        assert len(everything.json) > 1, command
        assert shell(command, "--limit", 1, "--json").json == everything.json[:1]
        assert "are shown" not in everything.said
        cut = shell(command)
        assert "only the first 1 are shown; --limit N shows more, --json all" in cut.said
        assert len(cut.out.splitlines()) < len(shell(command, "--limit", 99).out.splitlines())
        assert "are shown" not in shell(command, "--limit", 99).said


@pytest.mark.parametrize("command", ["quarantine", "alarms"])
def test_held_messages_and_alarms_are_cut_off_in_the_same_way(shell: Shell, command: str) -> None:
    shell.with_region()("receive", "-", stdin=PLO.joinpath("death-at-home", "death.plo-1.6.xml").read_bytes())
    shell("receive", "-", stdin=b"nothing that anybody knows")
    shell("receive", "-", stdin=(PLO / "death-at-home" / "death.plo-1.5.xml").read_bytes())
    everything = shell(command, "--json").json
    assert len(everything) > 1
    assert shell(command, "--limit", 1, "--json").json == everything[:1]
    assert "only the first 1 are shown" in shell(command, "--limit", 1).said


def test_a_table_has_the_hospitals_clock_and_a_document_has_utc(shell: Shell) -> None:
    shell("receive", ADMITTED, READY)
    assert shell("case", 1, "--json").json["admitted_at"] == "2014-03-03T12:45:00Z"
    table = shell("case", 1).out.decode()
    assert "2014-03-03 13:45 " in table
    assert "2014-03-04 13:45 " in table  # the deadline, a day later
    assert "12:45" not in table


def test_a_table_shows_no_name_and_no_number_of_a_person(shell: Shell) -> None:
    shell("receive", ADMITTED, PLO / "refused-on-arrival" / "patient-unclear.plo-1.6.xml")
    number = re.search(rb"<Id>(\d{11})</Id>", ADMITTED.read_bytes())
    assert number is not None
    for command in (*LISTS, "case 1", "delivery 1"):
        for form in ([], ["--json"]):
            done = shell(*command.split(), *form)
            assert number[1] not in done.out + done.said.encode()
            assert b"Fjellheim" not in done.out + done.said.encode()


# --- acting -----------------------------------------------------------------------------------------------


def test_an_endpoint_is_paused_and_resumed(shell: Shell) -> None:
    shell.with_region()
    shell("migrate")
    assert shell("endpoints", "pause", "laerdal", "--json").json == {"endpoint": "laerdal", "paused": True}
    (endpoint,) = shell("endpoints", "--json").json
    assert (endpoint["health"], endpoint["paused_since"] is not None) == ("paused", True)
    assert shell("endpoints", "resume", "laerdal").status == 0
    assert shell("endpoints", "--json").json[0]["health"] == "unused"


def test_the_webhook_of_alarms_is_an_endpoint_that_can_be_resumed_too(shell: Shell) -> None:
    shell.with_region()
    shell("migrate")
    refused = shell("endpoints", "resume", "alarm-webhook")
    assert (refused.status, "known: laerdal" in refused.said) == (2, True)
    config = shell.folder / "adapter.toml"
    config.write_text('alarm_webhook = "http://127.0.0.1:9/alarms"\n' + config.read_text())
    assert shell("endpoints", "pause", "alarm-webhook").status == 0
    assert shell("endpoints", "resume", "alarm-webhook").status == 0


def test_an_alarm_is_seen_and_a_missed_deadline_told_to_be_dealt_with(shell: Shell) -> None:
    shell("receive", ADMITTED)
    with closing(Store(f"sqlite:///{shell.folder}/discharge-adapter.db")) as store:
        store.write(
            lambda tx: alarms.start(
                tx, kind="deadline-missed", subject="deadline 1", text="late", now=AT, case_id=1
            )
        )
    assert shell("alarms", "seen", 1, "--by", "Solveig", "--json").json == {"seen": [1]}
    (alarm,) = shell("alarms", "--json").json
    assert (alarm["seen_by"], alarm["until"]) == ("Solveig", None)
    assert len(shell("deadlines", "--overdue", "--json").json) == 1
    done = shell("alarms", "close", 1, "--by", "Solveig", "--why", "told by telephone", "--json")
    assert done.json == {"closed": 1}
    (alarm,) = shell("alarms", "--json").json
    assert (alarm["closed_by"], alarm["why"], alarm["until"] is not None) == (
        "Solveig", "told by telephone", True,
    )  # fmt: skip
    assert shell("deadlines", "--overdue", "--json").json == []
    assert "over already" in shell("alarms", "seen", 1).said


def test_a_delivery_is_resent_reissued_and_given_up(shell: Shell) -> None:
    shell.with_region()
    shell("receive", ADMITTED)
    assert shell("resend", 1, "--json").json == {"resent": [1]}
    assert shell("reissue", 1, "--json").json == {"reissued": {"1": 2}}
    assert shell("give-up", 2, "--by", "Solveig", "--json").json == {"given_up": [2]}
    new, old = shell("deliveries", "--json").json
    assert (old["state"], old["error"]) == ("given-up", "reissued as delivery 2")
    assert (new["state"], new["reissue_of"]) == ("given-up", 1)
    assert new["message_id"] != old["message_id"]


@pytest.mark.parametrize(
    ("party", "said"),
    [
        (
            "laerdal-sjukehus",
            "--to laerdal-sjukehus: sent delivery 1 itself; name the party that is to have it",
        ),
        ("legekontor", "--to legekontor: has no endpoint, and nobody has said that its board is its system"),
    ],
)
def test_a_notice_is_not_reissued_to_whom_it_cannot_go(shell: Shell, party: str, said: str) -> None:
    shell.with_region()
    with (shell.folder / "region.toml").open("a") as region:
        region.write('\n[[party]]\nid = "legekontor"\nname = "Lærdal legekontor"\nkind = "gp"\n')
        region.write('identifiers = ["HER|8143590"]\n')
    shell("receive", ADMITTED)
    done = shell("reissue", 1, "--to", party)
    assert (done.status, done.out) == (2, b"")
    assert said in done.said
    assert [d["state"] for d in shell("deliveries", "--json").json] == ["waiting"]
    with (shell.folder / "region.toml").open("a") as region:
        region.write('receipt = "stored"\n')
    assert shell("reissue", 1, "--to", party).status == (0 if party == "legekontor" else 2)


def test_of_several_ids_all_or_none_are_done(shell: Shell) -> None:
    shell.with_region()
    shell("receive", ADMITTED)
    assert shell("give-up", 1, 99).status == 2
    assert shell("delivery", 1, "--json").json["state"] == "waiting"


def test_a_held_message_is_released_after_the_region_was_corrected(shell: Shell) -> None:
    shell.with_region()
    held = shell("receive", PLO / "death-at-home" / "death.plo-1.6.xml", "--json")
    assert (held.status, held.json[0]["outcome"]) == (1, "quarantined")
    assert [a["kind"] for a in shell("alarms", "--json").json] == ["quarantined"]
    assert shell("release", 1).status == 1
    with (shell.folder / "region.toml").open("a") as file:
        file.write(
            '\n[[party]]\nid = "legekontor"\nname = "Lærdal legekontor"\nkind = "gp"\n'
            'identifiers = ["HER|8143590"]\n'
        )
    done = shell("release", 1, "--json")
    assert (done.status, done.json[0]["outcome"]) == (0, "accepted")
    assert shell("alarms", "--json").json[0]["until"] is not None
    assert shell("quarantine", "--json").json == []


# --- what is wrong is said, with what to do ---------------------------------------------------------------

NOT_IN_THE_STORE = [
    (["case", "99"], "there is no case 99; `discharge-adapter cases` lists them"),
    (["delivery", "99"], "there is no delivery 99"),
    (["resend", "99"], "there is no delivery 99"),
    (["give-up", "99"], "there is no delivery 99"),
    (["reissue", "99"], "delivery 99"),
    (["reissue", "99", "--to", "mars"], "--to mars: there is no such party"),
    (["release", "99"], "there is no message 99"),
    (["endpoints", "pause", "mars"], "there is no endpoint 'mars'"),
    (["alarms", "seen", "99"], "there is no alarm 99"),
    (["alarms", "close", "99", "--by", "Solveig"], "--why"),
    (["payments", "--month", "2199-01", "--close"], "2199-01 is not over yet"),
    (["payments", "waive", "7", "--why", "fire"], "there is no booked charge 7"),
    (["explain", "--case", "99"], "there is no case 99"),
]
UNKNOWN = [
    (["case", "x"], "ID"),
    (["case", "99999999999999999999"], "ID"),
    (["deliveries", "--state", "lost"], "write one of waiting, leased"),
    (["convert", str(ADMITTED), "--to", "morse"], "--to morse: write one of plo-1.5, plo-1.6, medcom"),
    (["convert", "nowhere.xml", "--to", "fhir"], "nowhere.xml: cannot be read"),
    (["run", "--role", "king"], "--role king: write all, web or worker"),
    (["run", "--demo"], "--demo needs a region file"),
    (["run", "--port", "70000"], "--port"),
    (["--config", "nowhere.toml", "cases"], "nowhere.toml: there is no such settings file"),
    (["simulate", "nowhere.toml"], "nowhere.toml: cannot read the region file"),
    (["simulate", str(REGION), "--faults", "slow=mars:2s"], "nobody is called 'mars'"),
    (["simulate", str(REGION), "--faults", "tired"], "fault 'tired'"),
    (
        ["simulate", str(VASTERBOTTEN), "--faults", "reset=*:0.1"],
        "--faults: the parties of this region only ask",
    ),
    (["restore", "nowhere.db"], "nowhere.db: there is no such backup"),
    (["payments"], "--month: is missing; write --month 2024-03"),
    (["payments", "--month", "March"], "--month March: is no month; write it as 2024-03"),
    (["payments", "--month", "2024-03", "--csv", "--json"], "--csv and --json: choose one of them"),
    (["explain"], "name a SCENARIO.json, or a case with --case ID"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), NOT_IN_THE_STORE, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_what_is_not_in_the_store_is_named(shell: Shell, arguments: list[str], said: str) -> None:
    shell("migrate")
    done = shell(*arguments)
    assert (done.status, done.out) == (2, b"")
    assert said in done.said


@pytest.mark.parametrize(
    ("arguments", "said"), UNKNOWN, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_a_wrong_command_line_says_what_is_wrong(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell(*arguments)
    assert (done.status, done.out) == (2, b"")
    assert said in " ".join(done.said.split())
    assert "Traceback" not in done.said


SETTINGS = [
    ("prot = 1", "adapter.toml: prot: "),
    ("port = 'x'", "adapter.toml: port: "),
    ("port = ", "adapter.toml: not valid TOML"),
    ("agreement = 'mars'", "agreement 'mars'"),
    ("store = 'nonsense'", "store: "),
    ("store = 'sqlite:////nowhere/at/all.db'", "the folder /nowhere/at does not exist; create it"),
    ("region = 'nowhere.toml'", "nowhere.toml: cannot read the region file"),
    ("pseudonym_key = ['geheim']", "adapter.toml: pseudonym_key: "),
    ("port = 99999", "adapter.toml: port: must be at most 65535"),
    ("[retry]\ndelays = []", "adapter.toml: retry.delays: must not be empty"),
    ("alarm_webhook = 'geheim'", "adapter.toml: alarm_webhook: must be an http:// or https:// URL"),
    (
        "lease = 10\nalarm_webhook = 'http://127.0.0.1:9'",
        "alarm_webhook: its time-out is 10 s: the setting lease",
    ),
]


@pytest.mark.parametrize(("text", "said"), SETTINGS, ids=lambda value: value[:20])
def test_wrong_settings_name_file_and_key_and_never_the_value(shell: Shell, text: str, said: str) -> None:
    (shell.folder / "adapter.toml").write_text(text)
    done = shell("cases")
    assert (done.status, done.out) == (2, b"")
    assert said in done.said
    assert "geheim" not in done.said


REGIONS = [
    ('side = "ours"', 'side = "mine"', "[[party]] id = 'laerdal-sjukehus': side = 'mine' is not one of"),
    ('endpoint = "laerdal"', 'endpoint = "aurland"', "endpoint = 'aurland' names nothing in this file"),
    ('identifiers = ["HER|8143510"]', 'identifiers = ["8143510"]', "must be SYSTEM|VALUE"),
    ('dialect = "fhir"', 'dialect = "morse"', "dialect = 'morse' is not one of"),
    ('"HER|8143501"', '"${NO_SUCH_VARIABLE}"', "the environment variable NO_SUCH_VARIABLE is not set"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), REGIONS, ids=lambda value: value[:24])
def test_a_wrong_region_names_the_entry(shell: Shell, right: str, wrong: str, said: str) -> None:
    shell.with_region()
    region = shell.folder / "region.toml"
    assert right in region.read_text()
    region.write_text(region.read_text().replace(right, wrong, 1))
    done = shell("check")
    assert (done.status, done.out) == (2, b"")
    assert said in done.said
    assert "region.toml" in done.said


AGREED_ON = [
    '[[accord]]\nname = "Avtale"\nterms = { grace = "PT24H" }\n',
    '[[follow_up]]\nkind = "call"\nactor = "municipality"\nbasis = "Sogn LMS"\ncount = "elapsed"\n'
    'duration = "PT72H"\nremind_before = "PT4H"\n',
]


@pytest.mark.parametrize("agreed", AGREED_ON, ids=["accord", "follow-up"])
def test_a_setting_that_would_drop_what_the_region_has_agreed_on_is_refused(
    shell: Shell, agreed: str
) -> None:
    shell.with_region()
    assert shell("check", agreement="sweden").status == 0
    with (shell.folder / "region.toml").open("a") as region:
        region.write(agreed)
    said = "region.toml: agreement = 'norway', and the setting agreement is 'sweden'"
    found = shell("check", agreement="sweden")
    assert (found.status, said in found.out.decode()) == (1, True)
    done = shell("run", agreement="sweden")
    assert (done.status, said in done.said) == (2, True)
    assert shell("check", agreement="norway").status == 0


def test_the_settings_file_may_be_named_before_the_command_and_after_it(shell: Shell) -> None:
    (shell.folder / "other.toml").write_text("port = 9000\n")
    for words in (
        ["--config", "other.toml", "config"],
        ["config", "--config", "other.toml"],
        ["config", "--config=other.toml"],
    ):
        assert shell(*words, "--json").json["port"] == 9000
    shell("migrate")
    assert shell("endpoints", "--json", "--config", "other.toml").json == []
    assert "nowhere.toml: there is no such settings file" in shell("cases", "--config", "nowhere.toml").said
    lacking = shell("cases", "--config")
    assert (lacking.status, "--config: the settings file is missing" in lacking.said) == (2, True)
    taken = shell("receive", "--", "--config")
    assert "--config: cannot be read" in taken.said  # behind -- it is a file's name


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    done = shell("--version")
    assert (done.status, done.said) == (0, "")
    assert done.out.decode() == f"discharge-adapter {version('discharge-adapter')}\n"


def test_no_command_is_help_and_not_success(shell: Shell) -> None:
    done = shell()
    assert done.status == 2
    assert "Usage" in done.out.decode() + done.said


def test_shell_completion_is_there(shell: Shell) -> None:
    program = f"'{sys.executable}' -m adapter.cli"
    run = {"cwd": shell.folder, "capture_output": True, "text": True}
    offered = subprocess.run(["bash", "-c", f"{program} --show-completion; true"], env=environment(), **run)
    assert "complete -o default -F" in offered.stdout
    assert "discharge-adapter" in offered.stdout
    asked = {
        "_DISCHARGE_ADAPTER_COMPLETE": "complete_bash",
        "COMP_WORDS": "discharge-adapter deliv",
        "COMP_CWORD": "1",
    }
    completed = subprocess.run(["bash", "-c", program], env=environment() | asked, **run)
    assert completed.stdout.split() == ["deliveries", "delivery"]


# --- keeping ----------------------------------------------------------------------------------------------


def test_a_backup_is_restored_to_where_no_store_is(shell: Shell) -> None:
    shell("receive", ADMITTED)
    cases = shell("cases", "--json").json
    told = shell("backup", "today.db", "--json").json
    assert told["bytes"] == (shell.folder / "today.db").stat().st_size
    assert told["backup"] == "today.db"
    assert shell("backup", "today.db").status == 2
    refused = shell("restore", "today.db")
    assert (refused.status, "move it away first" in refused.said) == (2, True)
    for file in shell.folder.glob("discharge-adapter.db*"):
        file.unlink()
    restored = {"restored": "discharge-adapter.db", "backup_of": told["taken_at"]}
    assert shell("restore", "today.db", "--json").json == restored
    assert shell("cases", "--json").json == cases
    checked = shell("check", "--journal", "--json").json
    assert (checked["findings"], checked["journal"]["entries"]) == ([], 1)


def test_a_store_that_was_put_back_by_other_means_can_be_told_so(shell: Shell) -> None:
    shell("migrate")
    told = shell("restore", "--put-back", "2014-03-03T10:00:00+01:00", "--json").json
    assert told == {"restored": "sqlite:///discharge-adapter.db", "backup_of": "2014-03-03T09:00:00Z"}
    for wrong in ("yesterday", "2014-03-03T10:00:00", "2099-01-01T00:00:00Z"):
        done = shell("restore", "--put-back", wrong)
        assert (done.status, "write an instant that has been, with its offset" in done.said) == (2, True)
    for both in ((), ("today.db", "--put-back", "2014-03-03T10:00:00Z")):
        assert shell("restore", *both).status == 2


def test_what_is_no_store_is_neither_backed_up_nor_restored(shell: Shell) -> None:
    (shell.folder / "junk.db").write_text("no database at all, and long enough to look like one" * 40)
    for arguments, store in (
        (["restore", "junk.db"], "sqlite:///new.db"),
        (["backup", "copy.db"], "sqlite:///junk.db"),
        (["migrate"], "sqlite:///junk.db"),
        (["cases"], "sqlite:///junk.db"),
    ):
        done = shell(*arguments, store=store)
        assert (done.status, done.out) == (1, b""), arguments
        assert "Traceback" not in done.said, arguments
    assert not (shell.folder / "new.db").exists()


def test_a_backup_into_a_folder_that_is_not_there_says_so(shell: Shell) -> None:
    shell("migrate")
    done = shell("backup", "nowhere/today.db")
    assert done.status == 1
    assert "nowhere/today.db" in done.said
    assert "Traceback" not in done.said


def test_migrate_makes_a_store_and_then_leaves_it(shell: Shell) -> None:
    first = shell("migrate", "--json").json
    assert first["from"] is None
    assert shell("migrate", "--json").json == {"from": first["to"], "to": first["to"]}


def test_check_finds_a_folder_that_is_not_there(shell: Shell) -> None:
    shell.with_region(REGION)
    done = shell("check", "--json")
    assert done.status == 1
    assert any("aardal" in finding and "create it" in finding for finding in done.json["findings"])


def test_check_finds_everything_that_would_stop_a_start_or_a_delivery(shell: Shell) -> None:
    shell.with_region(REGION)
    region = shell.folder / "region.toml"
    text = region.read_text().replace("concurrency = 4", 'timeout = 57\ntrust = "nowhere/ca.pem"', 1)
    region.write_text(text)
    (shell.folder / "adapter.toml").write_text(
        'region = "region.toml"\nhost = "0.0.0.0"\ntls_certificate = "nowhere/cert.pem"\n'
        '[[directory_mailboxes]]\nname = "drift"\naddress = "drift"\npartner = "mars"\n'
    )
    found = shell("check", "--json")
    assert found.status == 1
    for words in (
        "nobody can sign in",
        "tls_certificate is set alone",
        "region.toml: [[endpoint]] name = 'laerdal-sjukehus': timeout = 57: the setting lease = PT1M must be",
        "endpoint laerdal-sjukehus: trust: the file nowhere/ca.pem cannot be read",
        "mailbox 'drift': the region file has no [[partner]] called 'mars'",
        "mailbox drift: the folder drift/in does not exist; create it",
        "endpoint aardal: the folder run/aardal/out does not exist; create it",
    ):
        assert any(words in finding for finding in found.json["findings"]), words


def test_check_warns_of_a_party_whose_messages_nobody_is_said_to_read(shell: Shell) -> None:
    shell.with_region()
    region = shell.folder / "region.toml"
    assert shell("check", "--json").json == {"findings": [], "warnings": [], "schemas": None}
    text = region.read_text()
    region.write_text(text.replace('receipt = "stored" # people', "# people", 1))
    done = shell("check", "--json")
    (warning,) = done.json["warnings"]
    assert done.status == 0
    assert "[[party]] id = 'laerdal-sjukehus': has neither an endpoint nor a receipt" in warning
    assert f"warning: {warning}" in done.said


def test_check_finds_content_that_was_changed(shell: Shell) -> None:
    import sqlite3

    shell("receive", ADMITTED)
    with sqlite3.connect(shell.folder / "discharge-adapter.db") as connection:
        connection.execute("DELETE FROM payload")
    done = shell("check", "--journal")
    assert done.status == 1
    assert "has no content to send" in done.out.decode()


def test_config_shows_settings_and_hides_secrets(shell: Shell) -> None:
    shell.with_region()
    text = (shell.folder / "adapter.toml").read_text()
    (shell.folder / "adapter.toml").write_text(
        text + 'store = "sqlite:///kept.db"\npseudonym_key = "geheim-1"\n'
        'people = "people.toml"\npublic_url = "https://adapter.example"\n'
        '[oidc]\nissuer = "https://idp.example"\nclient_id = "adapter"\nclient_secret = "geheim-2"\n'
        '[[fhir_mailboxes]]\nname = "vik"\naddress = "http://127.0.0.1:1"\ntoken = "geheim-3"\n'
    )
    done = shell("config", "--json", port="9000")
    assert done.json["port"] == 9000
    assert done.json["people"] == "people.toml"
    assert done.json["oidc"]["issuer"] == "https://idp.example"
    assert done.json["region_parties"]["laerdal-sjukehus"] == "Lærdal sjukehus (ours)"
    printed = done.out + shell("config").out
    assert b"geheim" not in printed
    kept = {"payloads": "P365D", "attempts": "P180D", "seen": "P30D", "accesses": "P1827D"}
    assert done.json["retention"] == kept | {"log": "P1096D", "ledger": "P3653D"}
    hidden = shell("config", "--json", store="postgresql://post:geheim@127.0.0.1/kept").out
    assert b"geheim" not in hidden


# --- running ----------------------------------------------------------------------------------------------


def test_run_refuses_to_be_reachable_while_nobody_must_sign_in(shell: Shell) -> None:
    done = shell("run", "--host", "0.0.0.0")
    assert done.status == 2
    assert "will not listen on 0.0.0.0" in done.said
    shell.with_region()  # a partner must sign in there, but no operator
    done = shell("run", "--host", "0.0.0.0")
    assert done.status == 2
    assert "nobody can sign in" in done.said
    assert "no partner" not in done.said


def test_run_does_not_start_with_a_ca_bundle_that_cannot_be_read(shell: Shell) -> None:
    shell.with_region()
    with (shell.folder / "region.toml").open("r+") as region:
        text = region.read().replace('dialect = "fhir"', 'dialect = "fhir"\ntrust = "nowhere.pem"', 1)
        region.seek(0)
        region.write(text)
    done = shell("run", "--port", 0)
    assert (done.status, done.out) == (2, b"")
    assert done.said == "discharge-adapter: endpoint laerdal: trust: the file nowhere.pem cannot be read\n"
    assert shell("cases").status == 0  # whoever only looks needs no certificate


def test_run_says_so_where_the_port_is_taken(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = shell("run", "--port", taken.getsockname()[1])
    assert done.status == 2
    assert "Choose another with --port" in done.said


def test_run_tells_scripts_where_it_is_when_it_is_ready(shell: Shell) -> None:
    shell.with_region()
    running = subprocess.Popen(
        [sys.executable, "-m", "adapter.cli", "run", "--json", "--port", "0"],
        cwd=shell.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert running.stdout is not None
        printed = b"".join(iter(running.stdout.readline, b"}\n")) + b"}"
        told = orjson.loads(printed)
        assert requests.get(f"{told['address']}/readyz", timeout=10).text == "ready\n"
        assert (told["role"], told["store"]) == ("all", "sqlite:///discharge-adapter.db")
        running.send_signal(signal.SIGTERM)
        assert running.communicate(timeout=30)[0] == b""
        assert running.returncode == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def served(shell: Shell, *arguments: str, look: str = "/readyz", **settings: str) -> tuple[str, int, str]:
    """Run until it says its address and answers, then SIGTERM: the page, the status, what it said."""
    log = shell.folder / "said.log"
    with log.open("wb") as said:
        running = warm.start(
            ["-m", "adapter.cli", "run", "--port", "0", *arguments],
            cwd=shell.folder,
            env=environment() | {f"DISCHARGE_ADAPTER_{k.upper()}": v for k, v in settings.items()},
            stdout=said,
            stderr=said,
        )
    try:
        until, address = time.monotonic() + 30, None
        while address is None and time.monotonic() < until and running.poll() is None:
            address = re.search(r"Open (http://[\d.:]+)/", log.read_text())
            time.sleep(0.05)
        assert address is not None, log.read_text()
        page = requests.get(address[1] + look, timeout=10).text
        running.send_signal(signal.SIGTERM)
        return page, running.wait(timeout=30), log.read_text()
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def test_run_serves_until_it_is_told_to_stop(shell: Shell) -> None:
    page, status, said = served(shell)
    assert (page, status) == ("ready\n", 0), said
    assert "No region is configured" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_demo_prints_its_address_and_shows_the_region(shell: Shell) -> None:
    page, status, said = served(shell, "--demo", look="/", region=str(REGION))
    assert status == 0
    assert "Indre Sogn" in page
    assert [role in page for role in ("Sengepost", "Kommune", "Drift")] == [True] * 3  # to sign in as
    assert "A pretend address register answers at http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert not list(shell.folder.glob("*.db"))


@pytest.mark.slow
def test_a_simulation_loses_nothing_and_counts_everything(shell: Shell) -> None:
    done = shell("simulate", REGION, "--cases", 3, "--seed", 1, "--json")
    told = done.json
    assert (done.status, told["lost"], told["cases"], told["quiet"]) == (0, 0, 3, True)
    assert told["sent"] == told["accepted"] == told["receipted"] > 9
    assert sum(p["sent"] for p in told["parties"].values()) == told["sent"]
    assert done.said == ""


@pytest.mark.slow
def test_a_simulation_of_a_swedish_region_plans_together_and_loses_nothing(shell: Shell) -> None:
    done = shell("simulate", VASTERBOTTEN, "--cases", 3, "--seed", 1, "--json")
    told = done.json
    assert (done.status, told["lost"], told["cases"], told["quiet"]) == (0, 0, 3, True)
    assert set(told["parties"]) == {"umea-lasarett", "backa-vardcentral", "vannas"}
    assert told["sent"] == told["accepted"] + told["refused"] + told["held"] > 60
    assert told["accepted"] == told["receipted"] == told["delivered"]
    assert told["held"] > 0
    assert done.said == ""


@pytest.mark.parametrize("columns", ["110", "80", "60"])
def test_a_narrow_terminal_folds_and_cuts_nothing_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    deadline = {
        "id": 17,
        "case": 2,
        "kind": "follow-up-readmission-watch",
        "actor": "fixed-care-contact",
        "party": "laerdal-sjukehus",
        "due_at": "2014-03-11T08:00:00Z",
        "state": "met-late",
        "basis": "Helsedirektoratet",
    }
    table("Deadlines", list(deadline), [deadline], OSLO)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("┏", "│", "└"))]
    assert max(len(line) for line in lines) <= int(columns)
    assert all(line.endswith(("┓", "│", "┘")) for line in lines)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    whole = ["".join(column).replace(" ", "") for column in zip(*cells, strict=True)]
    assert whole == [str(value) for value in (deadline | {"due_at": "2014-03-1109:00"}).values()]
