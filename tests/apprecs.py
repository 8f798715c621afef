"""KITH messages with copy receivers, and the AppRecs that are on their way back for them."""

import re

from lxml import etree

from adapter.store import messages, tables
from tests.stage import Stage

NURSING, CASE_WORK = "8143551", "8143552"
"""Sogndal's two services."""


def to_service(content: bytes, service: str, *, was: str = NURSING) -> bytes:
    return content.replace(was.encode(), service.encode())


def with_copy(content: bytes, *, service: str = CASE_WORK, was: str = NURSING) -> bytes:
    """The same message with a copy receiver: another service of the same organisation."""
    text = content.decode()
    found = re.search(r"<Receiver>.*?</Receiver>", text, re.S)
    assert found is not None
    copy = found.group().replace(was, service)
    copy = copy.replace("<Receiver>", '<OtherReceiver><RoleReceiver V="COP" DN="Kopimottaker"/>')
    copy = copy.replace("</Receiver>", "</OtherReceiver>")
    return text.replace(found.group(), found.group() + copy).encode()


def receipts(play: Stage) -> list[tuple[str, str, str, str]]:
    """(message receipted, role, service that gives it, status) of every AppRec on its way to the hospital."""
    rows = play.rows(tables.delivery, kind="receipt")
    with play.built.store.read() as connection:
        found = [messages.content(connection, row["payload"]) for row in rows]
    return [_receipt(one) for one in found if one is not None]


def _receipt(content: bytes) -> tuple[str, str, str, str]:
    root = etree.fromstring(content)

    def at(*path: str) -> etree._Element:
        found = root
        for name in path:
            found = next(child for child in found if etree.QName(child).localname == name)
        return found

    service = at("Sender", "HCP", "Inst", "Dept", "Id")
    original = at("OriginalMsgId", "Id").text
    return str(original), at("Sender", "Role").get("V"), str(service.text), at("Status").get("V")
