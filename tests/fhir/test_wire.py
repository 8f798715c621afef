"""Bytes become Bundles, or are refused with a place and without their content."""

from copy import deepcopy

import orjson
import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir import wire
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


def test_of_two_equal_names_the_last_counts():
    assert wire.parse(b'{"resourceType":"Bundle","id":"a","id":"b"}')["id"] == "b"


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


def test_comments_and_instructions_in_xml_do_not_matter():
    content = XML.replace(BIRTH, b"<!-- a note --><?target data?>" + BIRTH)
    assert wire.parse(content) == wire.parse(XML)


def test_an_operation_outcome_keeps_to_fhirs_issue_types():
    assert orjson.loads(wire.operation_outcome("no", "structure"))["issue"][0]["code"] == "structure"
    assert orjson.loads(wire.operation_outcome("no", "E10"))["issue"][0]["code"] == "processing"
