"""What the national message server (NHN EDI 2.0, "MSH API v2") says and takes in JSON, read without trust.

Properties that are not known here are passed over, as the interface promises new ones. Receipts travel there
as JSON: `given` makes it of an AppRec that goes out, `told` reads it for a message of ours.
"""

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from enum import StrEnum
from typing import Any
from uuid import UUID

from adapter.errors import Refused
from adapter.mappings.kith import apprec, xml
from adapter.mappings.kith.lists import RECEIPTS
from adapter.mappings.kith.msghead import Original, Station, normal_id
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.envelope import masked
from adapter.phrases import Phrase, phrase, verbatim

LARGEST = 35 * 1024 * 1024
"""Bytes of the largest request that `POST /Messages` takes."""

XML = "application/xml"

_STATUS = {"1": "Ok", "2": "Rejected", "3": "OkErrorInMessagePart"}
_WORD = re.compile(r"[\w.-]{1,20}")
_MOST_SAID = 300  # characters of an error's text
_MOST_ERRORS = 20


class Carried(StrEnum):
    """How far a message has come on its way to one receiver (DeliveryState)."""

    UNCONFIRMED = "Unconfirmed"
    ACKNOWLEDGED = "Acknowledged"
    REJECTED = "Rejected"


RECEIVED = {
    "Ok": Status.ACCEPTED,
    "OkErrorInMessagePart": Status.ACCEPTED,  # taken, with errors
    "Rejected": Status.REFUSED,
}
"""What an AppRecStatus says of the message that it is for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A message in the list of those that wait."""

    id: str  # the server's own, a GUID
    her_id: int  # whose mail it is


@dataclass(frozen=True, kw_only=True, slots=True)
class ForReceiver:
    """How a message stands with one receiver (StatusInfo)."""

    her_id: int
    carried: Carried
    receipt: Status | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The receipt of one receiver (ApprecInfo)."""

    her_id: int
    status: Status | None  # None while there is none
    issues: tuple[Issue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An AppRec that goes out, as the server takes it."""

    original_id: str  # of the message that it is for, normalised
    sender: int  # HER-id in whose name it is given
    receivers: tuple[int, ...]  # HER-ids of the original's sender, the most specific first
    content: dict[str, Any] = field(repr=False)


# --- out --------------------------------------------------------------------------------------------------


def posting(content: bytes, subset: Sequence[int]) -> dict[str, Any]:
    """The request for `POST /Messages`; `subset` names the receivers that it is for, none being all."""
    made: dict[str, Any] = {
        "businessDocument": base64.b64encode(content).decode(),
        "contentType": XML,
        "contentTransferEncoding": "base64",
    }
    return made | ({"receiverHerIdsSubset": list(subset)} if subset else {})


def unfit(content: bytes) -> Phrase | None:
    """Why the server would not take it, known before it is sent; None where it may."""
    size = (len(content) + 2) // 3 * 4  # in base64, as the request has it
    if size > LARGEST - 1024:
        return phrase(
            "the message is {size} MiB, and in base64 over the 35 MB that the "
            "message server takes; send it in parts, or without attachments",
            size=round(len(content) / 1_048_576),
        )
    declared = re.match(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""", content[:200])
    if declared is not None and declared[1].lower() != b"utf-8":
        return phrase(
            "the message is not in UTF-8, the only encoding that the message server takes; ask its sender "
            "to send it in UTF-8"
        )
    return None


def is_receipt(content: bytes) -> bool:
    """Whether that is an AppRec."""
    return xml.root_name(content[:4096]) == "AppRec"


def given(content: bytes) -> Given:
    """An AppRec as `POST /Messages/{id}/apprec/{appRecSenderHerId}` takes it.

    `details` is the receiver's own text (OT), else that of the list. Raises Refused where it is not whole.
    """
    root = xml.parse(content)
    ns = f"{{{root.namespace}}}"
    sender = _her_ids(apprec.read_station(root.one(ns + "Sender"), ns))
    original = normal_id(root.text(ns + "OriginalMsgId", ns + "Id"))
    status = _STATUS.get(root.code(ns + "Status") or "")
    if not sender or original is None or status is None:
        reason = phrase("the receipt names no HER-id of its giver, no original or no status of list 8258")
        raise Refused(reason, code="T02")
    errors = [_error(node) for node in root.all(ns + "Error")]
    if status == "Rejected" and not errors:  # the server takes no rejection without a reason
        errors = [{"errorCode": "X99", "details": RECEIPTS["error"]["X99"]}]
    return Given(
        original_id=original,
        sender=sender[0],
        receivers=_her_ids(apprec.read_station(root.one(ns + "Receiver"), ns)),
        content={"appRecStatus": status, "appRecErrorList": errors},
    )


def _error(node: xml.Node) -> dict[str, str]:
    code = node.code() or "X99"
    listed = RECEIPTS["error"].get(code) or node.display() or ""
    said = (node.element.get("OT") or "").strip()
    return {"errorCode": code, "details": said or listed}


def receivers_in(content: bytes) -> tuple[tuple[int, ...], ...]:
    """The HER-ids of each receiver of a MsgHead, the most specific first; empty where it is none."""
    original = _original(content)
    return tuple(_her_ids(station) for station in original.receivers) if original is not None else ()


def origin(content: bytes) -> tuple[str, tuple[int, ...]] | None:
    """MsgId (normalised) and the sender's HER-ids of a message that came in; None where it says neither."""
    original = _original(content)
    number = normal_id(original.message_id) if original is not None else None
    if original is None or number is None:
        return None
    return number, _her_ids(original.sender)


def _original(content: bytes) -> Original | None:
    from adapter.mappings import kith

    if is_receipt(content):
        return None
    try:
        found = kith.envelope(content, content_type=XML, zone=UTC).opaque
    except Refused:
        return None
    return found if isinstance(found, Original) else None


def _her_ids(station: Station) -> tuple[int, ...]:
    """The HER-ids of an address, the most specific level first."""
    found = (
        ident.id.replace(".", "").strip()
        for level in reversed(station)
        for ident in level.idents
        if ident.type == "HER"
    )
    return tuple(int(n) for n in found if n.isascii() and n.isdigit() and _her_id(int(n[:20])))


# --- in ---------------------------------------------------------------------------------------------------


def unread(entry: Any, asked_for: int) -> Unread | None:
    """One entry of `GET /Messages`; None where it cannot be asked for."""
    if not isinstance(entry, dict):
        return None
    number = guid(entry.get("id"))
    return Unread(id=number, her_id=_her_id(entry.get("receiverHerId")) or asked_for) if number else None


def guid(value: Any) -> str | None:
    """The server's own id of a message, in its usual form; None where it is none."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def document(answer: Any) -> bytes | None:
    """The bytes in `GET /Messages/{id}/business-document`; None where they cannot be made out."""
    text = answer.get("businessDocument") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def statuses(answer: Any) -> tuple[ForReceiver, ...]:
    """`GET /Messages/{id}/status`; an entry that says nothing known is left out."""
    found = []
    for one in answer if isinstance(answer, list) else ():
        her_id = _her_id(one.get("receiverHerId")) if isinstance(one, dict) else None
        state = one.get("transportDeliveryState") if her_id is not None else None
        if her_id is not None and state in tuple(Carried):
            receipt = _received(one.get("appRecStatus"))
            found.append(ForReceiver(her_id=her_id, carried=Carried(state), receipt=receipt))
    return tuple(found)


def told(answer: Any) -> tuple[Told, ...]:
    """`GET /Messages/{id}/apprec`: what each receiver has said of a message, with its reasons."""
    found = []
    for one in answer if isinstance(answer, list) else ():
        her_id = _her_id(one.get("receiverHerId")) if isinstance(one, dict) else None
        if her_id is not None:
            status = _received(one.get("appRecStatus"))
            found.append(Told(her_id=her_id, status=status, issues=_issues(one.get("appRecErrorList"))))
    return tuple(found)


def standing(found: Sequence[ForReceiver], her_ids: Collection[int]) -> ForReceiver | None:
    """How a message stands with the party that has these HER-ids; of several entries the worst counts.

    A message to one receiver is that party's under whichever number. None where nothing is said of it.
    """
    mine = [one for one in found if one.her_id in her_ids] or (list(found) if len(found) == 1 else [])
    if not mine:
        return None
    order = (Carried.REJECTED, Carried.UNCONFIRMED, Carried.ACKNOWLEDGED)
    worst = min(mine, key=lambda one: order.index(one.carried))
    said = [one.receipt for one in mine if one.receipt is not None]
    refused = Status.REFUSED in said
    receipt = Status.REFUSED if refused else said[0] if len(said) == len(mine) else None
    return ForReceiver(her_id=worst.her_id, carried=worst.carried, receipt=receipt)


def fault(answer: Any) -> Phrase | None:
    """An ErrorMessage for a person: text, code, what is invalid, and the number under which it was logged.

    What may be a person's number in it is masked, and it is cut to a few hundred characters.
    """
    if not isinstance(answer, dict):
        return None
    said = [_text(answer.get("error"))]
    found = answer.get("validationErrors")
    said += [_text(one) for one in found[:_MOST_ERRORS]] if isinstance(found, list) else []
    text = "; ".join(one for one in said if one)[:_MOST_SAID]
    code, request = answer.get("errorCode"), _text(answer.get("requestId"))
    marks = _marks(code if isinstance(code, int) and not isinstance(code, bool) else None, request[:80])
    if marks is None:
        return verbatim(text) if text else None
    return phrase("{words} {marks}", words=verbatim(text), marks=marks) if text else marks


def _marks(code: int | None, request: str) -> Phrase | None:
    """The numbers by which the server's own people find a fault."""
    if code is not None and request:
        return phrase("(error {code}, request {request})", code=str(code), request=request)
    if code is not None:
        return phrase("(error {code})", code=str(code))
    return phrase("(request {request})", request=request) if request else None


_GUID = re.compile(r"(?<![\w-])([0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12})(?![\w-])")


def _text(value: Any) -> str:
    """Printable, and without what may be the number of a person; a GUID stays whole."""
    if not isinstance(value, str):
        return ""
    shown = "".join(letter if letter.isprintable() else " " for letter in value).strip()
    parts = _GUID.split(shown)  # every second one is a GUID
    return "".join(part if at % 2 else masked(part) for at, part in enumerate(parts))


def _issues(errors: Any) -> tuple[Issue, ...]:
    made = []
    for one in errors[:_MOST_ERRORS] if isinstance(errors, list) else ():
        if not isinstance(one, dict):
            continue
        code = one.get("errorCode")
        code = code if isinstance(code, str) and _WORD.fullmatch(code) else "X99"
        said = (RECEIPTS["error"].get(code), _text(one.get("description")), _text(one.get("details")))
        text = ": ".join(dict.fromkeys(part for part in said if part))[:_MOST_SAID]
        made.append(Issue(code=code, text=text))
    return tuple(made)


def _received(value: Any) -> Status | None:
    return RECEIVED.get(value) if isinstance(value, str) else None


def _her_id(value: Any) -> int | None:
    """A HER-id, which is an int32 there; None where it is none."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
    return int(value) if fits else None
