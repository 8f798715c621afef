"""What is wrong with a KITH message is told by line, element and kind, never in the message's own text."""

import os
import random
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from adapter.config.schemas import SchemaFolder
from adapter.errors import CannotWrite, Quarantined, Refused
from adapter.mappings import Reading, kith
from adapter.mappings.checking import NO_CHECKS, Checks, Fault
from adapter.mappings.kith.schemas import MOST_ELEMENTS, MOST_TOLD, Schemas
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.register import Register
from adapter.web.words import Words
from tests.conftest import OSLO, StandingClock
from tests.schemas import folder

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "plo"
READY = (FIXTURES / "home-with-help" / "ready.plo-1.6.xml").read_bytes()
BORN = b"<DateOfBirth>1938-03-12</DateOfBirth>"
CANARY = "zqKANARIqz"


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    return Schemas(held=SchemaFolder(folder(tmp_path)).held)


def said(schemas: Schemas, content: bytes) -> list[str]:
    return [str(fault) for fault in schemas.faults(content)]


def altered(old: bytes, new: bytes, content: bytes = READY) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


def test_what_is_valid_has_no_fault(schemas: Schemas) -> None:
    assert said(schemas, READY) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (BORN, b"", "line 45, MsgHead/MsgInfo/Patient/Sex: stands where DateOfBirth is expected"),
        (BORN, b"<DateOfBirth>12. mars</DateOfBirth>", "MsgHead/MsgInfo/Patient/DateOfBirth: is no date"),
        (BORN, BORN + b"19", "MsgHead/MsgInfo/Patient: holds text between its elements"),
        (
            b'<Type V="LOG_UTSKRIVNINGSKLAR"',
            b"<Type",
            "line 5, MsgHead/MsgInfo/Type: the attribute V is missing",
        ),
        (
            b"<Type V",
            b'<Type Q="x" V',
            "line 5, MsgHead/MsgInfo/Type/@Q: is an attribute that is not allowed",
        ),
        (b"<p1:MeldingUtskr", b"<p1:Noe/><p1:MeldingUtskr", "Pasientlogistikk/Noe: stands where MeldingInn"),
    ],
    ids=["missing", "no-date", "text", "no-attribute", "odd-attribute", "in-the-payload"],
)
def test_a_fault_is_told_by_line_element_and_kind(
    schemas: Schemas, old: bytes, new: bytes, fault: str
) -> None:
    (told,) = said(schemas, altered(old, new))
    assert fault in told


def test_a_payload_without_a_schema_is_not_held_against_the_envelope(schemas: Schemas) -> None:
    older = (FIXTURES / "home-with-help" / "ready.plo-1.5.xml").read_bytes()
    assert said(schemas, older) == []  # though MsgHead wants a schema for whatever stands in Content
    assert said(schemas, altered(BORN, b"", older)) != []


def test_both_a_payload_and_its_envelope_are_held_in_the_order_of_their_lines(schemas: Schemas) -> None:
    both = altered(b"<p1:MeldingUtskr", b"<p1:Noe/><p1:MeldingUtskr", altered(BORN, b""))
    assert [one.split(",")[1].split("/")[0] for one in said(schemas, both)] == [
        " MsgHead",
        " Pasientlogistikk",
    ]


def test_a_long_comment_before_the_root_hides_nothing(schemas: Schemas) -> None:
    content = altered(BORN, b"", altered(b"<MsgHead", b"<!--" + b" " * 5000 + b"-->\n<MsgHead"))
    assert len(said(schemas, content)) == 1


def test_a_fault_of_which_the_library_speaks_twice_is_told_once(tmp_path: Path) -> None:
    """Older versions of libxml2 speak of a value twice: first of the facet, then of its type."""
    once = SchemaFolder(folder(tmp_path))
    twice = Schemas(held=lambda namespace, part: [e for e in once.held(namespace, part) or () for _ in "12"])
    assert len(said(twice, altered(BORN, b""))) == 1


def test_iso_8859_1_is_read_as_it_says(schemas: Schemas) -> None:
    latin = READY.decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-1"').encode("iso-8859-1")
    assert said(schemas, latin) == []
    (told,) = said(schemas, latin.replace(BORN, "<DateOfBirth>blåmåndag</DateOfBirth>".encode("iso-8859-1")))
    assert told.endswith("DateOfBirth: is no date")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"<MsgHead", b"<!DOCTYPE MsgHead><MsgHead/>", b'<Bundle xmlns="http://hl7.org/fhir"/>'],
)
def test_what_is_no_kith_message_has_no_fault(schemas: Schemas, content: bytes) -> None:
    assert said(schemas, content) == []


def test_of_very_many_faults_no_more_are_told_than_people_read(schemas: Schemas) -> None:
    many = altered(b"<Document>", b"<Document><Noe/></Document>" * 2000 + b"<Document>")
    assert len(schemas.faults(many)) == MOST_TOLD


def test_a_message_with_more_elements_than_any_has_is_not_held_against_a_schema(schemas: Schemas) -> None:
    """Libxml2 walks past all siblings for every fault: a minute for what a partner can send in a second."""
    (told,) = said(schemas, altered(b"<Document>", b"<Document/>" * (MOST_ELEMENTS + 1) + b"<Document>"))
    assert told.endswith("too many to be held against a schema")


# --- what follows from it ---------------------------------------------------------------------------------


def read(content: bytes) -> Reading:
    return kith.read(content, content_type=None, zone=OSLO)


def test_a_message_with_faults_is_taken_with_a_warning(schemas: Schemas) -> None:
    content = altered(BORN, b"")
    taken = Checks(faults=schemas.faults).incoming(read(content), content)
    assert taken.problem is None
    assert taken.faults == tuple(said(schemas, content))


def test_it_is_refused_with_t02_where_the_operator_says_so(schemas: Schemas) -> None:
    content = altered(BORN, b"")
    problem = Checks(faults=schemas.faults, refuse=True).incoming(read(content), content).problem
    assert isinstance(problem, Refused)
    assert problem.code == "T02"
    assert said(schemas, content)[0] in problem.reason


def test_nothing_is_refused_for_a_value_that_a_schema_does_not_list(schemas: Schemas) -> None:
    content = altered(b'<Sex V="2"', b'<Sex V="9"')
    taken = Checks(faults=schemas.faults, refuse=True).incoming(read(content), content)
    assert taken.problem is None
    assert "is none of the values that the schema lists" in taken.faults[0]


def test_what_the_typed_reading_refuses_keeps_its_code(schemas: Schemas) -> None:
    content = altered(b"<MsgId>43f58e74", b"<MsgId>no guid", altered(BORN, b""))
    problem = Checks(faults=schemas.faults, refuse=True).incoming(read(content), content).problem
    assert isinstance(problem, Refused)
    assert problem.code == "E10"


@pytest.mark.parametrize("status", ["1", "9"])
def test_a_receipt_is_never_refused_for_its_form(schemas: Schemas, clock: StandingClock, status: str) -> None:
    given = kith.acknowledge(read(READY).envelope, Verdict(status=Status.ACCEPTED, at=clock(), id="r"))
    assert given is not None
    content = given.replace(b'<Status V="1"', f'<Noe/><Status V="{status}"'.encode())
    taken = Checks(faults=schemas.faults, refuse=True).incoming(read(content), content)
    assert taken.faults
    assert (taken.acknowledgement is not None) == (status == "1")
    assert isinstance(taken.problem, Quarantined) == (status == "9")


def test_a_person_is_told_the_first_faults_and_how_many_there_are() -> None:
    def five(_content: bytes) -> list[Fault]:
        return [Fault(line=n, path="A", what="is no date") for n in range(5)]

    with pytest.raises(CannotWrite, match=r"line 0, A: is no date; line 1, .*; line 2, .*; and 2 more$"):
        Checks(faults=five).outgoing(b"")
    NO_CHECKS.outgoing(b"")


def test_a_person_is_told_of_the_faults_in_the_readers_language(clock: StandingClock) -> None:
    def four(_content: bytes) -> list[Fault]:
        return [Fault(line=n, path="A", what="is no date") for n in range(4)]

    with pytest.raises(CannotWrite) as caught:
        Checks(faults=four).outgoing(b"")
    words = Words(language="nb", zone=OSLO, now=clock(), register=Register())
    told = words.told(caught.value.said)
    assert told.striptags().endswith("linje 2, A: is no date; og 1 til")


if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    KITH = ("plo-1.5", "plo-1.6", "dialog-1.0", "dialog-1.1", "epikrise", "apprec")
    MESSAGES = sorted(path for name in KITH for path in (NORWAY / name).glob("*.xml"))
    ODD = ("invalid-version", "missing-migversion", "unknown-migversion")
    OUR_FIXTURES = sorted(FIXTURES.glob("*/*.xml"))

    @cache
    def official() -> Schemas:
        return Schemas(held=SchemaFolder(NORWAY / "xsd").held)

    @pytest.mark.parametrize(
        "path", [*MESSAGES, *OUR_FIXTURES], ids=lambda path: f"{path.parent.name}/{path.stem}"
    )
    def test_the_standards_own_examples_are_valid_and_those_made_wrong_are_not(path: Path) -> None:
        assert bool(said(official(), path.read_bytes())) == (path.stem in ODD)

    def test_every_receipt_that_we_give_to_an_example_is_valid(clock: StandingClock) -> None:
        checks = Checks(faults=official().faults)
        for path in MESSAGES:
            if path.parent.name == "apprec" or path.stem in ODD:
                continue
            envelope = read(path.read_bytes()).envelope
            for status in (Status.ACCEPTED, Status.REFUSED):
                issues = (Issue(code="T02", text="æ"),) if status is Status.REFUSED else ()
                verdict = Verdict(status=status, at=clock(), id="r", issues=issues)
                given = kith.acknowledge(envelope, verdict)
                assert given is not None
                checks.outgoing(given)

    def test_an_unknown_code_value_is_no_fault_in_any_of_the_official_schemas() -> None:
        """N-06 bids to refuse nothing for it; the schemas list no values of the code lists."""
        for path in MESSAGES:
            if path.stem in ODD:
                continue
            root = etree.fromstring(path.read_bytes())
            for element in root.iter(etree.Element):
                if element.get("S", "").startswith("2.16.578.1.12.4.1.1.") and element.get("V") is not None:
                    element.set("V", "9876")
                    element.set("DN", "Ukjend")
            assert said(official(), etree.tostring(root)) == []

    def test_no_fault_holds_a_word_of_the_message() -> None:
        chance = random.Random(20260101)
        told = 0
        for path in MESSAGES:
            root = etree.fromstring(path.read_bytes())
            for element in chance.sample(elements := list(root.iter(etree.Element)), min(12, len(elements))):
                _break(element, chance.randrange(4))
            for fault in said(official(), etree.tostring(root)):
                told += 1
                assert CANARY not in fault
                assert "{" not in fault
        assert told > 500

    def _break(element: etree._Element, how: int) -> None:
        if how == 0:
            element.text = CANARY
        elif how == 1:
            element.tail = CANARY
        elif how == 2:
            etree.SubElement(element, f"{{{etree.QName(element).namespace}}}Noe").text = CANARY
        else:
            for name in (*element.attrib, "Noe"):
                element.set(name, f"{CANARY}' is no type '{CANARY}'. Expected is ( {CANARY} ).")
