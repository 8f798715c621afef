"""Messages made readable: indented where they are well-formed, else shown as the text that they are.

Nothing in a payload is obeyed: no entity is expanded, nothing is fetched, characters that hide or turn text
around are shown as what they are. JSON is indented token by token, so that `72.50` stays `72.50`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from lxml import etree

CUT = 200_000
"""Characters of a message that a page shows."""

LARGEST = 1_000_000
"""Bytes of a message that is still indented; a larger one is shown as it came."""

_DEEPEST = 100  # indentation below that would be longer than the content
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_HIDDEN = {c: chr(0x2400 + c) for c in range(32) if c not in (9, 10)} | {
    0x7F: "\u2421",
    **{c: f"\\u{c:04x}" for c in (0x61C, *range(0x80, 0xA0), *range(0x200B, 0x2010))},
    **{c: f"\\u{c:04x}" for c in (*range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)},
}
"""Control characters and turners of text, each with what shows that it is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretty:
    """A message as a page shows it."""

    form: str  # XML, JSON or text
    text: str
    notes: tuple[str, ...] = ()  # what was done to it, as keys of the catalogs


_CUT = "Cut after 200 kB; the whole message is in the store."


def pretty(content: bytes) -> Pretty:
    """`content` as a person can read it; never raises, whatever it holds."""
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if len(content) > LARGEST:
        return _as_text(content, "Shown as plain text. It is too long to be indented.")
    if start in (b"{", b"["):
        return _json(content)
    if start == b"<":
        return _xml(content)
    return _as_text(content, "Shown as plain text. It is neither XML nor JSON.")


def _json(content: bytes) -> Pretty:
    bare = content.removeprefix(b"\xef\xbb\xbf")
    try:
        orjson.loads(bare)
    except orjson.JSONDecodeError:
        return _as_text(content, "Shown as plain text. It is not well-formed JSON.")
    pieces: list[str] = []
    length = 0
    for piece in _indented(bare.decode()):
        pieces.append(piece)
        length += len(piece)
        if length > CUT:
            break
    return _cut("JSON", "".join(pieces), "Indented for reading; the values are as they were written.")


def _indented(text: str) -> Iterator[str]:
    """The tokens of a well-formed JSON document with new line breaks between them."""
    depth = 0
    before = ""
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if piece in "}]":
            depth -= 1
            if before not in ("{", "["):
                yield "\n" + "  " * min(depth, _DEEPEST)
        elif before in ("{", "[", ","):
            yield "\n" + "  " * min(depth, _DEEPEST)
        yield ": " if piece == ":" else piece
        if piece in "{[":
            depth += 1
        before = piece


def _xml(content: bytes) -> Pretty:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return _as_text(
            content, "Shown as plain text. It has a document type declaration, so it is not read as XML."
        )
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        return _as_text(content, "Shown as plain text. It is not well-formed XML.")
    if _depth(root) > _DEEPEST:
        return _as_text(content, "Shown as plain text. It nests too deeply to be indented.")
    etree.indent(root, space="  ")
    beside = [*reversed([*root.itersiblings(preceding=True)]), root, *root.itersiblings()]
    made = "\n".join(etree.tostring(node, encoding="unicode", with_tail=False) for node in beside)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<?xml"):
        info = root.getroottree().docinfo
        made = f'<?xml version="{info.xml_version}" encoding="{info.encoding}"?>\n{made}'
    return _cut("XML", made, "Indented for reading; only white space between elements has changed.")


def _depth(root: etree._Element) -> int:
    deepest = depth = 0
    for happened, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if happened == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _as_text(content: bytes, why: str) -> Pretty:
    text = content[: 4 * CUT].decode("utf-8", errors="replace")
    return _cut("text", text, why, cut=len(content) > 4 * CUT)


def _cut(form: str, text: str, *notes: str, cut: bool = False) -> Pretty:
    if cut or len(text) > CUT:
        notes = (*notes, _CUT)
    shown = text[:CUT].replace("\r\n", "\n").translate(_HIDDEN)
    return Pretty(form=form, text=shown, notes=notes)
