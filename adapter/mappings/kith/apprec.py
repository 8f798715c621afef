"""AppRec 1.0 and 1.1, the application receipt: given for a message that came in, and read for one of ours.

A receipt mirrors every address level of the message that it is for, with the roles swapped (HIS 80415,
N-04). A receipt is never itself receipted.
"""

from collections.abc import Iterator
from datetime import datetime, tzinfo

from lxml import etree

from adapter.errors import Quarantined, Refused
from adapter.mappings import Reading
from adapter.mappings.kith.lists import OID, RECEIPTS
from adapter.mappings.kith.msghead import (
    MEDIA_TYPE,
    Ident,
    Level,
    Original,
    Station,
    address,
    id_fits,
    normal_id,
    too_long,
)
from adapter.mappings.kith.xml import Node, add, document, local_text, moment, new
from adapter.messaging.acknowledgement import Acknowledgement, Issue, Status, Verdict
from adapter.messaging.envelope import Envelope
from adapter.phrases import Phrase, phrase, plural

TYPE = "APPREC"
VERSIONS: dict[str, str] = {entry["namespace"]: name for name, entry in RECEIPTS["version"].items()}

_GIVEN = {Status.ACCEPTED: "1", Status.REFUSED: "2"}


# --- given ------------------------------------------------------------------------------------------------


def write(original: Original, verdict: Verdict, *, copy: bool) -> bytes:
    """The receipt in the name of the receiver that the verdict names; `copy` is its role."""
    version = RECEIPTS["version"][original.apprec]
    ns = f"{{{version['namespace']}}}"
    code = _GIVEN[verdict.status]
    root = new(ns + "AppRec", {None: version["namespace"]})
    add(root, ns + "MsgType", V=TYPE, DN="Applikasjonskvittering")
    add(root, ns + "MIGversion", version["mig"])
    add(root, ns + "GenDate", local_text(verdict.at))
    add(root, ns + "Id", verdict.id)
    _write_party(root, ns, "Sender", "COP" if copy else "PRIM", original.receivers[verdict.receiver])
    _write_party(root, ns, "Receiver", "AVS", original.sender)
    add(root, ns + "Status", V=code, DN=RECEIPTS["status"][code]["name"])
    if verdict.status is Status.REFUSED:
        for issue in verdict.issues or (Issue(code="X99", text=""),):
            error = issue.code if issue.code in RECEIPTS["error"] else "X99"
            add(
                root,
                ns + "Error",
                V=error,
                S=OID + "8221",
                DN=RECEIPTS["error"][error],
                OT=issue.text or None,
            )
    reference = add(root, ns + "OriginalMsgId")
    add(reference, ns + "MsgType", V=original.type, DN=original.type_name)
    add(reference, ns + "IssueDate", original.issued)
    add(reference, ns + "Id", original.message_id)
    return document(root)


def _write_party(root: etree._Element, ns: str, tag: str, role: str, station: Station) -> None:
    party = add(root, ns + tag)
    add(party, ns + "Role", V=role, DN=RECEIPTS["role"][role])
    hcp = add(party, ns + "HCP")
    organisations = [level for level in station if not level.person]
    persons = [level for level in station if level.person]
    if not organisations and persons:
        _write_level(add(hcp, ns + "HCProf"), ns, persons[0])
        return
    inst = add(hcp, ns + "Inst")
    top = organisations[0] if organisations else Level(person=False, name=None, idents=())
    _write_first(inst, ns, top)
    for level in organisations[1:]:
        _write_level(add(inst, ns + "Dept"), ns, level)
    _write_others(inst, ns, top)
    for level in persons:
        _write_level(add(inst, ns + "HCPerson"), ns, level)


def _write_level(parent: etree._Element, ns: str, level: Level) -> None:
    _write_first(parent, ns, level)
    _write_others(parent, ns, level)


def _write_first(parent: etree._Element, ns: str, level: Level) -> None:
    """Name and first identifier; the others are AdditionalId, which Inst has after its departments."""
    if level.name:
        add(parent, ns + "Name", level.name)
    for ident in level.idents[:1]:
        add(parent, ns + "Id", ident.id)
        add(parent, ns + "TypeId", V=ident.type, DN=ident.name)


def _write_others(parent: etree._Element, ns: str, level: Level) -> None:
    for ident in level.idents[1:]:
        other = add(parent, ns + "AdditionalId")
        add(other, ns + "Id", ident.id)
        add(other, ns + "Type", V=ident.type, DN=ident.name)


# --- read -------------------------------------------------------------------------------------------------


def read(root: Node, *, zone: tzinfo) -> Reading:
    """A receipt that came in. Raises Refused T02 where it does not say when it was given, and under which id.

    A status that is not in list 8258 is a problem for a person: neither accepted nor refused may be guessed.
    """
    ns = f"{{{root.namespace}}}"
    at = moment(root.text(ns + "GenDate"), zone)
    own_id = normal_id(root.text(ns + "Id"))
    if not isinstance(at, datetime) or own_id is None:
        reason = phrase("the AppRec has no GenDate or no Id; ask its sender for a complete one")
        raise Refused(reason, code="T02")
    if not id_fits(own_id):
        raise too_long(phrase("the AppRec's Id"))
    for path in (("MsgType",), ("MIGversion",), ("OriginalMsgId", "MsgType"), ("OriginalMsgId", "IssueDate")):
        root.ignore(*(ns + tag for tag in path))
    original_id = normal_id(root.text(ns + "OriginalMsgId", ns + "Id"))
    envelope = Envelope(
        dialect=RECEIPTS["version"][VERSIONS[root.namespace]]["dialect"],
        message_id=own_id,
        type=TYPE,
        sent_at=at,
        sender=address(read_station(root.one(ns + "Sender"), ns)),
        receivers=(address(read_station(root.one(ns + "Receiver"), ns)),),
        content_type=MEDIA_TYPE,
        refers_to=original_id if id_fits(original_id) else None,
    )
    try:
        acknowledgement = _acknowledgement(root, ns, envelope, original_id)
    except (Refused, Quarantined) as problem:
        return Reading(envelope=envelope, problem=problem)
    return Reading(envelope=envelope, acknowledgement=acknowledgement, losses=tuple(_left(root)))


def _left(root: Node) -> Iterator[Phrase]:
    """What nobody has read."""
    paths, more = root.left_over()
    for path in paths:
        yield phrase("{element} stays in the original only", element=path)
    if more:
        one = "{number} more element stays in the original only"
        yield plural(one, "{number} more elements stay in the original only", more)


def _acknowledgement(root: Node, ns: str, envelope: Envelope, original_id: str | None) -> Acknowledgement:
    if original_id is None:
        reason = phrase("the AppRec does not say which message it is for (OriginalMsgId/Id)")
        raise Refused(reason, code="T02")
    if not id_fits(original_id):
        raise too_long("OriginalMsgId/Id")
    if not envelope.sender.fits:
        raise too_long(phrase("an Id of the AppRec's Sender"))
    entry = RECEIPTS["status"].get(root.code(ns + "Status") or "")
    if entry is None:
        reason = phrase(
            "the receipt's status is not in list 8258 (1 OK, 2 Avvist, 3 OK, feil i delmelding); ask its"
            " sender by telephone whether the message was taken, and record the answer"
        )
        raise Quarantined(reason, code="status")
    return Acknowledgement(
        original_id=original_id,
        status=Status(entry["status"]),
        at=envelope.sent_at,
        giver=envelope.sender,
        issues=tuple(_issue(node) for node in root.all(ns + "Error")),
    )


def _issue(node: Node) -> Issue:
    """One error: the list's text and the receiver's own, which people must see (N-10)."""
    code = node.code() or "X99"
    texts = (node.display(), (node.element.get("OT") or "").strip())
    return Issue(code=code, text=": ".join(text for text in texts if text))


def read_station(party: Node | None, ns: str) -> Station:
    """The address levels of an HCP, as AppRec and Epikrise write them."""
    if party is None:
        return ()
    party.ignore(ns + "Role")
    inst = party.one(ns + "HCP", ns + "Inst")
    if inst is None:
        person = party.one(ns + "HCP", ns + "HCProf")
        return (_level(person, ns, person=True),) if person is not None else ()
    return (
        _level(inst, ns, person=False),
        *(_level(node, ns, person=False) for node in inst.all(ns + "Dept")),
        *(_level(node, ns, person=True) for node in inst.all(ns + "HCPerson")),
    )


def _level(node: Node, ns: str, *, person: bool) -> Level:
    idents = [
        Ident(id=value, type=node.code(ns + "TypeId"), name=node.display(ns + "TypeId"))
        for value in (node.text(ns + "Id"),)
        if value
    ]
    for other in node.all(ns + "AdditionalId"):
        idents.append(
            Ident(
                id=other.text(ns + "Id") or "",
                type=other.code(ns + "Type"),
                name=other.display(ns + "Type"),
            )
        )
    return Level(person=person, name=node.text(ns + "Name"), idents=tuple(idents))
