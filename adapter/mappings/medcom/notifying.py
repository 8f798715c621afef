"""HospitalNotification written: given back as it came, or made from a notice of another standard.

It carries no health information and no address: who, which stay, what happened when, and the history of what
was told of the stay before (standards 3.2; process.md 21, 28, 29). What may not be sent in that order is
not written (standards 5, D-15).
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from re import ASCII, compile

from adapter.discharge.notices import Moment, Notice, NoticeKind, Standing, instant
from adapter.discharge.reporting import asks
from adapter.errors import CannotWrite
from adapter.fhir import wire
from adapter.fhir.bundles import (
    CPR,
    SOR,
    Bundle,
    Resource,
    address_of,
    follow,
    header,
    identifiers,
    instant_text,
    of_type,
    same_id,
)
from adapter.fhir.notices import notice_in, subject_in
from adapter.fhir.parts import CLASS_SYSTEM
from adapter.mappings import Addressing, Written
from adapter.mappings.medcom import words
from adapter.mappings.medcom.giving_back import came_from_medcom, given_back
from adapter.mappings.medcom.header import (
    SOR_ADDRESS,
    destination,
    endpoint_of,
    entry,
    event,
    generated,
    meta,
    organization,
    relative,
    sor_of,
)
from adapter.mappings.medcom.history import Step, carried, last_told, provenance, steps
from adapter.mappings.medcom.hospital_notification import is_dead, leave_period, told_in
from adapter.mappings.medcom.words import Activity
from adapter.messaging.envelope import is_uuid
from adapter.phrases import Code, Phrase, phrase

K = NoticeKind

TOLD = frozenset(
    (K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED, K.DECEASED, K.LEFT_AGAINST_ADVICE)
)
"""The kinds that HospitalNotification has a word for."""

_NAMESPACE = uuid.UUID("c1a5e0d2-6b7f-5d39-8f0a-7e2b9d4c3a16")
_CPR = compile(r"\d{10}", ASCII)
_ENDED = (K.DISCHARGED, K.DECEASED)
_STANDS = ("in-progress", "onleave", "finished")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """What the receiver was told of the stay by the last message, which this one goes on from."""

    message_id: str
    history: tuple[Step, ...]
    encounter: Resource = field(repr=False)
    bundle: Bundle = field(repr=False)


_PROFILES = {
    "Bundle": ("hospitalnotification", "medcom-hospitalNotification-message"),
    "MessageHeader": ("hospitalnotification", "medcom-hospitalNotification-messageHeader"),
    "Encounter": ("hospitalnotification", "medcom-hospitalNotification-encounter"),
}


def write(bundle: Bundle, addressing: Addressing) -> Written:
    """The notice as a HospitalNotification. Raises CannotWrite where it cannot be one, or may not be sent."""
    if came_from_medcom(bundle):
        made = given_back(bundle, words.HOSPITAL_NOTIFICATION, addressing, profiles=_PROFILES)
        told = told_in(made)
        short = told.short if told is not None else words.HOSPITAL_NOTIFICATION
        return Written(content=wire.to_json(made), content_type=wire.JSON, type=short)
    return _anew(bundle, addressing)


def _anew(bundle: Bundle, addressing: Addressing) -> Written:
    notice = notice_in(bundle, zone=UTC)
    if notice.moved and notice.kind is K.DISCHARGED:
        raise CannotWrite(
            phrase(
                "MedCom tells no transfer as a discharge: the hospital that takes the patient over sends its"
                " own admission; tell the receiver by telephone, and record that"
            )
        )
    before = _before(addressing.previous, notice)
    activity = _activity(bundle, notice, before, addressing)
    _may_follow(notice, activity, before.history if before is not None else ())
    losses: list[Phrase] = []
    made = _message(bundle, notice, activity, before, addressing, losses)
    losses += _left_out(bundle, notice)
    short = activity.named(deceased=notice.kind is K.DECEASED)
    return Written(
        content=wire.to_json(made), content_type=wire.JSON, type=short, losses=tuple(dict.fromkeys(losses))
    )


# --- what was told before ---------------------------------------------------------------------------------


def _before(previous: bytes | None, notice: Notice) -> Stay | None:
    """The stay as the receiver knows it; None where a new one begins."""
    if previous is None:
        return None
    bundle = wire.parse_again(previous)
    history, last = steps(bundle), last_told(bundle)
    about = words.activity(last.activity) if last is not None else None
    if last is None or about is None:
        return None
    dead = is_dead(bundle)
    ended = about.kind in _ENDED or dead
    if about.standing is Standing.CANCELLATION:
        ended = about.kind is K.ADMITTED and not dead  # a cancelled death leaves the stay as it was
    if ended and notice.kind is K.ADMITTED and notice.standing is Standing.NEW:
        return None
    head = header(bundle) or {}
    return Stay(
        message_id=same_id(str(head.get("id"))),
        history=history,
        encounter=of_type(bundle, "Encounter") or {},
        bundle=bundle,
    )


def _activity(bundle: Bundle, notice: Notice, before: Stay | None, addressing: Addressing) -> Activity:
    """What it does: the class says which admission; a death repeats what was told last (T7)."""
    history = before.history if before is not None else ()
    if notice.standing is not Standing.NEW:
        about = next((step for step in history if step.message_id == addressing.refers_to), None)
        known = words.activity(about.activity) if about is not None else None
        if known is not None and (notice.kind is K.DECEASED or known.kind is notice.kind):
            return words.with_standing(known, notice.standing)
    if notice.kind is K.DECEASED and history:
        last = words.activity(history[-1].activity)
        if last is not None and last.kind in (K.ADMITTED, K.LEAVE_STARTED):
            return words.with_standing(last, notice.standing)
    code = (of_type(bundle, "Encounter") or {}).get("class", {}).get("code", "IMP")
    made = words.activity_for(notice.kind, notice.standing, code)
    if made is None:
        raise CannotWrite(
            phrase(
                "HospitalNotification has no word for {notice}; tell the receiver by telephone or on paper,"
                " and record that",
                notice=Code("notice", notice.kind.value, notice.kind.value),
            )
        )
    return made


def _may_follow(notice: Notice, activity: Activity, history: Sequence[Step]) -> None:
    """Raises CannotWrite where the rules of sending forbid it (D-15), with what to do instead."""
    if activity.standing is Standing.NEW:
        return
    told = [found for found in (words.activity(step.activity) for step in history) if found is not None]
    same = [one for one in told if one.base == activity.base]
    name = activity.named(deceased=notice.kind is K.DECEASED)
    if not same:
        raise CannotWrite(
            phrase(
                "{activity} is about a message that this receiver was never sent; tell it anew, as a new"
                " notice",
                activity=name,
            )
        )
    if same[-1].standing is Standing.CANCELLATION:
        raise CannotWrite(
            phrase(
                "{activity} is about what has been cancelled already; if it did happen, tell it as a new"
                " notice",
                activity=name,
            )
        )
    if activity.standing is Standing.CORRECTION and activity.kind is K.ADMITTED and _discharged(told):
        raise CannotWrite(
            phrase(
                "{activity} may not follow the discharge (SLHJ); cancel the discharge first, or tell the"
                " receiver by telephone",
                activity=name,
            )
        )


def _discharged(told: Sequence[Activity]) -> bool:
    """Whether the last that was told of a discharge still stands."""
    of_discharge = [one for one in told if one.kind is K.DISCHARGED]
    return bool(of_discharge) and of_discharge[-1].standing is not Standing.CANCELLATION


# --- the message ------------------------------------------------------------------------------------------


def _message(
    bundle: Bundle,
    notice: Notice,
    activity: Activity,
    before: Stay | None,
    addressing: Addressing,
    losses: list[Phrase],
) -> Bundle:
    def new_id(role: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{addressing.message_id}/{role}"))

    sending = organization(addressing.sender, new_id("sender"))
    receiving = organization(addressing.receiver, new_id("receiver"))
    patient = _patient(bundle, notice, new_id("patient"))
    encounter = _encounter(bundle, notice, activity, before, addressing, losses, new_id("encounter"))
    encounter["subject"] = relative(patient)
    ward = _ward(bundle, new_id("ward"))
    encounter["serviceProvider"] = relative(ward or sending)
    head: Resource = {
        "resourceType": "MessageHeader",
        "id": addressing.message_id,
        "meta": meta("hospitalnotification", "medcom-hospitalNotification-messageHeader"),
        "text": generated(activity.named(deceased=notice.kind is K.DECEASED)),
        "eventCoding": event(words.HOSPITAL_NOTIFICATION),
        "destination": [destination(addressing.receiver, receiving)],
        "sender": relative(sending),
        "source": {"endpoint": endpoint_of(addressing.sender)},
        "focus": [relative(encounter)],
    }
    if asks(notice):
        head["extension"] = _report_to(sending)
    own = provenance(
        head,
        activity.code,
        at=notice.sent_at,
        agent=sending,
        after=before.message_id if before is not None else None,
        removal=activity.standing is Standing.CANCELLATION,
        resource_id=new_id("provenance"),
    )
    told, strangers = carried(before.bundle, (sending, receiving)) if before is not None else ((), ())
    parts = [head, patient, encounter, sending, receiving, *([ward] if ward is not None else [])]
    return {
        "resourceType": "Bundle",
        "id": addressing.transmission_id,
        "meta": meta("hospitalnotification", "medcom-hospitalNotification-message"),
        "type": "message",
        "timestamp": instant_text(notice.sent_at),
        "entry": [entry(part) for part in (*parts, *strangers, *told, own)],
    }


def _report_to(hospital: Resource) -> list[Resource]:
    """That the municipality is asked for its report of admission, and who wants it (D-13)."""
    address = words.extension_address
    return [
        {"url": address(words.REPORT_OF_ADMISSION), "valueBoolean": True},
        {"url": address(words.REPORT_RECIPIENT), "valueReference": relative(hospital)},
    ]


def _patient(bundle: Bundle, notice: Notice, resource_id: str) -> Resource:
    """Name and CPR, which must be an official one (medcom-hospitalNotification-4), and whether of a death."""
    subject = subject_in(bundle)
    number = next((value for system, value in subject.identifiers if system == CPR), "")
    number = number.replace("-", "")
    if not _CPR.fullmatch(number):
        raise CannotWrite(
            phrase(
                "a HospitalNotification needs the patient's official CPR number, and the message has none;"
                " tell the receiver by telephone or on paper, and record that"
            )
        )
    if not subject.family:
        raise CannotWrite(
            phrase("a HospitalNotification needs the patient's family name; add it to the Patient")
        )
    name: Resource = {"use": "official", "family": subject.family}
    if subject.given:
        name["given"] = [subject.given]
    made: Resource = {
        "resourceType": "Patient",
        "id": resource_id,
        "meta": meta("core", "medcom-core-patient") | _labels(bundle),
        "text": generated(" ".join(filter(None, (subject.given, subject.family)))),
        "identifier": identifiers(((CPR, number),)),
        "name": [name],
    }
    return made | ({"deceasedBoolean": True} if notice.kind is K.DECEASED else {})


def _labels(bundle: Bundle) -> Resource:
    """The labels of the Patient, as that of protected identity, which the receiver must heed."""
    security = ((of_type(bundle, "Patient") or {}).get("meta") or {}).get("security")
    return {"security": security} if security else {}


def _encounter(
    bundle: Bundle,
    notice: Notice,
    activity: Activity,
    before: Stay | None,
    addressing: Addressing,
    losses: list[Phrase],
    resource_id: str,
) -> Resource:
    def said(moment: Moment) -> str:
        if not isinstance(moment, datetime):
            losses.append(phrase("that only the day was told: MedCom wants the time of day"))
        zone = notice.sent_at.tzinfo
        assert zone is not None
        return instant_text(instant(moment, sent_at=notice.sent_at, zone=zone))

    known = before.encounter if before is not None else {}
    admitted = notice.occurred if notice.kind is K.ADMITTED else notice.admitted
    start = said(admitted) if admitted is not None else (known.get("period") or {}).get("start")
    if start is None:
        raise CannotWrite(
            phrase(
                "a HospitalNotification tells when the patient was admitted, and neither the message nor an"
                " earlier one to this receiver does; have the hospital tell the admission first"
            )
        )
    period = {"start": start}
    if notice.kind in (K.DISCHARGED, K.DECEASED, K.LEFT_AGAINST_ADVICE):
        period["end"] = said(notice.occurred)
    status = _status(notice, known)
    leave = _leave(notice, activity, status, known, said)
    made: Resource = {
        "resourceType": "Encounter",
        "id": resource_id,
        "meta": meta("hospitalnotification", "medcom-hospitalNotification-encounter"),
        "text": generated(activity.named(deceased=notice.kind is K.DECEASED)),
    }
    if leave is not None:
        made["extension"] = [{"url": words.extension_address(words.LEAVE_PERIOD), "valuePeriod": leave}]
    return made | {
        "status": status,
        "class": {"system": CLASS_SYSTEM, "code": activity.encounter_class},
        "episodeOfCare": _episodes(bundle, notice, known, start, addressing),
        "period": period,
    }


def _leave(
    notice: Notice, activity: Activity, status: str, known: Resource, said: Callable[[Moment], str]
) -> Resource | None:
    """The leave: begun now, ended now after it began as was told before, or going on."""
    before = leave_period(known)
    if notice.kind is K.LEAVE_STARTED:
        ended = before.get("end") if notice.standing is Standing.CORRECTION else None
        return {"start": said(notice.occurred)} | ({"end": ended} if ended is not None else {})
    if notice.kind is not K.LEAVE_ENDED:
        goes_on = status == "onleave" or activity.kind is K.LEAVE_STARTED
        return before if before and goes_on else None
    start = before.get("start")
    if start is None:
        raise CannotWrite(
            phrase(
                "the end of a leave is told with its beginning, and no earlier message to this receiver tells"
                " that; have the hospital tell the leave's beginning first, or tell the receiver by telephone"
            )
        )
    return {"start": start, "end": said(notice.occurred)}


def _status(notice: Notice, known: Resource) -> str:
    """How the stay stands; a correction of what happened earlier leaves that as it was told last."""
    if notice.standing is Standing.CANCELLATION:
        return "entered-in-error"
    if notice.standing is Standing.CORRECTION and known.get("status") in _STANDS:
        return str(known["status"])
    if notice.kind is K.LEAVE_STARTED:
        return "onleave"
    return "in-progress" if notice.kind in (K.ADMITTED, K.LEAVE_ENDED) else "finished"


def _episodes(
    bundle: Bundle, notice: Notice, known: Resource, start: str, addressing: Addressing
) -> list[Resource]:
    """The ids of the episode: those that were told before (D-12), the notice's own, or one derived.

    Derived from hospital, patient and admission, so that all messages of a stay share it, whoever gets them.
    """
    if known.get("episodeOfCare"):
        return list(known["episodeOfCare"])
    found = notice.episode
    if found is None or not is_uuid(found):
        who = next((value for system, value in subject_in(bundle).identifiers if system == CPR), "")
        then = datetime.fromisoformat(start).astimezone(UTC).isoformat()
        found = str(uuid.uuid5(_NAMESPACE, "/".join((sor_of(addressing.sender), who, then))))
    return [{"identifier": {"system": f"{SOR_ADDRESS}{sor_of(addressing.sender)}", "value": found}}]


def _ward(bundle: Bundle, resource_id: str) -> Resource | None:
    """The ward where the patient lies, which has a SOR-ID alone; None where the sender's own is meant."""
    found = follow(bundle, (of_type(bundle, "Encounter") or {}).get("serviceProvider"))
    address = address_of(found)
    if not address.identifiers or any(system != SOR for system, _ in address.identifiers):
        return None
    made: Resource = {
        "resourceType": "Organization",
        "id": resource_id,
        "meta": meta("core", "medcom-core-organization"),
        "text": generated(address.name or "Organization"),
        "identifier": identifiers(address.identifiers),
    }
    return made | ({"name": address.name} if address.name else {})


def _left_out(bundle: Bundle, notice: Notice) -> list[Phrase]:
    """What the notice says beside, for which a HospitalNotification has no place."""
    encounter = of_type(bundle, "Encounter") or {}
    told = {
        phrase("that the patient left against advice"): notice.kind is K.LEFT_AGAINST_ADVICE,
        phrase("where the patient goes"): bool(encounter.get("hospitalization")),
        phrase("the day of the planned discharge"): notice.planned_discharge is not None,
        phrase("that the patient is ready for discharge"): notice.ready is not None,
        phrase("what is said in words"): bool(notice.text),
        phrase("who answers for the message"): (header(bundle) or {}).get("responsible") is not None,
        phrase("whether the admission was acute"): notice.acute is not None,
    }
    return [what for what, is_told in told.items() if is_told]
