"""Protected identity: who has it, and what then leaves no house.

Marked by `Patient.meta.security`, as published in the Nordic countries:

- R or V of HL7's v3-Confidentiality (HL7 Denmark's core profile: name and address protection is R);
- any code of HL7 Sweden's `SecurityLabel` (sekretessmarkering, skyddadFolkbokforing), and DEMO of v3-ActCode,
  which its base profile sets beside them;
- TURVAKIELTO of HL7 Finland's base profiles.

Denmark's extension `ehealth-nameandaddressprotection` counts by being there, whatever its period says. Norway
has published no label: the register's *fortrolig* is R, *strengt fortrolig* V. What is marked by mistake is
protected: the other mistake costs more.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.codes import words
from adapter.fhir.references import names_of
from adapter.phrases import Phrase, phrase

_CONFIDENTIALITY = (
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "http://hl7.org/fhir/v3/Confidentiality",
)
_SWEDEN = "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel"
_FINLAND = "https://hl7.fi/fhir/finnish-base-profiles/CodeSystem/fi-base-security-label-cs"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

PROTECTION_EXTENSIONS = frozenset(
    ("http://ehealth.sundhed.dk/fhir/StructureDefinition/ehealth-nameandaddressprotection",)
)
"""Extensions of Patient that say that the person is protected."""

_DROPPED: dict[str, frozenset[str]] = {
    "Patient": words("address telecom contact photo text"),
    "Encounter": words("location text"),
    "Appointment": words("text"),
    "CareTeam": words("telecom text"),
    "Organization": words("address telecom contact text"),
}
_KEPT: dict[str, frozenset[str]] = {
    "RelatedPerson": words("resourceType id meta active patient"),
    "Location": words("resourceType id meta status mode"),
}
"""Next of kin and places stay as empty shells, so that references still lead there."""

_HIDDEN = frozenset(_KEPT)


def is_protected(patient: Resource) -> bool:
    """Whether the person has protected identity, by label or by extension."""
    for label in (patient.get("meta") or {}).get("security") or ():
        if _protects(label.get("system"), label.get("code")):
            return True
    return any(one.get("url") in PROTECTION_EXTENSIONS for one in patient.get("extension") or ())


def _protects(system: Any, code: Any) -> bool:
    if system in _CONFIDENTIALITY:
        return bool(code in ("R", "V"))
    if system == _FINLAND:
        return str(code).upper() == "TURVAKIELTO"
    return bool(system == _SWEDEN or (system == _ACT_CODE and code == "DEMO"))


def protects(entries: Iterable[Resource]) -> bool:
    """Whether the entries of a message say that the patient's identity is protected."""
    told = (entry.get("resource") or {} for entry in entries)
    return any(one.get("resourceType") == "Patient" and is_protected(one) for one in told)


def protected(patient: Resource) -> Resource:
    """The Patient, marked where it was not: what was told before counts as told of a protected person."""
    if is_protected(patient):
        return patient
    meta = patient.get("meta") or {}
    label = {"system": _CONFIDENTIALITY[0], "code": "R"}
    return patient | {"meta": meta | {"security": [*(meta.get("security") or ()), label]}}


def as_protected(bundle: Bundle) -> Bundle:
    """The message with each Patient so marked."""
    entries = [
        item | {"resource": protected(item["resource"])}
        if item["resource"]["resourceType"] == "Patient"
        else item
        for item in bundle["entry"]
    ]
    return bundle | {"entry": entries}


def without_protected(resource: Resource) -> Resource:
    """The resource without address, telephone, next of kin and receiving place; itself where it has none.

    Of an Organization, what would lead to it: apply it to the receiving place, not to every party.
    """
    kind = resource["resourceType"]
    kept = {name: part for name, part in resource.items() if _stays(kind, name)}
    if kind == "Encounter":
        _without_destination(kept)
    elif kind in ("Appointment", "CareTeam"):
        kept = _without_participants(kept, frozenset())
    elif kind == "Patient":
        _without_extensions(kept)
    if "contained" in kept:
        kept["contained"] = [without_protected(one) for one in kept["contained"]]
    return resource if kept == resource else kept


def without_protected_in(entries: list[Resource], said: list[str]) -> list[Resource]:
    """The same for the entries of a Bundle, whose references show which Organization is the receiving place.

    Adds to `said` what was left out.
    """
    places = {ref for item in entries for ref in _receiving_places(item["resource"])}
    hidden = {
        name for item in entries if item["resource"]["resourceType"] in _HIDDEN for name in names_of(item)
    }
    kept = []
    for item in entries:
        resource = item["resource"]
        spared = resource["resourceType"] == "Organization" and places.isdisjoint(names_of(item))
        cut = resource if spared else without_protected(resource)
        cut = _without_names(_without_participants(cut, hidden), hidden)
        said += _left_out(resource, cut)
        kept.append(item if cut is resource else item | {"resource": cut})
    return kept


def _stays(kind: str, name: str) -> bool:
    if kind in _KEPT:
        return name in _KEPT[kind]
    return name.removeprefix("_") not in _DROPPED.get(kind, ())


def _without_destination(kept: Resource) -> None:
    stay = kept.get("hospitalization")
    if stay is None:
        return
    less = {name: part for name, part in stay.items() if name != "destination"}
    disposition = less.get("dischargeDisposition") or {}
    if "text" in disposition:
        less["dischargeDisposition"] = {name: part for name, part in disposition.items() if name != "text"}
        if not less["dischargeDisposition"]:
            del less["dischargeDisposition"]
    if less:
        kept["hospitalization"] = less
    else:
        del kept["hospitalization"]


def _without_participants(resource: Resource, hidden: set[str] | frozenset[str]) -> Resource:
    """Without the participants that are a place or next of kin, by their type or as one of `hidden`."""
    role = {"Appointment": "actor", "CareTeam": "member"}.get(resource["resourceType"])
    found: list[Resource] = resource.get("participant") or []
    stay = [one for one in found if role is None or not _is_hidden(one.get(role) or {}, hidden)]
    if role is None or len(stay) == len(found):
        return resource
    if not stay and role == "actor":  # an Appointment has at least one, with an actor or a type (app-1)
        stay = [{"type": [{"text": "withheld"}], "status": found[0].get("status", "needs-action")}]
    rest = {name: part for name, part in resource.items() if name != "participant"}
    return rest | {"participant": stay} if stay else rest


def _is_hidden(ref: Resource, hidden: set[str] | frozenset[str]) -> bool:
    found = ref.get("reference")
    target = found if isinstance(found, str) else ""
    return (
        ref.get("type") in _HIDDEN or target in hidden or any(f"/{part}/" in f"/{target}" for part in _HIDDEN)
    )


def _without_extensions(kept: Resource) -> None:
    found = kept.pop("extension", None) or ()
    stay = [one for one in found if one.get("url") in PROTECTION_EXTENSIONS]
    if stay:
        kept["extension"] = stay


def _receiving_places(resource: Resource) -> Iterator[str]:
    if resource["resourceType"] == "Encounter":
        target = ((resource.get("hospitalization") or {}).get("destination") or {}).get("reference")
        if target:
            yield target
    elif resource["resourceType"] == "Location":
        target = (resource.get("managingOrganization") or {}).get("reference")
        if target:
            yield target


def _without_names(value: Any, hidden: set[str]) -> Any:
    """References to places and next of kin without the name that stands beside them."""
    if isinstance(value, dict):
        if "display" in value and "reference" in value and _is_hidden(value, hidden):
            value = {name: part for name, part in value.items() if name != "display"}
        parts = {name: _without_names(part, hidden) for name, part in value.items()}
        return value if all(parts[name] is value[name] for name in value) else parts
    if isinstance(value, list):
        items = [_without_names(part, hidden) for part in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value


def _left_out(before: Resource, after: Resource) -> Iterator[Phrase]:
    for name, part in before.items():
        element = f"{before['resourceType']}.{name}"
        if name not in after:
            yield phrase("{element} (protected identity)", element=element)
        elif after[name] is not part and after[name] != part:
            yield phrase("part of {element} (protected identity)", element=element)
