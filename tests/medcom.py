"""Denmark on paper: a region whose parties speak MedCom, and notifications in the likeness of its own.

Two hospitals and three municipalities; `ours` and `theirs` are what the region file says of them. All numbers
are invented; the patient's ends in four zeros, which nobody's does, and begins with a day, as `cpr` demands.
"""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapter.config import Region, load_region
from adapter.fhir import wire
from adapter.fhir.bundles import CPR, SOR, Subject
from adapter.mappings import medcom
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.transport import Outgoing
from tests.conftest import OSLO
from tests.stage import Stage, stage

GLN = "https://www.gs1.org/gln"
CODES = "http://medcomfhir.dk/ig/terminology/CodeSystem"
SHAPES = "http://medcomfhir.dk/ig"
KARLA = Subject(identifiers=((CPR, "0104520000"),), family="Prøve", given="Karla", gender="female")
PARTIES = {
    "nordby": ("Nordby Hospital", "hospital", "ours", "5790000000011", "1110000016001"),
    "sydby": ("Sydby Hospital", "hospital", "theirs", "5790000000028", "1110000016002"),
    "aaby": ("Aaby Kommune", "municipality", "theirs", "5790000000035", "1110000016003"),
    "beby": ("Beby Kommune", "municipality", "ours", "5790000000042", "1110000016004"),
    "ceby": ("Ceby Kommune", "municipality", "ours", "5790000000059", "1110000016005"),
}
ENDPOINTS = {"sydby": "directory", "aaby": "fhir", "ceby": "fhir"}


def denmark(folder: Path, *, aaby: str = "") -> Region:
    """The region; `aaby` are more lines for the endpoint of Aaby Kommune."""
    lines = ['name = "Danmark"', 'agreement = "denmark"', ""]
    for party, (name, kind, side, gln, sor) in PARTIES.items():
        lines += ["[[party]]", f'id = "{party}"', f'name = "{name}"', f'kind = "{kind}"', f'side = "{side}"']
        lines += [f'identifiers = ["GLN|{gln}", "SOR|{sor}"]']
        if party in ENDPOINTS:
            lines += [f'endpoint = "{party}"']
        lines += ['receipt = "delivered"' if party == "ceby" else 'receipt = "stored"', ""]
    for party, transport in ENDPOINTS.items():
        address = "mail" if transport == "directory" else f"https://{party}.example/fhir/$process-message"
        lines += ["[[endpoint]]", f'name = "{party}"', f'transport = "{transport}"', 'dialect = "medcom"']
        lines += [f'address = "{address}"', aaby if party == "aaby" else "", ""]
    file = folder / "denmark.toml"
    file.write_text("\n".join(lines))
    return load_region(file)


def play_denmark(url: str, clock: Callable[[], datetime], folder: Path, **more: str) -> Stage:
    """The stations of that region over the store at `url`."""
    return stage(url, clock, of=denmark(folder, **more))


def notification(
    clock: Callable[[], datetime],
    *,
    sender: str = "nordby",
    receiver: str = "aaby",
    header_id: str | None = None,
    bundle_id: str | None = None,
    activity: str = "admit-inpatient",
    admitted: datetime | None = None,
    sent: datetime | None = None,
    xml: bool = False,
) -> bytes:
    """A STIN, or what `activity` says; sent now, of an admission five minutes ago."""
    sent = sent or clock()
    admitted = admitted or sent - timedelta(minutes=5)
    header = header_id or str(uuid.uuid4())
    patient, stay, story = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{header}/{n}")) for n in range(3))
    giving, getting = _organization(sender), _organization(receiver)
    use = {
        "url": f"{SHAPES}/messaging/StructureDefinition/medcom-messaging-destinationUseExtension",
        "valueCoding": {"system": f"{CODES}/medcom-messaging-destinationUse", "code": "primary"},
    }
    parts: list[dict[str, Any]] = [
        {
            "resourceType": "MessageHeader",
            "id": header,
            "eventCoding": {
                "system": f"{CODES}/medcom-messaging-eventCodes",
                "code": "hospital-notification-message",
            },
            "destination": [
                {"extension": [use], "endpoint": _endpoint(receiver), "receiver": _to(getting)},
            ],
            "sender": _to(giving),
            "source": {"endpoint": _endpoint(sender)},
            "focus": [{"reference": f"Encounter/{stay}"}],
        },
        {
            "resourceType": "Patient",
            "id": patient,
            "identifier": [{"system": CPR, "value": "0104520000"}],
            "name": [{"use": "official", "family": "Prøve", "given": ["Karla"]}],
        },
        {
            "resourceType": "Encounter",
            "id": stay,
            "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "subject": {"reference": f"Patient/{patient}"},
            "episodeOfCare": [
                {
                    "identifier": {
                        "system": _endpoint(sender),
                        "value": "5d0fd4f6-95f5-4f47-a4e5-2f9d4e07a001",
                    }
                }
            ],
            "period": {"start": admitted.isoformat()},
            "serviceProvider": _to(giving),
        },
        giving,
        getting,
        {
            "resourceType": "Provenance",
            "id": story,
            "target": [{"reference": f"MessageHeader/{header}"}],
            "occurredDateTime": sent.isoformat(),
            "recorded": sent.isoformat(),
            "activity": {"coding": [{"system": f"{CODES}/medcom-messaging-activityCodes", "code": activity}]},
            "agent": [{"who": _to(giving)}],
        },
    ]
    bundle = {
        "resourceType": "Bundle",
        "id": bundle_id or str(uuid.uuid4()),
        "type": "message",
        "timestamp": sent.isoformat(),
        "entry": [{"fullUrl": f"{SHAPES}/{p['resourceType']}/{p['id']}", "resource": p} for p in parts],
    }
    return wire.write(bundle, wire.XML if xml else wire.JSON)


def acknowledged(
    message: bytes,
    status: Status = Status.ACCEPTED,
    *,
    at: datetime,
    own_id: str | None = None,
    issues: tuple[Issue, ...] = (),
) -> bytes:
    """The receiver's acknowledgement of a message, under an id of its own."""
    outside = medcom.envelope(message, content_type=None, zone=OSLO)
    verdict = Verdict(status=status, at=at, id=own_id or str(uuid.uuid4()), issues=issues)
    made = medcom.acknowledge(outside, verdict)
    assert made is not None
    return made


def acknowledging(
    clock: Callable[[], datetime], *said: Status, giver: Callable[[bytes], bytes] = lambda made: made
) -> Callable[[Outgoing, Endpoint], Reply]:
    """A receiver that says one word after the other in its responses, the last for ever."""
    left = list(said)

    def answer(message: Outgoing, _endpoint: Endpoint) -> Reply:
        status = left.pop(0) if len(left) > 1 else left[0]
        body = giver(acknowledged(message.content, status, at=clock()))
        return Reply(status=200, taken=True, delivered=True, body=body, content_type=wire.JSON, ms=1.0)

    return answer


def parsed(content: bytes) -> dict[str, Any]:
    """The Bundle as parsed JSON, whichever format it is in."""
    return json.loads(content) if content.lstrip().startswith(b"{") else dict(wire.parse(content))


def ids(content: bytes) -> tuple[str, str]:
    """(Bundle.id, MessageHeader.id)."""
    bundle = parsed(content)
    return bundle["id"], bundle["entry"][0]["resource"]["id"]


def of_its_own(content: bytes) -> dict[str, Any]:
    """What a Bundle says, without what is new in each sending: its id and times, an acknowledgement's too."""
    bundle = parsed(content)
    own = bundle["entry"][0]["resource"]
    times = ("occurredDateTime", "recorded")
    for item in bundle["entry"] if "response" in own else ():
        resource = item["resource"]
        if {"reference": f"MessageHeader/{own['id']}"} in resource.get("target", ()):
            item["resource"] = {key: value for key, value in resource.items() if key not in times}
    return {key: value for key, value in bundle.items() if key not in ("id", "timestamp")}


def _organization(party: str) -> dict[str, Any]:
    name, _, _, gln, sor = PARTIES[party]
    return {
        "resourceType": "Organization",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, party)),
        "identifier": [{"system": GLN, "value": gln}, {"system": SOR, "value": sor}],
        "name": name,
    }


def _to(organization: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"Organization/{organization['id']}"}


def _endpoint(party: str) -> str:
    return f"https://sor2.sum.dsdn.dk/#id={PARTIES[party][4]}"
