"""HospitalNotification (3.0, and 2.0 on reading): what happens to a stay, told to the municipality.

Reading is a renaming: the canonical Bundle is MedCom's own, whose MessageHeader has our event, the time at
which it happened, and what it corrects. All that MedCom carries stays, so that it can be written again.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import Refused
from adapter.fhir.bundles import (
    EVENT_SYSTEM,
    Bundle,
    Resource,
    header,
    moment,
    of_type,
    with_extension,
)
from adapter.mappings.medcom import words
from adapter.mappings.medcom.header import with_header
from adapter.mappings.medcom.history import corrected, last_told, steps
from adapter.mappings.medcom.words import Activity
from adapter.phrases import Phrase, phrase


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a HospitalNotification tells: the activity of its newest Provenance, and whether of a death."""

    activity: Activity
    deceased: bool
    refers_to: str | None

    @property
    def kind(self) -> NoticeKind:
        return NoticeKind.DECEASED if self.deceased else self.activity.kind

    @property
    def short(self) -> str:
        """STIN, RE_STOR, AN_MORS, …"""
        return self.activity.named(deceased=self.deceased)


def told_in(bundle: Bundle) -> Told | None:
    """What it tells; None where its newest Provenance has no activity of a HospitalNotification."""
    own = last_told(bundle)
    activity = words.activity(own.activity) if own is not None else None
    if own is None or activity is None:
        return None
    return Told(activity=activity, deceased=is_dead(bundle), refers_to=corrected(steps(bundle), own))


def is_dead(bundle: Bundle) -> bool:
    """Whether the patient has died: by the Patient, as the Encounter may still be in progress (T7)."""
    patient = of_type(bundle, "Patient") or {}
    return patient.get("deceasedBoolean") is True or bool(patient.get("deceasedDateTime"))


def canonical(bundle: Bundle, zone: tzinfo) -> tuple[Bundle, tuple[Phrase, ...]]:
    """The Bundle in our own words, and sentences of what is odd in it; it has passed the validation.

    Raises Refused where it does not say what happened.
    """
    told = told_in(bundle)
    if told is None:
        raise Refused(
            phrase(
                "no Provenance of the message has an activity of a HospitalNotification "
                "(medcom-hospitalNotification-3)"
            ),
            code="code-invalid",
        )
    head = header(bundle) or {}
    made: Resource = head | {
        "eventCoding": {"system": EVENT_SYSTEM, "code": told.kind.value},
        "extension": list(head.get("extension") or ()),
    }
    with_extension(made, "occurred", "DateTime", occurred(bundle, told))
    with_extension(made, "notification", "Boolean", True)
    if wants_report(head, told):
        with_extension(made, "report-wanted", "Boolean", True)
    if told.activity.standing is not Standing.NEW:
        with_extension(made, "standing", "Code", told.activity.standing.value)
        with_extension(made, "refers-to", "String", told.refers_to)
    if not made["extension"]:
        del made["extension"]
    return with_header(bundle, made), tuple(_oddities(bundle, told, zone))


def occurred(bundle: Bundle, told: Told) -> str | None:
    """When it happened, as the message writes it: of a leave its start or end, of a discharge the stay's end.

    A death of which the stay's end does not tell happened at Patient.deceasedDateTime, else when it was told.
    """
    encounter = of_type(bundle, "Encounter") or {}
    period, leave = encounter.get("period") or {}, leave_period(encounter)
    last = _told_at(bundle)
    if told.deceased:
        died = (of_type(bundle, "Patient") or {}).get("deceasedDateTime")
        return period.get("end") or died or last
    if told.activity.kind is NoticeKind.ADMITTED:
        return period.get("start") or last
    if told.activity.kind is NoticeKind.LEAVE_STARTED:
        return leave.get("start") or last
    if told.activity.kind is NoticeKind.LEAVE_ENDED:
        return leave.get("end") or last
    return period.get("end") or last


def wants_report(head: Resource, told: Told) -> bool:
    """Whether it asks the municipality for its report of admission: a new STIN or STAA alone does (D-13)."""
    may = told.kind is NoticeKind.ADMITTED and told.activity.standing is Standing.NEW
    flags = (
        one for one in head.get("extension") or () if words.is_of(one.get("url"), words.REPORT_OF_ADMISSION)
    )
    return may and any(one.get("valueBoolean") is True for one in flags)


def _told_at(bundle: Bundle) -> str | None:
    """When it was told: by its own Provenance, which examples date a second after Bundle.timestamp."""
    own = last_told(bundle)
    said: str | None = own.resource.get("occurredDateTime") if own is not None else None
    sent: str | None = bundle.get("timestamp")
    if said is None or sent is None or own is None or own.occurred is None:
        return said or sent
    return said if own.occurred <= datetime.fromisoformat(sent) else sent


def leave_period(encounter: Resource) -> Resource:
    """The Period of the leave; empty where the Encounter tells of none."""
    for one in encounter.get("extension") or ():
        if words.is_of(one.get("url"), words.LEAVE_PERIOD):
            return one.get("valuePeriod") or {}
    return {}


def _oddities(bundle: Bundle, told: Told, zone: tzinfo) -> list[Phrase]:
    """What published examples have beside what `profiles` tells of, and a receiver must live with (T6)."""
    at, sent = moment(occurred(bundle, told), zone), moment(bundle.get("timestamp"), zone)
    if isinstance(at, datetime) and isinstance(sent, datetime) and at > sent:
        return [phrase("it tells as past what lies after Bundle.timestamp; it is taken as it is")]
    return []
