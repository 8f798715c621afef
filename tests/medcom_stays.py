"""HospitalNotifications in the likeness of MedCom's examples: synthetic places and the official test person.

Every message carries the Provenances of all that came before it in its history, and one of its own.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adapter.fhir.wire import JSON, XML, write

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
CPR = "2512489996"  # of Nancy Ann Berggren, MedCom's test person
GUIDE = "http://medcomfhir.dk/ig"
EVENTS = f"{GUIDE}/terminology/CodeSystem/medcom-messaging-eventCodes"
ACTIVITIES = f"{GUIDE}/terminology/CodeSystem/medcom-messaging-activityCodes"
USE = f"{GUIDE}/terminology/CodeSystem/medcom-messaging-destinationUse"
USE_EXTENSION = f"{GUIDE}/messaging/StructureDefinition/medcom-messaging-destinationUseExtension"
HN = f"{GUIDE}/hospitalnotification/StructureDefinition"
LEAVE = f"{HN}/medcom-hospitalnotifiation-leave-period-extension"
REPORT = f"{HN}/medcom-messaging-reportOfAdmissionExtension"
RECIPIENT = f"{HN}/medcom-messaging-reportOfAdmissionRecipientExtension"
GLN, SOR = "https://www.gs1.org/gln", "urn:oid:1.2.208.176.1.1"
EPISODE = "7d1f7a3e-0a52-4c0e-9a63-2f1c0b7be001"

PLACES = {
    "strandby-sygehus": ("Strandby Sygehus", "2990000000017", "999000000016001"),
    "lindholm-sygehus": ("Lindholm Sygehus", "2990000000024", "999000000016011"),
    "strandby": ("Strandby Kommune", "2990000000031", "999000000016021"),
    "egelund": ("Egelund Kommune", "2990000000048", "999000000016031"),
}


@dataclass(frozen=True)
class Step:
    """What was told before: the message, its activity, when, and the message that it builds on."""

    id: str
    activity: str
    at: datetime
    after: str | None = None


@dataclass
class Stay:
    """A stay told by HospitalNotifications, each with the history of all before it."""

    start: datetime
    hospital: str = "strandby-sygehus"
    municipality: str = "strandby"
    emergency: bool = False
    episode: str = EPISODE
    cpr: str = CPR
    history: list[Step] = field(default_factory=list)
    leave: datetime | None = None

    def admit(self, **more: Any) -> bytes:
        """STIN, or STAA."""
        return self._told(self._admit, self.start, **more)

    def start_leave(self, at: datetime, **more: Any) -> bytes:
        """STOR."""
        self.leave = at
        return self._told("start-leave-inpatient", at, status="onleave", leave={"start": at}, **more)

    def end_leave(self, at: datetime, **more: Any) -> bytes:
        """SLOR."""
        return self._told("end-leave-inpatient", at, leave={"start": self.leave, "end": at}, **more)

    def discharge(self, at: datetime, **more: Any) -> bytes:
        """SLHJ."""
        kind = "emergency" if self.emergency else "inpatient"
        return self._told(f"discharge-{kind}-home", at, status="finished", end=at, **more)

    def die(self, at: datetime, *, on_arrival: bool = False, **more: Any) -> bytes:
        """MORS: it repeats what was told last (T7)."""
        last = self.history[-1].activity if self.history else self._admit
        status = "in-progress" if on_arrival else "finished"
        return self._told(last, at, status=status, end=None if on_arrival else at, dead=True, **more)

    @property
    def _admit(self) -> str:
        return "admit-emergency" if self.emergency else "admit-inpatient"

    def revise(self, told: Step, sent: datetime, **more: Any) -> bytes:
        """RE_ of what that message told; what it says otherwise is named."""
        return self._told(f"revise-{_base(told)}", sent, after=told.id, **more)

    def cancel(self, told: Step, sent: datetime, **more: Any) -> bytes:
        """AN_ of what that message told."""
        return self._told(f"cancel-{_base(told)}", sent, after=told.id, status="entered-in-error", **more)

    def _told(
        self,
        activity: str,
        at: datetime,
        *,
        status: str = "in-progress",
        start: datetime | None = None,
        end: datetime | None = None,
        leave: dict[str, datetime | None] | None = None,
        dead: bool = False,
        report: bool = False,
        after: str | None = None,
        sent: datetime | None = None,
        media: str = JSON,
        without_code: bool = False,
        without_class: bool = False,
        message_id: str | None = None,
        bundle_id: str | None = None,
    ) -> bytes:
        new_id = message_id or str(uuid.uuid4())
        sent = sent or at + timedelta(seconds=1)
        before = after or (self.history[-1].id if self.history else None)
        self.history.append(Step(new_id, activity, sent, before))
        head = _header(new_id, self.hospital, self.municipality, report)
        encounter: dict[str, Any] = {
            "resourceType": "Encounter",
            "id": _id(new_id, "encounter"),
            "status": status,
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "EMER" if self.emergency else "IMP",
            },
            "subject": {"reference": f"Patient/{_id(new_id, 'patient')}"},
            "episodeOfCare": [
                {"identifier": {
                    "system": f"https://sor2.sum.dsdn.dk/#id={PLACES[self.hospital][2]}",
                    "value": self.episode,
                }}
            ],
            "period": {"start": (start or self.start).isoformat()},
            "serviceProvider": {"reference": f"Organization/{_id(new_id, 'sender')}"},
        }  # fmt: skip
        if without_code:
            del encounter["class"]["code"]
        if without_class:
            del encounter["class"]
        if end is not None:
            encounter["period"]["end"] = end.isoformat()
        if leave is not None:
            period = {name: moment.isoformat() for name, moment in leave.items() if moment is not None}
            encounter["extension"] = [{"url": LEAVE, "valuePeriod": period}]
        patient: dict[str, Any] = {
            "resourceType": "Patient",
            "id": _id(new_id, "patient"),
            "identifier": [{"system": "urn:oid:1.2.208.176.1.2", "value": self.cpr}],
            "name": [{"use": "official", "family": "Berggren", "given": ["Nancy", "Ann"]}],
        }
        if dead:
            patient["deceasedBoolean"] = True
        parts = [
            head, patient, encounter, _organization(new_id, "sender", self.hospital),
            _organization(new_id, "receiver", self.municipality), *_provenances(new_id, self.history),
        ]  # fmt: skip
        bundle = {
            "resourceType": "Bundle",
            "id": bundle_id or str(uuid.uuid4()),
            "type": "message",
            "timestamp": sent.isoformat(),
            "entry": [
                {"fullUrl": f"https://example.org/{part['resourceType']}/{part['id']}", "resource": part}
                for part in parts
            ],
        }
        return write(bundle, media)


def _base(told: Step) -> str:
    return told.activity.removeprefix("revise-").removeprefix("cancel-")


def _id(message_id: str, role: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{message_id}/{role}"))


def _header(new_id: str, sender: str, receiver: str, report: bool) -> dict[str, Any]:
    endpoint = {one: f"https://sor2.sum.dsdn.dk/#id={PLACES[one][2]}" for one in (sender, receiver)}
    head: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": new_id,
        "eventCoding": {"system": EVENTS, "code": "hospital-notification-message"},
        "destination": [
            {
                "extension": [{"url": USE_EXTENSION, "valueCoding": {"system": USE, "code": "primary"}}],
                "endpoint": endpoint[receiver],
                "receiver": {"reference": f"Organization/{_id(new_id, 'receiver')}"},
            }
        ],
        "sender": {"reference": f"Organization/{_id(new_id, 'sender')}"},
        "source": {"endpoint": endpoint[sender]},
        "focus": [{"reference": f"Encounter/{_id(new_id, 'encounter')}"}],
    }
    if report:
        to = {"reference": f"Organization/{_id(new_id, 'sender')}"}
        head["extension"] = [
            {"url": REPORT, "valueBoolean": True}, {"url": RECIPIENT, "valueReference": to},
        ]  # fmt: skip
    return head


def _organization(new_id: str, role: str, place: str) -> dict[str, Any]:
    name, gln, sor = PLACES[place]
    return {
        "resourceType": "Organization",
        "id": _id(new_id, role),
        "identifier": [{"system": GLN, "value": gln}, {"system": SOR, "value": sor}],
        "name": name,
    }


def _provenances(new_id: str, history: Sequence[Step]) -> list[dict[str, Any]]:
    made = []
    for step in history:
        one: dict[str, Any] = {
            "resourceType": "Provenance",
            "id": _id(step.id, "provenance"),
            "target": [{"reference": f"MessageHeader/{step.id}"}],
            "occurredDateTime": step.at.isoformat(),
            "recorded": step.at.isoformat(),
            "activity": {"coding": [{"system": ACTIVITIES, "code": step.activity}]},
            "agent": [{"who": {"reference": f"Organization/{_id(new_id, 'sender')}"}}],
        }
        if step.after is not None:
            what = {"reference": f"MessageHeader/{step.after}"}
            one["entity"] = [{"role": "revision", "what": what}]
        made.append(one)
    return made


__all__ = ("COPENHAGEN", "CPR", "JSON", "PLACES", "XML", "Stay", "Step")
