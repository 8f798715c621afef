"""Dialogue messages after an accident: read as valid FHIR and written again, or refused with a code."""

import random
from copy import deepcopy
from zoneinfo import ZoneInfo

from lxml import etree

from adapter.errors import Refused
from adapter.fhir.validation import validate
from adapter.mappings import Addressing, Reading, kith
from tests.mappings.test_dialogue_samples import FIXTURES

OSLO = ZoneInfo("Europe/Oslo")
_XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
MARKUP = (
    f"<p {_XHTML}>a<br/>b</p>",
    f"<script {_XHTML}>x</script>",
    f'<a {_XHTML} href="javascript:x">k</a>',
    f'<p {_XHTML} onclick="x"> </p>',
    "<y/>",
)
TEXTS = ("", "  ", "\u00a0", "x" * 5000, "2014-13-99", "<>&")
VALUES = ("", " ", "a  b", "x\u00a0y", "1.2.3.", "99999", "urn:x", "æ")


def broken(content: bytes, dice: random.Random) -> bytes:
    """Elements of the payload dropped, doubled, moved, renamed; texts, codes and markup changed."""
    root = etree.fromstring(content)
    (payload,) = root.iter("{*}Dialogmelding")
    for _ in range(dice.randint(1, 3)):
        elements = [one for one in payload.iter("{*}*") if one is not payload]
        if not elements:
            break
        one = dice.choice(elements)
        parent = one.getparent()
        assert parent is not None
        match dice.randrange(7):
            case 0:
                parent.remove(one)
            case 1:
                parent.append(deepcopy(one))
            case 2:
                parent.insert(0, one)
            case 3:
                one.tag = dice.choice(elements).tag
            case 4:
                one.text = dice.choice(TEXTS)
            case 5:
                for name in one.attrib:
                    one.set(str(name), dice.choice(VALUES))
            case _:
                one.append(etree.fromstring(dice.choice(MARKUP)))
    return etree.tostring(root, encoding="UTF-8")


def written_again(found: Reading, dialect: str) -> Reading:
    assert found.bundle is not None
    addressing = Addressing(
        message_id="5b1f7a54-9a3c-4b52-8c39-0c3f4f6d2a11",
        transmission_id="-",
        sender=found.envelope.sender,
        receiver=found.envelope.receivers[0],
    )
    content = kith.write(found.bundle, dialect=dialect, addressing=addressing).content
    return kith.read(content, content_type=None, zone=OSLO)


def test_no_accident_makes_fhir_that_is_none_or_cannot_be_written() -> None:
    dice = random.Random(1077)
    originals = [path.read_bytes() for path in FIXTURES]
    read = 0
    for _ in range(150):
        found = kith.read(broken(dice.choice(originals), dice), content_type=None, zone=OSLO)
        if found.bundle is None:
            assert isinstance(found.problem, Refused)
            continue
        validate(found.bundle)
        again = written_again(found, dice.choice(kith.NAMES))
        assert again.bundle is not None
        validate(again.bundle)
        read += 1
    assert read > 100
