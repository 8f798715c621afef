"""The reports of PLO 1.5 and 1.6: what they say as FHIR, and there and back without a change of meaning.

Our own fixtures always; the standard's examples and schemas where DISCHARGE_ADAPTER_SAMPLES names them.
"""

import base64
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import CannotWrite, Refused
from adapter.fhir.bundles import entry, header, narrative, of_every_type, of_type, reference, resources
from adapter.fhir.notices import notice_in
from adapter.fhir.publishing import example
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Reading, Written, kith
from tests.mappings.compare_kith import differences, payload
from tests.mappings.official import SAMPLES, valid

K = NoticeKind
OSLO = ZoneInfo("Europe/Oslo")
OURS = Path(__file__).parents[2] / "fixtures" / "plo"
STROKE, DIZZY = OURS / "home-after-a-stroke", OURS / "dizzy-at-home"
FIXTURES = sorted([*STROKE.glob("*.plo-1.?.xml"), *DIZZY.glob("*.plo-1.?.xml")])
EXAMPLES = (
    [path for path in sorted(Path(SAMPLES).glob("norway/plo-1.?/*.xml")) if "logistikk" not in path.name]
    if SAMPLES
    else []
)
ONLY_NEWER = {  # what 1.5 has no place for, and says in a note instead where people read it
    "TypeInnholdIMelding", "OpplysningOpphold", "InfoKontrolltime", "FodselsarMindrearigParorende",
    "MerknadTilBandasjemateriell", "MerknadTilLegemiddeladministrering", "Journaltekst",
    "OpplysningerTilSoknad", "Hoveddiagnose", "MuntligInformasjon",
}  # fmt: skip


def read(path: Path | bytes) -> Reading:
    content = path if isinstance(path, bytes) else path.read_bytes()
    return kith.read(content, content_type=None, zone=OSLO)


def bundle_of(name: str, folder: Path = STROKE, version: str = "1.6") -> dict[str, Any]:
    found = read(folder / f"{name}.plo-{version}.xml")
    assert found.problem is None
    assert found.bundle is not None
    return found.bundle


def written(bundle: dict[str, Any], dialect: str, like: Reading | None = None) -> Written:
    envelope = (like or read(STROKE / "discharge-report.plo-1.6.xml")).envelope
    addressing = Addressing(
        message_id=envelope.message_id,
        transmission_id=envelope.message_id,
        sender=envelope.sender,
        receiver=envelope.receivers[0],
        refers_to=envelope.refers_to,
        conversation=envelope.conversation,
    )
    return kith.write(bundle, dialect=dialect, addressing=addressing)


def named(path: Path) -> str:
    return path.name.removesuffix(".xml")


def codings(resource: dict[str, Any], element: str) -> list[str]:
    return [c["code"] for c in resource[element]["coding"]]


# --- there and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*FIXTURES, *EXAMPLES], ids=named)
def test_a_report_goes_to_fhir_and_back_with_the_same_meaning(path: Path) -> None:
    found = read(path)
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)
    again = written(found.bundle, found.envelope.dialect, found)
    valid(again.content)
    assert not differences(payload(path.read_bytes()), payload(again.content))
    back = read(again.content)
    assert back.bundle is not None
    assert notice_in(back.bundle, zone=OSLO) == notice_in(found.bundle, zone=OSLO)


@pytest.mark.parametrize("path", [*FIXTURES, *EXAMPLES], ids=named)
def test_a_report_goes_to_the_other_version_but_for_what_that_has_no_place_for(path: Path) -> None:
    found = read(path)
    assert found.bundle is not None
    other = "plo-1.5" if found.envelope.dialect == "plo-1.6" else "plo-1.6"
    again = written(found.bundle, other, found)
    valid(again.content)
    changed = differences(payload(path.read_bytes()), payload(again.content))
    strange = [d for d in changed if not ONLY_NEWER & set(re.split(r"[/@\[\]]", d.path))]
    assert [d for d in strange if not d.path.endswith("@namespace")] == []


def test_what_the_older_version_cannot_say_is_listed_and_told_in_a_note() -> None:
    bundle = bundle_of("discharge-report")
    message = written(bundle, "plo-1.5")
    told = etree.tostring(payload(message.content), encoding="unicode")
    for words in ("januar 2015", "Innkalling kjem i posten."):
        assert words in told
    assert any("Appointment" in loss for loss in message.losses)


@pytest.mark.parametrize("name", ["discharge-report", "admission-report"])
def test_all_that_is_told_stands_somewhere_in_the_fhir_message(name: str) -> None:
    """Nothing is dropped in silence: every text and every name of a code is found again, or listed."""
    found = read(STROKE / f"{name}.plo-1.6.xml")

    told = str(found.bundle)
    for element in payload((STROKE / f"{name}.plo-1.6.xml").read_bytes()).iter(etree.Element):
        for text in ((element.text or "").strip(), element.get("DN") or ""):
            for line in (" ".join(one.split()) for one in text.splitlines()):
                if len(line) < 6 or line in ("false", "Hovedtelefon", "Mobiltelefon", "Fødselsnummer"):
                    continue
                kept = line.replace("tel:", "") in told or line.replace("&", "&amp;") in told
                assert kept or etree.QName(element).localname in ("TypeId", "Forsendelsesstatus"), line


# --- the notice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name", "kind"),
    [
        (STROKE, "early-warning", K.CARE_NEEDS),
        (STROKE, "admission-report", K.REPORT_OF_ADMISSION),
        (STROKE, "discharge-report", K.DISCHARGE_REPORT),
        (STROKE, "services-granted", K.SERVICES_GRANTED),
        (DIZZY, "medical-information", K.HEALTH_INFORMATION),
        (DIZZY, "assessment-wanted", K.HEALTH_INFORMATION),
    ],
)
@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_every_report_is_a_notice_of_its_kind(
    folder: Path, name: str, kind: NoticeKind, version: str
) -> None:
    bundle = bundle_of(name, folder, version)
    notice = notice_in(bundle, zone=OSLO)
    assert notice.kind is kind
    assert notice.standing is Standing.NEW
    cancelled = folder / f"{name}-cancelled.plo-{version}.xml"
    if cancelled.exists():
        found = read(cancelled).bundle
        assert found is not None
        assert notice_in(found, zone=OSLO).standing is Standing.CANCELLATION


def test_an_update_of_the_needs_corrects_what_it_refers_to() -> None:
    notice = notice_in(bundle_of("needs-updated"), zone=OSLO)
    assert notice.standing is Standing.CORRECTION
    assert notice.refers_to is not None


@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_the_early_notice_tells_the_expected_day_also_where_it_can_only_say_it_in_words(version: str) -> None:
    found = bundle_of("early-warning")
    expected = notice_in(found, zone=OSLO).planned_discharge
    assert isinstance(expected, date)
    message = written(found, f"plo-{version}")
    valid(message.content)
    again = read(message.content).bundle
    assert again is not None
    assert notice_in(again, zone=OSLO).planned_discharge == expected


def test_a_check_up_is_a_follow_up_and_a_service_that_somebody_has_is_none() -> None:
    assert notice_in(bundle_of("discharge-report"), zone=OSLO).follow_up == date(2014, 11, 12)
    for name in ("admission-report", "services-granted"):
        assert notice_in(bundle_of(name), zone=OSLO).follow_up is None


def test_the_reservation_of_the_patient_is_kept() -> None:
    content = (STROKE / "early-warning.plo-1.6.xml").read_text(encoding="utf-8")
    status = re.search(r"<Forsendelsesstatus [^>]*/>", content)
    assert status is not None
    reserved = f"{status[0]}<ForbeholdOmVideresending>true</ForbeholdOmVideresending>"
    found = read(content.replace(status[0], reserved).encode())
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=OSLO).reserved
    assert b"<ForbeholdOmVideresending>true" in written(found.bundle, "plo-1.6").content


# --- the record (table 6.4 of the field's needs) ------------------------------------------------------------


def test_diagnoses_are_conditions_and_the_stay_says_which_is_the_main_one() -> None:
    bundle = bundle_of("discharge-report")
    conditions = list(of_every_type(bundle, "Condition"))
    assert codings(conditions[0], "code") == ["I639"]
    assert conditions[0]["code"]["coding"][0]["system"] == "urn:oid:2.16.578.1.12.4.1.1.7110"
    ranked = (of_type(bundle, "Encounter") or {})["diagnosis"]
    assert ranked[0] == {"condition": reference(conditions[0]), "rank": 1}
    assert "rank" not in ranked[1]


def test_critical_information_is_flags_and_allergies() -> None:
    bundle = bundle_of("discharge-report")
    assert "Lateks" in [flag["code"]["text"] for flag in of_every_type(bundle, "Flag")]
    allergies = {one["code"]["text"]: one for one in of_every_type(bundle, "AllergyIntolerance")}
    assert allergies["Lateks"]["criticality"] == "high"
    assert allergies["Trimetoprim"]["category"] == ["medication"]
    assert codings(allergies["Trimetoprim"], "code") == ["J01EA01"]
    assert allergies["Skaldyr"]["category"] == ["food"]


def test_medicines_also_stopped_ones_and_those_given_today() -> None:
    bundle = bundle_of("discharge-report")
    statements = list(of_every_type(bundle, "MedicationStatement"))
    assert [one["status"] for one in statements].count("stopped") == 1
    usage = [one["category"]["coding"][0]["code"] for one in statements if "category" in one]
    assert set(usage) == {"1", "2", "3"}  # list 9101: fixed, course, as needed
    multidose = [one["dosage"][0]["additionalInstruction"][0]["coding"][0]["code"] for one in statements]
    assert {"1", "2"} <= set(multidose)  # list 9103
    medicine = statements[0]["contained"][0]
    assert medicine["ingredient"][0]["strength"]["numerator"]["unit"] == "mg"
    given = list(of_every_type(bundle, "MedicationAdministration"))
    assert len(given) == 3
    assert all(datetime.fromisoformat(one["effectiveDateTime"]).tzinfo for one in given)


def test_nursing_function_aids_next_of_kin_and_interpreter() -> None:
    bundle = bundle_of("discharge-report")
    (goal,) = of_every_type(bundle, "Goal")
    assert goal["target"] == [{"dueDate": "2014-11-10"}]
    intents = [one["intent"] for one in of_every_type(bundle, "ServiceRequest")]
    assert {"order", "proposal"} <= set(intents)
    scored = [one for one in of_every_type(bundle, "Observation") if "valueInteger" in one]
    assert len(scored) == 17  # the variables of list 9111
    (aid,) = of_every_type(bundle, "DeviceUseStatement")
    assert aid["contained"][0]["deviceName"][0]["name"] == "Rullator"
    kin = list(of_every_type(bundle, "RelatedPerson"))
    assert [one["birthDate"] for one in kin if "birthDate" in one] == ["2003"]  # a child under age
    interpreter = next(
        one
        for one in kin
        if one.get("relationship", [{"coding": [{"code": ""}]}])[0]["coding"][0]["code"] == "PreferertTolk"
    )
    assert interpreter["name"][0]["family"] == "Wójcik"
    assert (of_type(bundle, "Patient") or {})["communication"][0]["language"]["coding"][0]["code"] == "PL"


def test_a_check_up_is_an_appointment_with_an_end() -> None:
    appointment = next(
        one for one in of_every_type(bundle_of("discharge-report"), "Appointment") if "start" in one
    )
    assert appointment["status"] == "booked"
    length = datetime.fromisoformat(appointment["end"]) - datetime.fromisoformat(appointment["start"])
    assert length.total_seconds() == 60 * appointment["minutesDuration"]


@pytest.mark.parametrize("time", ["2014", "2014-11"])
def test_a_check_up_in_a_year_or_month_is_told_in_words(time: str) -> None:
    """An Appointment begins at an instant."""
    content = (STROKE / "discharge-report.plo-1.6.xml").read_text()
    found = read(content.replace("2014-11-12T10:45:00</TidspunktTime>", f"{time}</TidspunktTime>").encode())
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)
    check_up, tentative = of_every_type(found.bundle, "Appointment")
    assert "start" not in check_up
    assert check_up["comment"] == time
    assert "start" not in tentative
    assert "the time of a check-up is a year or month alone; it travels in words" in found.losses


def test_services_granted_are_what_the_plan_in_focus_is_made_of() -> None:
    bundle = bundle_of("services-granted")
    (plan,) = of_every_type(bundle, "CarePlan")
    services = list(of_every_type(bundle, "ServiceRequest"))
    assert [one["reference"] for one in plan["activity"]] == [reference(one) for one in services]
    assert services


def test_who_answers_for_the_report_stands_in_the_header_and_when_it_was_approved() -> None:
    bundle = bundle_of("admission-report")
    practitioner = of_type(bundle, "Practitioner")
    assert (header(bundle) or {})["responsible"] == reference(practitioner or {})
    (attested,) = (of_type(bundle, "Composition") or {})["attester"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", attested["time"])


def test_a_note_keeps_its_heading_its_lines_and_its_remark() -> None:
    content = (STROKE / "early-warning.plo-1.6.xml").read_text(encoding="utf-8")
    noted = re.sub(
        r"(<epj2:Notat>)[^<]*(</epj2:Notat>)",
        r"\1Første linje\nAndre &lt;b&gt; linje\2<epj2:Merknad>Ei merknad</epj2:Merknad>",
        content,
        count=1,
    )
    found = read(noted.encode())
    assert found.bundle is not None
    validate(found.bundle)
    assert not differences(payload(noted.encode()), payload(written(found.bundle, "plo-1.6", found).content))


def test_legemiddelhandtering_is_read_as_a_list_of_medicines() -> None:
    content = (DIZZY / "medical-information.plo-1.6.xml").read_bytes()
    found = read(content.replace(b'V="MEDISINSKE_OPPLYSNINGER"', b'V="LEGEMIDDELHANDTERING"'))
    assert found.bundle is not None
    validate(found.bundle)
    assert notice_in(found.bundle, zone=OSLO).kind is K.MEDICATION_LIST
    (told,) = of_every_type(found.bundle, "List")
    statements = list(of_every_type(found.bundle, "MedicationStatement"))
    assert [one["item"] for one in told["entry"]] == [reference(one) for one in statements]
    with pytest.raises(CannotWrite, match="by telephone"):
        written(found.bundle, "plo-1.6")


# --- attachments --------------------------------------------------------------------------------------------


def test_an_attachment_travels_both_ways_byte_by_byte() -> None:
    found = read(STROKE / "discharge-report-with-attachment.plo-1.6.xml")
    assert found.bundle is not None
    (document,) = of_every_type(found.bundle, "DocumentReference")
    attached = document["content"][0]["attachment"]
    root = etree.fromstring(written(found.bundle, "plo-1.6", found).content)
    container = root.find(".//{http://www.kith.no/xmlstds/base64container}Base64Container")
    assert container is not None
    assert base64.b64decode(container.text or "") == base64.b64decode(attached["data"])
    sections = (of_type(found.bundle, "Composition") or {})["section"]
    assert sections[-1]["entry"] == [reference(document)]


def test_an_attachment_may_be_longer_than_any_other_text_and_elements_no_deeper() -> None:
    content = (STROKE / "discharge-report-with-attachment.plo-1.6.xml").read_text(encoding="utf-8")
    scan = base64.b64encode(bytes(range(256)) * 30_000).decode()  # 10 MB
    found = read(re.sub(r"(<Base64Container[^>]*>)[^<]*", rf"\g<1>{scan}", content).encode())
    assert found.bundle is not None
    (document,) = of_every_type(found.bundle, "DocumentReference")
    assert document["content"][0]["attachment"]["data"] == scan
    nested = content.replace("<Base64Container", "<x>" * 300 + "</x>" * 300 + "<Base64Container")
    for deep in (nested, nested.replace("</MsgHead>", f"<!--{scan[:8_100_000]}--></MsgHead>")):
        with pytest.raises(Refused, match=r"nested too deep|not well-formed"):
            read(deep.encode())


def test_an_attachment_that_is_no_base64_is_listed_and_never_given_on() -> None:
    content = (STROKE / "discharge-report-with-attachment.plo-1.6.xml").read_text(encoding="utf-8")
    broken = re.sub(r"(Base64Container[^>]*>)[^<]{4}", r"\1%%%%", content)
    found = read(broken.encode())
    assert found.bundle is not None
    assert of_type(found.bundle, "DocumentReference") is None
    assert any("Document" in loss for loss in found.losses)


# --- from elsewhere -----------------------------------------------------------------------------------------


def foreign() -> dict[str, Any]:
    """A discharge report of a system that knows nothing of PLO."""
    bundle = example(K.DISCHARGE_REPORT)
    patient = reference(of_type(bundle, "Patient") or {})
    more: list[dict[str, Any]] = [
        {
            "resourceType": "Condition",
            "subject": patient,
            "code": {
                "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "S72.0", "display": "Brot"}]
            },
            "severity": {"text": "alvorleg"},
        },
        {
            "resourceType": "MedicationStatement",
            "status": "active",
            "subject": patient,
            "medicationCodeableConcept": {"text": "Furosemid"},
            "dosage": [{"text": "40 mg om morgonen"}],
            "effectiveDateTime": "2014-11-01",
        },
        {
            "resourceType": "Procedure",
            "status": "completed",
            "subject": patient,
            "code": {"text": "Osteosyntese"},
        },
        {
            "resourceType": "Appointment",
            "status": "booked",
            "start": "2014-12-01T09:00:00+01:00",
            "end": "2014-12-01T09:30:00+01:00",
            "participant": [{"actor": patient, "status": "accepted"}],
        },
    ]
    for number, resource in enumerate(more):
        made = {
            "resourceType": resource["resourceType"],
            "id": f"00000000-0000-4000-8000-00000000000{number}",
        }
        bundle["entry"].append(entry(made | resource))
    validate(bundle)
    return bundle


@pytest.mark.parametrize("dialect", kith.NAMES)
def test_a_report_from_elsewhere_is_written_and_what_has_no_element_stands_in_a_note(dialect: str) -> None:
    message = written(foreign(), dialect)
    valid(message.content)
    told = etree.tostring(payload(message.content), encoding="unicode")
    for words in (
        "Furosemid",
        "40 mg om morgonen",
        "Osteosyntese",
        "alvorleg",
        "2014-12-01T09:00:00",
        "S72.0",
    ):
        assert words in told
    assert "Procedure: in words only" in message.losses
    assert "Condition: text has no place in TverrfagligEpikrise" in message.losses


def test_a_report_without_anything_that_it_must_hold_says_what_is_missing() -> None:
    with pytest.raises(CannotWrite, match="EksisterendeTjeneste"):
        written(example(K.SERVICES_GRANTED), "plo-1.6")


def test_a_section_without_a_place_is_listed_without_its_title() -> None:
    bundle = bundle_of("services-granted")
    strange = {"title": "Klaget over Ola Nordmann", "text": narrative("Ring")}
    (of_type(bundle, "Composition") or {}).setdefault("section", []).append(strange)
    losses = written(bundle, "plo-1.6").losses
    assert "the words of a section" in losses
    assert not any("Nordmann" in loss for loss in losses)


def test_health_information_is_written_as_the_type_that_it_came_as() -> None:
    for name, kind in (
        ("assessment-wanted", "HELSEOPPLYSNINGER_LEGE"),
        ("medical-information", "MEDISINSKE_OPPLYSNINGER"),
    ):
        assert written(bundle_of(name, DIZZY), "plo-1.6").type == kind
    assert written(example(K.HEALTH_INFORMATION), "plo-1.6").type == "MEDISINSKE_OPPLYSNINGER"


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["INNLEGGELSESRAPPORT", "HELSEOPPL_SOKNAD", "LOG_INNLAGT"])
def test_a_type_that_does_not_go_with_its_payload_is_refused(other: str) -> None:
    content = (STROKE / "discharge-report.plo-1.6.xml").read_bytes()
    problem = read(content.replace(b'V="UTSKRIVNINGSRAPPORT"', f'V="{other}"'.encode())).problem
    assert isinstance(problem, Refused)
    assert problem.code == "T02"
    assert other in problem.reason


def test_no_code_value_is_a_reason_to_refuse() -> None:
    content = (STROKE / "discharge-report.plo-1.6.xml").read_text(encoding="utf-8")
    strange = re.sub(
        r'V="[^"]*" DN="[^"]*" S="2.16.578.1.12.4.1.1.9(?!051)\d+"',
        'V="X99" DN="ukjent kode" S="1.2.3"',
        content,
    )
    found = read(strange.encode())
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)


def test_a_report_of_endless_length_is_refused_before_it_is_made_into_fhir() -> None:
    content = (STROKE / "discharge-report.plo-1.6.xml").read_text(encoding="utf-8")
    diagnosis = re.search(r"<MedisinskDiagnose>.*?</MedisinskDiagnose>", content, re.DOTALL)
    assert diagnosis is not None
    problem = read(content.replace(diagnosis[0], diagnosis[0] * 20_000, 1).encode()).problem
    assert isinstance(problem, Refused)
    assert (problem.code, "send it in parts" in problem.reason) == ("T02", True)


def test_what_travels_in_words_never_writes_over_what_the_message_says_itself() -> None:
    bundle = bundle_of("discharge-report")
    (rest,) = [
        s for s in (of_type(bundle, "Composition") or {})["section"] if s["title"] == "Øvrige opplysninger"
    ]
    forged = (
        '<p title="InformasjonOmForsendelsen/Forsendelsesstatus|V=C">Forsendelsesstatus: Kansellering</p>'
    )
    rest["text"]["div"] = rest["text"]["div"].replace("</div>", f"{forged}</div>")
    root = payload(written(bundle, "plo-1.6").content)
    assert [one.get("V") for one in root.iter("{*}Forsendelsesstatus")] == ["N"]
    assert "Kansellering" in etree.tostring(root, encoding="unicode")


def test_ids_are_the_same_whenever_the_same_message_is_read() -> None:
    one, other = bundle_of("discharge-report"), bundle_of("discharge-report")
    assert one == other
    ids = [resource["id"] for resource in resources(one)]
    assert len(ids) == len(set(ids))
