"""The discharge summary (Epikrise 1.1 and 1.2): a notice, and its record in FHIR with nothing missing."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from adapter.config import Region
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import CannotWrite, Quarantined, Refused
from adapter.fhir.bundles import FNR, follow, header, of_every_type, of_type
from adapter.fhir.notices import notice_in, subject_in
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Reading, kith
from adapter.messaging.acknowledgement import Status, Verdict
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Party, Side
from adapter.store import messages, tables
from tests.acceptance.norway import standing
from tests.conftest import StandingClock
from tests.mappings.official import valid
from tests.stage import Stage, region, stage

OSLO = ZoneInfo("Europe/Oslo")
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
OURS = Path(__file__).parents[2] / "fixtures" / "plo" / "home-after-a-stroke"
FIXTURES = sorted(OURS.glob("*.epikrise-*.xml"))
EXAMPLES = sorted((Path(SAMPLES) / "norway" / "epikrise").glob("*.xml")) if SAMPLES else []
VERSIONS = ("1.1", "1.2")
K = NoticeKind
Bundle = dict[str, Any]


def content(name: str = "summary", version: str = "1.2") -> bytes:
    return (OURS / f"{name}.epikrise-{version}.xml").read_bytes()


def read(data: bytes) -> Reading:
    return kith.read(data, content_type="application/xml", zone=OSLO)


def bundle(data: bytes) -> Bundle:
    found = read(data)
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)
    return found.bundle


def notice(data: bytes) -> Notice:
    return notice_in(bundle(data), zone=OSLO)


def bent(old: str, new: str, data: bytes | None = None) -> bytes:
    data = data or content()
    assert old.encode() in data, old
    return data.replace(old.encode(), new.encode())


def with_item(kind: str, item: str, name: str = "Annet") -> bytes:
    """The summary with one more piece of clinical information."""
    more = f'<InfItem>{item}<Type V="{kind}" DN="{name}"/></InfItem>'
    return bent("<Comment>\n        <Heading", f"{more}<Comment>\n        <Heading", _one_comment())


def _one_comment() -> bytes:
    root = etree.fromstring(content())
    comments = root.findall(".//{*}Comment")
    for comment in comments[1:]:
        comment.getparent().remove(comment)
    return etree.tostring(root)


def described(xhtml: str) -> str:
    """The narrative that a description becomes."""
    item = f"<Observation><Description>{xhtml}</Description></Observation>"
    return str(section(bundle(with_item("ANAM", item, "Beskrive")), "Beskrive")["text"]["div"])


def section(found: Bundle, title: str) -> dict[str, Any]:
    composition = of_type(found, "Composition") or {}
    return next(one for one in composition["section"] if one["title"] == title)


def one_of(found: Bundle, kind: str) -> dict[str, Any]:
    (resource,) = of_every_type(found, kind)
    return resource


def told(found: Bundle, kind: str) -> list[dict[str, Any]]:
    return list(of_every_type(found, kind))


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=OSLO)  # type: ignore[arg-type, misc]  # year, month, day, hour, …


# --- the notice -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_summary_is_a_notice_of_the_hospital(version: str) -> None:
    found = notice(content(version=version))
    assert found.kind is K.DISCHARGE_SUMMARY
    assert (found.sender, found.hospital) == (f"{HER}|8143501", f"{HER}|8143501")
    assert found.receivers == (f"{HER}|8143591", f"{HER}|8143511")
    assert found.admitted == at(2014, 10, 6, 11, 20)
    assert found.sent_at == found.occurred == at(2014, 10, 14, 8, 20)
    assert found.standing is Standing.NEW
    envelope = read(content(version=version)).envelope
    assert [receiver.copy for receiver in envelope.receivers] == [False, True]
    assert envelope.dialect == {"1.1": "plo-1.5", "1.2": "plo-1.6"}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_correction_and_a_cancellation_belong_to_the_same_summary(version: str) -> None:
    names = ("summary", "summary-corrected", "summary-cancelled")
    found = [bundle(content(name, version)) for name in names]
    assert [notice_in(one, zone=OSLO).standing.value for one in found] == [
        "new", "correction", "cancellation",
    ]  # fmt: skip
    documents = [of_type(one, "Composition") or {} for one in found]
    assert [one["status"] for one in documents] == ["final", "amended", "entered-in-error"]
    assert len({one["identifier"]["value"] for one in documents}) == 1
    assert len({read(content(name, version)).envelope.conversation for name in names}) == 1


def test_a_cancellation_has_no_record() -> None:
    found = bundle(content("summary-cancelled"))
    assert [one["title"] for one in (of_type(found, "Composition") or {})["section"]] == ["Helsepersonell"]
    assert told(found, "Condition") == []


def test_the_end_of_the_stay_is_told_and_is_no_second_discharge() -> None:
    found = bundle(content())
    encounter = one_of(found, "Encounter")
    assert encounter["period"] == {"start": "2014-10-06T11:20:00+02:00", "end": "2014-10-13T12:30:00+02:00"}
    assert encounter["status"] == "finished"
    outcome = encounter["hospitalization"]["dischargeDisposition"]["coding"]
    assert [(one["code"], one["display"]) for one in outcome] == [("1", "Ut til hjemmet")]
    assert notice_in(found, zone=OSLO).kind is K.DISCHARGE_SUMMARY


@pytest.mark.parametrize("end", ["2014-10-05T12:30:00", "2014-10-01", "2014-09"])
def test_an_end_before_the_start_is_not_told_of_the_stay_but_kept(end: str) -> None:
    reading = read(bent('EndDateTime V="2014-10-13T12:30:00"', f'EndDateTime V="{end}"'))
    found = reading.bundle or {}
    validate(found)
    assert "end" not in one_of(found, "Encounter")["period"]
    assert end in section(found, "Øvrige opplysninger")["text"]["div"]
    assert any("ReportedEvent/EndDateTime" in loss for loss in reading.losses)


@pytest.mark.parametrize(
    ("approved", "occurred"),
    [
        ("2014-10-13T15:00:00", at(2014, 10, 13, 15)),
        ("2014-10-13", at(2014, 10, 13).date()),
        ("2014-10-20T08:00:00", at(2014, 10, 14, 8, 20)),  # after it was sent: then as issued
        ("i går", at(2014, 10, 14, 8, 20)),
    ],
)
def test_it_happened_when_it_was_approved(approved: str, occurred: object) -> None:
    assert notice(bent('ApprDate V="2014-10-14T08:20:00"', f'ApprDate V="{approved}"')).occurred == occurred


def test_a_stay_that_begins_after_the_sending_is_held() -> None:
    reading = read(bent('StartDateTime V="2014-10-06', 'StartDateTime V="2041-10-06'))
    assert isinstance(reading.problem, Quarantined)
    assert reading.problem.code == "future"


def test_a_test_message_is_not_production_and_another_status_is_listed() -> None:
    assert read(content(version="1.1")).envelope.production is None
    assert read(content()).envelope.production is False
    reading = read(bent('<Status V="TEST"', '<Status V="ANNET"'))
    assert reading.envelope.production is None
    assert "Message/Status is not a code of list 8323 that is known here" in reading.losses


def test_what_is_not_the_final_report_is_preliminary_and_says_which() -> None:
    reading = read(bent('<Status V="F" DN="Endelig rapport"/>', '<Status V="P" DN="Foreløpig rapport"/>'))
    assert (of_type(reading.bundle or {}, "Composition") or {})["status"] == "preliminary"
    assert "Status has no place in FHIR; it travels in words" in reading.losses


def test_an_addition_is_read_as_new_and_listed() -> None:
    reading = read(
        bent('<ServType V="N" DN="Ny"/>\n    <Issue', '<ServType V="A" DN="Tillegg"/>\n    <Issue')
    )
    assert notice_in(reading.bundle or {}, zone=OSLO).standing is Standing.NEW
    assert any(loss.startswith("ServRprt/ServType: that it is an addition") for loss in reading.losses)


# --- who --------------------------------------------------------------------------------------------------


def test_the_patient_is_who_the_summary_says() -> None:
    subject = subject_in(bundle(content()))
    assert (subject.family, subject.given, subject.gender) == ("Tønjum", "Agnieszka", "female")
    assert subject.identifiers == ((FNR, "17866844291"),)
    assert str(subject.birth_date) == "1968-06-17"


def test_a_name_without_comma_is_kept_whole() -> None:
    subject = subject_in(bundle(bent("<Name>Tønjum, Agnieszka", "<Name>Agnieszka Tønjum")))
    assert (subject.family, subject.given) == ("Agnieszka Tønjum", None)


def test_a_patient_known_by_too_little_is_e36() -> None:
    anonymous = bent("<OffId>17866844291</OffId>", "", bent('<DateOfBirth V="1968-06-17"/>', ""))
    problem = read(anonymous).problem
    assert isinstance(problem, Refused)
    assert problem.code == "E36"


def test_a_hospital_number_identifies_nobody_and_is_kept() -> None:
    found = bundle(bent('<TypeOffId V="FNR" DN="Fødselsnummer"/>', '<TypeOffId V="HNR" DN="H-nummer"/>'))
    (number,) = one_of(found, "Patient")["identifier"]
    assert number["type"]["coding"][0]["code"] == "HNR"
    assert "system" not in number


def test_who_answers_for_it_attests_it() -> None:
    found = bundle(content())
    composition = of_type(found, "Composition") or {}
    (attester,) = composition["attester"]
    doctor = follow(found, attester["party"]) or {}
    assert doctor["name"] == [{"text": "Ragnhild Bjelde"}]
    assert attester["time"] == "2014-10-14T08:20:00+02:00"
    assert (header(found) or {})["responsible"] == attester["party"]


def test_departments_and_persons_are_named_where_the_message_is_from_and_to() -> None:
    head = header(bundle(content())) or {}
    assert head["source"]["name"] == "Medisinsk sengepost, Lærdal sjukehus"
    assert [one["name"] for one in head["destination"]] == [
        "Eldbjørg Moen, Lærdal legekontor",
        "Sjukepleieteneste, Lærdal kommune",
    ]


def test_a_copy_on_paper_is_left_to_the_sender_and_stays_in_words() -> None:
    paper = "<CopyDest><HCP><HCProf><Name>Privat terapeut</Name></HCProf></HCP></CopyDest><Requester>"
    reading = read(bent("<Requester>", paper))
    assert len(reading.envelope.receivers) == 2
    assert (
        "ServRprt/CopyDest has no HER-id or organisation number and is left to the sender" in reading.losses
    )
    assert "Privat terapeut" in section(reading.bundle or {}, "Øvrige opplysninger")["text"]["div"]


# --- the record -------------------------------------------------------------------------------------------


def test_the_sections_are_those_of_the_summary_in_its_order() -> None:
    composition = of_type(bundle(content()), "Composition") or {}
    assert composition["title"] == "Sykehusepikrise"
    assert composition["type"]["coding"][0]["code"] == "18842-5"
    assert [one["title"] for one in composition["section"]] == [
        "Hoveddiagnose", "Bidiagnose", "Cave-opplysninger", "Funn og undersøkelsesresultat", "Sykehistorie",
        "Legemiddelopplysning", "Årsak til innleggelse", "Forløp og behandling", "Vurdering",
        "Planer for videre oppfølging", "Helsepersonell",
    ]  # fmt: skip


def test_the_main_diagnosis_is_first_in_rank() -> None:
    found = bundle(content())
    ranked = [
        ((follow(found, one["condition"]) or {})["code"]["coding"][0]["code"], one.get("rank"))
        for one in one_of(found, "Encounter")["diagnosis"]
    ]
    assert ranked == [("I639", 1), ("I489", None)]


def test_a_diagnosis_with_two_codes_has_both_and_says_which_is_which() -> None:
    concept = '<Concept V="I639" DN="Uspesifisert hjerneinfarkt" S="2.16.578.1.12.4.1.1.7110"/>'
    star = (
        '<Modifier><Name V="S" DN="ICD10 stjernekode"/>'
        '<Value V="G467" DN="Lakunære syndrom" S="2.16.578.1.12.4.1.1.7110"/></Modifier>'
    )
    first = told(bundle(bent(concept, concept + star)), "Condition")[0]["code"]
    assert [one["code"] for one in first["coding"]] == ["I639", "G467"]
    assert first["text"] == "Uspesifisert hjerneinfarkt; ICD10 stjernekode: Lakunære syndrom"


def test_a_diagnosis_in_words_alone_is_a_diagnosis() -> None:
    item = "<Observation><Description>Slag, truleg embolisk</Description></Observation>"
    found = bundle(with_item("B", item, "Bidiagnose"))
    assert told(found, "Condition")[-1]["code"] == {"text": "Slag, truleg embolisk"}
    assert "Slag, truleg embolisk" in section(found, "Bidiagnose")["text"]["div"]


def test_a_warning_in_words_is_a_flag_and_one_of_a_medicine_an_intolerance() -> None:
    found = bundle(content())
    assert one_of(found, "Flag")["code"] == {"text": "Lateks gir utslett."}
    drug = '<Concept V="J01C E02" DN="Fenoksymetylpenicillin" S="2.16.578.1.12.4.1.1.7180"/>'
    item = f"<Observation><Comment>Utslett 1999</Comment><CodedDescr>{drug}</CodedDescr></Observation>"
    allergy = one_of(bundle(with_item("CAVE", item, "Cave-opplysninger")), "AllergyIntolerance")
    assert allergy["code"]["coding"] == [
        {"system": "http://www.whocc.no/atc", "code": "J01CE02", "display": "Fenoksymetylpenicillin"}
    ]
    assert allergy["note"] == [{"text": "Utslett 1999"}]


def test_a_medicine_has_its_code_strength_and_dosage() -> None:
    first = told(bundle(content()), "MedicationStatement")[0]
    (medicine,) = first["contained"]
    assert medicine["code"]["text"] == "Metoprolol"
    assert medicine["code"]["coding"][0]["code"] == "C07AB02"
    assert medicine["ingredient"][0]["strength"]["numerator"] == {"value": 50, "unit": "mg"}
    assert first["dosage"] == [{"text": "1 tablett om morgonen"}]
    assert first["category"]["coding"][0]["display"] == "Benyttes regelmessig"


@pytest.mark.parametrize("kind", ["OPIN", "MPRS", "PRS"])
def test_a_procedure_is_a_procedure(kind: str) -> None:
    concept = '<Concept V="AAL00" DN="Trombolyse" S="2.16.578.1.12.4.1.1.7275"/>'
    item = f"<Observation><CodedDescr>{concept}</CodedDescr></Observation>"
    procedure = one_of(bundle(with_item(kind, item, "Prosedyre")), "Procedure")
    assert procedure["code"]["coding"][0]["display"] == "Trombolyse"
    assert procedure["status"] == "completed"


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ('<NumResult><ArithmeticComp V="&lt;" DN="under"/><NumResultValue V="4.5" U="mg/L"/></NumResult>',
         {"valueQuantity": {"value": 4.5, "unit": "mg/L", "comparator": "<"}}),
        ('<Interval><Low V="3" U="mmol/L"/><High V="5"/></Interval>',
         {"valueRange": {"low": {"value": 3, "unit": "mmol/L"}, "high": {"value": 5}}}),
        ('<DateResult><DateResultValue V="2014-10-07"/></DateResult>', {"valueDateTime": "2014-10-07"}),
        ('<TextResult><Result><TextCode V="POS" DN="Positiv"/></Result></TextResult>',
         {"valueCodeableConcept": {"coding": [{
             "system": "https://discharge-adapter.example/fhir/CodeSystem/plo-lists/TextCode",
             "code": "POS", "display": "Positiv"}], "text": "Positiv"}}),
    ],
)  # fmt: skip
def test_a_result_is_an_observation(result: str, value: dict[str, Any]) -> None:
    item = (
        f'<ResultItem>{result}<InvDate V="2014-10-07T08:00:00"/><Comment>Fastande</Comment>'
        '<ClinInv><Id V="CRP" DN="C-reaktivt protein"/></ClinInv></ResultItem>'
    )
    found = one_of(bundle(with_item("FUNN", item)), "Observation")
    assert {key: one for key, one in found.items() if key.startswith("value")} == value
    assert found["code"]["coding"][0]["display"] == "C-reaktivt protein"
    assert found["effectiveDateTime"] == "2014-10-07T08:00:00+02:00"
    assert found["note"] == [{"text": "Fastande"}]


def test_a_file_that_lies_beside_the_summary_is_given_on() -> None:
    file = (
        '<RefDoc><MsgType V="A" DN="Vedlegg"/><MimeType>text/plain</MimeType>'
        "<Description>EKG</Description><Content>"
        '<Base64Container xmlns="http://www.kith.no/xmlstds/base64container">RUtH</Base64Container>'
        "</Content></RefDoc></ServRprt>"
    )
    found = bundle(bent("</ServRprt>", file))
    (attachment,) = one_of(found, "DocumentReference")["content"]
    assert attachment["attachment"] == {"contentType": "text/plain", "data": "RUtH", "title": "EKG"}
    assert section(found, "Vedlegg")["entry"]
    packed = bent("<Content>", '<Compression V="ZIP" DN="Zip"/><Content>', bent("</ServRprt>", file))
    reading = read(packed)
    assert "RefDoc/Content is no file that can be given on; it stays in the original" in reading.losses
    assert "RUtH" not in json.dumps(reading.bundle)


# --- formatted text ---------------------------------------------------------------------------------------

X = 'xmlns="http://www.w3.org/1999/xhtml"'


def test_a_table_is_kept_as_a_table() -> None:
    div = described(f"<div {X}><table><tr><td>CRP</td><td/><td>4</td></tr></table></div>")
    assert "<tr><td>CRP</td><td/><td>4</td></tr>" in div


@pytest.mark.parametrize(
    "written",
    [
        "<div><p>Høgt blodtrykk</p></div>",  # in the message's own namespace
        '<div xmlns=""><p>Høgt blodtrykk</p></div>',
        f'<h:div xmlns:h="{X[7:-1]}"><h:p>Høgt blodtrykk</h:p></h:div>',
        f"<p {X}>Høgt blodtrykk</p>",
        f'<div {X} xml:space="preserve"><P>Høgt blodtrykk</P></div>',
    ],
)
def test_xhtml_is_known_however_it_is_written(written: str) -> None:
    assert described(written) == f"<div {X}><p>Høgt blodtrykk</p></div>"


def test_a_plain_text_is_a_narrative_too() -> None:
    assert described("Høgt &lt;blodtrykk&gt;") == f"<div {X}>Høgt &lt;blodtrykk&gt;</div>"


@pytest.mark.parametrize(
    "harm",
    [
        "<script>alert(1)</script>",
        '<img src="https://example.org/p.png"/>',
        '<p onclick="x()">trykk</p>',
        '<table xmlns="urn:other"><tr><td>3</td></tr></table>',
    ],
)
def test_what_a_narrative_may_not_hold_is_kept_as_words_only(harm: str) -> None:
    div = described(f"<div {X}><p>Før</p>{harm}<ul><li>Etter</li></ul></div>")
    assert div.startswith(f"<div {X}><p>Før</p>")
    assert "<p>Etter</p></div>" in div
    assert not re.search(r"<(?!/?(div|p)\b)|onclick|example", div)


# --- nothing is lost --------------------------------------------------------------------------------------

_OF_THE_FORM = (
    "ServType", "Role", "ComMethod", "Ack", "MIGversion", "GenDate", "MsgId", "Sex", "TypeId", "TypeOffId",
    "MsgType",
)  # fmt: skip
"""What FHIR says by the element that holds the value, or the envelope says."""

_BY_THEIR_WORDS = ("/Modifier/Name", "/County", "/Country", "/CityDistr")
"""Whose code is left out where its words stand beside it."""

EVERYTHING = """
<Event><ReportedEvent><StartDateTime V="2014-10-06T11:20:00"/><EndDateTime V="2014-10-13T12:30:00"/>
</ReportedEvent><ServType V="N" DN="Ny"/><Recipient V="R" DN="Mottakar A"/>
<Priority V="1" DN="Innan eit døgn"/>
<AdmOutcome V="1" DN="Ut til heimen"/><ExpDuration V="7" U="dagar"/>
<Event><ReportedEvent><StartDateTime V="2014-10-08"/></ReportedEvent><ServType V="N" DN="Ny"/>
<Service><ServId V="S1" DN="Overvaking" S="1.2.3"/><MedSpecialty V="050" DN="Indremedisin"/></Service>
<Comment><Heading V="FO" DN="Forløp på overvakinga"/><TextResultValue>Roleg natt</TextResultValue></Comment>
</Event>
<Service><ServId V="S2" DN="Slageining" S="1.2.3"/><AdmCat V="1" DN="Døgnopphald"/></Service>
<RelServProvider><Relation V="BL" DN="Behandlande lege"/><HCP><HCProf><Type V="LE" DN="Lege"/>
<Position V="OL" DN="Overlege"/><Name>Ola Lid</Name><Qual V="NEV" DN="Nevrologi"/><Id>9999902</Id>
<TypeId V="HPR" DN="HPR-nummer"/></HCProf><MedSpecialty V="090" DN="Nevrologisk avdeling"/>
<Address><Type V="WP" DN="Arbeidsadresse"/><StreetAdr>Sjukehusvegen 1</StreetAdr>
<TeleAddress V="tel:57000000"/>
</Address></HCP></RelServProvider>
<AssRequest><IssueDate V="2014-10-05"/><MsgType V="H" DN="Henvising"/><Id>tilvising-77</Id></AssRequest>
<EventLocation><Location><Type V="R" DN="Romtype"/>
<Description>Rom 214</Description></Location></EventLocation>
<InfItem><ResultItem><TextResult><Result><Heading V="T" DN="Tolking"/><TextResultValue>Normal fordeling
</TextResultValue><TextCode V="N" DN="Normalt funn" S="1.2.4"/></Result></TextResult><ServType V="N" DN="Ny"/>
<InvDate V="2014-10-07T08:00:00"/><Comment>Fastande prøve</Comment><DevResultInd V="H" DN="Over referanse"/>
<ClinInv><Id V="KOL" DN="Kolesterol" S="1.2.5"/><Spec V="SE" DN="Serum"/></ClinInv>
<DiagComment><Concept V="E780" DN="Hyperkolesterolemi" S="2.16.578.1.12.4.1.1.7110"/></DiagComment>
</ResultItem>
<Type V="FUNN" DN="Funn"/><OrgDate V="2014-10-07"/><Origin><HCP><HCProf><Name>Laboratorielegen</Name></HCProf>
</HCP></Origin>
<RelHCProvider><Relation V="X" DN="Medverkande"/><HCP><HCProf><Name>Bioingeniøren</Name></HCProf>
</HCP></RelHCProvider></InfItem>
<InfItem><Medication><DrugId V="C10AA05" DN="Atorvastatin" S="2.16.578.1.12.4.1.1.7180" OT="Lipitor"/>
<DosageCoded V="1V" DN="Ein kvar kveld"/><Comment>Nytt no</Comment><Status V="6" DN="Regelmessig"/>
<Form V="53" DN="Tablett"/><RouteOfAdm V="53" DN="Gjennom munnen"/><IntendedDuration V="12" U="veker"/>
<QuantitySupplied V="100" U="stk"/><UnitDose V="80" U="mg"/><DosageText>1 om kvelden</DosageText></Medication>
<Type V="MEDB" DN="Legemiddel"/><StartDateTime V="2014-10-07"/><EndDateTime V="2015"/></InfItem>
<InfItem><Observation><Description>Fall i heimen</Description><Comment>Sa dottera</Comment></Observation>
<Type V="ANAM" DN="Soge"/><StartDateTime V="2014-10-01"/></InfItem>
<InfItem><Observation><Comment>Sikker diagnose</Comment><CodedDescr>
<Concept V="I639" DN="Hjerneinfarkt" S="2.16.578.1.12.4.1.1.7110"/></CodedDescr></Observation>
<Type V="H" DN="Hovuddiagnose"/><StartDateTime V="2014-10-06"/><EndDateTime V="2014-10-13"/></InfItem>
<Comment><Heading V="OP" DN="Plan vidare"/><TextResultValue><div xmlns="http://www.w3.org/1999/xhtml">
<p>Kontroll</p></div></TextResultValue><TextCode V="K2" DN="Om to veker" S="1.2.6"/></Comment>
<CodedComment><Concept V="Z00" DN="Kodekommentaren" S="1.2.7"/><Modifier><Name V="G" DN="Grad"/>
<Value V="2" DN="Moderat"/></Modifier></CodedComment></Event>
<Patient><Sex V="2" DN="Kvinne"/><DateOfBirth V="1968-06-17"/><Name>Tønjum, Agnieszka</Name>
<IdByServProvider>P-1</IdByServProvider><IdByRequester>J-2</IdByRequester><OffId>17866844291</OffId>
<TypeOffId V="FNR" DN="Fødselsnummer"/><PatientPrecaution><Precaution>Smitteisolert</Precaution>
<StartDateTime V="2014-10-07"/></PatientPrecaution><PatientRelParty><Relation V="SAMB" DN="Sambuar"/>
<Name>Per Ås</Name>
<Address><Type V="H" DN="Bustad"/><City>Lærdal</City><TeleAddress V="tel:57000001"/></Address>
</PatientRelParty><PatRelHCP><Relation V="FLE" DN="Fastlegen"/><StartDateTime V="2010-01-01"/><HCP><Inst>
<Name>Legekontoret</Name><Id>8143590</Id><TypeId V="HER" DN="HER-id"/><HCPerson><Name>Eldbjørg Moe</Name>
</HCPerson></Inst></HCP></PatRelHCP><AdditionalId><Id>A-99</Id><Type V="UID" DN="Utanlandsk nummer"/>
</AdditionalId>
<Address><Type V="H" DN="Bustad"/><StreetAdr>Øyragata 3</StreetAdr><PostalCode>6887</PostalCode>
<City>Lærdal</City><County V="14" DN="Sogn og Fjordane"/><Country V="NO" DN="Noreg"/>
<CityDistr V="01" DN="Øyri"/><TeleAddress V="tel:57000002"/></Address></Patient>
"""
REQUEST = """
<ServReq><ServType V="N" DN="Ny"/><IssueDate V="2014-10-05"/><ReceiptDate V="2014-10-06"/>
<ReqComment>Haster</ReqComment><MsgDescr V="10" DN="Utgreiing"/><Id>R-1</Id><ReasonAsText>
<Heading V="BG" DN="Bakgrunn"/><TextResultValue>Kraftsvikt</TextResultValue></ReasonAsText>
<Diagnosis><Concept V="K90" DN="Slag" S="2.16.578.1.12.4.1.1.7170"/></Diagnosis></ServReq>
"""


def everything() -> bytes:
    """A summary in which every element of the schema that is in use says something."""
    data = content().decode()
    start, end = data.index("<Event>"), data.index("<ServProvider>")
    return (data[:start] + REQUEST + EVERYTHING + data[end:]).encode()


def leaves(root: etree._Element) -> Iterator[tuple[str, str]]:
    """`(path, what it says)` of every leaf: its text and the words of its code; of a time, the day."""
    for element in root.iter(etree.Element):
        for text in _texts(element):
            yield _path(element), " ".join(text.split())
        for name in ("DN", "OT"):
            if element.get(name):
                yield _path(element), " ".join(element.get(name, "").split())
        value = element.get("V", "").removeprefix("tel:")
        if re.match(r"\d{4}-", value):
            value = value[:10]
        if value and not _path(element).endswith(_BY_THEIR_WORDS):
            yield _path(element), value.replace(" ", "")  # as in codes of ATC


def _texts(element: etree._Element) -> list[str]:
    """An element's own text; a patient's name in its two parts."""
    text = (element.text or "").strip()
    apart = _path(element).endswith("/Patient/Name")
    return [part for part in (text.split(",") if apart else [text]) if part]


def _path(element: etree._Element) -> str:
    names = [etree.QName(one).localname for one in (element, *element.iterancestors())]
    return "/".join(reversed([str(name) for name in names]))


def said_in(found: object) -> str:
    """Everything that a Bundle says, in one line."""
    if isinstance(found, dict):
        return " ".join(said_in(one) for one in found.values())
    if isinstance(found, list):
        return " ".join(said_in(one) for one in found)
    text = str(found)
    if text.startswith("<div"):
        div = etree.fromstring(text)
        titles = [str(one.get("title", "")) for one in div.iter()]
        text = " ".join([*div.itertext(), *titles])
    return " ".join(text.split())


def missing(data: bytes) -> list[tuple[str, str]]:
    """What a message says, and neither the Bundle nor the list of losses."""
    reading = read(data)
    assert reading.bundle is not None
    bundle_says = said_in(reading.bundle)
    out_of_place = {loss.split(" ", 1)[0] for loss in reading.losses}
    return [
        (path, text)
        for path, text in leaves(etree.fromstring(data))
        if path.rpartition("/")[2] not in _OF_THE_FORM
        and not (path.endswith("/Type") and path.count("/") == 1)  # of the message
        and not path.endswith(("Message/Status", "ServRprt/Status", "Address/Type", "Event/Id"))
        and path.removeprefix("Message/") not in out_of_place
        and not re.search(rf"(?<!\w){re.escape(text)}(?![^\WT])", bundle_says)
    ]


@pytest.mark.parametrize("path", [*FIXTURES, *EXAMPLES], ids=lambda path: path.stem)
def test_every_summary_is_read_and_each_of_its_words_found_again(path: Path) -> None:
    data = path.read_bytes()
    found = bundle(data)
    assert notice_in(found, zone=OSLO).kind is K.DISCHARGE_SUMMARY
    assert read(data).losses == ()
    assert missing(data) == []
    valid(data)


def test_there_are_as_many_summaries_as_there_should_be() -> None:
    assert len(FIXTURES) == 6
    assert len(EXAMPLES) in (0, 6)


def test_everything_that_the_schema_has_is_found_again() -> None:
    data = everything()
    valid(data)
    validate(bundle(data))
    assert missing(data) == []


def test_what_has_no_place_travels_in_words_and_is_listed() -> None:
    reading = read(everything())
    rest = section(reading.bundle or {}, "Øvrige opplysninger")["text"]["div"]
    assert '<p title="Event/EventLocation/Location/Description">Description: Rom 214</p>' in rest
    listed = {loss.split(" ", 1)[0] for loss in reading.losses}
    assert listed == {
        "ServReq/ReceiptDate", "Event/Recipient", "Event/ExpDuration", "Event/AssRequest/IssueDate",
        "Event/AssRequest/MsgType", "Event/AssRequest/Id", "Event/EventLocation/Location/Type",
        "Event/EventLocation/Location/Description", "Event/InfItem/ResultItem/TextResult/Result/Heading",
        "Event/InfItem/ResultItem/ServType", "Event/InfItem/ResultItem/ClinInv/Spec",
        "Event/InfItem/ResultItem/DiagComment/Concept", "Event/InfItem/OrgDate",
        "Event/InfItem/Origin/HCP/HCProf/Name", "Event/InfItem/RelHCProvider/Relation",
        "Event/InfItem/RelHCProvider/HCP/HCProf/Name", "Event/InfItem/Medication/IntendedDuration",
        "Event/InfItem/Medication/QuantitySupplied", "Event/InfItem/StartDateTime",
        "Event/InfItem/EndDateTime", "Event/RelServProvider/HCP/Address/StreetAdr",
    }  # fmt: skip


# --- refused, receipted, written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<MsgId>e871f2e8", "<MsgId>1", "E10"),
        ("epikrise/2012-02-15", "epikrise", "T10"),
        ("epikrise/2012-02-15", "epikrise/2019-01-01", "T10"),
        ("ServRprt>", "Rapport>", "T02"),
        ("Requester>", "Annan>", None),  # the copy receiver is one
        ("<Id>8143500</Id>", f"<Id>{'9' * 300}</Id>", "T02"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_code(old: str, new: str, code: str | None) -> None:
    problem = read(bent(old, new)).problem
    assert getattr(problem, "code", None) == code


def test_a_summary_without_receiver_is_t02() -> None:
    alone = bent("CopyDest>", "Annan>", bent("Requester>", "Annan>"))
    problem = read(alone).problem
    assert isinstance(problem, Refused)
    assert (problem.code, problem.reason) == ("T02", "the message has no receiver; send it with one")


def test_a_summary_that_does_not_say_when_it_was_sent_cannot_be_answered() -> None:
    with pytest.raises(Refused, match="GenDate") as caught:
        read(bent('<GenDate V="2014-10-14T08:20:00"/>', ""))
    assert caught.value.code == "T02"


@pytest.mark.parametrize(("version", "namespace"), [("1.1", "2004-11-21"), ("1.2", "2012-02-15")])
@pytest.mark.parametrize("receiver", [0, 1])
def test_the_receipt_is_of_its_own_version(version: str, namespace: str, receiver: int) -> None:
    envelope = read(content(version=version)).envelope
    now = envelope.sent_at + timedelta(minutes=5)
    verdict = Verdict(
        status=Status.ACCEPTED, at=now, id="0b0b1f5e-6d0e-4c39-9b60-3a8f0d5d3f41", receiver=receiver
    )
    given = kith.acknowledge(envelope, verdict) or b""
    valid(given)
    root = etree.fromstring(given)
    assert etree.QName(root).namespace == f"http://www.kith.no/xmlstds/apprec/{namespace}"
    assert root.findtext("{*}OriginalMsgId/{*}Id") in content(version=version).decode()
    assert root.find("{*}Sender/{*}Role").get("V") == ("PRIM", "COP")[receiver]


@pytest.mark.parametrize("dialect", kith.NAMES)
def test_a_summary_is_never_written_as_plo(dialect: str) -> None:
    reading = read(content())
    addressing = Addressing(
        message_id=reading.envelope.message_id,
        transmission_id=reading.envelope.message_id,
        sender=reading.envelope.sender,
        receiver=reading.envelope.receivers[0],
    )
    with pytest.raises(CannotWrite, match="never written; have the hospital's own system send it"):
        kith.write(reading.bundle or {}, dialect=dialect, addressing=addressing)


# --- through the inbox ------------------------------------------------------------------------------------


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Stage]:
    """Indre Sogn with the GP's office and the municipality ours, a day after the discharge."""
    made = stage(
        f"sqlite:///{tmp_path / 'store.db'}", StandingClock(at=at(2014, 10, 16, 8)), of=sogn_with_a_gp()
    )
    yield made
    made.close()


def sogn_with_a_gp() -> Region:
    known = region()
    gp = Party(
        id="legekontor",
        name="Lærdal legekontor",
        kind="gp",
        side=Side.OURS,
        identifiers=((HER, "8143590"), (HER, "8143591")),
        endpoint="legekontor",
    )
    office = Endpoint(name="legekontor", transport="directory", address="run/gp", dialect="plo-1.6")
    parties = tuple(
        replace(party, side=Side.THEIRS) if party.id == "laerdal-sjukehus" else party
        for party in known.register_.parties
    )
    register = replace(
        known.register_, parties=(*parties, gp), endpoints=(*known.register_.endpoints, office)
    )
    return known.model_copy(update={"register_": register})


def test_a_summary_is_accepted_receipted_and_given_to_each_receiver_in_its_dialect(play: Stage) -> None:
    done = play.receive(content())
    assert (done.outcome, done.code) == ("accepted", None), done.reason
    assert len(standing(play, K.DISCHARGE_SUMMARY)) == 1
    sent = {row["party"]: row for row in play.rows(tables.delivery)}
    assert set(sent) == {"legekontor", "laerdal"}
    with play.built.store.read() as tx:
        bytes_of = {party: messages.content(tx, row["payload"]) for party, row in sent.items()}
    assert bytes_of["legekontor"] == content()  # it reads PLO 1.6, and with it Epikrise 1.2
    given = json.loads(bytes_of["laerdal"])
    validate(given)
    assert "Trombolyse med god verknad" in json.dumps(given, ensure_ascii=False)


def test_a_corrected_summary_replaces_the_first_and_a_cancelled_one_ends_both(play: Stage) -> None:
    stands = []
    for name in ("summary", "summary-corrected", "summary-cancelled"):
        done = play.receive(content(name))
        assert (done.outcome, done.code) == ("accepted", None), done.reason
        stands.append(standing(play, K.DISCHARGE_SUMMARY))
    first, corrected = (read(content(name)).envelope.message_id for name in ("summary", "summary-corrected"))
    assert stands == [[first], [corrected], []]


def test_an_old_version_for_a_reader_of_the_new_one_is_held(play: Stage) -> None:
    done = play.receive(content(version="1.1"))
    assert (done.outcome, done.code) == ("quarantined", "mapping")
    assert "never written" in (done.reason or "")


@pytest.mark.parametrize("place", ["Event", "Patient", "TextResultValue"])
def test_a_summary_made_to_be_endless_is_told_within_bounds(place: str) -> None:
    deep = (
        b"<Z>" + b"<%s>" % (b"n" * 60) * 150 + b"<a V='x'/>" * 5000 + b"</%s>" % (b"n" * 60) * 150 + b"</Z>"
    )
    end = b"</%s>" % place.encode()
    reading = read(content().replace(end, deep + end, 1))
    validate(reading.bundle)
    assert len(reading.losses) < 60
    assert max((len(loss) for loss in reading.losses), default=0) < 300
