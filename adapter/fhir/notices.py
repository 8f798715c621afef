"""Notices in and out of message Bundles: the one place where FHIR and the words of the field meet.

Every kind has one resource in focus. What the notice says goes where R4 has a place for it (Encounter.period,
Patient.deceased, Task.status); the rest are the project's own extensions on MessageHeader and Encounter,
published under `definitions/`. Free text travels in the focus resource's narrative.
"""

import uuid
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from html import unescape
from re import sub
from typing import Any

from adapter.discharge.notices import AnswerValue, Moment, Notice, NoticeKind, Standing, local_date
from adapter.errors import Refused
from adapter.fhir.bundles import (
    ANSWER_SYSTEM,
    CANONICAL,
    EVENT_SYSTEM,
    FOLLOW_UP_SYSTEM,
    LPR3,
    PLACEMENT_SYSTEM,
    SOR,
    Bundle,
    Clinician,
    Resource,
    Subject,
    Unit,
    address_of,
    coded,
    endpoint_of,
    entry,
    extension,
    extension_url,
    follow,
    header,
    instant_text,
    moment,
    narrative,
    of_type,
    organization,
    pairs,
    reference,
    resources,
    same_id,
    with_extension,
)
from adapter.fhir.parts import (
    ENDED,
    SIP_MEETING,
    TASK_STATUS,
    acute_in,
    check_up_of,
    encounter_of,
    focus_of,
    moved_in,
    patient_of,
    practitioner_of,
)
from adapter.fhir.planning import graph_of, planning_in
from adapter.messaging.envelope import LONGEST_ID, Address
from adapter.phrases import phrase

K = NoticeKind

_FLAGS = ("reserved", "notification", "report-wanted")
"""Of MessageHeader; a notice has them by the same names."""
_NOT_ASKED = ("revoked", "entered-in-error", "completed")
_NAMESPACE = uuid.UUID("6d1d9a2c-6f43-5a56-9f0e-0d4c7e3f2b11")


def message_bundle(
    notice: Notice,
    *,
    subject: Subject,
    sender: Address,
    receivers: Sequence[Address],
    hospital: Address | None = None,
    transmission_id: str,
    responsible: Clinician | None = None,
    unit: Unit | None = None,
    discharged_to: tuple[str, str, str] | None = None,
) -> Bundle:
    """The message that tells `notice`; its MessageHeader.id is the notice's message id.

    `discharged_to` is (system, code, display) of where the patient goes. Ids of the other resources are
    derived from the message id, so that the same notice always gives the same bytes.
    """

    def new_id(role: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{notice.message_id}/{role}"))

    patient = patient_of(notice, subject, new_id("patient"))
    sending = organization(sender, new_id("sender"))
    receiving = [organization(r, new_id(f"receiver-{n}")) for n, r in enumerate(receivers)]
    provider = (
        sending
        if hospital == sender
        else next((made for made, r in zip(receiving, receivers, strict=True) if r == hospital), None)
    )
    extra: list[Resource] = []
    if provider is None and hospital is not None:
        provider = organization(hospital, new_id("hospital"))
        extra.append(provider)
    encounter = encounter_of(notice, patient, provider, new_id("encounter"), discharged_to)

    def party(token: str) -> Resource:
        """The Organization of that address in the message, which gets one where it has none."""
        known = next((o for o in (sending, *receiving, *extra) if address_of(o).token == token), None)
        if known is not None:
            return known
        system, _, value = token.partition("|")
        made = organization(Address(identifiers=((system, value),)), new_id(f"party/{token}"))
        extra.append(made)
        return made

    contact = party(notice.contact) if notice.contact is not None else None
    focus = focus_of(notice, patient, encounter, sending, new_id("focus"), contact)
    if notice.text:
        focus["text"] = narrative(notice.text)
    head = _header(notice, sending, receiving, receivers, focus, unit)
    if responsible is not None:
        doctor = practitioner_of(responsible, new_id("responsible"))
        head["responsible"] = reference(doctor)
        extra.append(doctor)
    parts = [head, patient, encounter]
    if focus is not encounter:
        parts.append(focus)
    parts += graph_of(notice, focus, patient, encounter, party, new_id)
    check_up = check_up_of(notice, patient, new_id("check-up"))
    if check_up is not None:
        parts.append(check_up)
    return {
        "resourceType": "Bundle",
        "id": transmission_id,
        "type": "message",
        "timestamp": instant_text(notice.sent_at),
        "entry": [entry(part) for part in (*parts, sending, *receiving, *extra)],
    }


def _header(
    notice: Notice,
    sending: Resource,
    receiving: list[Resource],
    receivers: Sequence[Address],
    focus: Resource,
    unit: Unit | None,
) -> Resource:
    head: Resource = {
        "resourceType": "MessageHeader",
        "id": notice.message_id,
        "eventCoding": {"system": EVENT_SYSTEM, "code": notice.kind.value},
        "destination": [
            {"name": r.name or r.token, "endpoint": endpoint_of(r), "receiver": reference(made)}
            for made, r in zip(receiving, receivers, strict=True)
        ],
        "sender": reference(sending),
        "source": {"name": sending.get("name", "unnamed"), "endpoint": endpoint_of(address_of(sending))},
        "focus": [reference(focus)],
        "definition": f"{CANONICAL}/MessageDefinition/{notice.kind.value}",
    }
    for made, receiver in zip(head["destination"], receivers, strict=True):
        if receiver.copy:
            with_extension(made, "copy-receiver", "Boolean", True)
    if unit is not None:
        head["source"]["name"] = unit.name
        if unit.phone:
            head["source"]["contact"] = {"system": "phone", "value": unit.phone}
    with_extension(head, "occurred", "DateTime", instant_text(notice.occurred))
    if notice.standing is not Standing.NEW:
        with_extension(head, "standing", "Code", notice.standing.value)
    with_extension(head, "refers-to", "String", notice.refers_to)
    for name in _FLAGS:
        if getattr(notice, name.replace("-", "_")):
            with_extension(head, name, "Boolean", True)
    return head


def standing_as(bundle: Bundle, standing: Standing) -> Bundle:
    """The same message as another standing, without its reference; the writer of a dialect sets that."""
    first, *others = bundle["entry"]
    head = {name: value for name, value in first["resource"].items() if name != "extension"}
    dropped = (extension_url("standing"), extension_url("refers-to"))
    kept = [e for e in first["resource"].get("extension") or () if e.get("url") not in dropped]
    if kept:
        head["extension"] = kept
    if standing is not Standing.NEW:
        with_extension(head, "standing", "Code", standing.value)
    return bundle | {"entry": [first | {"resource": head}, *others]}


# --- and back again ---------------------------------------------------------------------------------------


def notice_in(bundle: Bundle, *, zone: tzinfo) -> Notice:
    """What the message says. Times without offset are the hospital's, in `zone`.

    A HospitalNotification is told by the hospital itself: its serviceProvider is a ward, which may change.

    Raises Refused where the message has no MessageHeader, an event that we do not know, or no time.
    """
    head = header(bundle)
    if head is None:
        raise Refused(phrase("the Bundle has no MessageHeader as its first entry"), code="required")
    kind = event_kind(head)
    encounter = of_type(bundle, "Encounter") or {}
    focus = next((r for r in (follow(bundle, f) for f in head.get("focus") or ()) if r is not None), {})
    period = encounter.get("period") or {}
    task = focus if focus.get("resourceType") == "Task" else {}
    sent_at = moment(bundle.get("timestamp"), zone)
    if not isinstance(sent_at, datetime):
        raise Refused(phrase("Bundle.timestamp must be an instant with its offset"), code="required")
    standing = _standing(head)
    sender = address_of(follow(bundle, head.get("sender"))).token
    return Notice(
        kind=kind,
        message_id=same_id(str(head.get("id", ""))),
        sent_at=sent_at,
        occurred=_occurred(bundle, head, kind, period, zone) or sent_at,
        sender=sender,
        receivers=tuple(address.token for address in receivers_in(bundle)),
        hospital=sender if extension(head, "notification") else _hospital(bundle, encounter),
        encounter=_first_value(encounter.get("identifier")),
        episode=_episode(encounter),
        admitted=moment(period.get("start"), zone),
        ready=moment(extension(encounter, "ready-for-discharge"), zone),
        estimate=bool(extension(encounter, "estimate")),
        planned_discharge=_date(extension(encounter, "planned-discharge")),
        answer=_answer(task) if kind is K.ANSWER else None,
        receive_from=_date((task.get("executionPeriod") or {}).get("start")),
        sip_needed=bool(extension(encounter, "sip-needed")),
        psychiatric=bool(extension(encounter, "psychiatric")),
        open_care_available=extension(encounter, "open-care-available"),
        standing=standing,
        refers_to=refers_to_in(head),
        reserved=bool(extension(head, "reserved")),
        notification=bool(extension(head, "notification")),
        report_wanted=bool(extension(head, "report-wanted")),
        text=plain_text(focus),
        acute=acute_in(encounter),
        moved=moved_in(encounter),
        follow_up=_follow_up(bundle, kind, zone),
        fulfils=coded([task.get("code")], FOLLOW_UP_SYSTEM) if kind is K.FOLLOWED_UP else None,
        placement=_placement(focus, standing) if kind is K.PLACED else None,
        **planning_in(bundle, focus, kind, standing, zone),
    )


def _placement(plan: Resource, standing: Standing) -> str | None:
    """The pathway or group that a CarePlan's category names; Refused where it must and does not."""
    found = coded(plan.get("category"), PLACEMENT_SYSTEM)
    if found is None and standing is not Standing.CANCELLATION:
        raise Refused(
            phrase("CarePlan.category names nothing of {system}", system=PLACEMENT_SYSTEM), code="required"
        )
    return found


def _follow_up(bundle: Bundle, kind: NoticeKind, zone: tzinfo) -> date | None:
    """The first day for which a ServiceRequest that still stands asks for a follow-up.

    A plan asks for much else by its ServiceRequests: there, only for the meeting that follows it up.
    """
    days = []
    for resource in resources(bundle):
        if resource.get("resourceType") != "ServiceRequest" or resource.get("status") in _NOT_ASKED:
            continue
        code = resource.get("code")
        if kind is K.CARE_PLAN and code and coded([code], FOLLOW_UP_SYSTEM) != SIP_MEETING:
            continue
        at = resource.get("occurrenceDateTime") or (resource.get("occurrencePeriod") or {}).get("start")
        found = moment(at, zone)
        if found is not None:
            days.append(local_date(found, zone))
    return min(days, default=None)


def refers_to_in(head: Resource) -> str | None:
    """The id of the message that this one corrects, cancels or answers; None of an endless one."""
    text = extension(head, "refers-to")
    return same_id(text) if isinstance(text, str) and len(text) <= LONGEST_ID else None


def event_kind(head: Resource) -> NoticeKind:
    """The kind that the MessageHeader's event names; Refused where it is none of ours."""
    coding = head.get("eventCoding")
    if not isinstance(coding, dict) or coding.get("system") != EVENT_SYSTEM:
        raise Refused(
            phrase(
                "MessageHeader.eventCoding is of another system; the events that we read are in {system}",
                system=EVENT_SYSTEM,
            ),
            code="not-supported",
        )
    try:
        return NoticeKind(str(coding.get("code")))
    except ValueError:
        raise Refused(
            phrase(
                "MessageHeader.eventCoding.code is unknown; the events that we read are in {system}",
                system=EVENT_SYSTEM,
            ),
            code="not-supported",
        ) from None


def receivers_in(bundle: Bundle) -> tuple[Address, ...]:
    """The addressed receivers, copy receivers marked."""
    head = header(bundle) or {}
    return tuple(
        address_of(follow(bundle, d.get("receiver")), copy=bool(extension(d, "copy-receiver")))
        for d in head.get("destination") or ()
    )


def subject_in(bundle: Bundle) -> Subject:
    """Who the message is about, as it says."""
    patient = of_type(bundle, "Patient") or {}
    name: Resource = next(iter(patient.get("name") or ()), {})
    place: Resource = next(iter(patient.get("address") or ()), {})
    lines = place.get("line") or [None]
    return Subject(
        identifiers=pairs(patient),
        family=name.get("family"),
        given=_given(name),
        birth_date=_birth_date(patient),
        gender=patient.get("gender"),
        address=(lines[0], place.get("postalCode"), place.get("city")) if place else None,
        deceased=bool(patient.get("deceasedDateTime") or patient.get("deceasedBoolean")),
    )


def clinician_in(bundle: Bundle) -> Clinician | None:
    """The health professional who answers for the message, where it names one."""
    found = follow(bundle, (header(bundle) or {}).get("responsible"))
    if found is None or found.get("resourceType") != "Practitioner":
        return None
    name: Resource = next(iter(found.get("name") or ()), {})
    qualification: Resource = next(iter(found.get("qualification") or ()), {})
    coding: Resource = next(iter((qualification.get("code") or {}).get("coding") or ()), {})
    return Clinician(
        identifiers=pairs(found),
        family=name.get("family"),
        given=_given(name),
        profession=coding.get("code"),
    )


def plain_text(resource: Resource) -> str | None:
    """The narrative as plain text, one line a paragraph."""
    div = (resource.get("text") or {}).get("div") or ""
    lines = sub(r"</(?:p|li|tr|h[1-6]|dt|dd)>|<br ?/?>", "\n", div)
    return unescape(sub(r"<[^>]*>", "", lines)).strip() or None


def _occurred(
    bundle: Bundle, head: Resource, kind: NoticeKind, period: Resource, zone: tzinfo
) -> Moment | None:
    """The event's own time: the `occurred` extension, else the place that R4 has for it."""
    said = moment(extension(head, "occurred"), zone)
    if said is not None:
        return said
    if kind is K.DECEASED:
        patient = of_type(bundle, "Patient") or {}
        return moment(patient.get("deceasedDateTime"), zone) or moment(period.get("end"), zone)
    if kind is K.ADMITTED:
        return moment(period.get("start"), zone)
    return moment(period.get("end"), zone) if kind in ENDED else None


def _standing(head: Resource) -> Standing:
    try:
        return Standing(extension(head, "standing") or "new")
    except ValueError:
        raise Refused(
            phrase("the extension `standing` of MessageHeader has an unknown code"), code="code-invalid"
        ) from None


def _hospital(bundle: Bundle, encounter: Resource) -> str | None:
    """The institution of the stay. A Danish ward has a SOR-ID alone, is no party, and is its sender's."""
    provider = follow(bundle, encounter.get("serviceProvider"))
    if provider is None:
        return None
    found = address_of(provider)
    if found.identifiers and all(system == SOR for system, _ in found.identifiers):
        return address_of(follow(bundle, (header(bundle) or {}).get("sender"))).token
    return found.token


def _episode(encounter: Resource) -> str | None:
    """The id that links stays; of several the hospital's own, and not that of the patient register (D-12)."""
    told = [e.get("identifier") or {} for e in encounter.get("episodeOfCare") or ()]
    own = _first_value([one for one in told if one.get("system") != LPR3])
    found = own or _first_value(told)
    return found.removeprefix("urn:uuid:") if found is not None else None


def _given(name: Resource) -> str | None:
    return " ".join(part for part in name.get("given") or () if part) or None


def _birth_date(patient: Resource) -> date | None:
    """A year or month alone is legal R4, and identifies nobody."""
    text = patient.get("birthDate")
    if not isinstance(text, str) or len(text) != 10:
        return None
    try:
        return date.fromisoformat(text)  # of any century
    except ValueError:
        raise Refused(phrase("a date or time in the message cannot be read"), code="value") from None


def _first_value(items: Any) -> str | None:
    return next((item["value"] for item in items or () if item.get("value")), None)


def _date(text: Any) -> date | None:
    found = moment(text, None) if isinstance(text, str) else None  # type: ignore[arg-type]  # a date has no zone
    return found.date() if isinstance(found, datetime) else found


def _answer(task: Resource) -> AnswerValue:
    """The municipality's answer: its own code, else the Task's status; `unclassified` where neither says."""
    coding: Resource = next(iter((task.get("businessStatus") or {}).get("coding") or ()), {})
    if coding.get("system") == ANSWER_SYSTEM and coding.get("code") in {value.value for value in AnswerValue}:
        return AnswerValue(coding["code"])
    by_status = {status: answer for answer, status in TASK_STATUS.items()}
    return by_status.get(task.get("status", ""), AnswerValue.UNCLASSIFIED)
