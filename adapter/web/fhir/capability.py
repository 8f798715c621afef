"""`/fhir/metadata`: what this endpoint does, made from what it does (FHIR R4 capabilitystatement.html)."""

from adapter.discharge.notices import NoticeKind
from adapter.fhir import subscriptions as subscribing
from adapter.fhir.bundles import CANONICAL, Resource
from adapter.fhir.publishing import DATED, FHIR_VERSION, VERSION
from adapter.fhir.serving import TYPES, includes, params

UPDATED = ("CarePlan", "Task")
"""The types that a client may change."""

UNVERSIONED = ("AuditEvent", "Organization")
"""The types that have no versions here."""

_KEPT_FOR = 24 * 60
"""Minutes for which a message id is surely remembered; in truth it is for as long as its bytes are kept."""

_KINDS = {"token": "token", "code": "token", "reference": "reference"}
_R4_PARAM = "http://hl7.org/fhir/SearchParameter"


def capability(base: str) -> Resource:
    """The CapabilityStatement of the endpoint at `base`."""
    return {
        "resourceType": "CapabilityStatement",
        "id": "discharge-adapter",
        "url": f"{CANONICAL}/CapabilityStatement/discharge-adapter",
        "version": VERSION,
        "name": "DischargeAdapter",
        "title": "Discharge adapter",
        "status": "active",
        "date": DATED,
        "publisher": "discharge adapter",
        "description": "Messages about discharge, and plans and tasks that hospital, primary care and "
        "municipality share. A caller sees what its parties sent or were addressed in, and the plans that "
        "they take part in.",
        "kind": "instance",
        "software": {"name": "discharge adapter", "version": VERSION},
        "implementation": {"description": "discharge adapter", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [_rest(base)],
        "messaging": [_messaging(base)],
    }


def _rest(base: str) -> Resource:
    return {
        "mode": "server",
        "documentation": "An unknown search parameter is refused, unless Prefer: handling=lenient is sent.",
        "security": _security(base),
        "resource": [
            *(_type(kind) for kind in sorted((*TYPES, *UNVERSIONED))),
            subscribing.capability(),
        ],
        "interaction": [{"code": "batch", "documentation": "Reads and searches only."}],
        "operation": [{"name": "process-message", "definition": _operation("MessageHeader-process-message")}],
    }


def _security(base: str) -> Resource:
    return {
        "cors": False,
        "service": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR",
                    }
                ]
            }
        ],
        "description": "A bearer token or client certificate that the region file names, or SMART Backend "
        f"Services: {base}/.well-known/smart-configuration",
    }


def _type(kind: str) -> Resource:
    reading = ["read", "vread", "history-instance", "search-type"]
    if kind in UNVERSIONED:
        reading = ["read", "search-type"]
    made: Resource = {
        "type": kind,
        "interaction": [{"code": code} for code in (*reading, *(["update"] if kind in UPDATED else []))],
        "versioning": "versioned-update" if kind in UPDATED else "versioned",
        "readHistory": "vread" in reading,
        "updateCreate": False,
        "conditionalRead": "full-support",
        "searchParam": search_params(kind),
    }
    if kind in UNVERSIONED:
        made["versioning"] = "no-version"
    followed = [f"{kind}:{name}" for name in includes(kind)] if kind in TYPES else []
    if followed:
        made["searchInclude"] = followed
    if kind == "EpisodeOfCare":
        made["operation"] = [
            {"name": "document", "definition": f"{CANONICAL}/OperationDefinition/discharge-document"}
        ]
    return made


def search_params(kind: str) -> list[Resource]:
    """What a type is searched by, as CapabilityStatement.rest.resource.searchParam."""
    found = [{"name": "_id", "type": "token", "definition": f"{_R4_PARAM}/Resource-id"}]
    if kind == "Organization":
        return [*found, {"name": "identifier", "type": "token"}]
    found.append({"name": "_lastUpdated", "type": "date", "definition": f"{_R4_PARAM}/Resource-lastUpdated"})
    if kind != "Patient":
        found.append({"name": "patient", "type": "reference"})
        found.append({"name": "patient.identifier", "type": "token"})
    if kind != "AuditEvent":
        found += [{"name": name, "type": _KINDS[param.kind]} for name, param in params(kind).items()]
    return found


def _messaging(base: str) -> Resource:
    definition = f"{CANONICAL}/MessageDefinition"
    return {
        "endpoint": [
            {
                "protocol": {
                    "system": "http://terminology.hl7.org/CodeSystem/message-transport",
                    "code": "http",
                },
                "address": f"{base}/$process-message",
            }
        ],
        "reliableCache": _KEPT_FOR,
        "documentation": "A message that comes again gets the first answer again.",
        "supportedMessage": [
            {"mode": mode, "definition": f"{definition}/{kind.value}"}
            for kind in NoticeKind
            for mode in ("receiver", "sender")
        ],
    }


def _operation(name: str) -> str:
    return f"http://hl7.org/fhir/OperationDefinition/{name}"
