"""Into which sections of a discharge document a resource belongs, by its type and its codes.

A resource may stand in several: the European report and PACIO's document name the same thing by different
codes (medicines 75311-1 and 10160-0, procedures 10185-7 and 47519-4). The sections are
`definitions/sections.toml`; what has no section of its own goes to the hospital course, so that nothing
that is given is lost.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from adapter.fhir.bundles import Resource
from adapter.fhir.codes import words

Profile = Literal["eu-hdr", "pacio-toc", "both"]

LOINC = "http://loinc.org"
LANGUAGES = ("en", "nb", "nn", "sv")
COURSE = "hospital-course"

SUPPORT = words(
    "Patient Organization Practitioner PractitionerRole HealthcareService Location RelatedPerson Medication "
    "Specimen Substance Questionnaire EpisodeOfCare Group Slot Schedule BodyStructure DeviceMetric Provenance"
)
"""What others lead to: listed only where nothing does. A Provenance leads to others itself."""

OF_A_PLAN = words(
    "ServiceRequest Task Appointment AppointmentResponse Goal CareTeam NutritionOrder RequestGroup "
    "CommunicationRequest SupplyRequest VisionPrescription"
)
"""What is told with the CarePlan that leads there, and has a place of its own only where none does."""

CARRIED = words("Device Binary Media")
"""What is told with whatever leads there, and has a place of its own only where nothing does."""

_ADVANCE_DIRECTIVES = words("42348-3 81334-5 86533-7 64298-3 93037-0 75320-2 acd adr dnr polst")
_MENTAL = words("44249-1 44261-6 69737-5 70274-6 73831-0 behavioral-health mental-health")
_OBSERVED = {
    "vital-signs": "vital-signs",
    "social-history": "social-history",
    "sdoh": "social-history",
    "functional-status": "functional-status",
    "disability-status": "functional-status",
    "cognitive-status": "functional-status",
    "activity": "functional-status",
    "survey": "functional-status",
    "care-experience-preference": "advance-directives",
    "treatment-intervention-preference": "advance-directives",
}
"""Section by category of an Observation, of HL7's observation-category and US Core's; others are results."""

_FUNCTION = words("47420-5 54522-8 89572-2 75246-9 83254-3")
_VITAL = words("85354-9 8867-4 9279-1 8310-5 8302-2 29463-7 39156-5 2708-6 59408-5 8480-6 8462-4")
_TOBACCO = words("72166-2 11367-0 74013-4")
_LISTS = {
    "10160-0": "medications", "104205-0": "medications", "75311-1": "medications", "52471-0": "medications",
    "medications": "medications", "48765-2": "allergies", "allergies": "allergies", "11450-4": "problems",
    "problems": "problems", "11369-6": "immunizations",
}  # fmt: skip
"""Section by code of a List."""

_TWO = {
    "medications": ("discharge-medications", "medications"),
    "procedures": ("procedures-at-discharge", "procedures"),
    "details": ("discharge-details", "instructions"),
}
_BY_TYPE: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("allergies",),
    "Flag": ("alerts",),
    "DetectedIssue": ("alerts",),
    "ClinicalImpression": ("synthesis",),
    "Immunization": ("immunizations",),
    "ImmunizationRecommendation": ("immunizations",),
    "DiagnosticReport": ("results",),
    "ImagingStudy": ("results",),
    "Media": ("results",),
    "Device": ("devices",),
    "DeviceUseStatement": ("devices",),
    "DeviceRequest": ("devices",),
    "MedicationStatement": _TWO["medications"],
    "MedicationRequest": _TWO["medications"],
    "MedicationDispense": _TWO["medications"],
    "MedicationAdministration": ("medications",),
    "Procedure": _TWO["procedures"],
    "CarePlan": ("plan-of-care",),
    "Encounter": (COURSE, "reason-for-referral", "discharge-details"),
    "QuestionnaireResponse": ("functional-status",),
    "Binary": ("attachments",),
    **dict.fromkeys(OF_A_PLAN, _TWO["details"]),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section of the document, with its title by language."""

    key: str
    system: str
    code: str
    display: str
    eu: str | None  # required, optional; None where the profile has no such section
    pacio: str | None
    title: Mapping[str, str]

    def has(self, profile: Profile) -> bool:
        """Whether a document of that profile can have this section."""
        return bool((profile != "pacio-toc" and self.eu) or (profile != "eu-hdr" and self.pacio))

    def required(self, profile: Profile) -> bool:
        """Whether it must have it, also with nothing in it."""
        eu, pacio = self.eu == "required", self.pacio == "required"
        return (profile != "pacio-toc" and eu) or (profile != "eu-hdr" and pacio)


@cache
def sections(profile: Profile) -> tuple[Section, ...]:
    """The sections of that profile in reading order; `both` is the union."""
    return tuple(section for section in _all() if section.has(profile))


@cache
def _all() -> tuple[Section, ...]:
    text = files("adapter.fhir").joinpath("definitions", "sections.toml").read_text(encoding="utf-8")
    return tuple(
        Section(
            key=key,
            system=entry.get("system", LOINC),
            code=entry["code"],
            display=entry["display"],
            eu=entry.get("eu"),
            pacio=entry.get("pacio"),
            title={language: entry[language] for language in LANGUAGES},
        )
        for key, entry in tomllib.loads(text).items()
    )


def sections_of(resource: Resource, *, profile: Profile, diagnosed: bool = False) -> tuple[str, ...]:
    """The keys of the sections in which it is listed; none for what others lead to.

    `diagnosed`: the stay names this Condition as a diagnosis. What the profile has no section for is listed
    in the hospital course.
    """
    kind = resource["resourceType"]
    if kind in SUPPORT:
        return ()
    chosen = _CODED[kind](resource) if kind in _CODED else _BY_TYPE.get(kind, (COURSE,))
    if diagnosed and kind == "Condition":
        chosen = ("diagnosis", "problems")
    there = {section.key for section in sections(profile)}
    return tuple(key for key in chosen if key in there) or (COURSE,)


def codes_of(*concepts: object) -> Iterator[str]:
    """The codes of CodeableConcepts, of lists of them, and of Codings."""
    for concept in concepts:
        if isinstance(concept, list):
            yield from codes_of(*concept)
        elif isinstance(concept, dict):
            if isinstance(concept.get("code"), str):
                yield concept["code"]
            yield from codes_of(concept.get("coding"))


def _condition(resource: Resource) -> tuple[str, ...]:
    codes = set(codes_of(resource.get("category")))
    if codes & _MENTAL:
        return ("behavioral-health", "problems")
    return ("diagnosis", "problems") if "encounter-diagnosis" in codes else ("problems",)


def _observation(resource: Resource) -> tuple[str, ...]:
    code, categories = set(codes_of(resource.get("code"))), list(codes_of(resource.get("category")))
    if code & _MENTAL or _MENTAL & set(categories):
        return ("behavioral-health", "functional-status")
    by_code = ((_FUNCTION, "functional-status"), (_VITAL, "vital-signs"), (_TOBACCO, "social-history"))
    found = [section for codes, section in by_code if code & codes]
    found += [_OBSERVED[category] for category in categories if category in _OBSERVED]
    return (found[0] if found else "results",)


def _document(resource: Resource) -> tuple[str, ...]:
    codes = set(codes_of(resource.get("type"), resource.get("category")))
    return ("advance-directives", "attachments") if codes & _ADVANCE_DIRECTIVES else ("attachments",)


def _written(resource: Resource) -> tuple[str, ...]:
    codes = set(codes_of(resource.get("type"), resource.get("category")))
    return ("advance-directives",) if codes & _ADVANCE_DIRECTIVES else (COURSE,)


def _list(resource: Resource) -> tuple[str, ...]:
    section = next((_LISTS[code] for code in codes_of(resource.get("code")) if code in _LISTS), COURSE)
    return _TWO.get(section, (section,))


_CODED: dict[str, Callable[[Resource], tuple[str, ...]]] = {
    "Condition": _condition,
    "Observation": _observation,
    "DocumentReference": _document,
    "Composition": _written,
    "Consent": _written,
    "List": _list,
}
