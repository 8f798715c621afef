"""What a Norwegian logistics message says, as the fixtures tell it and where they are bent a little."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import Quarantined, Refused
from adapter.fhir.bundles import FNR, header, of_type
from adapter.fhir.notices import clinician_in, notice_in, receivers_in, subject_in
from adapter.fhir.validation import validate
from adapter.mappings import Reading, kith
from adapter.messaging.envelope import HER

PLO = Path(__file__).parents[2] / "fixtures" / "plo"
OSLO = ZoneInfo("Europe/Oslo")
WARD = f"{HER}|8143501"
K = NoticeKind
EPIKRISE = (
    b"<Message xmlns='http://www.kith.no/xmlstds/epikrise/2012-02-15'>"
    b"<GenDate V='2014-03-03T14:20:05'/><MsgId>1</MsgId></Message>"
)


def content(scenario: str, name: str, version: str = "1.6") -> bytes:
    return (PLO / scenario / f"{name}.plo-{version}.xml").read_bytes()


def read(data: bytes) -> Reading:
    return kith.read(data, content_type="application/xml", zone=OSLO)


def notice(data: bytes) -> Notice:
    found = read(data)
    assert found.problem is None
    assert found.bundle is not None
    return notice_in(found.bundle, zone=OSLO)


def bent(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    return data.replace(old.encode(), new.encode())


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=OSLO)  # type: ignore[arg-type, misc]  # year, month, day, hour, …


@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_an_admission_is_read_with_its_own_time_and_not_that_of_sending(version: str) -> None:
    data = content("home-with-help", "admitted", version)
    found = notice(data)
    assert found.kind is K.ADMITTED
    assert found.occurred == at(2014, 3, 3, 13, 45)
    assert found.sent_at == at(2014, 3, 3, 14, 20, 5)
    assert (found.sender, found.hospital) == (WARD, WARD)
    assert found.receivers == (f"{HER}|8143511",)
    assert found.text == "Pasienten ble innlagt 03.03.2014"
    assert read(data).envelope.dialect == f"plo-{version}"


def test_a_ready_notice_carries_readiness_and_admission() -> None:
    found = notice(content("home-with-help", "ready"))
    assert found.kind is K.READY_FOR_DISCHARGE
    assert found.ready == date(2014, 3, 6)
    assert found.occurred == date(2014, 3, 6)
    assert found.admitted == at(2014, 3, 3, 13, 45)
    assert not found.estimate


def test_an_announced_readiness_is_an_estimate_and_is_ordered_by_its_sending() -> None:
    found = notice(content("announced-day-moved", "ready-announced"))
    assert found.estimate
    assert found.ready == date(2014, 5, 8)
    assert found.occurred == found.sent_at == at(2014, 5, 6, 11)
    assert found.planned_discharge == date(2014, 5, 9)


def test_a_correction_refers_to_what_it_corrects() -> None:
    first = read(content("announced-day-moved", "ready-announced")).envelope
    found = notice(content("announced-day-moved", "ready-corrected"))
    assert found.standing is Standing.CORRECTION
    assert found.refers_to == first.message_id
    assert found.ready == date(2014, 5, 7)


def test_a_withdrawal_is_of_its_own_day() -> None:
    found = notice(content("readiness-withdrawn", "withdrawn"))
    assert found.kind is K.READINESS_WITHDRAWN
    assert found.occurred == date(2014, 3, 11)
    assert found.ready == date(2014, 3, 10)


def test_a_cancellation_keeps_kind_and_event() -> None:
    found = notice(content("wrong-patient-cancelled", "admitted-cancelled"))
    assert (found.kind, found.standing) == (K.ADMITTED, Standing.CANCELLATION)
    assert found.occurred == at(2014, 4, 1, 8, 10)


def test_a_discharge_says_where_to() -> None:
    found = read(content("home-with-help", "discharged"))
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=OSLO).kind is K.DISCHARGED
    stay = of_type(found.bundle, "Encounter") or {}
    coding = stay["hospitalization"]["dischargeDisposition"]["coding"][0]
    assert (coding["system"], coding["code"]) == ("urn:oid:2.16.578.1.12.4.1.1.8408", "1")


def test_a_death_in_hospital_comes_as_a_discharge_and_keeps_its_hospital() -> None:
    found = notice(content("death-in-hospital", "discharged-dead"))
    assert found.kind is K.DECEASED
    assert found.hospital == WARD
    assert found.occurred == at(2014, 6, 15, 3, 5)
    assert found.reserved


def test_a_death_at_home_names_no_hospital() -> None:
    found = notice(content("death-at-home", "death"))
    assert (found.kind, found.hospital, found.occurred) == (K.DECEASED, None, date(2014, 9, 20))
    assert found.receivers == (f"{HER}|8143591",)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ('V="1" DN="Som levende"', K.DISCHARGED),
        ('V="2" DN="Som død"', K.DECEASED),
        ('V="3" DN="Suicid"', K.DECEASED),
        ('V="77" DN="Utskrevet som død"', K.DECEASED),
        ('V="77" DN="Ikke død"', K.DISCHARGED),
        ('V="77" DN="Overført"', K.DISCHARGED),
        ('V="77"', K.DISCHARGED),
    ],
)
def test_only_a_known_code_or_plain_words_make_a_death(state: str, kind: NoticeKind) -> None:
    data = bent(content("home-with-help", "discharged"), 'V="1" DN="Som levende"', state)
    assert notice(data).kind is kind
    assert ('V="77"' in state) == any("list 8431; its text" in loss for loss in read(data).losses)


def test_the_cause_of_death_is_not_in_the_losses() -> None:
    data = bent(content("home-with-help", "discharged"), 'V="1" DN="Som levende"', 'V="3" DN="Suicid"')
    natural = bent(content("home-with-help", "discharged"), 'V="1" DN="Som levende"', 'V="2" DN="Som død"')
    assert read(data).losses == read(natural).losses


def test_patient_clinician_and_unit_are_read() -> None:
    bundle = read(content("home-with-help", "ready")).bundle
    assert bundle is not None
    subject, clinician = subject_in(bundle), clinician_in(bundle)
    assert (subject.family, subject.given, subject.gender) == ("Fjellheim", "Synnøve", "female")
    assert [system for system, _ in subject.identifiers] == [FNR]
    assert subject.birth_date == date(1938, 3, 12)
    assert subject.address == ("Øyragata 14", "6887", "Lærdal")
    assert clinician is not None
    assert (clinician.family, clinician.profession) == ("Bjelde", "LE")
    source = (header(bundle) or {})["source"]
    assert (source["name"], source["contact"]["value"]) == ("Sengepost 2, vakttelefon", "57639999")


def test_latin_1_dots_capitals_and_copies_are_understood() -> None:
    found = read(content("copy-to-the-gp", "discharged-in-latin-1"))
    assert found.problem is None
    assert found.envelope.sender.identifiers == ((HER, "8143501"), (HER, "8143500"))
    assert found.envelope.sender.name == "Lærdal sjukehus"
    assert found.envelope.message_id == found.envelope.message_id.lower()
    assert found.bundle is not None
    primary, copy = receivers_in(found.bundle)
    assert (primary.copy, copy.copy) == (False, True)
    assert copy.identifiers == ((HER, "8143591"), (HER, "8143590"))


@pytest.mark.parametrize("path", sorted(PLO.glob("*/*.plo-*.xml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_fixture_becomes_a_valid_fhir_message_or_a_refusal(path: Path) -> None:
    found = read(path.read_bytes())
    if path.parent.name == "refused-on-arrival":
        assert isinstance(found.problem, Refused)
        assert found.bundle is None
    else:
        assert found.problem is None
        validate(found.bundle)


# --- tolerance (N-06) -------------------------------------------------------------------------------------


def test_an_event_without_code_is_the_one_the_message_is_about() -> None:
    data = content("home-with-help", "admitted")
    code = '<Hendelsekode V="1" DN="Pasient innlagt" S="2.16.578.1.12.4.1.1.9121"/>'
    assert notice(bent(data, code, "")).occurred == at(2014, 3, 3, 13, 45)
    assert notice(bent(data, 'Hendelsekode V="1"', 'Hendelsekode V="88"')).occurred == at(2014, 3, 3, 13, 45)


def test_another_known_event_is_not_taken_for_the_admission() -> None:
    found = read(bent(content("home-with-help", "admitted"), 'Hendelsekode V="1"', 'Hendelsekode V="2"'))
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=OSLO).occurred == at(2014, 3, 3, 14, 20, 5)
    assert any("the time of sending stands for it" in loss for loss in found.losses)


def test_a_month_is_no_moment_but_no_reason_to_refuse() -> None:
    found = read(bent(content("home-with-help", "admitted"), "2014-03-03T13:45:00", "2014-03"))
    assert found.problem is None
    assert any("is no date" in loss for loss in found.losses)


@pytest.mark.parametrize(
    ("status", "standing", "lost"),
    [
        ("N", Standing.NEW, False),
        ("M", Standing.CORRECTION, False),
        ("O", Standing.CORRECTION, False),
        ("C", Standing.CANCELLATION, False),
        ("A", Standing.NEW, True),
        ("H", Standing.NEW, True),
        ("X", Standing.NEW, True),
        ("Q", Standing.NEW, True),
    ],
)
def test_every_sending_status_has_a_standing(status: str, standing: Standing, lost: bool) -> None:
    data = bent(
        content("home-with-help", "admitted"), 'Forsendelsesstatus V="N"', f'Forsendelsesstatus V="{status}"'
    )
    assert notice(data).standing is standing
    assert any("Forsendelsesstatus" in loss for loss in read(data).losses) is lost


def test_another_migversion_is_tolerated_and_said() -> None:
    found = read(bent(content("home-with-help", "admitted"), "v1.2 2006-05-24", "v1.2"))
    assert found.problem is None
    assert any("MIGversion" in loss for loss in found.losses)


def test_what_has_no_place_is_named_by_element_and_never_by_content() -> None:
    extra = "<SivilStatus V='3' DN='Enke/enkemann'/><BorAlene>true</BorAlene>"
    data = bent(
        content("home-with-help", "admitted"),
        "</InformasjonOmForsendelsen>",
        f"</InformasjonOmForsendelsen><TilleggsopplysningPasient>{extra}</TilleggsopplysningPasient>",
    )
    losses = read(data).losses
    assert "TilleggsopplysningPasient has no place in FHIR; it stays in the original" in losses
    assert not any("enke" in loss.lower() for loss in losses)
    assert not any("Fjellheim" in loss for loss in losses)


def test_a_plain_admission_loses_nothing_but_the_units_own_number() -> None:
    assert read(content("home-with-help", "admitted")).losses == (
        "TilknyttetEnhet/Kontaktenhet/Ident: the unit's identifier",
    )


@pytest.mark.parametrize(("status", "production"), [("P", True), ("D", False), ("T", False), ("?", None)])
def test_processing_status_says_whether_it_is_meant(status: str, production: bool | None) -> None:
    data = bent(
        content("home-with-help", "admitted"), "</MsgId>", f'</MsgId><ProcessingStatus V="{status}"/>'
    )
    assert read(data).envelope.production is production
    assert read(content("home-with-help", "admitted")).envelope.production is None


def test_a_time_with_offset_is_that_instant() -> None:
    data = bent(
        content("home-with-help", "admitted"),
        "2014-03-03T14:20:05</GenDate>",
        "2014-03-03T13:20:05Z</GenDate>",
    )
    assert read(data).envelope.sent_at == at(2014, 3, 3, 14, 20, 5)


def test_a_comment_inside_a_value_does_not_cut_it_short() -> None:
    data = bent(content("home-with-help", "admitted"), "<Id>8143501</Id>", "<Id>8143<!-- x -->501</Id>")
    assert read(data).envelope.sender.token == WARD


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.5", "1.6"])
@pytest.mark.parametrize(
    ("name", "code"),
    [("message-id-is-no-guid", "E10"), ("patient-unclear", "E36"), ("type-and-payload-disagree", "T02")],
)
def test_what_must_be_refused_is_refused_with_the_lists_code(name: str, code: str, version: str) -> None:
    found = read(content("refused-on-arrival", name, version))
    assert isinstance(found.problem, Refused)
    assert found.problem.code == code
    assert found.envelope.sender.token == WARD


def test_type_and_payload_are_both_named() -> None:
    problem = read(content("refused-on-arrival", "type-and-payload-disagree")).problem
    assert "LOG_INNLAGT" in str(problem)
    assert "MeldingInnlagtPasient" in str(problem)
    assert "OrienteringOmDod" in str(problem)


def test_an_id_that_is_no_guid_never_becomes_an_identity() -> None:
    envelope = read(content("refused-on-arrival", "message-id-is-no-guid")).envelope
    assert envelope.message_id.startswith("sha256-")
    assert envelope.opaque.message_id == "2014/000317"


def test_an_unknown_payload_namespace_is_t02_and_an_unread_type_is_t10() -> None:
    data = content("home-with-help", "admitted")
    other = bent(data, "po/Pasientlogistikk/2012-04-01", "po/Pasientlogistikk/2031-01-01")
    referral = bent(data, 'Type V="LOG_INNLAGT"', 'Type V="HENVISNING"')
    report = bent(data, 'Type V="LOG_INNLAGT"', 'Type V="UTSKRIVNINGSRAPPORT"')
    for bad, code in ((other, "T02"), (referral, "T10"), (report, "T02")):
        problem = read(bad).problem
        assert isinstance(problem, Refused)
        assert problem.code == code
    assert "UTSKRIVNINGSRAPPORT (Utskrivningsrapport)" in str(read(report).problem)


def test_an_empty_envelope_cannot_be_answered() -> None:
    data = content("home-with-help", "admitted")
    for old in ("<GenDate>2014-03-03T14:20:05</GenDate>", "T14:20:05</GenDate>"):
        with pytest.raises(Refused) as caught:
            read(bent(data, old, "</GenDate>" if old.startswith("T") else ""))
        assert caught.value.code == "T02"


def test_a_help_number_of_one_hospital_identifies_nobody() -> None:
    data = content("home-with-help", "admitted")
    data = bent(data, 'TypeId V="FNR"', 'TypeId V="HNR"')
    data = bent(data, "<DateOfBirth>1938-03-12</DateOfBirth>", "")
    problem = read(data).problem
    assert isinstance(problem, Refused)
    assert problem.code == "E36"


def test_no_refusal_repeats_what_the_message_held() -> None:
    for path in (PLO / "refused-on-arrival").glob("*.xml"):
        text = str(read(path.read_bytes()).problem)
        assert not any(secret in text for secret in ("Fjellheim", "Synnøve", "1283", "2014/000317"))


FORETOLD = {
    "admitted": ("home-with-help", "admitted", 'V="2014-03-03T13:45:00"'),
    "discharged": ("home-with-help", "discharged", 'V="2014-03-07T12:15:00"'),
    "admitted before ready": ("home-with-help", "ready", 'V="2014-03-03T13:45:00"'),
}


@pytest.mark.parametrize("name", FORETOLD)
@pytest.mark.parametrize("time", ["2199-06-01T00:00:00", "2014-03-09", "2014-03-08T12:31:01"])
def test_what_is_told_as_past_and_lies_ahead_is_read_and_held(name: str, time: str) -> None:
    scenario, message, there = FORETOLD[name]
    found = read(bent(content(scenario, message), there, f'V="{time}"'))
    assert isinstance(found.problem, Quarantined)
    assert found.problem.code == "future"
    assert "telephone" in found.problem.reason
    assert found.bundle is not None


@pytest.mark.parametrize("time", ["2014-03-04", "2014-03-04T14:20:05", "2014-03-03T23:59:59"])
def test_a_day_ahead_may_be_a_zone_or_a_date_without_time(time: str) -> None:
    admitted = content("home-with-help", "admitted")
    assert read(bent(admitted, 'V="2014-03-03T13:45:00"', f'V="{time}"')).problem is None


def test_an_announced_day_may_lie_far_ahead() -> None:
    ready = content("home-with-help", "ready")
    assert read(bent(ready, 'V="2014-03-06"', 'V="2014-04-30"')).problem is None


@pytest.mark.parametrize(
    "label", [None, "text/html", "image/png", "x" * 3000, "application/xml; charset=utf-16"]
)
def test_what_the_sender_calls_it_is_not_passed_on(label: str | None) -> None:
    receipt = (PLO / "receipt-for-an-admission" / "accepted.apprec-1.0.xml").read_bytes()
    for data in (content("home-with-help", "admitted"), receipt, EPIKRISE):
        found = kith.read(data, content_type=label, zone=OSLO)
        assert found.envelope.content_type == "application/xml"


LONG = "9" * 9000
SENDERS = "<Id>8143501</Id>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SENDERS, f"<Id>{LONG}</Id>"),
        ("<Id>8143511</Id>", f"<Id>{LONG}</Id>"),
        ("<Sender>", f"<ConversationRef><RefToParent>{LONG}</RefToParent></ConversationRef><Sender>"),
    ],
    ids=["sender", "receiver", "conversation"],
)
def test_an_endless_identifier_is_refused_and_answered(old: str, new: str) -> None:
    found = read(bent(content("home-with-help", "admitted"), old, new))
    assert isinstance(found.problem, Refused)
    assert "longer than 200" in found.problem.reason
    told = found.envelope
    assert all(len(text or "") < 200 for text in (told.message_id, told.refers_to, told.conversation))


@pytest.mark.parametrize("old", ["<Id>", "<OriginalMsgId>"])
def test_an_endless_id_of_a_receipt_is_refused(old: str) -> None:
    data = (PLO / "receipt-for-an-admission" / "accepted.apprec-1.0.xml").read_bytes().decode()
    start = data.index("<Id>", data.index(old))
    end = data.index("</Id>", start)
    try:
        problem = read((data[:start] + "<Id>" + LONG + data[end:]).encode()).problem
    except Refused as refused:
        problem = refused
    assert isinstance(problem, Refused)
    assert "longer than 200" in problem.reason


def test_an_endless_id_of_an_epikrise_is_no_id() -> None:
    found = read(EPIKRISE.replace(b"<MsgId>1", b"<MsgId>" + LONG.encode()))
    assert isinstance(found.problem, Refused)
    assert found.problem.code == "E10"
    assert len(found.envelope.message_id) < 200


def test_more_receivers_than_anybody_has_are_refused() -> None:
    admitted = content("home-with-help", "admitted").decode()
    start, end = admitted.index("<Receiver>"), admitted.index("</Receiver>")
    other = admitted[start + len("<Receiver>") : end]
    others = f"<OtherReceiver>{other}</OtherReceiver>" * 100
    found = read(admitted.replace("</Receiver>", f"</Receiver>{others}").encode())
    assert isinstance(found.problem, Refused)
    assert "100 receivers" in found.problem.reason
