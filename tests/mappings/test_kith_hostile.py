"""Bytes that nobody should send: refused in words, never a crash, never a fetch, never an expansion."""

import random
import tracemalloc
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.errors import MessageError, Refused
from adapter.mappings import Head, kith

PLO = Path(__file__).parents[2] / "fixtures" / "plo"
OSLO = ZoneInfo("Europe/Oslo")
ADMITTED = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
START = ADMITTED.index(b"<MsgHead")
MSGHEAD = b"http://www.kith.no/xmlstds/msghead/2006-05-24"


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        kith.read(content, content_type="application/xml", zone=OSLO)
    return caught.value


def with_doctype(doctype: bytes, body: bytes = ADMITTED) -> bytes:
    at = body.index(b"<MsgHead")
    return body[:at] + doctype + body[at:]


NOT_XML = {
    "empty": b"",
    "white space": b"  \n",
    "text": b"Melding om innlagt pasient",
    "truncated": ADMITTED[:1500],
    "nothing but a BOM": b"\xef\xbb\xbf",
    "NUL inside": ADMITTED.replace(b"Fjellheim", b"Fjell\0heim"),
    "UTF-16": ADMITTED.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "UTF-7 declared": ADMITTED.replace(b"UTF-8", b"UTF-7"),
    "Latin-1 bytes called UTF-8": ADMITTED.decode().encode("latin-1"),
    "control character": ADMITTED.replace(b"Fjellheim", b"Fjell\x0bheim"),
    "undefined entity": ADMITTED.replace(b"Fjellheim", b"Fjell&nbsp;heim"),
    "two roots": ADMITTED + b"<MsgHead/>",
    "nested too deeply": b"<MsgHead>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</MsgHead>",
}


@pytest.mark.parametrize("name", NOT_XML)
def test_what_is_not_well_formed_is_t01(name: str) -> None:
    refused = refusal(NOT_XML[name])
    assert refused.code == "T01"
    assert "Fjell" not in refused.reason


DOCTYPES = {
    "bare": b"<!DOCTYPE MsgHead>",
    "lower case": b"<!doctype MsgHead>",
    "entity": b'<!DOCTYPE MsgHead [<!ENTITY e "x">]>',
    "external": b'<!DOCTYPE MsgHead SYSTEM "http://127.0.0.1:9/x.dtd">',
    "file": b'<!DOCTYPE MsgHead [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    "parameter entity": b'<!DOCTYPE MsgHead [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    "behind a comment": b"<!-- a --> <?b c?> <!-- -- --><!DOCTYPE MsgHead>".replace(
        b"<!-- -- -->", b"<!-- d -->"
    ),
    "laughs": b"<!DOCTYPE MsgHead [<!ENTITY a 'ha'>"
    + b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]>",
}


@pytest.mark.parametrize("name", DOCTYPES)
def test_every_doctype_is_refused(name: str) -> None:
    content = with_doctype(DOCTYPES[name], ADMITTED.replace(b"Fjellheim", b"&e;"))
    refused = refusal(content)
    assert refused.code == "T01"
    assert "DOCTYPE" in refused.reason
    assert "root:" not in refused.reason


def test_a_doctype_in_a_comment_is_none() -> None:
    content = with_doctype(b"<!-- <!DOCTYPE MsgHead> -->")
    assert kith.read(content, content_type=None, zone=OSLO).problem is None


@pytest.mark.parametrize(
    "content",
    [
        ADMITTED.replace(MSGHEAD, b"http://www.kith.no/xmlstds/msghead/1999-01-01"),
        ADMITTED.replace(b' xmlns="' + MSGHEAD + b'"', b""),
        b"<AppRec xmlns='http://www.kith.no/xmlstds/apprec/2031-01-01'/>",
        b"<AppRec/>",
    ],
)
def test_a_wrong_namespace_is_claimed_and_refused_in_words(content: bytes) -> None:
    assert kith.recognises(Head(content=content))
    refused = refusal(content)
    assert refused.code == "T10"
    assert "namespace" in refused.reason


@pytest.mark.parametrize(
    "content", [b"<MsgHead xmlns='%s'/>" % MSGHEAD, ADMITTED.replace(b"MsgInfo>", b"Info>")]
)
def test_a_shell_without_content_is_t02(content: bytes) -> None:
    assert refusal(content).code == "T02"


CLAIMED = {
    "plain": ADMITTED,
    "no declaration": ADMITTED[START:],
    "BOM": b"\xef\xbb\xbf" + ADMITTED,
    "leading line": b"\n" + ADMITTED[START:],
    "Latin-1": (PLO / "copy-to-the-gp" / "discharged-in-latin-1.plo-1.5.xml").read_bytes(),
    "prefix": b"<mh:MsgHead xmlns:mh='%s'/>" % MSGHEAD,
    "receipt": (PLO / "receipt-for-an-admission" / "accepted.apprec-1.0.xml").read_bytes(),
    "comment first": b"<!-- %s -->" % (b"x" * 500) + ADMITTED[START:],
    "DOCTYPE": with_doctype(DOCTYPES["laughs"]),
    "UTF-16": NOT_XML["UTF-16"],
    "epikrise": b"<Message xmlns='http://www.kith.no/xmlstds/epikrise/2012-02-15'/>",
}


@pytest.mark.parametrize("name", CLAIMED)
def test_our_own_are_recognised_by_their_first_bytes(name: str) -> None:
    assert kith.recognises(Head(content=CLAIMED[name][:2048]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"resourceType": "Bundle"}',
        b"<Bundle xmlns='http://hl7.org/fhir'/>",
        b"<Message xmlns='urn:other'/>",
        b"MsgHead",
        b"<VANSEnvelope/>",
        b"\xff\xfe\x00\x01",
        b"<Bundle xmlns='http://hl7.org/fhir'><!-- <MsgHead> --></Bundle>",
    ],
)
def test_what_is_not_ours_is_left_to_others(content: bytes) -> None:
    assert not kith.recognises(Head(content=content))


LEAVES = b"<a V='x'/>" * 20_000
BOMBS = {
    "deep": b"<Z>" + b"<%s>" % (b"n" * 60) * 200 + LEAVES + b"</%s>" % (b"n" * 60) * 200 + b"</Z>",
    "wide": LEAVES,
    "many names": b"".join(b"<n%d V='x'/>" % number for number in range(20_000)),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("original", ["MsgHead", "AppRec", "MsgInfo"])
def test_what_is_left_over_is_told_within_bounds(name: str, original: str) -> None:
    receipt = PLO / "receipt-for-an-admission" / "accepted.apprec-1.0.xml"
    content = receipt.read_bytes() if original == "AppRec" else ADMITTED
    end = b"</%s>" % original.encode()
    bomb = content.replace(end, BOMBS[name] + end)
    assert bomb != content
    tracemalloc.start()
    losses = kith.read(bomb, content_type=None, zone=OSLO).losses
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert len(losses) <= 60
    assert max(len(loss) for loss in losses) < 300


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A message after a few accidents: bytes changed, cut out, doubled, or tags swapped."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        end = min(len(data), at + dice.randint(1, 60))
        accident = dice.randrange(5)
        if accident == 0:
            data[at] = dice.randrange(256)
        elif accident == 1:
            del data[at:end]
        elif accident == 2:
            data[at:at] = data[at:end]
        elif accident == 3:
            tags = [b"Organisation", b"Ident", b"TidsfestetHendelse", b"GenDate", b"V=", b"Patient", b"Inst"]
            data = bytearray(bytes(data).replace(dice.choice(tags), dice.choice(tags), dice.randint(1, 9)))
        else:
            values = [
                b'V=""',
                b'V="9999-99-99"',
                b'V="2014-03-03T24:00:00"',
                b'V="0001-01-01T00:00:00+14:00"',
            ]
            data = bytearray(bytes(data).replace(b'V="2014-03-03T13:45:00"', dice.choice(values)))
    return bytes(data)


def test_no_accident_raises_anything_but_a_refusal() -> None:
    dice = random.Random(1115)
    originals = [path.read_bytes() for path in sorted(PLO.glob("*/*.xml"))]
    outcomes = set()
    for _ in range(1500):
        content = mutated(dice.choice(originals), dice)
        kith.recognises(Head(content=content[:2048]))
        try:
            found = kith.read(content, content_type=None, zone=OSLO)
        except Refused as refused:
            outcomes.add(refused.code)
            continue
        assert (found.problem is None) != (found.bundle is None and found.acknowledgement is None)
        outcomes.add(found.problem.code if isinstance(found.problem, MessageError) else "read")
    assert {"read", "T01", "T02", "T10", "E10"} <= outcomes
