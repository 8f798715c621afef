"""What partners need to speak with us: the CodeSystems, MessageDefinitions, extensions and examples.

All are made from the vocabulary (definitions/events.toml, `parts.FOCUS`, `bundles.EXTENSIONS`), so that
they cannot say anything else than the code. The committed files are what this writes:

    python -m adapter.fhir.publishing adapter/fhir/definitions [fixtures/fhir]
"""

import sys
import tomllib
import uuid
from datetime import date, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path

import orjson

from adapter.discharge.notices import (
    AnswerValue,
    Decliner,
    Meeting,
    Notice,
    NoticeKind,
    Plan,
    PlanKind,
    PlanTask,
    Standing,
)
from adapter.fhir import wire
from adapter.fhir.asking import RECEIVE_PATIENT, REPORT_OF_ADMISSION, TASK_SYSTEM
from adapter.fhir.bundles import (
    ANSWER_SYSTEM,
    CANONICAL,
    DECLINER_SYSTEM,
    EVENT_SYSTEM,
    EXTENSIONS,
    FNR,
    FOLLOW_UP_SYSTEM,
    PLACEMENT_SYSTEM,
    PLAN_KIND_SYSTEM,
    RECEIPT_EVENT,
    TEAM_ROLE_SYSTEM,
    Bundle,
    Clinician,
    Resource,
    Subject,
    Unit,
    extension_url,
    organization,
)
from adapter.fhir.negotiating import NEGOTIATION_SYSTEM, OTHER_DAY
from adapter.fhir.notices import message_bundle
from adapter.fhir.parts import FOCUS
from adapter.fhir.receipts import DETAIL_SYSTEM, TAKEN_OVER, TAKEN_OVER_TEXT, receipt_bundle
from adapter.fhir.sections import LANGUAGES
from adapter.messaging.acknowledgement import Status
from adapter.messaging.envelope import HER, Address

K = NoticeKind
VERSION = "0.1.0"
FHIR_VERSION = "4.0.1"
DATED = "2026-11-23"

EXTENSION_TEXT = {
    "occurred": "When the event happened, which is not when the message was sent. A day, or an instant.",
    "standing": "What the message is to an earlier one: new, correction or cancellation.",
    "refers-to": "MessageHeader.id of the message that this one corrects, cancels or answers.",
    "reserved": "The patient's reservation: only the addressed receiver may have the message.",
    "based-on": "The version of the plan that is changed, as CarePlan/<id>/_history/<version> at /fhir.",
    "copy-receiver": "The receiver gets the message for information only.",
    "ready-for-discharge": "From when the patient is ready for discharge. A day, or an instant.",
    "estimate": "The day of readiness is announced only; it never decides money.",
    "planned-discharge": "The expected day of discharge.",
    "notification": (
        "A MedCom HospitalNotification: its hospital tells no discharge at a transfer, and what it corrects"
        " or cancels is the very message that it names."
    ),
    "report-wanted": "The admission asks the municipality for its report of admission.",
    "sip-needed": "A coordinated individual plan is needed before discharge.",
    "psychiatric": "The stay is in psychiatric inpatient care.",
    "open-care-available": "Whether primary care's part is available at discharge; absent is not clarified.",
    "asked-period": "The days of the record that a question asks for.",
}

ANSWER_TEXT = {
    AnswerValue.CAN_RECEIVE: ("Can receive", "The patient can be received from Task.executionPeriod.start."),
    AnswerValue.CANNOT_RECEIVE: ("Cannot receive", "The patient cannot be received yet."),
    AnswerValue.NOT_KNOWN: ("Not known", "It is not known yet from when the patient can be received."),
    AnswerValue.UNCLASSIFIED: ("Unclassified", "Free text, which a person has yet to read."),
}


FOLLOW_UP_TEXT = {
    "call": ("Call", "The patient has been called after discharge."),
    "gp-visit": ("GP visit", "The patient has seen the general practitioner."),
    "check-up": ("Check-up", "The check-up that a discharge report or summary names has been held."),
    "sip-meeting": ("SIP meeting", "The meeting that a coordinated individual plan names has been held."),
}


PLAN_KIND_TEXT = {
    PlanKind.SIP: (
        "SIP",
        "Coordinated individual plan of region and municipality, with the patient's consent.",
    ),
    PlanKind.INDIVIDUAL_PLAN: ("Individual plan", "Norwegian individual plan, with the patient's consent."),
    PlanKind.DISCHARGE_PLAN: ("Discharge plan", "What is planned around the discharge; it needs no consent."),
}

TEAM_ROLE_TEXT = {
    "fixed-care-contact": (
        "Fixed care contact",
        "Whom primary care has named to keep the patient's care together.",
    ),
    "coordinator": ("Coordinator", "Whom the municipality has named to coordinate the individual plan."),
}

DECLINER_TEXT = {
    Decliner.PATIENT: ("Patient", "The patient does not want the planning, which ends it."),
    Decliner.PARTY: ("Party", "A party that was called does not take part; the others plan on."),
}


def vocabulary() -> dict[str, dict[str, str]]:
    """The events in their order, each with display, definition and the terms of the three countries."""
    text = files("adapter.fhir").joinpath("definitions", "events.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def definitions() -> dict[str, Resource]:
    """Every published resource by its file name."""
    words = vocabulary()
    made = [
        _events(words),
        _answers(),
        _receipt_details(),
        _follow_ups(),
        _placements(),
        _tasks(),
        _negotiations(),
    ]
    made += [_plan_kinds(), _team_roles(), _decliners()]
    made.append(_discharge_document())
    made += [_message(code, word) for code, word in words.items()]
    made += [_extension(name) for name in EXTENSIONS]
    return {f"{resource['resourceType']}-{resource['id']}.json": resource for resource in made}


def _canonical(kind: str, resource_id: str, title: str, description: str) -> Resource:
    return {
        "resourceType": kind,
        "id": resource_id,
        "url": f"{CANONICAL}/{kind}/{resource_id}",
        "version": VERSION,
        "name": "".join(part.capitalize() for part in resource_id.split("-")),
        "title": title,
        "status": "active",
        "experimental": False,
        "date": DATED,
        "description": description,
    }


def _events(words: dict[str, dict[str, str]]) -> Resource:
    made = _canonical(
        "CodeSystem",
        EVENT_SYSTEM.rsplit("/", 1)[-1],
        "Discharge events",
        "What has happened to a patient's stay, as one party tells the others.",
    )
    concepts = [_concept(code, word) for code, word in words.items()]
    return made | {"caseSensitive": True, "content": "complete", "count": len(concepts), "concept": concepts}


def _concept(code: str, word: dict[str, str]) -> Resource:
    made: Resource = {"code": code, "display": word["display"], "definition": word["definition"]}
    terms = [{"language": lang, "value": word[lang]} for lang in ("nb", "sv", "da") if lang in word]
    return made | {"designation": terms} if terms else made


def _codes(system: str, title: str, description: str, *codes: tuple[str, str, str]) -> Resource:
    made = _canonical("CodeSystem", system.rsplit("/", 1)[-1], title, description)
    concepts = [{"code": code, "display": display, "definition": text} for code, display, text in codes]
    return made | {"caseSensitive": True, "content": "complete", "count": len(concepts), "concept": concepts}


def _receipt_details() -> Resource:
    return _codes(
        DETAIL_SYSTEM,
        "Receipt details",
        "What R4's response codes do not say: OperationOutcome.issue.details in a receipt.",
        (TAKEN_OVER, "Taken over", TAKEN_OVER_TEXT),
    )


def _answers() -> Resource:
    return _codes(
        ANSWER_SYSTEM,
        "Answers",
        "What the municipality says to a notice of readiness: Task.businessStatus.",
        *((answer.value, *ANSWER_TEXT[answer]) for answer in AnswerValue),
    )


def _follow_ups() -> Resource:
    made = _codes(
        FOLLOW_UP_SYSTEM,
        "Follow-ups",
        "Which kind of follow-up has been made: Task.code, beside the event. A region may have more kinds.",
        *((code, *text) for code, text in FOLLOW_UP_TEXT.items()),
    )
    return {key: value for key, value in made.items() if key != "count"} | {"content": "fragment"}


def _plan_kinds() -> Resource:
    return _codes(
        PLAN_KIND_SYSTEM,
        "Care plan kinds",
        "Which kind of plan it is: CarePlan.category, beside the event.",
        *((kind.value, *text) for kind, text in PLAN_KIND_TEXT.items()),
    )


def _team_roles() -> Resource:
    return _codes(
        TEAM_ROLE_SYSTEM,
        "Care team roles",
        "In which role a notice names somebody: CareTeam.participant.role.",
        *((code, *text) for code, text in TEAM_ROLE_TEXT.items()),
    )


def _decliners() -> Resource:
    return _codes(
        DECLINER_SYSTEM,
        "Decliners",
        "Who does not take part in the planning: Communication.reasonCode.",
        *((who.value, *text) for who, text in DECLINER_TEXT.items()),
    )


def _placements() -> Resource:
    """The codes are the region's own: those of its region file and of its country's priority groups."""
    made = _codes(
        PLACEMENT_SYSTEM,
        "Placements",
        "The pathway or priority group on which a patient is placed: CarePlan.category, beside the event. "
        "The codes are names of the region's own.",
    )
    return {key: value for key, value in made.items() if key not in ("count", "concept")} | {
        "content": "not-present"
    }


def _tasks() -> Resource:
    return _codes(
        TASK_SYSTEM,
        "Tasks",
        "What the adapter itself asks of a party: Task.code.",
        (
            RECEIVE_PATIENT,
            "Receive patient",
            "A notice of readiness asks the municipality when it can receive the patient.",
        ),
        (
            REPORT_OF_ADMISSION,
            "Report of admission",
            "An admission asks the municipality's own system for its report of admission.",
        ),
    )


def _negotiations() -> Resource:
    return _codes(
        NEGOTIATION_SYSTEM,
        "Negotiations",
        "What the owner of a Task says to it beside its status: Task.businessStatus.",
        (OTHER_DAY, "Other day", "The owner proposes the day in Task.executionPeriod.start instead."),
    )


def _discharge_document() -> Resource:
    made = _canonical(
        "OperationDefinition",
        "discharge-document",
        "Discharge document",
        "The stay in one document, put together of what the caller may read of the case. It is made anew "
        "with every call, and nothing is changed by it.",
    )
    return made | {
        "kind": "operation",
        "affectsState": False,
        "code": "document",
        "resource": ["EpisodeOfCare"],
        "system": False,
        "type": False,
        "instance": True,
        "parameter": [
            _operand("profile", "in", "code", "both (the usual), eu-hdr or pacio-toc: what it conforms to."),
            _operand(
                "language", "in", "code", f"Of titles: {', '.join(LANGUAGES)}; en where it is left out."
            ),
            _operand("return", "out", "Bundle", "The document.", least=1),
        ],
    }


def _operand(name: str, use: str, kind: str, text: str, *, least: int = 0) -> Resource:
    return {"name": name, "use": use, "min": least, "max": "1", "documentation": text, "type": kind}


def _message(code: str, word: dict[str, str]) -> Resource:
    made = _canonical("MessageDefinition", code, word["display"], word["definition"])
    made |= {
        "eventCoding": {"system": EVENT_SYSTEM, "code": code, "display": word["display"]},
        "category": "notification",
    }
    if code == RECEIPT_EVENT:
        return made | {"responseRequired": "never"}
    focus = {"code": FOCUS[NoticeKind(code)], "min": 1, "max": "1"}
    response = {"message": f"{CANONICAL}/MessageDefinition/{RECEIPT_EVENT}"}
    return made | {"focus": [focus], "responseRequired": "always", "allowedResponse": [response]}


def _extension(name: str) -> Resource:
    kind, context = EXTENSIONS[name]
    fhir_type = kind[0].lower() + kind[1:]
    title = name.replace("-", " ").capitalize()
    made = _canonical("StructureDefinition", name, title, EXTENSION_TEXT[name])
    elements = [
        {
            "id": "Extension",
            "path": "Extension",
            "short": title,
            "definition": EXTENSION_TEXT[name],
            "max": "1",
        },
        {"id": "Extension.extension", "path": "Extension.extension", "max": "0"},
        {"id": "Extension.url", "path": "Extension.url", "fixedUri": extension_url(name)},
        {"id": "Extension.value[x]", "path": "Extension.value[x]", "min": 1, "type": [{"code": fhir_type}]},
    ]
    return made | {
        "fhirVersion": FHIR_VERSION,
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": context}],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "differential": {"element": elements},
    }


# --- examples ---------------------------------------------------------------------------------------------

HOSPITAL = Address(identifiers=((HER, "8143548"),), name="Lærdal sjukehus")
MUNICIPALITY = Address(identifiers=((HER, "8143549"),), name="Lærdal kommune")
PATIENT = Subject(
    identifiers=((FNR, "01815290042"),),
    family="Fjellheim",
    given="Synnøve",
    birth_date=date(1952, 1, 1),
    gender="female",
    address=("Gamlevegen 1", "6887", "Lærdal"),
)
FROM_MUNICIPALITY = frozenset(
    (
        K.REPORT_OF_ADMISSION,
        K.ANSWER,
        K.SIP_REQUESTED,
        K.CARE_PLAN,
        K.COORDINATOR_NAMED,
        K.REPLY,
        K.DEVIATION,
        K.MISROUTED,
        K.SERVICES_GRANTED,
        K.SEEN,
        K.OBJECTION,
        K.FOLLOWED_UP,
        K.BEYOND_CONTROL,
        K.CLOSED,
    )
)
_WINTER = timezone(timedelta(hours=1))
_ADMITTED = datetime(2014, 11, 3, 9, 15, tzinfo=_WINTER)
_HAPPENED = datetime(2014, 11, 6, 10, 30, tzinfo=_WINTER)
_SENT = datetime(2014, 11, 6, 10, 32, tzinfo=_WINTER)
_MEETING = datetime(2014, 11, 7, 13, 0, tzinfo=_WINTER)
_PLAN = Plan(
    id="plan-2014-1103",
    kind=PlanKind.DISCHARGE_PLAN,
    tasks=(
        PlanTask(
            id="task-2014-1103-1",
            owner=MUNICIPALITY.token,
            due=date(2014, 11, 12),
            status="accepted",
            what="Hjelpemiddel på plass heime",
        ),
    ),
)
_NAMESPACE = uuid.UUID("2f6f1b1e-7d0a-5b43-9f5a-6a0d5b9c8e11")
_TEXT = {
    K.CARE_NEEDS: "Treng hjelp til morgonstell.\nGår med rullator.",
    K.ANSWER: "Kan ta imot frå måndag.",
    K.DISCHARGE_REPORT: "Sårstell annankvar dag.",
    K.ENQUIRY: "Har pasienten heimesjukepleie?",
    K.REPLY: "Ja, to gonger om dagen.",
    K.NOTE: "Sonen hennar hentar henne klokka tolv.",
    K.DEVIATION: "Utskrivingsrapporten gjeld ein annan pasient.",
}


def _id(role: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, role))


def example_notice(kind: NoticeKind) -> Notice:
    """A notice of that kind about the same stay, with what such a notice usually says."""
    to_hospital = kind in FROM_MUNICIPALITY
    sender, receiver = (MUNICIPALITY, HOSPITAL) if to_hospital else (HOSPITAL, MUNICIPALITY)
    admitted = kind is K.ADMITTED
    refers = {K.ANSWER, K.READINESS_WITHDRAWN, K.OBJECTION, K.SEEN}
    return Notice(
        kind=kind,
        message_id=_id(kind.value),
        sent_at=_ADMITTED + timedelta(minutes=5) if admitted else _SENT,
        occurred=_ADMITTED if admitted else _HAPPENED,
        sender=sender.token,
        receivers=(receiver.token,),
        hospital=HOSPITAL.token,
        encounter="LS-2014-1103",
        admitted=_ADMITTED,
        ready=_HAPPENED if kind is K.READY_FOR_DISCHARGE else None,
        planned_discharge=date(2014, 11, 10) if kind is K.PLANNED_DISCHARGE else None,
        answer=AnswerValue.CAN_RECEIVE if kind is K.ANSWER else None,
        receive_from=date(2014, 11, 10) if kind is K.ANSWER else None,
        sip_needed=kind is K.READY_FOR_DISCHARGE,
        open_care_available=True if kind is K.OPEN_CARE_AVAILABILITY else None,
        standing=Standing.NEW,
        refers_to=_id(K.READY_FOR_DISCHARGE.value) if kind in refers else _refers(kind),
        text=_TEXT.get(kind),
        fulfils="call" if kind is K.FOLLOWED_UP else None,
        placement="hip-fracture" if kind is K.PLACED else None,
        declined_by=Decliner.PATIENT if kind is K.SIP_DECLINED else None,
        contact=sender.token if kind in (K.FIXED_CONTACT_NAMED, K.COORDINATOR_NAMED) else None,
        meeting=Meeting(starts=_MEETING, ends=_MEETING + timedelta(hours=1)) if kind is K.SIP_CALL else None,
        plan=_PLAN if kind is K.CARE_PLAN else None,
    )


def _refers(kind: NoticeKind) -> str | None:
    return _id(K.ENQUIRY.value) if kind is K.REPLY else None


def example(kind: NoticeKind) -> Bundle:
    """The message that tells `example_notice(kind)`."""
    to_hospital = kind in FROM_MUNICIPALITY
    sender, receiver = (MUNICIPALITY, HOSPITAL) if to_hospital else (HOSPITAL, MUNICIPALITY)
    return message_bundle(
        example_notice(kind),
        subject=PATIENT,
        sender=sender,
        receivers=[receiver],
        hospital=HOSPITAL,
        transmission_id=_id(f"{kind.value}/transmission"),
        responsible=None if to_hospital else Clinician(family="Dokken", given="Marit", profession="LE"),
        unit=Unit(name="Pleie- og omsorg" if to_hospital else "Medisinsk avdeling", phone="57 00 00 00"),
    )


def example_receipt() -> Bundle:
    """The municipality's receipt for the notice of readiness."""
    return receipt_bundle(
        receipt_id=_id(RECEIPT_EVENT),
        original_id=_id(K.READY_FOR_DISCHARGE.value),
        status=Status.ACCEPTED,
        at=_SENT + timedelta(seconds=2),
        giver=organization(MUNICIPALITY, ""),
        receiver=organization(HOSPITAL, ""),
    )


def examples() -> dict[str, Bundle]:
    """One message for every event, by its code."""
    return {kind.value: example(kind) for kind in NoticeKind} | {RECEIPT_EVENT: example_receipt()}


def _pretty(resource: Resource) -> bytes:
    return orjson.dumps(resource, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def rendered_definitions() -> dict[str, bytes]:
    """File name and content of everything under definitions/."""
    return {name: _pretty(resource) for name, resource in definitions().items()}


def rendered_examples() -> dict[str, bytes]:
    """Path and content of every example: <event>/message.json and .xml."""
    made = {}
    for code, bundle in examples().items():
        made[f"{code}/message.json"] = _pretty(bundle)
        made[f"{code}/message.xml"] = wire.to_xml(bundle) + b"\n"
    return made


def main(arguments: list[str]) -> None:
    """Write the definitions into the first directory, the examples into the second where it is given."""
    for folder, rendered in zip(arguments, (rendered_definitions, rendered_examples), strict=False):
        for name, content in rendered().items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
