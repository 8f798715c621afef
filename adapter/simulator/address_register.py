"""A pretend address register on loopback: it answers GetCommunicationPartyDetails in SOAP, or fails to order.

Its answers are written here and not by the adapter's own code, from parties that somebody hands in, or from
those of a region file.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from lxml import etree

from adapter.errors import Refused
from adapter.mappings.kith.xml import parse
from adapter.messaging.envelope import HER
from adapter.messaging.register import Party, Register, Service
from adapter.simulator.http import Answer, Listener, Request

PARTY = "http://register.nhn.no/CommunicationParty"
COMMON = "http://register.nhn.no/Common"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
VERSIONS = {
    "application/soap+xml": "http://www.w3.org/2003/05/soap-envelope",
    "text/xml": "http://schemas.xmlsoap.org/soap/envelope/",
}
_NS11 = VERSIONS["text/xml"]


class Trouble(StrEnum):
    """What goes wrong instead of an answer."""

    DOWN = "down"  # 503
    SLOW = "slow"  # answers after `wait`
    RESET = "reset"  # breaks the connection
    FAULT = "fault"  # a SOAP Fault of its own, that says nothing of the HER-id
    REFUSED = "refused"  # a Fault with a code of the register's
    RUBBISH = "rubbish"  # a page
    CUT = "cut"  # half an answer
    DOCTYPE = "doctype"  # a document type with an entity
    OTHER = "other"  # the answer about another HER-id
    TOO_LONG = "too-long"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A party of the pretend register; times as it writes them, in local time."""

    her_id: str
    kind: str  # Organization, Service, Person
    name: str
    display_name: str | None = None
    active: bool = True
    valid_from: str = "2002-01-01T00:00:00"
    valid_to: str = "9999-12-31T23:59:59.997"
    parent: "Registered | None" = None
    organisation_number: str | None = None
    municipality: str | None = None
    electronic: tuple[tuple[str, str], ...] = ()  # code of list 9044, address
    postal: tuple[tuple[str, str, str, str], ...] = ()  # code of list 3401, street, postal code, city


class AddressRegisterServer:
    """The pretend register. `trouble` is what goes wrong from now on, `first` how often before it passes."""

    def __init__(
        self,
        parties: Iterable[Registered],
        *,
        port: int = 0,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        largest: int = 0,
    ) -> None:
        self.parties = {party.her_id: party for party in parties}
        self.port = port
        self.asked: list[str] = []  # HER-ids, in the order of the requests
        self.trouble: Trouble | None = None
        self.first: int | None = None
        self.wait = 0.0
        self._filler = largest
        self._listener = Listener(self.handle)
        self._shown = {
            f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}" if user is not None else None,
            f"Bearer {token}" if token is not None else None,
        } - {None}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/v1/AR"

    async def start(self) -> None:
        """Listen; port 0 becomes a free one."""
        self.port = await self._listener.open(self.port)

    async def stop(self) -> None:
        """Listen no more."""
        self._listener.close()

    def put(self, party: Registered) -> None:
        """Register a party, or change one."""
        self.parties[party.her_id] = party

    # --- answering ---

    def handle(self, request: Request) -> Answer:
        """One request."""
        if request.path != "/v1/AR":
            return Answer(status=404)
        if self._shown and request.headers.get("authorization") not in self._shown:
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
        kind = request.headers.get("content-type", "").partition(";")[0]
        asked = _asked(request) if request.method == "POST" and kind in VERSIONS else None
        if asked is None:
            return Answer(status=415 if kind not in VERSIONS else 400)
        self.asked.append(asked)
        return self._troubled(asked, kind) or _answer(self._told(asked, VERSIONS[kind]), kind)

    def _told(self, her_id: str, ns: str) -> etree._Element:
        party = self.parties.get(her_id)
        if party is None:
            words = "Kommunikasjonspart med oppgitt HER-id eksisterer ikke."
            return _fault(ns, words, code="InvalidHerIdSupplied")
        return _details(ns, party)

    def _troubled(self, asked: str, kind: str) -> Answer | None:
        if self.trouble is None or self.first == 0:
            return None
        if self.first is not None:
            self.first -= 1
        return self._trouble(self.trouble, asked, kind)

    def _trouble(self, trouble: Trouble, asked: str, kind: str) -> Answer:
        whole = _answer(self._told(asked, VERSIONS[kind]), kind)
        bad = {
            Trouble.DOWN: Answer(status=503),
            Trouble.SLOW: replace(whole, wait=self.wait),
            Trouble.RESET: Answer(status=200, reset=True),
            Trouble.RUBBISH: Answer(
                status=200, body=b"<html><body>Velkommen</html>", content_type="text/html"
            ),
            Trouble.CUT: replace(whole, body=whole.body[: len(whole.body) // 2]),
            Trouble.DOCTYPE: replace(whole, body=b'<!DOCTYPE x [<!ENTITY a "b">]>' + whole.body),
            Trouble.TOO_LONG: replace(whole, body=whole.body + b" " * self._filler),
        }
        if trouble in bad:
            return bad[trouble]
        return _answer(self._wrong(trouble, asked, VERSIONS[kind]), kind)

    def _wrong(self, trouble: Trouble, asked: str, ns: str) -> etree._Element:
        if trouble is Trouble.FAULT:
            return _fault(ns, "The server was unable to process the request due to an internal error.")
        if trouble is Trouble.REFUSED:
            return _fault(ns, "Ikke tilgang til kommunikasjonspart.", code="AccessDenied")
        return _details(ns, replace(self.parties[asked], her_id="99"))


def _asked(request: Request) -> str | None:
    """The HER-id that is asked about; None where the request is not as the register wants it."""
    try:
        question = parse(request.body).element.find(f".//{{{PARTY}}}GetCommunicationPartyDetails")
    except Refused:
        return None
    return question.findtext(f"{{{PARTY}}}herId") if question is not None else None


def _answer(root: etree._Element, kind: str) -> Answer:
    fault = root.find(".//{*}Fault") is not None
    return Answer(
        status=500 if fault else 200,
        body=etree.tostring(root, encoding="UTF-8"),
        content_type=f"{kind}; charset=utf-8",
    )


def _envelope(ns: str) -> tuple[etree._Element, etree._Element]:
    root = etree.Element(f"{{{ns}}}Envelope", nsmap={"s": ns})
    return root, etree.SubElement(root, f"{{{ns}}}Body")


def _fault(ns: str, words: str, *, code: str | None = None) -> etree._Element:
    root, body = _envelope(ns)
    fault = etree.SubElement(body, f"{{{ns}}}Fault")
    if ns == _NS11:
        _put(fault, "faultcode", "s:Client" if code else "s:Server")
        _put(fault, "faultstring", words)
        detail = etree.SubElement(fault, "detail")
    else:
        _put(etree.SubElement(fault, f"{{{ns}}}Code"), f"{{{ns}}}Value", "s:Sender" if code else "s:Receiver")
        _put(etree.SubElement(fault, f"{{{ns}}}Reason"), f"{{{ns}}}Text", words)
        detail = etree.SubElement(fault, f"{{{ns}}}Detail")
    if code is not None:
        generic = etree.SubElement(detail, f"{{{COMMON}}}GenericFault")
        _put(generic, f"{{{COMMON}}}ErrorCode", code)
        _put(generic, f"{{{COMMON}}}Message", words)
    return root


def _details(ns: str, party: Registered) -> etree._Element:
    """The answer, in the order of the service's schema."""
    root, body = _envelope(ns)
    response = etree.SubElement(body, f"{{{PARTY}}}GetCommunicationPartyDetailsResponse")
    made = etree.SubElement(response, f"{{{PARTY}}}GetCommunicationPartyDetailsResult")
    derived = "OrganizationPerson" if party.kind == "Person" else party.kind
    made.set(f"{{{INSTANCE}}}type", derived)
    above = party.parent
    _put(made, f"{{{PARTY}}}Active", str(party.active).lower())
    _put(made, f"{{{PARTY}}}DisplayName", party.display_name)
    _electronic(made, party)
    _put(made, f"{{{PARTY}}}HerId", party.her_id)
    _put(made, f"{{{PARTY}}}IsValidCommunicationParty", str(party.active).lower())
    if party.municipality is not None:
        _code(made, f"{{{PARTY}}}Municipality", party.municipality)
    _put(made, f"{{{PARTY}}}Name", party.name)
    _put(made, f"{{{PARTY}}}ParentHerId", above.her_id if above else "-1")
    _put(made, f"{{{PARTY}}}ParentName", above.name if above else None)
    _put(made, f"{{{PARTY}}}ParentOrganizationNumber", (above.organisation_number if above else None) or "-1")
    _postal(made, party)
    _put(made, f"{{{PARTY}}}Type", party.kind)
    valid = etree.SubElement(made, f"{{{PARTY}}}Valid")
    _put(valid, f"{{{COMMON}}}From", party.valid_from)
    _put(valid, f"{{{COMMON}}}To", party.valid_to)
    if party.kind == "Organization":
        _put(made, f"{{{PARTY}}}OrganizationNumber", party.organisation_number or "-1")
    return root


def _electronic(made: etree._Element, party: Registered) -> None:
    listed = etree.SubElement(made, f"{{{PARTY}}}ElectronicAddresses")
    for code, address in party.electronic:
        one = etree.SubElement(listed, f"{{{COMMON}}}ElectronicAddress")
        _put(one, f"{{{COMMON}}}Address", address)
        _put(one, f"{{{COMMON}}}Inherited", "false")
        _code(one, f"{{{COMMON}}}Type", code)
        _put(one, f"{{{COMMON}}}TypeCodeValue", code)


def _postal(made: etree._Element, party: Registered) -> None:
    listed = etree.SubElement(made, f"{{{PARTY}}}PhysicalAddresses")
    for code, street, postal_code, city in party.postal:
        one = etree.SubElement(listed, f"{{{COMMON}}}PhysicalAddress")
        _put(one, f"{{{COMMON}}}City", city)
        _put(one, f"{{{COMMON}}}Country", None)
        _put(one, f"{{{COMMON}}}Inherited", "false")
        _put(one, f"{{{COMMON}}}PostalCode", postal_code)
        _put(one, f"{{{COMMON}}}Postbox", "")
        _put(one, f"{{{COMMON}}}StreetAddress", street)
        _put(one, f"{{{COMMON}}}TypeCodeValue", code)


def _code(parent: etree._Element, tag: str, value: str) -> None:
    _put(etree.SubElement(parent, tag), f"{{{COMMON}}}CodeValue", value)


def _put(parent: etree._Element, tag: str, text: str | None) -> None:
    """A child with that text; without one it is nil, as the register writes it."""
    child = etree.SubElement(parent, tag)
    if text is None:
        child.set(f"{{{INSTANCE}}}nil", "true")
    else:
        child.text = text


# --- a region's parties -----------------------------------------------------------------------------------


def registered(register: Register) -> tuple[Registered, ...]:
    """The parties and services of a region file that have a HER-id, as a register would have them."""
    return tuple(one for party in register.parties for one in _registered(party))


def _registered(party: Party) -> Iterable[Registered]:
    own = _her_id(party.identifiers)
    above = Registered(her_id=own, kind="Organization", name=party.name.upper()) if own else None
    if above is not None:
        yield above
    for service in party.services:
        if number := _her_id(service.identifiers):
            yield _service(number, service, above)


def _service(number: str, service: Service, above: Registered | None) -> Registered:
    edi = (("E_EDI", f"{service.role}-{number}@edi.example"),)
    name = service.name or service.role
    return Registered(her_id=number, kind="Service", name=name, parent=above, electronic=edi)


def _her_id(identifiers: Iterable[tuple[str, str]]) -> str | None:
    return next((value for system, value in identifiers if system == HER), None)
