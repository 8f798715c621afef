"""What the pretend message server takes and makes: requests as the OpenAPI of EDI 2.0 has them, documents.

It reads business documents by itself, not with the adapter's own mapping, so that one does not hide the
other's faults.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import orjson
from lxml import etree

from adapter.simulator.http import Request

LARGEST = 35 * 1024 * 1024
_OSLO = ZoneInfo("Europe/Oslo")
_MH = "{http://www.kith.no/xmlstds/msghead/2006-05-24}"
_APPREC = "http://www.kith.no/xmlstds/apprec/2012-02-15"
_STATUS = {
    "Ok": ("1", "OK"),
    "Rejected": ("2", "Avvist"),
    "OkErrorInMessagePart": ("3", "OK, feil i delmelding"),
}
_TEXT, _FLAG = (str, type(None)), (bool, type(None))
_EBXML: dict[str, tuple[type, ...]] = dict.fromkeys(
    ("cpaId", "conversationId", "service", "serviceType", "action", "senderRole", "receiverRole",
     "applicationName", "applicationVersion", "middlewareName", "middlewareVersion"), _TEXT
) | dict.fromkeys(("useSenderLevel1HerId", "compressPayload"), _FLAG)  # fmt: skip


class Invalid(Exception):
    """A request that the OpenAPI does not allow; its text is the validation error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Business:
    """The outside of a business document."""

    content: bytes = field(repr=False)
    message_id: str
    issued: str  # GenDate
    type: str
    sender: int
    receivers: tuple[int, ...]
    of: str | None = None  # of an AppRec: the MsgId of the message that it is for


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """`PostMessageRequest`."""

    content: bytes = field(repr=False)
    subset: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """The query of `GET /Messages`; every other operation has none."""

    said: Mapping[str, list[str]]

    def receivers(self) -> tuple[int, ...]:
        """ReceiverHerIds, which must be there."""
        found = tuple(
            whole_number(one, "ReceiverHerIds", least=-(2**31)) for one in self._all("ReceiverHerIds")
        )
        if not found or len(set(found)) < len(found):
            raise Invalid("ReceiverHerIds must be there, each once")
        self.check()
        return found

    def check(self) -> None:
        """Raises Invalid for what is no value of its parameter."""
        _ = self.most, self.descending, self.metadata
        sender, number = self._one("SenderHerId"), self._one("BusinessDocumentId")
        if sender is not None:
            whole_number(sender, "SenderHerId", least=-(2**31))
        if number is not None and len(number) > 100:
            raise Invalid("BusinessDocumentId is too long")

    def wants(self, business: Business) -> bool:
        """Whether a message is among those asked for."""
        sender, number = self._one("SenderHerId"), self._one("BusinessDocumentId")
        return (sender is None or int(sender) == business.sender) and number in (None, business.message_id)

    @property
    def most(self) -> int:
        """MessagesToFetch."""
        found = self._one("MessagesToFetch")
        number = 10 if found is None else whole_number(found, "MessagesToFetch")
        if number > 100:
            raise Invalid("MessagesToFetch must be 1 to 100")
        return number

    @property
    def descending(self) -> bool:
        """OrderBy."""
        found = self._one("OrderBy") or "Ascending"
        if found not in ("Ascending", "Descending", "1", "2"):
            raise Invalid("OrderBy must be Ascending or Descending")
        return found in ("Descending", "2")

    @property
    def metadata(self) -> bool:
        """IncludeMetadata."""
        found = (self._one("IncludeMetadata") or "false").lower()
        if found not in ("true", "false"):
            raise Invalid("IncludeMetadata must be true or false")
        return found == "true"

    def _all(self, name: str) -> list[str]:
        return self.said.get(name, [])

    def _one(self, name: str) -> str | None:
        found = self._all(name)
        if len(found) > 1 or found == [""]:
            raise Invalid(f"{name} must be there once, with a value")
        return found[0] if found else None


def query(said: Mapping[str, list[str]]) -> Query:
    """The query of a request."""
    return Query(said=said)


def whole_number(text: str, name: str, *, least: int = 1) -> int:
    """An int32 of at least `least`. Raises Invalid."""
    bare = text.removeprefix("-")
    if not (bare.isascii() and bare.isdigit() and len(bare) < 12 and least <= int(text) < 2**31):
        raise Invalid(f"{name} must be a whole number of at least {least}")
    return int(text)


def with_offset(issued: str) -> str:
    """A GenDate as a date-time of RFC 3339, which must say its offset; documents give Norwegian time."""
    try:
        found = datetime.fromisoformat(issued)
    except ValueError:
        return "1970-01-01T00:00:00+00:00"
    return (found if found.tzinfo is not None else found.replace(tzinfo=_OSLO)).isoformat()


# --- bodies -----------------------------------------------------------------------------------------------


def posted(request: Request) -> Posted:
    """The body of `POST /Messages`. Raises Invalid."""
    if len(request.body) > LARGEST:
        raise Invalid("the request is larger than 35 MB")
    form = _body(request, "businessDocument", "contentType", "contentTransferEncoding")
    _known(
        form,
        {
            "businessDocument",
            "contentType",
            "contentTransferEncoding",
            "ebXmlOverrides",
            "receiverHerIdsSubset",
        },
    )
    texts = [form[name] for name in ("businessDocument", "contentType", "contentTransferEncoding")]
    if not all(isinstance(text, str) and text for text in texts):
        raise Invalid("businessDocument, contentType and contentTransferEncoding must be texts")
    _check_ebxml(form.get("ebXmlOverrides"))
    subset = form.get("receiverHerIdsSubset") or []
    if not isinstance(subset, list) or not all(
        isinstance(n, int) and not isinstance(n, bool) for n in subset
    ):
        raise Invalid("receiverHerIdsSubset must be a list of whole numbers")
    if texts[1] != "application/xml" or texts[2] != "base64":
        raise Invalid("the document must be application/xml in base64")
    try:
        return Posted(content=base64.b64decode(texts[0], validate=True), subset=tuple(subset))
    except (binascii.Error, ValueError):
        raise Invalid("businessDocument is no base64") from None


def receipt(request: Request) -> tuple[str, list[dict[str, Any]]]:
    """The body of `POST /Messages/{id}/apprec/{herId}`: status and errors. Raises Invalid."""
    form = _body(request, "appRecStatus")
    _known(form, {"appRecStatus", "appRecErrorList", "ebXmlOverrides"})
    _check_ebxml(form.get("ebXmlOverrides"))
    status, errors = form["appRecStatus"], form.get("appRecErrorList") or []
    if not isinstance(status, str) or status not in _STATUS:
        raise Invalid("appRecStatus must be Ok, Rejected or OkErrorInMessagePart")
    if not isinstance(errors, list) or (status == "Rejected" and not errors):
        raise Invalid("appRecErrorList must be a list, with an error where the message is rejected")
    return status, [_receipt_error(one) for one in errors]


def _receipt_error(error: Any) -> dict[str, Any]:
    if not isinstance(error, dict) or not {"errorCode", "details"} <= error.keys():
        raise Invalid("an error must have errorCode and details")
    _known(error, {"errorCode", "details", "description", "oid"})
    if not all(isinstance(value, _TEXT) for value in error.values()):
        raise Invalid("errorCode and details must be texts")
    return {"description": None, "oid": None} | error


def _body(request: Request, *needed: str) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/json") and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise Invalid("the body must be JSON")
    try:
        form = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Invalid("the body is no JSON") from None
    if not isinstance(form, dict):
        raise Invalid("the body must be an object")
    missing = [name for name in needed if form.get(name) is None]
    if missing:
        raise Invalid(f"{', '.join(missing)} must be there")
    return form


def _known(form: Mapping[str, Any], names: set[str]) -> None:
    unknown = set(form) - names
    if unknown:
        raise Invalid("there is a property that the request does not have")


def _check_ebxml(overrides: Any) -> None:
    if overrides is None:
        return
    if not isinstance(overrides, dict):
        raise Invalid("ebXmlOverrides must be an object")
    _known(overrides, set(_EBXML))
    if not all(isinstance(value, _EBXML[name]) for name, value in overrides.items()):
        raise Invalid("a value of ebXmlOverrides is of another type")


# --- documents --------------------------------------------------------------------------------------------


def opened(content: bytes) -> Business:
    """A MsgHead or an AppRec. Raises Invalid."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Invalid("the document is no well-formed XML") from None
    made = _receipt_in(root, content) if root.tag.endswith("}AppRec") else _message_in(root, content)
    if made is None:
        raise Invalid("the document is neither a MsgHead nor an AppRec with sender and receiver")
    return made


def _message_in(root: etree._Element, content: bytes) -> Business | None:
    info = root.find(f"{_MH}MsgInfo")
    sender = _deepest(info.find(f"{_MH}Sender")) if info is not None else None
    if info is None or sender is None:
        return None
    others = (*info.iterfind(f"{_MH}Receiver"), *info.iterfind(f"{_MH}OtherReceiver"))
    receivers = tuple(dict.fromkeys(her_id for one in others if (her_id := _deepest(one)) is not None))
    kind = info.find(f"{_MH}Type")
    number, issued = info.findtext(f"{_MH}MsgId"), info.findtext(f"{_MH}GenDate")
    if not receivers or kind is None or not number or not issued:
        return None
    return Business(
        content=content,
        message_id=number,
        issued=issued,
        type=str(kind.get("V")),
        sender=sender,
        receivers=receivers,
    )


def _receipt_in(root: etree._Element, content: bytes) -> Business | None:
    ns = root.tag.partition("}")[0] + "}"
    ends = [_last(root.find(ns + tag), ns) for tag in ("Sender", "Receiver")]
    original = root.findtext(f"{ns}OriginalMsgId/{ns}Id")
    number, issued = root.findtext(f"{ns}Id"), root.findtext(f"{ns}GenDate")
    if ends[0] is None or ends[1] is None or not (original and number and issued):
        return None
    return Business(
        content=content,
        message_id=number,
        issued=issued,
        type="APPREC",
        sender=ends[0],
        receivers=(ends[1],),
        of=original,
    )


def _deepest(party: etree._Element | None) -> int | None:
    """The HER-id of the innermost organisation that has one."""
    found = None
    for organisation in party.iter(f"{_MH}Organisation") if party is not None else ():
        for ident in organisation.iterfind(f"{_MH}Ident"):
            kind = ident.find(f"{_MH}TypeId")
            if kind is not None and kind.get("V") == "HER":
                found = _number(ident.findtext(f"{_MH}Id")) or found
    return found


def _last(party: etree._Element | None, ns: str) -> int | None:
    """The HER-id of a department, else of the institution."""
    levels = (*party.iter(f"{ns}Inst"), *party.iter(f"{ns}Dept")) if party is not None else ()
    return next((n for one in reversed(levels) for n in _her_ids(one, ns)), None)


def _her_ids(level: etree._Element, ns: str) -> Iterator[int]:
    kind = level.find(f"{ns}TypeId")
    number = _number(level.findtext(f"{ns}Id"))
    if kind is not None and kind.get("V") == "HER" and number is not None:
        yield number


def _number(text: str | None) -> int | None:
    bare = (text or "").strip().replace(".", "")
    return int(bare) if bare.isascii() and bare.isdigit() and 0 < int(bare) < 2**31 else None


def receipt_document(
    original: Business, giver: int, status: str, errors: Sequence[Mapping[str, Any]], *, id: str, at: datetime
) -> bytes:
    """The AppRec 1.1 that the server makes of a receipt in JSON."""
    code, name = _STATUS[status]
    told = "".join(
        f'<Error V={quoteattr(str(one["errorCode"]))} S="2.16.578.1.12.4.1.1.8221"'
        f" OT={quoteattr(str(one['details'] or ''))}/>"
        for one in errors
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><AppRec xmlns="{_APPREC}"><MsgType V="APPREC"/>'
        f"<MIGversion>v1.1 2012-02-15</MIGversion><GenDate>{at.isoformat()}</GenDate><Id>{id}</Id>"
        f'<Sender><Role V="PRIM"/>{_party(giver)}</Sender><Receiver><Role V="AVS"/>{_party(original.sender)}'
        f'</Receiver><Status V="{code}" DN={quoteattr(name)}/>{told}<OriginalMsgId>'
        f"<MsgType V={quoteattr(original.type)}/><IssueDate>{escape(original.issued)}</IssueDate>"
        f"<Id>{escape(original.message_id)}</Id></OriginalMsgId></AppRec>"
    ).encode()


def _party(her_id: int) -> str:
    return f'<HCP><Inst><Name>HER {her_id}</Name><Id>{her_id}</Id><TypeId V="HER" DN="HER-id"/></Inst></HCP>'
