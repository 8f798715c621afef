"""Messages on a page: readable where they are well-formed, harmless where they are not."""

import pytest

from adapter.web.pretty import CUT, LARGEST, pretty

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<a><b>&c;</b></a>"""


def test_json_is_indented_and_its_numbers_stay_as_written():
    made = pretty(b'{"weight":72.50,"list":[1,2],"none":{},"text":"a, {b}: \\"c\\""}')
    assert made.form == "JSON"
    assert made.text.splitlines() == [
        "{",
        '  "weight": 72.50,',
        '  "list": [',
        "    1,",
        "    2",
        "  ],",
        '  "none": {},',
        '  "text": "a, {b}: \\"c\\""',
        "}",
    ]


def test_a_repeated_name_in_json_is_shown_twice():
    assert pretty(b'{"id":"a","id":"b"}').text.count('"id"') == 2


def test_xml_is_indented_with_what_stands_before_it():
    content = '<?xml version="1.0" encoding="ISO-8859-1"?><!-- note --><a><b>Lærdal</b></a>'
    made = pretty(content.encode("iso-8859-1"))
    assert made.form == "XML"
    assert made.text.splitlines() == [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        "<!-- note -->",
        "<a>",
        "  <b>Lærdal</b>",
        "</a>",
    ]


def test_no_entity_is_expanded_and_the_document_type_stays_visible():
    made = pretty(BILLION_LAUGHS)
    assert made.form == "text"
    assert "<!DOCTYPE" in made.text and "&c;" in made.text
    assert "haha" not in made.text


DEEP = b"<a>" * 150 + b"</a>" * 150


@pytest.mark.parametrize("content", [b'{"a": ', b"<a><b></a>", b"", b"\xff\xfe", b"[" * 5000, DEEP])
def test_what_is_not_well_formed_is_shown_as_text(content):
    made = pretty(content)
    assert made.form == "text"
    assert made.notes[0].startswith("Shown as plain text.")


def test_bytes_that_are_no_text_are_replaced_and_control_characters_made_visible():
    made = pretty(b"\x00name\xe6\x1b[31m\x7f")
    assert made.text == "␀name\ufffd␛[31m␡"


def test_characters_that_turn_text_around_are_spelt_out():
    assert pretty('"\u202egnirts"'.encode()).text == '"\\u202egnirts"'


def test_a_long_message_is_cut_and_says_so():
    made = pretty(b'{"a":"' + b"x" * (CUT + 10) + b'"}')
    assert len(made.text) == CUT
    assert made.notes[-1] == "Cut after 200 kB; the whole message is in the store."


def test_a_message_too_long_to_indent_is_still_shown():
    made = pretty(b"<a>" + b"<b/>" * (LARGEST // 4) + b"</a>")
    assert made.text.startswith("<a><b/><b/>")
    assert len(made.text) == CUT
