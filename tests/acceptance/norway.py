"""What a national acceptance test sends and expects: messages with one thing changed, and their AppRecs.

The rules are HIS 80415, HITS 1168 and HIS 80704, numbered N-01 to N-18 by the project. Nothing here asks the
adapter's own code what a receipt should be: messages and receipts are compared as XML.
"""

import copy
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from lxml import etree

from adapter.config import Region
from adapter.discharge.notices import NoticeKind
from adapter.inbox import Acceptance
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Party, ReceiptWhen, Side
from adapter.store import cases as case_rows
from adapter.store import messages, shown, tables
from tests.mappings.official import SAMPLES, valid
from tests.stage import Stage, region

PLO = Path(__file__).parents[2] / "fixtures" / "plo"
OSLO = ZoneInfo("Europe/Oslo")
SCHEMAS = Path(SAMPLES) / "norway" / "xsd" if SAMPLES else None

MH = "http://www.kith.no/xmlstds/msghead/2006-05-24"
FK = "http://www.kith.no/xmlstds/felleskomponent1"
APPREC = {
    "1.0": "http://www.kith.no/xmlstds/apprec/2004-11-21",
    "1.1": "http://www.kith.no/xmlstds/apprec/2012-02-15",
}
DUE = {"1.5": "1.0", "1.6": "1.1"}
"""Which AppRec is due to which version of a message (N-03); a dialogue 1.0 counts as 1.5 and 1.1 as 1.6."""

STRANGER = ("8149990", "8149991")
"""HER-ids of an organisation and its service that the region does not know."""

AARDAL = ("8143520", "8143522")
"""Those of Årdal kommune, which has a system of its own, and its case workers."""

NOBODYS = "8149999"
"""HER-id of a service that nobody has."""


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One of the message types that are tested, in one version."""

    type: str
    file: str  # scenario and name, without version
    kind: NoticeKind
    sender: str
    receiver: str
    version: str = "1.6"

    @property
    def organisation(self) -> str:
        """The receiver's HER-id."""
        return {_HOSPITAL: "8143500", _HOME: "8143510", _GP: "8143590"}[self.receiver]

    @property
    def cancellable(self) -> bool:
        """A dialogue has no sending status; what was wrong in it is said in another."""
        return not self.type.startswith("DIALOG")

    @property
    def name(self) -> str:
        """For the names of tests."""
        return f"{self.type}-{self.version}"

    def message(self) -> "Message":
        """The reference message."""
        parser = etree.XMLParser(remove_blank_text=True)
        root = etree.fromstring((PLO / f"{self.file}.plo-{self.version}.xml").read_bytes(), parser)
        if self.type.startswith("DIALOG"):
            _enquire(root, self.version)
        return Message(root)


_HOSPITAL, _HOME, _GP = "laerdal-sjukehus", "laerdal", "laerdal-legekontor"
_STROKE, _DIZZY = "home-after-a-stroke", "dizzy-at-home"
_K = NoticeKind
TYPES = tuple(
    Specimen(type=message_type, file=file, kind=kind, sender=sender, receiver=receiver)
    for message_type, file, kind, sender, receiver in (
        ("LOG_INNLAGT", "home-with-help/admitted", _K.ADMITTED, _HOSPITAL, _HOME),
        ("LOG_UTSKRIVNINGSKLAR", "home-with-help/ready", _K.READY_FOR_DISCHARGE, _HOSPITAL, _HOME),
        ("HELSEOPPL_SOKNAD", f"{_STROKE}/early-warning", _K.CARE_NEEDS, _HOSPITAL, _HOME),
        ("INNLEGGELSESRAPPORT", f"{_STROKE}/admission-report", _K.REPORT_OF_ADMISSION, _HOME, _HOSPITAL),
        ("UTSKRIVNINGSRAPPORT", f"{_STROKE}/discharge-report", _K.DISCHARGE_REPORT, _HOSPITAL, _HOME),
        ("ORIENTERING_TJENESTETILBUD", f"{_STROKE}/services-granted", _K.SERVICES_GRANTED, _HOME, _GP),
        ("MEDISINSKE_OPPLYSNINGER", f"{_DIZZY}/medical-information", _K.HEALTH_INFORMATION, _GP, _HOME),
        ("HELSEOPPLYSNINGER_LEGE", f"{_DIZZY}/assessment-wanted", _K.HEALTH_INFORMATION, _HOME, _GP),
        ("DIALOG_FORESPORSEL", f"{_STROKE}/admission-report", _K.ENQUIRY, _HOME, _HOSPITAL),
    )
)
NEWEST = TYPES
BOTH = tuple(replace(one, version=version) for one in TYPES for version in ("1.5", "1.6"))
CANCELLABLE = tuple(one for one in BOTH if one.cancellable)


def _enquire(root: etree._Element, version: str) -> None:
    """Make it an enquiry: the dialogue's own fixtures belong to the tests of the dialogue."""
    namespace = f"http://www.kith.no/xmlstds/dialog/{'2006-10-11' if version == '1.5' else '2013-01-23'}"
    kind = root.find(f".//{{{MH}}}MsgInfo/{{{MH}}}Type")
    content = root.find(f".//{{{MH}}}Content")
    assert kind is not None and content is not None
    kind.set("V", "DIALOG_FORESPORSEL")
    kind.set("DN", "Forespørsel")
    content[:] = [
        etree.fromstring(
            f'<Dialogmelding xmlns="{namespace}" xmlns:fk1="{FK}"><Foresporsel>'
            '<TypeForesp V="99" DN="Annen henvendelse" S="2.16.578.1.12.4.1.1.9152"/>'
            "<Sporsmal>Kan de ta med brillene hennar når ho reiser?</Sporsmal>"
            "<RollerRelatertNotat>"
            '<RoleToPatient V="9" DN="Primærkontakt" S="2.16.578.1.12.4.1.1.9034"/>'
            "<HealthcareProfessional><FamilyName>Molde</FamilyName><GivenName>Siv</GivenName>"
            "<Ident><fk1:Id>9999903</fk1:Id>"
            '<fk1:TypeId V="HPR" DN="HPR-nummer" S="2.16.578.1.12.4.1.1.8116"/></Ident>'
            "</HealthcareProfessional></RollerRelatertNotat></Foresporsel></Dialogmelding>"
        )
    ]


class Message:
    """A message that a test may change in one place before it is sent."""

    def __init__(self, root: etree._Element) -> None:
        self.root = root

    def copy(self) -> "Message":
        """The same once more, to be changed apart."""
        return Message(copy.deepcopy(self.root))

    def content(self, encoding: str = "UTF-8") -> bytes:
        """The bytes that are sent."""
        return etree.tostring(self.root, xml_declaration=True, encoding=encoding)

    def all(self, path: str) -> list[etree._Element]:
        """The elements at an XPath; `mh:` is the envelope and `fk1:` the common components."""
        return self.root.xpath(path, namespaces={"mh": MH, "fk1": FK})  # type: ignore[return-value]

    def one(self, path: str) -> etree._Element:
        """The first of them, which must be there."""
        return self.all(path)[0]

    @property
    def info(self) -> etree._Element:
        return self.one("mh:MsgInfo")

    @property
    def payload(self) -> etree._Element:
        return self.one("mh:Document[1]/mh:RefDoc/mh:Content/*")

    def text(self, path: str, value: str) -> "Message":
        """Write another text."""
        self.one(path).text = value
        return self

    def without(self, *paths: str) -> "Message":
        """Leave elements out."""
        for path in paths:
            for element in self.all(path):
                element.getparent().remove(element)
        return self

    def numbered(self, message_id: str | None = None) -> "Message":
        """The same under another message id."""
        return self.text("mh:MsgInfo/mh:MsgId", message_id or str(uuid.uuid4()))

    def identified(self, number: str | None, kind: str = "FNR") -> "Message":
        """The patient under another number, or under none."""
        self.without("mh:MsgInfo/mh:Patient/mh:Ident")
        if number is not None:
            place = self.all("mh:MsgInfo/mh:Patient/*[self::mh:Sex or self::mh:GivenName]")[-1]
            place.addnext(_ident(number, kind, "8116"))
        return self

    def addressed(self, organisation: str, service: str | None) -> "Message":
        """The receiver with other HER-ids."""
        self.one("mh:MsgInfo/mh:Receiver")[:] = [_organisation(organisation, service)]
        return self

    def copied(self, organisation: str, service: str | None) -> "Message":
        """With a copy-receiver beside the receiver."""
        return self._copied([_organisation(organisation, service)])

    def only_copied(self, *, beside: tuple[str, str] = STRANGER) -> "Message":
        """Addressed to somebody else, with the real receiver as its copy-receiver."""
        levels = list(copy.deepcopy(self.one("mh:MsgInfo/mh:Receiver")))
        return self.addressed(*beside)._copied(levels)

    def _copied(self, levels: list[etree._Element]) -> "Message":
        other = etree.Element(f"{{{MH}}}OtherReceiver")
        etree.SubElement(other, f"{{{MH}}}RoleReceiver", V="COP", DN="Kopimottaker")
        other.extend(levels)
        self.one("mh:MsgInfo/mh:Receiver").addnext(other)
        return self

    def cancelling(self, *, referring: bool = True) -> "Message":
        """The cancellation of this message (Forsendelsesstatus C), sent five minutes later."""
        told = self.copy()
        original = self.one("mh:MsgInfo/mh:MsgId").text
        told.numbered()
        later = (self.sent + timedelta(minutes=5)).replace(tzinfo=None)
        told.text("mh:MsgInfo/mh:GenDate", later.isoformat())
        status = told.one("//*[local-name() = 'Forsendelsesstatus']")
        status.set("V", "C")
        status.set("DN", "Kansellering")
        if referring:
            reference = etree.Element(f"{{{MH}}}ConversationRef")
            etree.SubElement(reference, f"{{{MH}}}RefToParent").text = original
            etree.SubElement(reference, f"{{{MH}}}RefToConversation").text = original
            told.all("mh:MsgInfo/*[self::mh:MsgId or self::mh:ProcessingStatus]")[-1].addnext(reference)
        return told

    @property
    def sent(self) -> datetime:
        """When it was sent, as it says itself."""
        return datetime.fromisoformat(self.one("mh:MsgInfo/mh:GenDate").text).replace(tzinfo=OSLO)


def _organisation(number: str, service: str | None) -> etree._Element:
    level = etree.Element(f"{{{MH}}}Organisation")
    etree.SubElement(level, f"{{{MH}}}OrganisationName").text = f"Eining {number}"
    level.append(_ident(number, "HER", "9051"))
    if service is not None:
        level.append(_organisation(service, None))
    return level


def _ident(number: str, kind: str, code_list: str) -> etree._Element:
    ident = etree.Element(f"{{{MH}}}Ident")
    etree.SubElement(ident, f"{{{MH}}}Id").text = number
    etree.SubElement(ident, f"{{{MH}}}TypeId", V=kind, DN=kind, S=f"2.16.578.1.12.4.1.1.{code_list}")
    return ident


# --- the region: who receives is ours and has our board, who sends has a system of its own ------------------


@cache
def known_to(specimen: Specimen) -> Region:
    """Indre Sogn with the GP's office, seen from the receiver of that type."""
    whole = region()
    register = whole.register_
    gp = Party(
        id=_GP,
        name="Lærdal legekontor",
        kind="gp",
        side=Side.THEIRS,
        identifiers=((HER, "8143590"), (HER, "8143591")),
        endpoint=_GP,
    )
    office = Endpoint(name=_GP, transport="directory", address="run/legekontor", dialect="plo-1.6")
    parties = tuple(_as_tested(party, specimen) for party in (*register.parties, gp))
    known = replace(register, parties=parties, endpoints=(*register.endpoints, office))
    return whole.model_copy(update={"register_": known})


def _as_tested(party: Party, specimen: Specimen) -> Party:
    if party.id == specimen.receiver:
        return replace(party, side=Side.OURS, endpoint=None, receipt=ReceiptWhen.STORED)
    return replace(party, side=Side.THEIRS) if party.id == specimen.sender else party


# --- receipts -----------------------------------------------------------------------------------------------


Levels = list[tuple[str, str | None, list[tuple[str, str]]]]
"""Of an address, outermost first: organisation or person, its name, its `(type, id)` pairs."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """An AppRec, as far as the standard says what stands in it."""

    version: str
    id: str
    status: str
    errors: list[str]
    reasons: list[str | None]  # the texts beside the errors
    role: str
    sender: Levels
    receiver: Levels
    original: tuple[str, str, str]  # type, GenDate and id, to the letter

    @classmethod
    def read(cls, content: bytes) -> "Receipt":
        """Raises AssertionError where it is none, or not valid against the schema where there is one."""
        root = etree.fromstring(content)
        (version,) = [v for v, ns in APPREC.items() if root.tag == f"{{{ns}}}AppRec"]
        valid(content)
        return cls(
            version=version,
            id=root.findtext("{*}Id") or "",
            status=root.find("{*}Status").get("V"),
            errors=[error.get("V") for error in root.findall("{*}Error")],
            reasons=[error.get("OT") for error in root.findall("{*}Error")],
            role=root.find("{*}Sender/{*}Role").get("V"),
            sender=_told(root.find("{*}Sender/{*}HCP")),
            receiver=_told(root.find("{*}Receiver/{*}HCP")),
            original=(
                root.find("{*}OriginalMsgId/{*}MsgType").get("V"),
                root.findtext("{*}OriginalMsgId/{*}IssueDate"),
                root.findtext("{*}OriginalMsgId/{*}Id"),
            ),
        )


def _told(hcp: etree._Element) -> Levels:
    """The levels that a receipt writes: Inst, its Dept, its HCPerson; or HCProf."""
    inst = hcp.find("{*}Inst")
    if inst is None:
        return [("person", *_named(hcp.find("{*}HCProf")))]
    below = [("organisation", *_named(node)) for node in inst.findall("{*}Dept")]
    persons = [("person", *_named(node)) for node in inst.findall("{*}HCPerson")]
    return [("organisation", *_named(inst)), *below, *persons]


def _named(node: etree._Element) -> tuple[str | None, list[tuple[str, str]]]:
    first = node.findtext("{*}Id")
    pairs = [(node.find("{*}TypeId").get("V"), first)] if first is not None else []
    pairs += [(o.find("{*}Type").get("V"), o.findtext("{*}Id")) for o in node.findall("{*}AdditionalId")]
    return node.findtext("{*}Name"), pairs


def written(party: etree._Element) -> Levels:
    """The levels of Sender, Receiver or OtherReceiver as a message writes them."""
    organisations: Levels = []
    persons: Levels = []
    node: etree._Element | None = party
    while node is not None:
        for person in node.findall("{*}HealthcareProfessional"):
            parts = (person.findtext(f"{{*}}{part}") for part in ("GivenName", "MiddleName", "FamilyName"))
            persons.append(("person", " ".join(filter(None, parts)) or None, _idents(person)))
        node = node.find("{*}Organisation")
        if node is not None:
            organisations.append(("organisation", node.findtext("{*}OrganisationName"), _idents(node)))
    return [*organisations, *persons]


def _idents(node: etree._Element) -> list[tuple[str, str]]:
    return [(i.find("{*}TypeId").get("V"), i.findtext("{*}Id")) for i in node.findall("{*}Ident")]


# --- what a test looks at -----------------------------------------------------------------------------------


def said(play: Stage, done: Acceptance) -> list[Receipt]:
    """Every AppRec that the sender gets for a message: in the response, and as messages of their own."""
    contents = [done.acknowledgement] if done.acknowledgement is not None else []
    with play.built.store.read() as connection:
        for delivery in play.rows(tables.delivery, message_row=done.message_row):
            if delivery["kind"] in ("receipt", "refusal"):
                contents.append(messages.content(connection, delivery["payload"]) or b"")
    return [Receipt.read(content) for content in contents]


def due(
    message: Message,
    version: str,
    *,
    status: str = "1",
    errors: tuple[str, ...] = (),
    role: str = "PRIM",
    by: str = "mh:MsgInfo/mh:Receiver",
) -> dict[str, object]:
    """What stands in the AppRec for a message, but for its own id."""
    return {
        "version": DUE[version],
        "status": status,
        "errors": list(errors),
        "role": role,
        "sender": written(message.one(by)),
        "receiver": written(message.one("mh:MsgInfo/mh:Sender")),
        "original": (
            message.one("mh:MsgInfo/mh:Type").get("V"),
            message.one("mh:MsgInfo/mh:GenDate").text,
            message.one("mh:MsgInfo/mh:MsgId").text,
        ),
    }


def gist(receipt: Receipt) -> dict[str, object]:
    """What the standard says of a receipt: all but its own id and the words of its reasons."""
    return {name: getattr(receipt, name) for name in Receipt.__dataclass_fields__ if name not in _FREE}


_FREE = ("id", "reasons")


def is_logged(play: Stage, done: Acceptance, content: bytes, *, told_before: bool = False) -> None:
    """It has a row, its bytes can be had back exactly as they came (N-17), and people are shown it (N-10).

    What another message has told before has its page, and need not stand in the case a second time.
    """
    with play.built.store.read() as connection:
        row = messages.get(connection, done.message_row)
        assert row is not None
        assert messages.content(connection, row["payload"]) == content
        assert row["outcome"] == done.outcome
        if done.outcome == "accepted":
            case = case_rows.get(connection, done.case_id)
            told = [n["message"] for n in shown.case(connection, case)["notices"]]
            assert told_before or done.message_row in told
            assert shown.message_of(connection, done.message_row) is not None
        else:
            (held,) = [shown.held(one) for one in messages.held(connection) if one["id"] == done.message_row]
            assert held["reason"]
            assert held["code"]


def standing(play: Stage, kind: NoticeKind) -> list[str]:
    """The ids of that kind's notices that still count, in all cases of all patients."""
    with play.built.store.read() as connection:
        patients = sorted({case["patient"] for case in case_rows.listed(connection)})
        folded = [case for one in patients for _, case in play.built.cases.folded(connection, one)]
    entries = [entry for case in folded for entry in case.entries]
    return [entry.notice.message_id for entry in entries if entry.notice.kind is kind and entry.counts]
