"""The official schemas in one, where DISCHARGE_ADAPTER_SAMPLES says where they lie."""

import os
from functools import cache
from pathlib import Path

from lxml import etree

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
_LEFT_OUT = (
    "EPJEkstrakt",
    "Epikrise-v1.0",
    "iCalendar",
)  # of no message here, or the same as others


@cache
def schema() -> etree.XMLSchema:
    """Every namespace of the folder: envelope, payloads, receipts and attachments."""
    assert SAMPLES
    folder = Path(SAMPLES) / "norway" / "xsd"
    files: dict[str, str] = {}
    for path in sorted(folder.glob("*.xsd")):
        namespace = etree.parse(path).getroot().get("targetNamespace")
        if namespace and not path.name.startswith(_LEFT_OUT):
            files.setdefault(namespace, path.name)
    imports = "".join(f'<import namespace="{ns}" schemaLocation="{name}"/>' for ns, name in files.items())
    text = f'<schema xmlns="http://www.w3.org/2001/XMLSchema">{imports}</schema>'
    return etree.XMLSchema(etree.fromstring(text, base_url=str(folder / "all.xsd")))


def valid(content: bytes) -> None:
    """Hold a message against the schemas; nothing is said where they are not."""
    if SAMPLES:
        schema().assertValid(etree.fromstring(content))
