"""Norwegian messages after accidents, through the real inbox: each is accepted, refused with a code, or held.

The originals are our own fixtures of every type, and the standard's examples where DISCHARGE_ADAPTER_SAMPLES
says where they lie. What was accepted is canonical FHIR, and goes back to PLO or has no form there.
"""

import copy
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lxml import etree
from sqlalchemy import Connection

from adapter.errors import CannotWrite, Refused
from adapter.fhir.validation import validate
from adapter.inbox import Acceptance
from adapter.incoming import Incoming
from adapter.mappings import Addressing, Reading, kith
from adapter.mappings.kith.lists import RECEIPTS
from adapter.messaging.acknowledgement import Status, Verdict
from adapter.store import messages
from tests.acceptance.norway import PLO, TYPES
from tests.conftest import StandingClock
from tests.mappings.official import SAMPLES, schema, valid
from tests.stage import stage

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2020, 1, 1, tzinfo=UTC)  # after every original was sent
LARGEST = 100_000  # bytes; one of the examples holds a whole electrocardiogram
FOLDERS = ("plo-1.5", "plo-1.6", "dialog-1.0", "dialog-1.1", "epikrise", "apprec")
A_NUMBER = re.compile(r"(?<!\d)\d{11}(?!\d)")


def _originals() -> list[Path]:
    found = sorted(PLO.glob("*/*.xml"))
    for folder in FOLDERS if SAMPLES else ():
        found += sorted((Path(SAMPLES or "") / "norway" / folder).glob("*.xml"))
    return [path for path in found if path.stat().st_size < LARGEST]


ORIGINALS = _originals()


@cache
def _parsed(path: Path) -> etree._Element:
    return etree.fromstring(path.read_bytes())


# --- accidents: each takes the elements that it may touch, and two numbers that choose among them ----------

Elements = list[etree._Element]
Accident = Callable[[Elements, int, int], None]

ODD_TEXTS = (
    "", " ", "x" * 6000, "ZZ9", "0", "-1", "1e400", "NaN", "true ", "<&>]]>", "\u202eommot", "😷 e\u0301 Ⅻ",
    "|", "8.143.510", "12833840159", "{5dea3577-7d2f-546f-89c5-7794a0008290}", "urn:oid:1.2", "\r\n\tny",
)  # fmt: skip
ODD_DATES = (
    "2014-13-45", "2014", "2014-10", "20141006", "0000-00-00", "0001-01-01T00:00:00+14:00", "2199-12-31",
    "2014-10-26T02:30:00", "2014-03-30T02:30:00", "2014-10-06T24:00:00", "2014-10-06T11:20:00+99:00",
    "9999-12-31T23:59:59", "1950-01-01T00:00:00-14:00", "2014-10-06T11:20", "2014-10-06Z", "i går",
    "2014-10-06 11:20:00",
)  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _drop(elements: Elements, at: int, _: int) -> None:
    one = elements[at % len(elements)]
    one.getparent().remove(one)


def _double(elements: Elements, at: int, _: int) -> None:
    one = elements[at % len(elements)]
    one.addnext(copy.deepcopy(one))


def _reorder(elements: Elements, at: int, to: int) -> None:
    parent = elements[at % len(elements)].getparent()
    parent.insert(to % len(parent), parent[-1])


def _move(elements: Elements, at: int, to: int) -> None:
    one, parent = elements[at % len(elements)], elements[to % len(elements)]
    if one not in (parent, *parent.iterancestors()):
        parent.append(one)


def _rename(elements: Elements, at: int, to: int) -> None:
    elements[at % len(elements)].tag = elements[to % len(elements)].tag


def _foreign(elements: Elements, at: int, _: int) -> None:
    one = elements[at % len(elements)]
    one.tag = f"{{urn:another}}{etree.QName(one).localname}"


def _attribute(elements: Elements, at: int, to: int) -> None:
    coded = [one for one in elements if one.attrib] or elements
    one = coded[at % len(coded)]
    name = sorted(one.attrib)[to % len(one.attrib)] if one.attrib else "V"
    one.set(name, ODD_TEXTS[to % len(ODD_TEXTS)])


def _no_attribute(elements: Elements, at: int, to: int) -> None:
    coded = [one for one in elements if one.attrib]
    if coded:
        one = coded[at % len(coded)]
        del one.attrib[sorted(one.attrib)[to % len(one.attrib)]]


def _code(elements: Elements, at: int, to: int) -> None:
    """One element with the code of another."""
    coded = [one for one in elements if one.get("V") is not None]
    if coded:
        coded[at % len(coded)].set("V", coded[to % len(coded)].get("V"))


def _date(elements: Elements, at: int, to: int) -> None:
    dated = [one for one in elements if _DATE.match(one.get("V") or one.text or "")]
    if dated:
        one, odd = dated[at % len(dated)], ODD_DATES[to % len(ODD_DATES)]
        if one.get("V") is not None:
            one.set("V", odd)
        else:
            one.text = odd


def _text(elements: Elements, at: int, to: int) -> None:
    told = [one for one in elements if (one.text or "").strip()] or elements
    told[at % len(told)].text = ODD_TEXTS[to % len(ODD_TEXTS)]


ACCIDENTS: tuple[Accident, ...] = (
    _drop, _double, _reorder, _move, _rename, _foreign, _attribute, _no_attribute, _code, _date, _text,
)  # fmt: skip


def _on_the_wire(root: etree._Element, how: str, at: int, length: int) -> bytes:
    """The bytes that arrive: in some encoding, or damaged on the way."""
    if how in ("ISO-8859-1", "windows-1252", "UTF-16", "US-ASCII", "UTF-8"):
        return etree.tostring(root, xml_declaration=True, encoding=how)
    content = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    if how == "misdeclared":
        return content.replace(b"UTF-8", b"ISO-8859-1", 1)
    at %= len(content)
    if how == "cut off":
        return content[:at]
    if how == "a hole":
        return content[:at] + content[at + length % 200 :]
    return content[:at] + bytes([length % 256]) + content[at + 1 :]


WIRES = (
    "UTF-8",
    "ISO-8859-1",
    "windows-1252",
    "UTF-16",
    "US-ASCII",
    "misdeclared",
    "cut off",
    "a hole",
    "a byte",
)
places = st.integers(0, 20_000)


@st.composite
def arriving(draw: st.DrawFn) -> bytes:
    """A message after one to four accidents, most of which leave it legible."""
    root = copy.deepcopy(_parsed(draw(st.sampled_from(ORIGINALS))))
    for accident, at, to, below in draw(
        st.lists(st.tuples(st.sampled_from(ACCIDENTS), places, places, st.booleans()), min_size=1, max_size=4)
    ):
        found = root.find("{*}Document" if below else "*")
        part = found if found is not None and len(found) else root
        elements = [one for one in part.iter() if isinstance(one.tag, str) and one is not root]
        if elements:
            accident(elements, at, to)
    intact = draw(st.integers(0, 9)) < 7
    return _on_the_wire(root, "UTF-8" if intact else draw(st.sampled_from(WIRES)), draw(places), draw(places))


# --- what must hold -----------------------------------------------------------------------------------------


class _Undone(Exception):
    """Takes back what was done with one message, so that the next one finds an empty store."""


class Post:
    """The inbox of an adapter for evaluation, in whose store nothing stays."""

    def __init__(self, folder: Path) -> None:
        self.play = stage(f"sqlite:///{folder}/store.db", StandingClock(at=NOW), evaluation=True)
        self.seen: Counter[str] = Counter()

    def take(self, content: bytes) -> None:
        """Receive one message, and look at what became of it."""
        inbox = self.play.built.inbox
        prepared = inbox.read(Incoming(content=content, channel="http"))

        outcomes: list[str] = []

        def unit(tx: Connection) -> None:
            done = inbox.take(tx, prepared, NOW)
            outcomes.append(done.outcome)
            self.seen[done.outcome if done.outcome != "refused" else str(done.code)] += 1
            _is_kept(tx, done, content)
            _is_settled(done)
            raise _Undone

        with pytest.raises(_Undone):
            self.play.write(unit)
        if outcomes == ["accepted"]:
            assert prepared.reading is not None
            _is_understood(prepared.reading, content)


def _is_kept(tx: Connection, done: Acceptance, content: bytes) -> None:
    row = messages.get(tx, done.message_row)
    assert row is not None
    assert messages.content(tx, row["payload"]) == content


def _is_settled(done: Acceptance) -> None:
    assert done.outcome in ("accepted", "refused", "quarantined")
    assert not A_NUMBER.search(done.reason or ""), done.reason
    if done.outcome != "accepted":
        assert done.reason
        assert done.code not in (None, "internal"), done.reason
    if done.outcome == "quarantined":
        assert done.acknowledgement is None
    if done.acknowledgement is not None:
        assert done.outcome == "accepted" or done.code in RECEIPTS["error"]
        _is_a_receipt(done)


def _is_a_receipt(done: Acceptance) -> None:
    root = etree.fromstring(done.acknowledgement)
    assert etree.QName(root).localname == "AppRec"
    assert root.find("{*}Status").get("V") == ("1" if done.outcome == "accepted" else "2")
    assert [error.get("V") for error in root.findall("{*}Error")] == [done.code] * (done.outcome == "refused")
    valid(done.acknowledgement or b"")


def _is_understood(reading: Reading, content: bytes) -> None:
    """What was taken is canonical, and has its form in PLO or none; what came valid leaves valid."""
    if reading.acknowledgement is not None:
        return
    assert reading.bundle is not None
    validate(reading.bundle)
    for dialect in kith.NAMES:
        addressing = Addressing(
            message_id="0b0b1f5e-6d0e-4c39-9b60-3a8f0d5d3f41",
            transmission_id="0b0b1f5e-6d0e-4c39-9b60-3a8f0d5d3f41",
            sender=reading.envelope.sender,
            receiver=reading.envelope.receivers[0],
            refers_to=reading.envelope.refers_to,
        )
        try:
            written = kith.write(reading.bundle, dialect=dialect, addressing=addressing)
        except CannotWrite as error:
            assert str(error)
            continue
        again = kith.read(written.content, content_type=None, zone=OSLO)
        assert again.bundle is not None, again.problem
        if SAMPLES and schema().validate(etree.fromstring(content)):
            valid(written.content)


ALIKE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def test_whatever_happens_to_a_message_it_is_accepted_refused_or_held(tmp_path: Path) -> None:
    post = Post(tmp_path)

    @given(content=arriving())
    @settings(max_examples=100, derandomize=True, database=None, **ALIKE)
    def look(content: bytes) -> None:
        post.take(content)

    look()
    post.play.close()
    assert {"accepted", "T01", "T02"} <= set(post.seen), post.seen


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_whatever_happens_to_a_thousand_messages_each_is_accepted_refused_or_held(tmp_path: Path) -> None:
    post = Post(tmp_path)

    @given(content=arriving())
    @settings(max_examples=1000, print_blob=True, phases=(Phase.generate, Phase.shrink), **ALIKE)
    def look(content: bytes) -> None:
        post.take(content)

    look()
    post.play.close()
    assert {"accepted", "T01", "T02", "E10", "E36"} <= set(post.seen), post.seen


def test_an_empty_her_id_is_no_identifier_and_is_still_repeated_to_its_sender() -> None:
    content = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
    reading = kith.read(content.replace(b"<Id>8143500</Id>", b"<Id/>"), content_type=None, zone=OSLO)
    assert [value for _, value in reading.envelope.sender.identifiers] == ["8143501"]
    assert reading.bundle is not None
    validate(reading.bundle)
    verdict = Verdict(status=Status.ACCEPTED, at=NOW, id="0b0b1f5e-6d0e-4c39-9b60-3a8f0d5d3f41")
    receipt = etree.fromstring(kith.acknowledge(reading.envelope, verdict) or b"")
    levels = receipt.findall("{*}Receiver/{*}HCP/{*}Inst//{*}Id")
    assert [level.text for level in levels] == [None, "8143501"]


def test_an_endless_number_identifies_nobody() -> None:
    content = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
    endless = content.replace(b"<Id>12833840159</Id>", b"<Id>" + b"1" * 6000 + b"</Id>")
    reading = kith.read(endless, content_type=None, zone=OSLO)
    assert reading.bundle is not None  # by name, birth date and sex
    validate(reading.bundle)
    assert any("MsgInfo/Patient/Ident" in loss for loss in reading.losses)
    alone = endless.replace(b"<DateOfBirth>1938-03-12</DateOfBirth>", b"")
    problem = kith.read(alone, content_type=None, zone=OSLO).problem
    assert isinstance(problem, Refused)
    assert problem.code == "E36"


@pytest.mark.parametrize(
    ("file", "number", "family"),
    [
        ("home-with-help/ready.plo-1.6.xml", b"9999901", "Bjelde"),
        ("home-after-a-stroke/discharge-report.plo-1.6.xml", b"9999902", "Hauge"),
    ],
)
def test_a_clinician_with_an_endless_number_is_known_by_name(file: str, number: bytes, family: str) -> None:
    content = (PLO / file).read_bytes()
    endless = content.replace(b"<fk1:Id>" + number, b"<fk1:Id>" + b"1" * 6000)
    assert endless != content
    _named_only(kith.read(endless, content_type=None, zone=OSLO), family)


def test_so_is_one_in_a_dialogue() -> None:
    asking = next(one for one in TYPES if one.type == "DIALOG_FORESPORSEL").message()
    asking.text(".//fk1:Id", "1" * 6000)
    reading = kith.read(asking.content(), content_type=None, zone=OSLO)
    _named_only(reading, "Molde")
    assert any("an Ident of more than" in loss for loss in reading.losses)


def _named_only(reading: Reading, family: str) -> None:
    assert reading.bundle is not None
    validate(reading.bundle)
    resources = [entry["resource"] for entry in reading.bundle["entry"]]
    clinicians = [one for one in resources if one["resourceType"] == "Practitioner"]
    meant = [one for one in clinicians if one["name"][0]["family"] == family]
    assert meant
    assert not any("identifier" in one for one in meant)


@pytest.mark.parametrize("dose", ["Legemiddelinfo", "AdmAvHelsepersonell"])
def test_a_medicine_that_is_not_named_is_an_unknown_one(dose: str) -> None:
    """The schema lets what was given today stand without any description of it."""
    root = etree.fromstring((PLO / "home-after-a-stroke" / "discharge-report.plo-1.6.xml").read_bytes())
    for told in root.findall(f".//{{*}}{dose}"):
        for description in told.findall(".//{*}Forskrivningsinfo"):
            description.getparent().remove(description)
    reading = kith.read(etree.tostring(root), content_type=None, zone=OSLO)
    assert reading.bundle is not None
    validate(reading.bundle)
    kind = "MedicationStatement" if dose == "Legemiddelinfo" else "MedicationAdministration"
    resources = [entry["resource"] for entry in reading.bundle["entry"]]
    told_of = [one for one in resources if one["resourceType"] == kind]
    assert {one["medicationCodeableConcept"]["text"] for one in told_of} == {"ukjent legemiddel"}
