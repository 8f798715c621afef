"""What must not change its meaning on the way: what is not so, what was stopped, what nobody has said."""

import re
from typing import Any

import pytest
from lxml import etree

from adapter.errors import Refused
from adapter.fhir.bundles import Bundle, entry, of_every_type, of_type, reference
from adapter.fhir.notices import notice_in
from adapter.fhir.publishing import example
from adapter.fhir.validation import validate
from adapter.mappings.kith.record_written import stands
from tests.mappings.compare_kith import differences, payload
from tests.mappings.official import valid
from tests.mappings.test_kith_reports import OSLO, STROKE, K, read, written

REPORT = (STROKE / "discharge-report.plo-1.6.xml").read_text(encoding="utf-8")
EARLY = (STROKE / "early-warning.plo-1.6.xml").read_text(encoding="utf-8")


def with_one(resource: dict[str, Any]) -> Bundle:
    """A discharge report from elsewhere that tells one thing more."""
    bundle = example(K.DISCHARGE_REPORT)
    about = "patient" if resource["resourceType"] == "AllergyIntolerance" else "subject"
    named = {"id": "00000000-0000-4000-8000-000000000001", about: reference(of_type(bundle, "Patient") or {})}
    bundle["entry"].append(entry({"resourceType": resource["resourceType"]} | named | resource))
    validate(bundle)
    return bundle


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def medicine(status: str, **more: Any) -> dict[str, Any]:
    what = {"resourceType": "MedicationStatement", "medicationCodeableConcept": {"text": "Warfarin"}}
    return {**what, "status": status, **more}


def allergy(**more: Any) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "code": {"text": "Penicillin"}, **more}


NOT_SO = {
    "a medicine on hold": medicine("on-hold"),
    "a medicine that is not taken": medicine("not-taken"),
    "an allergy that was refuted": allergy(
        verificationStatus=coded("allergyintolerance-verification", "refuted")
    ),
    "an allergy that is over": allergy(clinicalStatus=coded("allergyintolerance-clinical", "resolved")),
    "a diagnosis that was refuted": {
        "resourceType": "Condition",
        "code": {"text": "Slag"},
        "verificationStatus": coded("condition-ver-status", "refuted"),
    },
    "a warning that is over": {"resourceType": "Flag", "status": "inactive", "code": {"text": "MRSA"}},
    "a measure that was revoked": {
        "resourceType": "ServiceRequest",
        "status": "revoked",
        "intent": "order",
        "code": {"text": "Sårstell"},
    },
    "what must not be done": {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "doNotPerform": True,
        "code": {"text": "Vekttrening"},
    },
}
ELEMENTS = (
    "Legemiddelinfo",
    "Allerginotat",
    "MedisinskDiagnose",
    "StikkordCave",
    "Tiltaksbeskrivelse",
    "TjenesteBehov",
)


@pytest.mark.parametrize("case", NOT_SO)
@pytest.mark.parametrize("dialect", ["plo-1.5", "plo-1.6"])
def test_what_is_not_so_is_told_in_words_and_never_as_what_stands(case: str, dialect: str) -> None:
    bundle = with_one(NOT_SO[case])
    assert not stands(NOT_SO[case])
    message = written(bundle, dialect)
    valid(message.content)
    root = payload(message.content)
    assert [name for name in ELEMENTS if next(root.iter(f"{{*}}{name}"), None) is not None] == []
    notes = " ".join(note.text or "" for note in root.iter("{*}Notat"))
    what = NOT_SO[case].get("code") or NOT_SO[case]["medicationCodeableConcept"]
    assert what["text"] in notes
    assert any("in words only" in loss for loss in message.losses)


@pytest.mark.parametrize(
    "resource",
    [
        medicine("entered-in-error"),
        allergy(verificationStatus=coded("allergyintolerance-verification", "entered-in-error")),
    ],
    ids=["medicine", "allergy"],
)
def test_what_was_entered_in_error_is_left_out_and_listed(resource: dict[str, Any]) -> None:
    message = written(with_one(resource), "plo-1.6")
    assert "Warfarin" not in message.content.decode()
    assert "Penicillin" not in message.content.decode()
    assert any("entered in error" in loss for loss in message.losses)


def test_an_illness_that_is_over_is_an_earlier_one() -> None:
    over = coded("condition-clinical", "resolved")
    bundle = with_one(
        {"resourceType": "Condition", "code": {"text": "Lungebetennelse"}, "clinicalStatus": over}
    )
    root = payload(written(bundle, "plo-1.6").content)
    assert [one.text for one in root.iter("{*}TidligereSykdom")] == ["Lungebetennelse"]
    assert next(root.iter("{*}MedisinskDiagnose"), None) is None


@pytest.mark.parametrize(
    ("written_as", "status"),
    [
        ('V="2" DN="Seponering"', "stopped"),
        ('DN="Seponering"', "stopped"),
        ('V="S" DN="Seponert"', "stopped"),
        ('V="3" DN="Avsluttet"', "stopped"),
        ('V="1" DN="Ny"', "active"),
        ('V="9" DN="Uviss"', "unknown"),
    ],
)
def test_a_stopped_medicine_stays_stopped_whatever_its_code(written_as: str, status: str) -> None:
    content = re.sub(
        r"<epj3:StatusTilForskrivningen [^>]*/>", f"<epj3:StatusTilForskrivningen {written_as}/>", REPORT
    )
    found = read(content.encode())
    assert found.bundle is not None
    validate(found.bundle)
    statuses = [
        one["status"] for one in of_every_type(found.bundle, "MedicationStatement") if "statusReason" in one
    ]
    assert statuses == [status]
    listed = any("StatusTilForskrivningen is not a code" in loss for loss in found.losses)
    assert listed == ('V="2"' not in written_as)


@pytest.mark.parametrize("time", ["", 'V="20141013080000"', 'V="i dag"'])
def test_a_medicine_given_at_no_readable_time_gets_none(time: str) -> None:
    found = read(re.sub(r"<epj3:AdmStart [^>]*/>", f"<epj3:AdmStart {time}/>", REPORT).encode())
    assert found.bundle is not None
    validate(found.bundle)
    assert list(of_every_type(found.bundle, "MedicationAdministration")) == []
    rest = (of_type(found.bundle, "Composition") or {})["section"][-1]
    assert "Metoprolol" in rest["text"]["div"]
    assert any("AdmAvHelsepersonell/Forskrivningsinfo/Navn" in loss for loss in found.losses)


def test_what_comes_twice_where_it_may_come_once_is_kept_in_words() -> None:
    allergy_of = re.search(r"<epj1:Allergi>.*?</epj1:Allergi>", REPORT, re.DOTALL)
    assert allergy_of is not None
    food = "<epj1:HensynMatDrikke>true</epj1:HensynMatDrikke>"
    second = f"<epj1:Allergi>{food}<epj1:AllergiskMot>Nøtter</epj1:AllergiskMot></epj1:Allergi>"
    found = read(REPORT.replace(allergy_of[0], allergy_of[0] + second, 1).encode())
    assert found.bundle is not None
    first = next(of_every_type(found.bundle, "AllergyIntolerance"))
    assert (first["code"]["text"], first["category"]) == ("Lateks", ["environment"])
    assert "Nøtter" in (of_type(found.bundle, "Composition") or {})["section"][-1]["text"]["div"]


def test_a_code_of_another_list_is_never_written_where_the_list_is_not_named() -> None:
    of_hl7 = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "SON"}]}
    bundle = with_one({"resourceType": "Condition", "code": {"text": "Slag"}})
    patient = reference(of_type(bundle, "Patient") or {})
    son = {"resourceType": "RelatedPerson", "id": "00000000-0000-4000-8000-000000000002", "patient": patient}
    bundle["entry"].append(entry(son | {"relationship": [of_hl7], "name": [{"family": "Vik"}]}))
    root = payload(written(bundle, "plo-1.6").content)
    assert [one.text for one in root.iter("{*}Referanseperson")] != []
    assert next(root.iter("{*}Slektskap"), None) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("epj1:VirkestoffLegemiddel", "epj1:KodeAnnetStoff"),
        ('S="2.16.578.1.12.4.1.1.7180"', 'S="2.16.578.1.12.4.1.1.9999"'),
    ],
)
def test_another_substance_than_a_medicine_comes_back_as_one(before: str, after: str) -> None:
    content = REPORT.replace(before, after)
    if "KodeAnnet" not in after:
        content = content.replace("epj1:VirkestoffLegemiddel", "epj1:KodeAnnetStoff")
    found = read(content.encode())
    assert found.bundle is not None
    validate(found.bundle)
    changed = differences(payload(content.encode()), payload(written(found.bundle, "plo-1.6").content))
    assert [d for d in changed if "9999" in str(d)] == []


@pytest.mark.parametrize("said", ["true", "1", "TRUE", "ja"])
def test_a_reservation_fails_closed(said: str) -> None:
    status = re.search(r"<Forsendelsesstatus [^>]*/>", EARLY)
    assert status is not None
    reserved = f"{status[0]}<ForbeholdOmVideresending>{said}</ForbeholdOmVideresending>"
    found = read(EARLY.replace(status[0], reserved).encode())
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=OSLO).reserved
    assert any("is no boolean" in loss for loss in found.losses) == (said.lower() not in ("true", "1"))


def test_notes_without_end_are_refused() -> None:
    note = re.search(r"<epj2:Journaltekst>.*?</epj2:Journaltekst>", EARLY, re.DOTALL)
    assert note is not None
    problem = read(EARLY.replace(note[0], note[0] * 1200, 1).encode()).problem
    assert isinstance(problem, Refused)
    assert problem.code == "T02"
    many = read(EARLY.replace(note[0], note[0] * 400, 1).encode())
    assert many.bundle is not None
    root = payload(written(many.bundle, "plo-1.5").content)
    assert len(list(root.iter("{*}Notat"))) > 400
    assert etree.QName(root).localname == "HelseopplysningerVedSoknad"
