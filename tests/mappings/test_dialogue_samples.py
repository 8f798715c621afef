"""Dialogue messages there and back: the standard's own examples, where they are, and our fixtures always."""

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir.notices import notice_in
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Reading, Written, kith
from tests.mappings.compare_kith import differences, payload
from tests.mappings.official import valid

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
OURS = Path(__file__).parents[2] / "fixtures" / "plo"
SCENARIOS = (
    "plan-asked-for", "answer-in-words", "wrong-receiver", "physiotherapist-asked", "visit-by-the-nurse",
)  # fmt: skip
FIXTURES = [path for name in SCENARIOS for path in sorted((OURS / name).glob("*.xml"))]


def read(path: Path) -> Reading:
    return kith.read(path.read_bytes(), content_type=None, zone=OSLO)


def again(found: Reading, dialect: str) -> Written:
    assert found.bundle is not None
    envelope = found.envelope
    addressing = Addressing(
        message_id=envelope.message_id,
        transmission_id=envelope.message_id,
        sender=envelope.sender,
        receiver=envelope.receivers[0],
        refers_to=envelope.refers_to,
        conversation=envelope.conversation,
    )
    return kith.write(found.bundle, dialect=dialect, addressing=addressing)


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def there_and_back(path: Path) -> None:
    """The same payload, field by field, and the same notice; in the other version the same notice."""
    found = read(path)
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)
    notice = notice_in(found.bundle, zone=OSLO)
    for dialect in kith.NAMES:
        written = again(found, dialect)
        told = kith.read(written.content, content_type=None, zone=OSLO)
        assert told.bundle is not None
        back = notice_in(told.bundle, zone=OSLO)
        assert (back.answer, back.receive_from) == (notice.answer, notice.receive_from)
        assert (notice.text or "") in (back.text or "")  # 1.0 has the subject of a question in its words
        if dialect == found.envelope.dialect:
            assert back == notice
            assert [str(d) for d in differences(payload(path.read_bytes()), payload(written.content))] == []


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) == 14


@pytest.mark.parametrize("path", FIXTURES, ids=named)
def test_our_dialogues_come_back_as_they_went(path: Path) -> None:
    there_and_back(path)
    assert read(path).losses == ()


if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    STATUS = "Status_paa_henvisning-InnkaltEtterViderehenvisning.xml"
    ALL = sorted(NORWAY.glob("dialog-1.?/*.xml"))
    READ = [path for path in ALL if path.name not in (STATUS, "invalid-version.xml")]
    KINDS = {
        "Dialogmelding_avvik_v1-0": K.DEVIATION,
        "Dialogmelding_foresporsel_PLO_v1-0": K.ENQUIRY,
        "Dialogmelding_svar_foresporsel_PLO_v1-0": K.REPLY,
        "dialog-foresporsel-samsvar-test": K.ENQUIRY,
        "dialog-notat-webmed-test": K.NOTE,
        "dialog-svar-webmed-test": K.REPLY,
        "dialog-svar-webmed-test-2": K.REPLY,
        "Helsefaglig dialog": K.REPLY,  # it refers to a message
        "Helsefaglig dialog_angi profesjon hos mottaker": K.NOTE,
        "samsvar-test-message": K.NOTE,
    }

    def test_there_are_samples() -> None:
        assert {path.stem for path in READ} == set(KINDS)

    @pytest.mark.parametrize("path", READ, ids=named)
    def test_every_dialogue_example_comes_back_as_it_went(path: Path) -> None:
        found = read(path)
        assert found.bundle is not None
        assert notice_in(found.bundle, zone=OSLO).kind is KINDS[path.stem]
        assert found.envelope.dialect == ("plo-1.5" if path.parent.name == "dialog-1.0" else "plo-1.6")
        there_and_back(path)
        for dialect in kith.NAMES:
            valid(again(found, dialect).content)

    def test_a_dialogue_about_a_referral_is_not_read_and_says_what_it_is() -> None:
        found = read(NORWAY / "dialog-1.1" / STATUS)
        assert isinstance(found.problem, Refused)
        assert found.problem.code == "T10"
        assert "Status på henvisning" in found.problem.reason

    def test_a_message_of_another_version_without_content_is_refused_in_words() -> None:
        with pytest.raises(Refused, match="GenDate") as caught:
            read(NORWAY / "dialog-1.0" / "invalid-version.xml")
        assert caught.value.code == "T02"

    @pytest.mark.parametrize("path", FIXTURES, ids=named)
    def test_what_we_write_of_our_own_fixtures_is_valid(path: Path) -> None:
        for dialect in kith.NAMES:
            valid(again(read(path), dialect).content)
