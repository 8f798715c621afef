"""What we write as a dialogue message: the answer that is read back, and what has no place in one."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir.bundles import Resource, entry, follow, header, reference, with_extension
from adapter.fhir.notices import notice_in
from adapter.mappings import Bundle, kith
from adapter.mappings.kith import dialogue_writing
from tests.mappings.compare_kith import flat, payload
from tests.mappings.test_kith_writing import EARLIER, OSLO, bundle_of, read_back, told, written

K, A = NoticeKind, AnswerValue
WORDS = st.text("abcÆØÅæøå .,:-0123456789\n", max_size=60).map(
    lambda text: "\n".join(line.strip() for line in text.splitlines() if line.strip())
)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def told_by(kind: NoticeKind, **said: Any) -> Notice:
    return told(kind, **({"hospital": None} | said))


def fields(bundle: Bundle, dialect: str = "plo-1.6") -> dict[str, str]:
    return dict(flat(payload(written(bundle, dialect).content)))


def focus(bundle: Bundle) -> Resource:
    found = follow(bundle, (header(bundle) or {})["focus"][0])
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(
    value=st.sampled_from([A.CAN_RECEIVE, A.CANNOT_RECEIVE, A.NOT_KNOWN]),
    day=st.none() | DAYS,
    words=WORDS,
    dialect=st.sampled_from(kith.NAMES),
)
def test_every_answer_is_read_back_with_its_day_and_its_words(
    value: AnswerValue, day: date | None, words: str, dialect: str
) -> None:
    notice = told_by(K.ANSWER, answer=value, receive_from=day, text=words or None, refers_to=EARLIER)
    message = written(bundle_of(notice, responsible=None, unit=None), dialect, refers_to=EARLIER)
    back = read_back(message)
    assert (back.kind, back.answer, back.receive_from) == (K.ANSWER, value, day)
    assert (back.text or "").split() == words.split()
    assert back.refers_to == EARLIER


@pytest.mark.parametrize(
    ("dialect", "kind", "message_type"),
    [
        ("plo-1.5", K.ENQUIRY, "DIALOG_FORESPORSEL"),
        ("plo-1.5", K.REPLY, "DIALOG_SVAR"),
        ("plo-1.5", K.NOTE, "DIALOG_NOTAT"),
        ("plo-1.5", K.ANSWER, "DIALOG_NOTAT"),
        ("plo-1.5", K.DEVIATION, "DIALOG_AVVIK"),
        ("plo-1.6", K.ENQUIRY, "DIALOG_HELSEFAGLIG"),
        ("plo-1.6", K.REPLY, "DIALOG_HELSEFAGLIG"),
        ("plo-1.6", K.NOTE, "DIALOG_HELSEFAGLIG"),
        ("plo-1.6", K.ANSWER, "DIALOG_HELSEFAGLIG"),
        ("plo-1.6", K.DEVIATION, "DIALOG_AVVIK"),
    ],
)
def test_each_kind_has_its_type_in_each_version(dialect: str, kind: NoticeKind, message_type: str) -> None:
    notice = told_by(kind, text="Hei", answer=A.NOT_KNOWN if kind is K.ANSWER else None)
    message = written(bundle_of(notice), dialect)
    assert message.type == message_type
    version = "2006-10-11" if dialect == "plo-1.5" else "2013-01-23"
    assert f"http://www.kith.no/xmlstds/dialog/{version}".encode() in message.content


def test_an_answer_says_it_in_bokmaal_under_its_own_theme() -> None:
    notice = told_by(K.ANSWER, answer=A.CANNOT_RECEIVE, receive_from=date(2014, 3, 10))
    found = fields(bundle_of(notice))
    assert found["Dialogmelding/Notat/TekstNotatInnhold"] == (
        "Svar på melding om utskrivningsklar pasient: Kommunen kan ikke ta imot pasienten før 10.03.2014."
    )
    assert found["Dialogmelding/Notat/TemaKodet@V"] == "7"


def test_the_reason_of_an_answer_travels_as_a_remark() -> None:
    bundle = bundle_of(told_by(K.ANSWER, answer=A.CANNOT_RECEIVE))
    focus(bundle)["statusReason"] = {"text": "Fullt på sjukeheimen"}
    focus(bundle)["note"] = [{"text": "Ring oss"}]
    assert fields(bundle)["Dialogmelding/Notat/Merknad"] == "Fullt på sjukeheimen Ring oss"


def test_an_unclassified_answer_is_sent_as_the_words_that_it_is() -> None:
    notice = told_by(K.ANSWER, answer=A.UNCLASSIFIED, text="Kanskje på fredag", refers_to=EARLIER)
    back = read_back(written(bundle_of(notice), refers_to=EARLIER))
    assert (back.kind, back.text) == (K.REPLY, "Kanskje på fredag")


def test_the_clinician_who_answers_for_it_is_whom_the_receiver_may_ask() -> None:
    found = fields(bundle_of(told_by(K.NOTE, text="Hei")))
    person = "Dialogmelding/Notat/RollerRelatertNotat"
    assert found[f"{person}/RoleToPatient@V"] == "21"
    assert found[f"{person}/HealthcareProfessional/FamilyName"] == "Bjelde"


def test_a_message_of_a_fhir_system_is_written_from_its_payload() -> None:
    bundle = bundle_of(told_by(K.ENQUIRY, text="generert"))
    focus(bundle)["payload"] = [{"contentString": "Når?"}, {"contentString": "Og hvor?"}]
    focus(bundle)["priority"] = "stat"
    found = fields(bundle)
    assert found["Dialogmelding/Foresporsel/Sporsmal"] == "Når? Og hvor?"
    assert found["Dialogmelding/Foresporsel/TypeForesp@V"] == "99"
    assert found["Dialogmelding/Foresporsel/Hastegrad@V"] == "3"
    assert any("stat: written as Innen 24 timer" in loss for loss in written(bundle).losses)


def test_a_theme_of_another_code_system_gives_way_to_ours_and_is_listed() -> None:
    bundle = bundle_of(told_by(K.NOTE, text="Hei"))
    focus(bundle)["topic"] = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}
    assert fields(bundle)["Dialogmelding/Notat/TemaKodet@V"] == "6"
    assert any("Norwegian lists only" in loss for loss in written(bundle).losses)


def test_an_attachment_travels_beside_the_text_and_one_elsewhere_is_listed() -> None:
    bundle = bundle_of(told_by(K.NOTE, text="Se vedlegg"))
    inside = {"contentType": "application/pdf", "title": "EKG", "data": b64encode(b"%PDF").decode()}
    focus(bundle)["payload"] = [
        {"contentAttachment": inside},
        {"contentAttachment": {"url": "https://example.org/x"}},
    ]
    made = dialogue_writing.write(bundle, dialect="plo-1.6", sender=dialogue_sender(bundle))
    (attachment,) = made.attachments
    assert (attachment.content, attachment.media_type, attachment.title) == (
        b"%PDF",
        "application/pdf",
        "EKG",
    )
    assert any("not in the message itself" in loss for loss in made.losses)


def dialogue_sender(bundle: Bundle) -> Any:
    from adapter.fhir.bundles import address_of

    return address_of(follow(bundle, (header(bundle) or {})["sender"]))


def test_what_a_dialogue_cannot_say_is_listed() -> None:
    notice = told_by(
        K.NOTE, text="Hei", encounter="LS-1", standing=Standing.CORRECTION, reserved=True,
        occurred=datetime(2014, 3, 5, 10, tzinfo=UTC),
    )  # fmt: skip
    bundle = bundle_of(notice)
    observed: Resource = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}}
    bundle["entry"].append(entry(observed))
    focus(bundle)["medium"] = [{"text": "brev"}]
    losses = "\n".join(written(bundle).losses)
    other: Resource = {"resourceType": "Communication", "id": "c", "status": "completed"}
    bundle["entry"].append(entry(other))
    losses = "\n".join(written(bundle).losses)
    for said in (
        "not part of",
        "stay",
        "corrects",
        "reservation",
        "when it happened",
        "Observation",
        "medium",
    ):
        assert said in losses


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2014-03-08", "2014-03-08"),
        ("2014-03-08T23:30:00Z", "2014-03-09"),
        ("2014-03-08T23:30:00-05:00", "2014-03-09"),
        ("2014-03-08T00:30:00+01:00", "2014-03-08"),
    ],
)
def test_the_days_that_a_question_asks_for_are_norwegian_days(said: str, day: str) -> None:
    bundle = bundle_of(told_by(K.ENQUIRY, text="Kva fekk ho?"))
    with_extension(focus(bundle), "asked-period", "Period", {"start": said, "end": said})
    found = fields(bundle)
    assert [found[f"Dialogmelding/Foresporsel/{tag}"] for tag in ("FraDato", "TilDato")] == [day, day]


@pytest.mark.parametrize("said", ["2014-03", "2014"])
def test_what_is_no_day_is_listed_and_not_written_as_one(said: str) -> None:
    bundle = bundle_of(told_by(K.ENQUIRY, text="Kva fekk ho?"))
    with_extension(focus(bundle), "asked-period", "Period", {"start": said})
    message = written(bundle)
    assert b"FraDato" not in message.content
    assert "asked-period.start: FraDato holds a day only" in message.losses


def test_a_dialogue_is_not_taken_back_by_a_message() -> None:
    with pytest.raises(CannotWrite, match="telephone"):
        written(bundle_of(told_by(K.NOTE, standing=Standing.CANCELLATION, refers_to=EARLIER)))


def test_a_reply_in_1_0_that_lacks_its_question_says_so() -> None:
    bundle = bundle_of(told_by(K.REPLY, text="Ja"))
    assert any("shall repeat it" in loss for loss in written(bundle, "plo-1.5").losses)
    question: Resource = {
        "resourceType": "Communication", "id": "q", "status": "completed",
        "payload": [{"contentString": "Kan dere?"}],
    }  # fmt: skip
    bundle["entry"].append(entry(question))
    focus(bundle)["inResponseTo"] = [reference(question)]
    assert not any("shall repeat it" in loss for loss in written(bundle, "plo-1.5").losses)
    assert fields(bundle, "plo-1.5")["Dialogmelding/Notat/Foresporsel/Sporsmal"] == "Kan dere?"


def test_the_same_notice_comes_back() -> None:
    notice = told_by(K.NOTE, text="Hei & ha det <b>")
    message = written(bundle_of(notice))
    found = kith.read(message.content, content_type=None, zone=OSLO)
    assert found.bundle is not None
    back = notice_in(found.bundle, zone=OSLO)
    assert back == replace(notice, sender=back.sender, receivers=back.receivers)
