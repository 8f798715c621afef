"""Files that travel beside a payload, each in a Document of its own (MsgHead 1.2, base64container), and FHIR.

A file is a DocumentReference that holds its content; what it is part of leads to it.
"""

import base64
import binascii
import uuid
from collections.abc import Iterator

from lxml import etree

from adapter.fhir.bundles import (
    Bundle,
    Resource,
    entry,
    follow,
    header,
    moment,
    of_type,
    reference,
    resources,
)
from adapter.mappings.kith.msghead import MH
from adapter.mappings.kith.told import Attachment
from adapter.mappings.kith.xml import OSLO, Node, add, local_text, new
from adapter.mappings.kith.xml import moment as plo_moment

CONTAINER = "{http://www.kith.no/xmlstds/base64container}Base64Container"
_SECTION = {
    "coding": [{"system": "http://loinc.org", "code": "77599-9", "display": "Additional documentation"}]
}
_IDS = uuid.UUID("7e0b6f2c-4b58-5c0e-8d4c-0b3d58a1f5d2")
_OTHER = "application/octet-stream"


def read(root: Node) -> Iterator[Attachment]:
    """The files of a MsgHead, read as far as we can give them on: uncompressed, and really base64."""
    for document in root.all(MH + "Document"):
        ref = document.one(MH + "RefDoc")
        file = file_in(ref, MH) if ref is not None else None
        if file is not None:
            yield file


def file_in(ref: Node, ns: str) -> Attachment | None:
    """The file of a RefDoc, which MsgHead and Epikrise have alike; None where it holds none of that kind."""
    container = ref.one(ns + "Content", CONTAINER)
    if container is None or ref.one(ns + "Compression") is not None:
        return None
    try:
        content = base64.b64decode("".join((container.element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    container.value()
    ref.ignore(ns + "MsgType")
    return Attachment(
        content=content,
        media_type=ref.text(ns + "MimeType") or _OTHER,
        title=ref.text(ns + "Description"),
        issued=ref.code(ns + "IssueDate"),
    )


def put(bundle: Bundle, files: list[Attachment]) -> None:
    """Add the files to the Bundle, led to by the Composition or the Communication that it is about."""
    head = header(bundle) or {}
    refs = []
    for number, file in enumerate(files):
        made = _document(file, str(uuid.uuid5(_IDS, f"{head.get('id')}/{number}")))
        if (patient := of_type(bundle, "Patient")) is not None:
            made["subject"] = reference(patient)
        bundle["entry"].append(entry(made))
        refs.append(reference(made))
    focus = follow(bundle, next(iter(head.get("focus") or ()), None)) or {}
    composition = of_type(bundle, "Composition")
    if focus.get("resourceType") == "Communication":
        focus.setdefault("payload", []).extend({"contentReference": ref} for ref in refs)
    elif composition is not None:
        section = {"title": "Vedlegg", "code": _SECTION, "entry": refs}
        composition.setdefault("section", []).append(section)


def _document(file: Attachment, resource_id: str) -> Resource:
    told: Resource = {"contentType": file.media_type, "data": base64.b64encode(file.content).decode()}
    if file.title:
        told["title"] = file.title
    issued = plo_moment(file.issued, OSLO)
    if issued is not None:
        told["creation"] = issued.isoformat()
    return {
        "resourceType": "DocumentReference",
        "id": resource_id,
        "status": "current",
        "content": [{"attachment": told}],
    }


def found(bundle: Bundle) -> tuple[Attachment, ...]:
    """The files that a Bundle holds, in a DocumentReference itself or in a Binary that it leads to."""
    files = (_file(bundle, one) for one in resources(bundle) if holds_file(bundle, one))
    return tuple(file for file in files if file is not None)


def holds_file(bundle: Bundle, resource: Resource) -> bool:
    """Whether the resource is a file, or is told with one."""
    if resource["resourceType"] == "Binary":
        return any(_binary(bundle, one) is resource for one in resources(bundle))
    return resource["resourceType"] == "DocumentReference" and _file(bundle, resource) is not None


def _file(bundle: Bundle, resource: Resource) -> Attachment | None:
    told = _attachment(resource)
    binary = _binary(bundle, resource)
    data = told.get("data") or (binary or {}).get("data")
    try:
        content = base64.b64decode(data, validate=True) if data else None
    except (binascii.Error, ValueError):
        content = None
    if content is None:
        return None
    return Attachment(
        content=content,
        media_type=told.get("contentType") or (binary or {}).get("contentType") or _OTHER,
        title=told.get("title") or resource.get("description"),
        issued=told.get("creation"),
    )


def _attachment(resource: Resource) -> Resource:
    if resource["resourceType"] != "DocumentReference":
        return {}
    return next((one["attachment"] for one in resource.get("content") or () if one.get("attachment")), {})


def _binary(bundle: Bundle, resource: Resource) -> Resource | None:
    url = _attachment(resource).get("url")
    binary = follow(bundle, {"reference": url}) if url else None
    return binary if binary is not None and binary["resourceType"] == "Binary" else None


def write(root: etree._Element, files: tuple[Attachment, ...], issued: str) -> None:
    """Add a Document for each file; `issued` is when the message was sent, where a file does not say it."""
    for file in files:
        ref = add(add(root, MH + "Document"), MH + "RefDoc")
        when = moment(file.issued, OSLO) if file.issued else None
        add(ref, MH + "IssueDate", V=local_text(when) if when is not None else issued)
        add(ref, MH + "MsgType", V="A", DN="Vedlegg")
        add(ref, MH + "MimeType", file.media_type)
        if file.title:
            add(ref, MH + "Description", file.title)
        content = base64.b64encode(file.content).decode()
        add(ref, MH + "Content").append(_container(content))


def _container(content: str) -> etree._Element:
    made = new(CONTAINER, {None: CONTAINER[1:].partition("}")[0]})
    made.text = content
    return made
