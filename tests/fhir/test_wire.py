"""Bytes become Bundles, or are refused with a place and without their content."""

from copy import deepcopy

import orjson
import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir import shape, wire
from adapter.fhir.notices import plain_text
from adapter.fhir.publishing import example

BUNDLE = example(NoticeKind.CARE_NEEDS)
JSON = wire.to_json(BUNDLE)
XML = wire.to_xml(BUNDLE)
BIRTH = b'<birthDate value="1952-01-01"/>'


def refused(content, content_type=None):
    with pytest.raises(Refused) as refusal:
        wire.parse(content, content_type)
    assert "Fjellheim" not in refusal.value.reason
    return refusal.value


def test_json_is_parsed_as_it_stands():
    assert wire.parse(JSON) == BUNDLE


def test_xml_gives_the_same_bundle_as_json():
    found, told = wire.parse(XML), deepcopy(BUNDLE)
    narratives = [plain_text(entry["resource"]) for entry in found["entry"]]
    assert narratives == [plain_text(entry["resource"]) for entry in told["entry"]]
    for entry in (*found["entry"], *told["entry"]):
        entry["resource"].pop("text", None)
    assert found == told


def test_the_format_is_told_by_the_content_not_by_its_label():
    assert wire.parse(XML, "application/fhir+json")["type"] == "message"
    assert wire.media_type(XML) == wire.XML
    assert wire.media_type(b"\xef\xbb\xbf" + JSON) == wire.JSON


def test_a_byte_order_mark_is_accepted():
    assert wire.parse(b"\xef\xbb\xbf" + JSON) == BUNDLE
    assert wire.parse(b"\xef\xbb\xbf" + XML)["type"] == "message"


def test_latin_1_xml_is_read_as_declared_or_as_its_content_type_says():
    body = XML.split(b"\n", 1)[1].decode().encode("iso-8859-1")
    declared = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + body
    for content, label in ((declared, None), (body, "application/fhir+xml; charset=ISO-8859-1")):
        names = [e["resource"].get("name") for e in wire.parse(content, label)["entry"]]
        assert "Lærdal sjukehus" in names


def test_entity_references_in_values_are_the_five_of_xml():
    content = XML.replace(
        BIRTH, BIRTH + b'<maritalStatus><text value="&lt;gift&gt; &amp; glad"/></maritalStatus>'
    )
    patient = wire.parse(content)["entry"][1]["resource"]
    assert patient["maritalStatus"]["text"] == "<gift> & glad"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"MSH|^~\\&|",
        b"null",
        b"42",
        b"[]",
        b"{}",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":["Bundle"]}',
        JSON[:-1],
        b'{"resourceType":"Bundle","id":"\xf8"}',
        b'{"resourceType":"Bundle","id":"\\ud800"}',
        b'{"resourceType":"Bundle","total":1e999}',
        b'{"resourceType":"Bundle","total":NaN}',
        b"[" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        XML[:-5],
        b"<Patient xmlns='http://hl7.org/fhir'><id value='1'/></Patient>",
        b"<Bundle><type value='message'/></Bundle>",
        b"<a>" * 10_000,
        XML.decode().encode("utf-16"),
    ],
)
def test_what_is_no_bundle_is_refused_as_structure(content):
    assert refused(content).code == "structure"


def test_the_reason_says_where():
    assert "line 1 column" in refused(JSON[:-1]).reason
    assert "line" in refused(XML[:-5]).reason


@pytest.mark.parametrize("escape", ["\\u0000", "\\b", "\\f", "\\u001b"])
def test_control_characters_in_strings_are_refused(escape):
    content = orjson.dumps({"resourceType": "Bundle", "id": "X"}).replace(b"X", escape.encode())
    assert "control character" in refused(content).reason


def test_line_breaks_and_tabs_are_no_control_characters():
    assert wire.parse(b'{"resourceType":"Bundle","id":"a\\n\\t\\r\\u00e6"}')["id"] == "a\n\t\ræ"


@pytest.mark.parametrize(
    "members",
    ['"id":"a","id":"b"', '"id":"a","id":"a"', '"id":"a\\u003a:","\\u0069d":"b"', '"id":":\\u003A","id":"b"'],
)
def test_a_member_that_comes_twice_is_refused(members):
    """Who reads the first and who reads the last would file the message under two patients."""
    told = refused(f'{{"resourceType":"Bundle",{members}}}'.encode())
    assert (told.code, "twice" in told.reason) == ("structure", True)


def test_colons_in_strings_are_no_members():
    assert wire.parse(b'{"resourceType":"Bundle","id":"a:\\u003a\\u003Ab"}')["id"] == "a:::b"


def measured(number):
    """The two forms of a message in which something has been measured."""
    observation = {
        "resourceType": "Observation",
        "id": "weight",
        "status": "final",
        "code": {"text": "weight"},
        "valueQuantity": {"value": 5},
    }
    told = deepcopy(BUNDLE)
    told["entry"].append({"fullUrl": "urn:uuid:weight", "resource": observation})
    in_json = wire.to_json(told).replace(b'"value":5}', b'"value":%s}' % number.encode())
    in_xml = wire.to_xml(told).replace(b'<value value="5.0"/>', b'<value value="%s"/>' % number.encode())
    assert number.encode() in in_json
    assert number.encode() in in_xml
    return in_json, in_xml


@pytest.mark.parametrize(
    "number", ["72.50", "1.10", "0.1234567890123456789", "123456789012345678901", "18446744073709551616"]
)
def test_a_decimal_is_kept_as_written(number):
    for content in measured(number):
        found = wire.parse(content)
        shape.check(found["entry"][-1]["resource"], "Observation")
        assert b'"value":%s}' % number.encode() in wire.to_json(found)
        assert wire.to_json(wire.parse_again(content)) == wire.to_json(found)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "number", ["1E9999999999", "-1e999999", "1e-400", "1E300", "1" * 60, "1" * 100_000, "0." + "1" * 60]
)
def test_a_number_that_nobody_measures_is_refused_at_once(number):
    for content in measured(number):
        assert refused(content).code in ("value", "structure")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["Integer", "PositiveInt", "UnsignedInt", "Decimal"])
def test_no_place_for_a_number_takes_an_endless_one(kind):
    there = b'<extension url="urn:x"><value%s value="1E9999999999"/></extension>' % kind.encode()
    plain = measured("5")[1]
    in_xml = plain.replace(b'<value value="5"/>', there + b'<value value="5"/>')
    assert wire.parse(plain)
    assert there in in_xml
    assert refused(in_xml).code in ("value", "structure")


def test_a_fraction_where_a_whole_number_stands_is_refused():
    content = JSON.replace(b'"birthDate"', b'"multipleBirthInteger":1.0,"birthDate"')
    patient = wire.parse(content)["entry"][1]["resource"]
    with pytest.raises(Refused):
        shape.check(patient, "Patient")


def test_a_document_type_is_refused():
    bomb = b'<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + XML.split(b"\n", 1)[1]
    assert refused(bomb).code == "security"


def test_other_encodings_are_refused():
    declared = b'<?xml version="1.0" encoding="UTF-7"?>' + XML.split(b"\n", 1)[1]
    assert "encoding" in refused(declared).reason


@pytest.mark.parametrize(
    "instead",
    [
        BIRTH + b'<birthDate value="1962-01-01"/>',
        b'<birthDate value="1952-01-01" extra="1"/>',
        b'<birthDate xmlns="urn:other" value="1952-01-01"/>',
        b"text beside" + BIRTH,
        BIRTH + b"text after",
        b'<birthDay value="1952-01-01"/>',
        b"<birthDate/>",
        b'<birthDate value=""/>',
        b'<birthDate value="next year"/>',
    ],
    ids=["repeated", "attribute", "namespace", "text", "tail", "unknown", "empty", "no-value", "no-date"],
)
def test_xml_that_would_not_arrive_whole_is_refused(instead):
    assert BIRTH in XML
    assert refused(XML.replace(BIRTH, instead)).code == "structure"


def test_two_resources_in_one_entry_are_refused():
    assert (
        refused(XML.replace(b"</Patient>", b"</Patient><Basic><id value='1'/></Basic>")).code == "structure"
    )


def test_an_unknown_resource_in_xml_is_refused():
    content = XML.replace(b"<Patient>", b"<Pasient>").replace(b"</Patient>", b"</Pasient>")
    assert refused(content).code == "structure"


def test_deeply_nested_xml_is_refused():
    deep = b"<extension url='u'>" * 200 + b"<valueString value='x'/>" + b"</extension>" * 200
    assert refused(XML.replace(BIRTH, BIRTH + deep)).code in ("too-costly", "structure")


def test_of_a_message_with_too_many_parts_is_said_how_many_it_may_have():
    found = refused(b'{"resourceType":"Bundle","entry":[' + b"0," * wire.MOST_PARTS + b"0]}")
    assert found.code == "too-costly"
    assert f"{wire.MOST_PARTS:,} parts" in found.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"resourceType":\n7,}', "the content is not well-formed JSON in UTF-8, at line 2 column 2"),
        (b"<Bundle>\n<id>", "the content is not well-formed XML, at line 2, column 5"),
    ],
)
def test_a_reason_says_where_the_content_is_not_well_formed(content, reason):
    assert refused(content).reason == reason


def test_comments_and_instructions_in_xml_do_not_matter():
    content = XML.replace(BIRTH, b"<!-- a note --><?target data?>" + BIRTH)
    assert wire.parse(content) == wire.parse(XML)


def test_an_operation_outcome_keeps_to_fhirs_issue_types():
    assert orjson.loads(wire.operation_outcome("no", "structure"))["issue"][0]["code"] == "structure"
    assert orjson.loads(wire.operation_outcome("no", "E10"))["issue"][0]["code"] == "processing"
