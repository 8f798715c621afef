"""The whole way with schemas: what comes in is warned of or refused, and nothing leaves that is not valid."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from adapter.config import Settings
from adapter.config.norway import NorwaySettings
from adapter.discharge.notices import NoticeKind
from adapter.errors import CannotWrite, ConfigurationError
from adapter.messaging.acknowledgement import Status
from adapter.messaging.register import Side
from adapter.runtime import Adapter
from adapter.store import tables
from tests.conftest import StandingClock
from tests.schemas import folder
from tests.shell import FIXTURES, Shell
from tests.stage import SYNNOVE, Stage, altered, receipt, region, stage
from tests.web.conftest import site

READY = NoticeKind.READY_FOR_DISCHARGE
MESSAGE = (FIXTURES / "plo" / "home-with-help" / "ready.plo-1.6.xml").read_bytes()
BORN = b"<DateOfBirth>1938-03-12</DateOfBirth>"
UNBORN = MESSAGE.replace(BORN, b"")
WITH_BIRTH = replace(SYNNOVE, birth_date=date(1938, 3, 12))


def on_stage(at: Path, clock: StandingClock, errors: str = "warn", **more: object) -> Stage:
    norway = NorwaySettings(schemas=folder(at / "schemas"), schema_errors=errors)  # type: ignore[arg-type]  # the test chooses one of both
    return stage(f"sqlite:///{at}/store.db", clock, settings=Settings(norway=norway), **more)  # type: ignore[arg-type]


@pytest.fixture
def play(tmp_path: Path, clock: StandingClock) -> Iterator[Stage]:
    made = on_stage(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def strict(tmp_path: Path, clock: StandingClock) -> Iterator[Stage]:
    made = on_stage(tmp_path, clock, "refuse")
    yield made
    made.close()


# --- in ---------------------------------------------------------------------------------------------------


def test_a_message_that_is_not_valid_is_taken_and_the_fault_stands_with_it(play: Stage) -> None:
    done = play.receive(play.plo(READY, receivers=("laerdal",)))
    assert done.outcome == "accepted"
    (row,) = play.rows(tables.message)
    assert row["reason"] == done.warning
    assert "not valid against its schema: line" in row["reason"]
    assert "stands where DateOfBirth is expected" in row["reason"]
    assert "21843012660" not in row["reason"]


def test_the_message_s_page_shows_it(tmp_path: Path, clock: StandingClock) -> None:
    norway = NorwaySettings(schemas=folder(tmp_path / "schemas"))
    with site(tmp_path, clock, norway=norway) as living:
        living.stage.receive(living.stage.plo(READY, receivers=("laerdal",)))
        assert "stands where DateOfBirth is expected" in living.get("/messages/1").text


def test_a_valid_message_has_no_warning(play: Stage) -> None:
    done = play.receive(play.plo(READY, receivers=("laerdal",), subject=WITH_BIRTH))
    assert (done.outcome, done.warning, play.rows(tables.message)[0]["reason"]) == ("accepted", None, None)


def test_where_the_operator_says_so_it_is_refused_with_t02_in_its_own_receipt(strict: Stage) -> None:
    done = strict.receive(strict.plo(READY, receivers=("laerdal",)))
    assert (done.outcome, done.code) == ("refused", "T02")
    assert done.acknowledgement is not None
    assert b'<Status V="2"' in done.acknowledgement
    assert b'<Error V="T02"' in done.acknowledgement
    assert b"stands where DateOfBirth is expected" in done.acknowledgement
    assert strict.rows(tables.fact) == []


def test_a_valid_one_is_taken_there_too(strict: Stage) -> None:
    assert strict.receive(strict.plo(READY, receivers=("laerdal",), subject=WITH_BIRTH)).outcome == "accepted"


def test_between_two_of_theirs_it_is_passed_on_though_it_is_not_valid(
    tmp_path: Path, clock: StandingClock
) -> None:
    play = on_stage(tmp_path, clock, "refuse", of=altered(region(), "laerdal-sjukehus", side=Side.THEIRS))
    content = play.plo(READY, receivers=("aardal",))
    assert play.receive(content).outcome == "accepted"
    play.deliver()
    assert [message.content for name, message in play.post.sent if name == "aardal"] == [content]
    play.close()


def test_a_receipt_that_is_not_valid_counts_and_the_fault_stands_with_it(
    strict: Stage, clock: StandingClock
) -> None:
    strict.receive(strict.message(READY, receivers=("aardal",), subject=WITH_BIRTH))
    strict.deliver()
    given = receipt(strict.post.sent[0][1].content, at=clock()).replace(b"<Status", b"<Noe/><Status")
    done = strict.receive(given)
    assert (done.outcome, strict.delivery()["state"]) == ("accepted", "acknowledged")
    assert "Noe: stands where Status is expected" in (done.warning or "")
    assert strict.rows(tables.message)[-1]["reason"] == done.warning


# --- out --------------------------------------------------------------------------------------------------


def test_what_we_would_write_and_is_not_valid_is_held_and_never_sent(play: Stage) -> None:
    done = play.receive(play.message(READY, receivers=("aardal",)))  # who reads PLO; no birth date is known
    assert (done.outcome, done.code) == ("quarantined", "mapping")
    assert "stands where DateOfBirth is expected" in (done.reason or "")
    assert "not valid against its schema" in (done.reason or "")
    assert play.rows(tables.delivery) == []


def test_what_is_valid_leaves(play: Stage) -> None:
    play.receive(play.message(READY, receivers=("aardal",), subject=WITH_BIRTH))
    assert play.deliver() == ["sent"]


def test_what_is_written_anew_by_hand_is_checked_too(play: Stage, clock: StandingClock) -> None:
    play.receive(play.message(READY, receivers=("laerdal",)))  # who reads FHIR
    with pytest.raises(CannotWrite, match="DateOfBirth"):
        play.write(lambda tx: play.built.inbox.reissue(tx, 1, clock(), to="aardal", by="Marta"))


def nameless(content: bytes) -> bytes:
    """The message of a sender that does not write its name: a receipt must mirror that."""
    before, name, after = content.partition(b"<OrganisationName>")
    return before + after.partition(b"</OrganisationName>")[2] if name else content


def test_a_message_whose_receipt_would_not_be_valid_is_held_without_one(play: Stage) -> None:
    content = nameless(play.plo(READY, receivers=("laerdal",), subject=WITH_BIRTH))
    done = play.receive(content)
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "mapping", None)
    assert "its receipt cannot be given" in (done.reason or "")
    assert play.rows(tables.delivery) == play.rows(tables.fact) == []


def test_a_refusal_whose_receipt_would_not_be_valid_stands_and_says_so(strict: Stage) -> None:
    done = strict.receive(nameless(strict.plo(READY, receivers=("laerdal",))))
    assert (done.outcome, done.code, done.acknowledgement) == ("refused", "T02", None)
    assert "tell the sender by telephone" in (done.reason or "")


def test_a_receiver_s_word_that_cannot_be_passed_back_is_kept_and_a_person_told(
    play: Stage, clock: StandingClock
) -> None:
    content = nameless(play.plo(READY, receivers=("aardal",), subject=WITH_BIRTH))
    assert play.receive(content).outcome == "accepted"
    play.deliver()
    assert (
        play.receive(receipt(play.post.sent[0][1].content, Status.ACCEPTED, at=clock())).outcome == "accepted"
    )
    assert play.delivery()["state"] == "acknowledged"
    (alarm,) = play.rows(tables.alarm)
    assert (alarm["kind"], alarm["subject"]) == ("receipt-not-passed-back", "message 1")
    assert [row["kind"] for row in play.rows(tables.delivery)] == ["ready-for-discharge"]


# --- at the command line and at the start -----------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path).with_region()
    folder(tmp_path / "xsd")
    settings = 'region = "region.toml"\n[norway]\nschemas = "xsd"\n'
    (tmp_path / "adapter.toml").write_text(settings)
    return made


def test_receive_tells_the_fault_as_a_warning(shell: Shell) -> None:
    done = shell("receive", "--json", "-", stdin=UNBORN)
    assert done.status == 0
    assert "stands where DateOfBirth is expected" in done.json[0]["warning"]
    assert done.json[0]["outcome"] == "accepted"


def test_receive_refuses_where_the_environment_says_so(shell: Shell) -> None:
    done = shell("receive", "--json", "-", stdin=UNBORN, norway__schema_errors="refuse")
    assert (done.status, done.json[0]["code"]) == (1, "T02")


def test_convert_checks_what_it_reads_and_what_it_writes(shell: Shell) -> None:
    warned = shell("convert", "-", "--to", "fhir", "--json", stdin=UNBORN)
    assert warned.status == 0
    assert "stands where DateOfBirth is expected" in warned.json["warnings"][0]
    refused = shell("convert", "-", "--to", "fhir", stdin=UNBORN, norway__schema_errors="refuse")
    assert (refused.status, refused.out) == (1, b"")
    assert "T02: " in refused.said
    (shell.folder / "unborn.json").write_bytes(shell("convert", "-", "--to", "fhir", stdin=UNBORN).out)
    written = shell("convert", "unborn.json", "--to", "plo-1.6")
    assert (written.status, written.out) == (1, b"")
    assert "what would be sent is not valid against its schema" in written.said


def test_check_says_what_the_folder_covers(shell: Shell) -> None:
    done = shell("check", "--json")
    assert done.status == 0
    assert done.json["schemas"]["covered"] == ["MsgHead 1.2", "AppRec 1.1"]
    assert "PLO 1.5" in done.json["schemas"]["missing"]
    assert "official schemas: all of MsgHead 1.2, AppRec 1.1; not those of" in shell("check").out.decode()


def test_a_schema_that_cannot_be_used_is_a_finding_and_stops_the_start_and_the_message(shell: Shell) -> None:
    assert shell("receive", "-", stdin=MESSAGE).status == 0
    (shell.folder / "xsd" / "head.xsd").write_text("<broken")
    found = shell("check", "--json")
    assert (found.status, found.json["schemas"]) == (1, None)
    assert "head.xsd cannot be used" in found.json["findings"][0]
    assert shell("cases").status == 0  # which has nothing to do with it
    received = shell("receive", "-", stdin=UNBORN)
    assert (received.status, received.out) == (2, b"")
    assert "head.xsd cannot be used" in received.said


def test_nothing_starts_with_a_schema_that_cannot_be_used(tmp_path: Path, clock: StandingClock) -> None:
    play = on_stage(tmp_path, clock)
    (tmp_path / "schemas" / "apprec.xsd").write_text("<broken")
    adapter = Adapter(replace(play.built, settings=play.built.settings.model_copy(update={"port": 0})))
    with pytest.raises(ConfigurationError, match=r"apprec\.xsd cannot be used"):
        adapter.start()
    adapter.stop()


def test_a_missing_folder_is_told_at_once(shell: Shell) -> None:
    done = shell("receive", "-", stdin=MESSAGE, norway__schemas="nowhere")
    assert (done.status, done.out) == (2, b"")
    assert "there is no folder" in done.said
