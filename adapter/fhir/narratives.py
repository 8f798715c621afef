"""Narrative at the border: the part of XHTML that FHIR allows, and nothing that loads or runs.

FHIR R4 narrative.html#xhtml: basic formatting, lists, tables, links and images; no script, no form, no
frame, no event handler. We also refuse whatever would fetch from elsewhere, as a page that shows a
patient's message must not tell a third party that it is being read. A link fetches nothing until somebody
follows it, so it may lead out.
"""

from re import IGNORECASE, compile

from lxml import etree

from adapter.errors import Refused
from adapter.fhir.codes import words
from adapter.phrases import phrase

XHTML = "{http://www.w3.org/1999/xhtml}"
ALLOWED = words(
    "a abbr acronym address b bdo big blockquote br caption center cite code col colgroup dd dfn div dl dt "
    "em font h1 h2 h3 h4 h5 h6 hr i img ins del kbd li ol p pre q s samp small span strike strong sub sup "
    "table tbody td tfoot th thead tr tt u ul var"
)
_LEADS_OUT = frozenset(("href", "src", "background", "cite", "longdesc", "usemap"))
_STYLE_LOADS = compile(r"url\s*\(|expression\s*\(|@import|javascript:|\\", IGNORECASE)
_LINK = compile(r"(https?://|mailto:|tel:|[^:]*$)", IGNORECASE)
_PLAIN = compile(r'<div xmlns="http://www\.w3\.org/1999/xhtml">(?:<p>[^<&]*</p>|<p/>)*</div>')


def check(div: str) -> None:
    """Refused where `Narrative.div` is not well-formed, or holds what may not be there."""
    if _PLAIN.fullmatch(div):
        return  # what we write ourselves
    if "<!" in div or "<?" in div:
        raise Refused(phrase("a narrative has a declaration, comment or instruction"), code="structure")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(div, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Refused(phrase("a narrative is not well-formed XHTML"), code="structure") from None
    if root.tag != f"{XHTML}div":
        raise Refused(phrase("a narrative is not a div of XHTML"), code="structure")
    for element in root.iter():
        _check_element(element)


def _check_element(element: etree._Element) -> None:
    tag = element.tag
    if not isinstance(tag, str) or not tag.startswith(XHTML) or tag[len(XHTML) :] not in ALLOWED:
        raise Refused(
            phrase("a narrative has an element that FHIR does not allow there, as script"), code="structure"
        )
    for name, value in element.attrib.items():
        low = str(name).lower()
        if low.startswith(("on", "{")) and low != "{http://www.w3.org/xml/1998/namespace}lang":
            raise Refused(phrase("a narrative has an event handler or a foreign attribute"), code="structure")
        link = tag == f"{XHTML}a" and low == "href" and _LINK.match(str(value))
        if low in _LEADS_OUT and not link and not str(value).startswith("#"):
            raise Refused(phrase("a narrative refers to something outside the message"), code="structure")
        if low == "style" and _STYLE_LOADS.search(str(value)):
            raise Refused(phrase("a narrative has a style that loads or runs something"), code="structure")
