"""The plans of the fixtures, as they are or changed for a test."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapter.fhir.bundles import Bundle, Resource, of_type, resources
from adapter.fhir.plan import Plan
from adapter.fhir.plan_reading import plan_in

PLANS = Path(__file__).parent.parent / "fixtures" / "fhir-plans"
SIP, INDIVIDUAL = "sip-home-with-help", "individual-plan"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def bundle(name: str = SIP) -> Bundle:
    """The message of a fixture, parsed anew."""
    return json.loads((PLANS / name / "plan.json").read_bytes())


def care_plan(of: Bundle) -> Resource:
    """The CarePlan in a Bundle."""
    found = of_type(of, "CarePlan")
    assert found is not None
    return found


def read(of: Bundle) -> Plan:
    """The plan in a Bundle."""
    return plan_in(of, care_plan(of))


def changed(change: Callable[[Bundle], None], name: str = SIP) -> Plan:
    """The plan of a fixture after a change to its message."""
    made = bundle(name)
    change(made)
    return read(made)


def all_of(of: Bundle, kind: str) -> list[Resource]:
    """The resources of one type, in their order."""
    return [resource for resource in resources(of) if resource["resourceType"] == kind]


def protect(of: Bundle, code: str = "R") -> None:
    """Mark the patient's identity as protected."""
    patient = of_type(of, "Patient")
    assert patient is not None
    patient.setdefault("meta", {})["security"] = [{"system": CONFIDENTIALITY, "code": code}]


def texts(value: Any) -> Iterator[str]:
    """Every text in a record, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from texts(getattr(value, name))
