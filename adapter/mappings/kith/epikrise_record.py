"""The record of a discharge summary (Epikrise 1.1 and 1.2) as resources in the sections of a Composition.

The document, the stay with its texts, and the referral; clinical information is `epikrise_items`, people are
`epikrise_parties`. What has no place travels in the last section, in words, and is listed.
"""

from adapter.fhir.bundles import Resource, header, reference
from adapter.mappings.kith import attachments
from adapter.mappings.kith.epikrise_items import about, codings_of, filled, key_of, read_item, title_of
from adapter.mappings.kith.epikrise_page import (
    Page,
    code_of,
    coded,
    coding_of,
    concept,
    formatted,
    in_order,
    many,
    number,
    one,
    period,
    said,
    whole,
    words_of,
    write_down,
)
from adapter.mappings.kith.epikrise_parties import read_patient, read_provider
from adapter.mappings.kith.leftovers import left_over, listed, section_of
from adapter.mappings.kith.lists import MESSAGES, OID, table
from adapter.mappings.kith.told import Attachment
from adapter.mappings.kith.xhtml import joined, paragraphs
from adapter.mappings.kith.xml import Node
from adapter.phrases import Phrase, phrase

TYPE = "EPIKRISE"

_URI = "urn:ietf:rfc:3986"


def read(report: Node, page: Page) -> list[Phrase]:
    """Put the record into the Bundle's Composition and beside it; returns what has no place in FHIR."""
    losses: list[Phrase] = []
    _read_document(report, page)
    for place, event in enumerate(many(report, "Event")):
        _read_event(event, page, stay=place == 0)
    for request in many(report, "ServReq"):
        _read_request(request, page)
    _read_providers(report, page)
    patient = one(report, "Patient")
    if patient is not None:
        read_patient(patient, page)
    files = list(_files(report, losses))
    told = [section for section in page.sections.values() if filled(section)]
    if told:
        page.composition["section"] = told
    if files:
        attachments.put(page.bundle, files)
    left = list(left_over(report))
    if left:
        page.composition.setdefault("section", []).append(section_of(left))
    return [*losses, *listed(left)]


# --- the document -----------------------------------------------------------------------------------------


def _read_document(report: Node, page: Page) -> None:
    """What the summary says of itself: title, number, dates, and how final it is."""
    composition = page.composition
    composition["category"] = [
        {"coding": [{"system": f"urn:oid:{OID}8279", "code": TYPE, "display": MESSAGES[TYPE]}]}
    ]
    composition["title"] = said(report, "MsgDescr") or MESSAGES[TYPE]
    if own := number(report, "ServProvId"):
        composition["identifier"] = {"value": own}
        if len(own) == 36 and own.count("-") == 4:
            composition["identifier"] = {"system": _URI, "value": f"urn:uuid:{own.lower()}"}
    issued = whole(one(report, "IssueDate"), page)
    if issued is not None:
        composition["date"] = issued
    status = one(report, "Status")
    if status is not None and code_of(status) == table("epikrise")["said-by"]["final"]:
        coding_of(status)
    elif composition["status"] == "final":
        composition["status"] = "preliminary"
    report.ignore(f"{{{report.namespace}}}Ack")


def _read_providers(report: Node, page: Page) -> None:
    """Whoever has a part in the summary; the one who answers for it has approved it (ApprDate)."""
    approved = whole(one(report, "ApprDate"), page)
    attester: Resource = {"mode": "professional"}
    if approved is not None:
        attester["time"] = approved
    for node in many(report, "RelServProvider"):
        roles = read_provider(node, page)
        if code_of(one(node, "Relation")) == table("epikrise")["said-by"]["responsible"] and roles:
            head = header(page.bundle) or {}
            party = roles[0].get("practitioner") or reference(roles[0])
            attester.setdefault("party", party)
            if "practitioner" in roles[0]:
                head.setdefault("responsible", party)
    if len(attester) > 1:
        page.composition["attester"] = [attester]


def _files(report: Node, losses: list[Phrase]) -> list[Attachment]:
    """What lies in a RefDoc, as far as it can be given on; its content is never put into words."""
    files = []
    for ref in many(report, "RefDoc"):
        file = attachments.file_in(ref, f"{{{report.namespace}}}")
        content = one(ref, "Content")
        if file is not None:
            files.append(file)
        elif content is not None:
            ref.read.update(content.element.iter())
            losses.append(phrase("RefDoc/Content is no file that can be given on; it stays in the original"))
    return files


# --- the stay ---------------------------------------------------------------------------------------------


def _read_event(event: Node, page: Page, *, stay: bool) -> None:
    """An event: the stay itself, another one, or a part of one. Its period is an event of the Composition."""
    told = one(event, "ReportedEvent")
    during = period(told, page)
    service = one(event, "Service")
    names = ("ServId", "MedSpecialty", "AdmCat")
    codes = [found for name in names if (found := concept(one(service, name)))]
    made = {**({"code": codes} if codes else {}), **({"period": during} if during else {})}
    if made:
        page.composition.setdefault("event", []).append(made)
    if stay:
        _read_stay(event, during, page)
    event.ignore(f"{{{event.namespace}}}Id")  # for references inside of a message, which has none
    if code_of(one(event, "ServType")) in ("N", page.standing):
        event.ignore(f"{{{event.namespace}}}ServType")
    for node in many(event, "RelServProvider"):
        read_provider(node, page)
    for item in many(event, "InfItem"):
        read_item(item, page)
    for comment in many(event, "Comment"):
        _read_text(comment, page, "comment", "Kommentar")
    for comment in many(event, "CodedComment"):
        found = coded(comment)
        if found:
            page.tell(page.section("codes", "Kodede kommentarer"), about(page, "Observation", found))
    for part in many(event, "Event"):
        _read_event(part, page, stay=False)


def _read_stay(event: Node, during: Resource, page: Page) -> None:
    encounter = page.encounter
    end = during.get("end", "")
    start = (encounter.get("period") or {}).get("start")
    if len(end) >= 10 and (start is None or in_order(start, end)):
        encounter.setdefault("period", {})["end"] = end
        encounter["status"] = "finished"
    if outcome := concept(one(event, "AdmOutcome")):
        encounter["hospitalization"] = {"dischargeDisposition": outcome}
    if priority := concept(one(event, "Priority")):
        encounter["priority"] = priority


def _read_text(node: Node, page: Page, key: str, title: str) -> None:
    """A heading with formatted text and codes, as a section."""
    heading = one(node, "Heading")
    found = coding_of(heading) or {}
    section = page.section(key_of(key, found), title_of(found, title), *codings_of(found))
    divs = [div] if (div := formatted(one(node, "TextResultValue"))) else []
    lines = [_coded_line(code) for code in many(node, "TextCode")]
    if any(lines):
        divs.append(paragraphs([line for line in lines if line]))
    write_down(section, joined(divs) if divs else None)
    if heading is not None and not divs:
        node.read.discard(heading.element)  # nobody would see it


def _coded_line(node: Node) -> str | None:
    """A code that stands as a text of its own, as people read it: with its words and its code."""
    found = concept(node)
    code = code_of(node)
    words = words_of(found)
    return f"{words} ({code})" if words and code and words != code else words


# --- the referral -----------------------------------------------------------------------------------------


def _read_request(node: Node, page: Page) -> None:
    """The referral that led to the stay: a ServiceRequest that has been done, with its diagnoses."""
    made: Resource = {
        "resourceType": "ServiceRequest",
        "status": "completed",
        "intent": "order",
        "subject": reference(page.patient),
    }
    if own := number(node, "Id"):
        made["identifier"] = [{"value": own}]
    if what := concept(one(node, "MsgDescr")):
        made["code"] = what
    if issued := whole(one(node, "IssueDate"), page):
        made["authoredOn"] = issued
    if reasons := [found for one_of in many(node, "Diagnosis") if (found := coded(one_of))]:
        made["reasonCode"] = reasons
    if comment := said(node, "ReqComment"):
        made["note"] = [{"text": comment}]
    if code_of(one(node, "ServType")) == "N":
        node.ignore(f"{{{node.namespace}}}ServType")
    page.tell(page.section("referral", "Henvisning"), made)
    for reason in many(node, "ReasonAsText"):
        _read_text(reason, page, "reason", "Begrunnelse for henvisningen")
