"""Care plans that others have published go in as messages and come out at /fhir with every element intact."""

import copy
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter.copies import derived_id
from adapter.discharge.notices import Notice, NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import CANONICAL, Bundle, Resource
from adapter.fhir.notices import message_bundle
from adapter.fhir.serving import led, renamed
from adapter.fhir.wire import loads, parse_resource, to_json
from adapter.fhir.xml_writing import resource_xml
from tests.conftest import OSLO, StandingClock
from tests.stage import SYNNOVE, address_of
from tests.web.conftest import TOKENS, Site, site

_FOLDER = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
SAMPLES = Path(_FOLDER) / "international" if _FOLDER else None
BASE = "http://sample.example/fhir"
READER = {"Authorization": f"Bearer {TOKENS['luster-drift']}"}
_CONFORMANCE = ("StructureDefinition", "CapabilityStatement", "Parameters", "ImplementationGuide")


def _plans() -> dict[str, list[Resource]]:
    """The resources of each sample, with the base of the server that they came from."""
    if SAMPLES is None:
        return {}
    found: dict[str, list[Resource]] = {"mcc-care-plan": []}
    for path in sorted((SAMPLES / "mcc-care-plan").glob("*.xml")):
        try:
            resource = parse_resource(path.read_bytes())
        except Refused:
            continue  # a definition of another version than R4's, or no resource
        if resource["resourceType"] not in _CONFORMANCE:
            found["mcc-care-plan"].append(resource)
    bundles = [
        *(SAMPLES / "xshare-care-plan").glob("*.json"),
        *(SAMPLES / "pacio-toc").glob("toc-*doc*.json"),
    ]
    for path in bundles:
        name = path.parent.name if path.parent.name == "pacio-toc" else path.stem
        found[name] = [item["resource"] for item in loads(path.read_bytes())["entry"]]
    return found


PLANS = _plans()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    clock = StandingClock(datetime(2026, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        yield found


def message(place: Site, parts: list[Resource]) -> Bundle:
    """The sample as a plan of ours: only the envelope is added, and the patient where it has none."""
    register = place.stage.built.register
    hospital, luster = address_of(register, "laerdal-sjukehus"), address_of(register, "luster")
    now = place.stage.clock()
    notice = Notice(
        kind=NoticeKind.CARE_PLAN,
        message_id=str(uuid.uuid4()),
        sent_at=now,
        occurred=now,
        sender=hospital.token,
    )
    bundle = message_bundle(
        notice, subject=SYNNOVE, sender=hospital, receivers=[luster], hospital=hospital,
        transmission_id=str(uuid.uuid4()),
    )  # fmt: skip
    plan = next(p for p in parts if p["resourceType"] == "CarePlan")
    theirs = {p["resourceType"] for p in parts}
    dropped = {"CarePlan", *({"Patient", "Encounter"} & theirs)}
    kept = [i for i in bundle["entry"] if i["resource"]["resourceType"] not in dropped]
    head = kept[0]["resource"]
    head["focus"] = [{"reference": f"{BASE}/CarePlan/{plan['id']}"}]
    patient = next((p for p in parts if p["resourceType"] == "Patient"), None)
    for item in kept:
        if item["resource"]["resourceType"] == "Encounter":
            item["resource"]["subject"] = plan["subject"] | {
                "reference": f"{BASE}/{plan['subject']['reference']}"
            }
        elif item["resource"]["resourceType"] == "Patient":
            item["fullUrl"] = f"{BASE}/{plan['subject']['reference']}"
            item["resource"]["id"] = plan["subject"]["reference"].partition("/")[2]
    if patient is not None:
        patient |= {"birthDate": "1950-01-01", "gender": "unknown"} | patient
    system = f"{CANONICAL}/CodeSystem/care-plan-kinds"
    plan.setdefault("category", []).append({"coding": [{"system": system, "code": "discharge-plan"}]})
    others = [{"fullUrl": f"{BASE}/{p['resourceType']}/{p['id']}", "resource": p} for p in parts]
    return bundle | {"entry": [*kept, *others]}


@pytest.mark.parametrize("name", sorted(PLANS))
@pytest.mark.parametrize("written", [to_json, resource_xml], ids=["json", "xml"])
def test_every_element_of_a_published_plan_comes_out_again(
    place: Site, name: str, written: Callable[[Bundle], bytes]
) -> None:
    told = message(place, copy.deepcopy(PLANS[name]))
    media = "application/fhir+json" if written is to_json else "application/fhir+xml"
    token = {"Authorization": f"Bearer {TOKENS['helse-foerde']}", "Content-Type": media}
    answer = place.post("/fhir/$process-message", data=written(told), headers=token)
    assert answer.status_code == 200, answer.text[-500:]

    (patient,) = search(place, "Patient")
    names = {n: the_name(place, i["resource"], patient["id"]) for n, i in enumerate(told["entry"]) if n}
    ways = led(told, names)
    theirs = [n for n, i in enumerate(told["entry"]) if i["fullUrl"].startswith(BASE)]
    assert len(theirs) >= len(PLANS[name])
    for number in theirs:
        wanted = renamed(told["entry"][number]["resource"], names[number], ways)
        assert plain(read(place, names[number])) == plain(wanted)


def the_name(place: Site, resource: Resource, patient: str) -> str:
    """Its name here: a UUID is kept, any other id is made one; patient and stay have ours."""
    kind, given = resource["resourceType"], resource["id"]
    if kind in ("Patient", "Encounter"):
        (found,) = search(place, kind)
        return f"{kind}/{found['id']}"
    is_uuid = len(given) == 36 and given.count("-") == 4
    made = derived_id(given, "laerdal-sjukehus", kind, patient)
    return f"{kind}/{given if is_uuid else made}"


def search(place: Site, kind: str) -> list[Resource]:
    answer = place.get(f"/fhir/{kind}", headers=READER)
    return [item["resource"] for item in loads(answer.content)["entry"]]


def read(place: Site, name: str) -> Resource:
    answer = place.get(f"/fhir/{name}", headers=READER)
    assert answer.status_code == 200, f"{name}: {answer.text}"
    return dict(loads(answer.content))


def plain(resource: Resource) -> Any:
    """Comparable: without what a server says of versions; numbers and instants by value."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    bare = {k: v for k, v in resource.items() if k != "meta"} | ({"meta": meta} if meta else {})
    return _by_value(bare)


def _by_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _by_value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_by_value(v) for v in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", value):
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if type(value) in (int, float, Decimal) else value
