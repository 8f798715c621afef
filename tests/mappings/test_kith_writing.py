"""What we write is read back as the same notice, and holds nothing that Pasientlogistikk must not carry."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.discharge.notices import Moment, Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir.bundles import CPR, FNR, HPR, Clinician, Subject, Unit, entry
from adapter.fhir.notices import clinician_in, message_bundle, notice_in, subject_in
from adapter.mappings import Addressing, Bundle, Written, kith
from adapter.messaging.envelope import HER, Address

OSLO = ZoneInfo("Europe/Oslo")
K = NoticeKind
WARD = Address(identifiers=((HER, "8143501"), (HER, "8143500")), name="Lærdal sjukehus")
NURSING = Address(identifiers=((HER, "8143511"), (HER, "8143510")), name="Lærdal kommune")
SYNNOVE = Subject(
    identifiers=((FNR, "12833840104"),),
    family="Fjellheim",
    given="Synnøve",
    birth_date=date(1938, 3, 12),
    gender="female",
    address=("Øyragata 14", "6887", "Lærdal"),
)
RAGNHILD = Clinician(identifiers=((HPR, "9999901"),), family="Bjelde", given="Ragnhild", profession="LE")
SENGEPOST = Unit(name="Sengepost 2", phone="57 63 99 99")
MESSAGE_ID = "5b1f7a54-9a3c-4b52-8c39-0c3f4f6d2a10"
EARLIER = "0f2c6a9e-6f6e-4d2b-9d53-6f0a3f1f7b22"
HOME = ("urn:oid:2.16.578.1.12.4.1.1.8408", "1", "Bosted/arbeidssted")
SENT = datetime(2014, 3, 6, 10, 5, 40, tzinfo=OSLO)


def told(kind: NoticeKind, **said: Any) -> Notice:
    fields: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "sent_at": SENT,
        "occurred": SENT,
        "sender": WARD.token,
        "receivers": (NURSING.token,),
        "hospital": WARD.token,
    }
    return Notice(kind=kind, **(fields | said))


def bundle_of(notice: Notice, **beside: Any) -> Bundle:
    given_beside: dict[str, Any] = {
        "subject": SYNNOVE,
        "responsible": RAGNHILD,
        "unit": SENGEPOST,
        "discharged_to": HOME if notice.kind is K.DISCHARGED else None,
    }
    return message_bundle(
        notice,
        sender=WARD,
        receivers=[NURSING],
        hospital=WARD if notice.hospital else None,
        transmission_id=notice.message_id,
        **(given_beside | beside),
    )


def written(bundle: Bundle, dialect: str = "plo-1.6", **addressing: Any) -> Written:
    to: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "transmission_id": "-",
        "sender": WARD,
        "receiver": NURSING,
    }
    return kith.write(bundle, dialect=dialect, addressing=Addressing(**(to | addressing)))


def read_back(message: Written) -> Notice:
    found = kith.read(message.content, content_type=message.content_type, zone=OSLO)
    assert found.problem is None or found.problem.code == "future"  # read whole, though held
    assert found.bundle is not None
    return notice_in(found.bundle, zone=OSLO)


def values(message: Written, tag: str) -> list[str | None]:
    return [found.get("V") for found in etree.fromstring(message.content).iter(f"{{*}}{tag}")]


instants = st.integers(1_325_376_000, 1_893_456_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
moments = st.one_of(instants, st.dates(date(2012, 1, 1), date(2030, 1, 1)))


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    """Any notice that a logistics message can hold whole."""
    kind = draw(
        st.sampled_from((K.ADMITTED, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.DISCHARGED, K.DECEASED))
    )
    sent_at = draw(instants)
    estimate = draw(st.booleans())
    occurred: Moment = draw(moments)
    said: dict[str, Any] = {"estimate": estimate, "reserved": draw(st.booleans())}
    if kind is K.ADMITTED:
        said["admitted"] = occurred
    if kind in (K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN):
        said["admitted"] = draw(st.none() | moments)
        said["planned_discharge"] = draw(st.none() | st.dates(date(2012, 1, 1), date(2030, 1, 1)))
    if kind is K.READY_FOR_DISCHARGE:
        today = sent_at.astimezone(OSLO).date()
        said["ready"] = today + timedelta(days=draw(st.integers(-9, 9)))
        occurred = sent_at if said["ready"] > today else said["ready"]
    if kind is K.DECEASED and draw(st.booleans()):
        said["hospital"] = None
    if draw(st.booleans()):
        said["standing"] = draw(st.sampled_from((Standing.CORRECTION, Standing.CANCELLATION)))
        said["refers_to"] = EARLIER
    return told(kind, sent_at=sent_at, occurred=occurred, **said)


@given(notice=notices(), dialect=st.sampled_from(kith.NAMES))
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back_as_the_same_notice(notice: Notice, dialect: str) -> None:
    if dialect == "plo-1.5":
        notice = replace(notice, planned_discharge=None)
    message = written(bundle_of(notice), dialect, refers_to=notice.refers_to)
    assert read_back(message) == notice


@pytest.mark.parametrize("dialect", kith.NAMES)
def test_the_persons_are_read_back_too(dialect: str) -> None:
    message = written(bundle_of(told(K.ADMITTED)), dialect)
    bundle = kith.read(message.content, content_type=None, zone=OSLO).bundle
    assert bundle is not None
    assert subject_in(bundle) == SYNNOVE
    assert clinician_in(bundle) == RAGNHILD


def test_the_hour_that_comes_twice_is_not_confused() -> None:
    for fold in (0, 1):
        occurred = datetime(2025, 10, 26, 2, 30, tzinfo=OSLO, fold=fold)
        notice = told(K.ADMITTED, occurred=occurred, sent_at=occurred)
        found = read_back(written(bundle_of(notice)))
        assert found.sent_at.utcoffset() == occurred.utcoffset()


def test_times_leave_as_local_norwegian_times() -> None:
    utc = datetime.fromisoformat("2014-07-01T08:00:00+00:00")
    message = written(bundle_of(told(K.ADMITTED, occurred=utc, sent_at=utc)))
    assert b"<GenDate>2014-07-01T10:00:00</GenDate>" in message.content
    assert values(message, "TidspunktForHendelse") == ["2014-07-01T10:00:00"]


def test_a_ready_notice_has_admission_readiness_and_the_clinician() -> None:
    notice = told(K.READY_FOR_DISCHARGE, ready=SENT.date(), admitted=SENT - timedelta(days=3))
    message = written(bundle_of(notice))
    assert values(message, "Hendelsekode") == ["1", "3"]
    assert message.type == "LOG_UTSKRIVNINGSKLAR"
    assert b"Bjelde" in message.content
    assert message.losses == ()


def test_a_readiness_that_began_before_it_was_told_loses_the_telling() -> None:
    message = written(
        bundle_of(told(K.READY_FOR_DISCHARGE, ready=date(2014, 3, 4), admitted=date(2014, 3, 1)))
    )
    assert message.losses == ("when the readiness was decided: event 3 says from when the patient is ready",)


def test_what_the_standard_asks_for_and_nobody_said_is_listed() -> None:
    message = written(bundle_of(told(K.READY_FOR_DISCHARGE), responsible=None))
    assert values(message, "Hendelsekode") == ["3"]
    assert any("event 1 (admitted)" in loss for loss in message.losses)
    assert any("shall name the clinician" in loss for loss in message.losses)


def test_an_expected_readiness_is_always_a_date() -> None:
    notice = told(K.READY_FOR_DISCHARGE, ready=SENT + timedelta(days=2), estimate=True)
    message = written(bundle_of(notice))
    assert values(message, "TidspunktForHendelse") == ["2014-03-08"]
    assert any("time of day of an expected readiness" in loss for loss in message.losses)


def test_the_expected_day_is_new_in_1_6() -> None:
    notice = told(K.READY_FOR_DISCHARGE, planned_discharge=date(2014, 3, 9))
    assert values(written(bundle_of(notice), "plo-1.6"), "Hendelsekode") == ["3", "5"]
    older = written(bundle_of(notice), "plo-1.5")
    assert values(older, "Hendelsekode") == ["3"]
    assert any("planned date of discharge" in loss for loss in older.losses)


def test_a_death_in_hospital_is_a_discharge_and_one_outside_is_not() -> None:
    inside, outside = (written(bundle_of(told(K.DECEASED, hospital=h))) for h in (WARD.token, None))
    assert (inside.type, outside.type) == ("LOG_UTSKREVET", "LOG_DOD")
    assert values(inside, "Uttilstand") == ["2"]
    assert values(outside, "Hendelsekode") == ["13"]


@pytest.mark.parametrize(
    ("said", "code", "lost"),
    [
        (HOME, "1", False),
        (("urn:oid:2.16.578.1.12.4.1.1.8408", "11", "Sykehjem/aldershjem"), "11", False),
        (("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home", "Home"), "1", False),
        (("http://terminology.hl7.org/CodeSystem/discharge-disposition", "psy", "Psych"), "98", True),
        (("http://example.org", "1", "elsewhere"), "98", True),
        (None, "98", True),
    ],
)
def test_where_to_is_always_said_in_list_8408(said: Any, code: str, lost: bool) -> None:
    message = written(bundle_of(told(K.DISCHARGED), discharged_to=said))
    assert values(message, "UtTil") == [code]
    assert any("8408" in loss for loss in message.losses) is lost


def test_no_health_information_leaves() -> None:
    secret = "Hoftebrudd, delir og smerter"
    bundle = bundle_of(told(K.READY_FOR_DISCHARGE, text=secret))
    condition = {"resourceType": "Condition", "id": "c", "code": {"text": secret}}
    bundle["entry"].append(entry(condition))
    message = written(bundle)
    for word in ("Hoftebrudd", "delir", "smerter"):
        assert word not in message.content.decode()
        assert not any(word in loss for loss in message.losses)
    assert any(loss.startswith("the free text") for loss in message.losses)
    assert any(loss.startswith("Condition") for loss in message.losses)


def test_a_reference_is_written_only_under_the_id_that_the_receiver_knows() -> None:
    notice = told(
        K.ADMITTED, standing=Standing.CANCELLATION, refers_to="c0ffee00-0000-4000-8000-000000000000"
    )
    message = written(bundle_of(notice), refers_to=EARLIER, conversation=MESSAGE_ID)
    assert f"<RefToParent>{EARLIER}</RefToParent>".encode() in message.content
    assert f"<RefToConversation>{MESSAGE_ID}</RefToConversation>".encode() in message.content
    assert values(message, "Forsendelsesstatus") == ["C"]
    alone = written(bundle_of(notice))
    assert b"ConversationRef" not in alone.content
    assert any("under no id" in loss for loss in alone.losses)


def test_services_are_organisations_within_their_organisation() -> None:
    enh = "urn:oid:2.16.578.1.12.4.1.4.101"
    sender = Address(
        identifiers=((HER, "8143501"), (HER, "8143500"), (enh, "999999901")), name="Lærdal sjukehus"
    )
    message = written(bundle_of(told(K.ADMITTED)), sender=sender)
    found = kith.read(message.content, content_type=None, zone=OSLO).envelope
    assert found.sender == sender
    assert found.receivers == (NURSING,)
    assert found.production is False


def test_a_real_message_says_so() -> None:
    message = written(bundle_of(told(K.ADMITTED)), production=True)
    assert kith.read(message.content, content_type=None, zone=OSLO).envelope.production is True


@pytest.mark.parametrize("kind", [K.CARE_PLAN, K.SEEN, K.SIP_CALL, K.PLANNED_DISCHARGE])
def test_kinds_without_a_form_say_what_to_do(kind: NoticeKind) -> None:
    with pytest.raises(CannotWrite, match="by telephone"):
        written(bundle_of(told(kind)))


@pytest.mark.parametrize(
    "subject",
    [
        Subject(family="Fjellheim"),
        replace(SYNNOVE, family=None, given=None),
        replace(SYNNOVE, identifiers=((CPR, "9903380000"),), birth_date=None),
        replace(SYNNOVE, identifiers=(), gender="unknown"),
    ],
)
def test_a_patient_whom_the_receiver_must_refuse_is_not_sent(subject: Subject) -> None:
    with pytest.raises(CannotWrite, match="E36") as caught:
        written(bundle_of(told(K.ADMITTED), subject=subject))
    assert "Fjellheim" not in str(caught.value)


def test_what_cannot_be_addressed_is_not_sent() -> None:
    stranger = Address(identifiers=(("urn:oid:1.2.208.176.1.1", "1"),), name="Esbjerg")
    with pytest.raises(CannotWrite, match="receiver has neither"):
        written(bundle_of(told(K.ADMITTED)), receiver=stranger)
    with pytest.raises(CannotWrite, match="GUID"):
        written(bundle_of(told(K.ADMITTED)), message_id="42")
    with pytest.raises(CannotWrite, match="not a dialect"):
        written(bundle_of(told(K.ADMITTED)), "plo-2.0")


def test_characters_that_xml_cannot_hold_are_left_out() -> None:
    subject = replace(SYNNOVE, family="Fjell\x00\x0bheim")
    bundle = kith.read(
        written(bundle_of(told(K.ADMITTED), subject=subject)).content, content_type=None, zone=OSLO
    ).bundle
    assert bundle is not None
    assert subject_in(bundle).family == "Fjellheim"


def test_writing_twice_and_repeating_give_the_same_bytes() -> None:
    bundle = bundle_of(told(K.ADMITTED))
    first = written(bundle).content
    assert first == written(bundle).content
    assert kith.repeat(first, at=datetime(2014, 3, 3, tzinfo=UTC), number=3) is first
