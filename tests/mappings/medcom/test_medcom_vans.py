"""VANSEnvelope: what is in one is read, receipts go back in one, and what is hostile is refused in words."""

import json
import os
import re
import uuid
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from adapter.errors import CannotWrite, Refused
from adapter.mappings import Head, Reading, known, medcom
from adapter.mappings.medcom import enveloping, vans
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import LONGEST_ID

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
OURS = Path(__file__).parents[3] / "fixtures" / "medcom"
LEAVE = OURS / "home-for-the-weekend" / "01-leave-started.json"
REFUSED = OURS / "home-for-the-weekend" / "02-refused.json"
ASKED = OURS / "medicine-asked-about" / "01-asked.json"
NS = "{urn:oio:medcom:vans-envelope:1.0.4}"
AT = datetime(2026, 2, 20, 11, 30, tzinfo=UTC)


@cache
def content(path: Path) -> bytes:
    return path.read_bytes()


def enveloped(path: Path = LEAVE) -> bytes:
    return enveloping.close(content(path))


def root(envelope: bytes) -> etree._Element:
    return etree.fromstring(envelope)


def at(envelope: bytes, path: str) -> str | None:
    return root(envelope).findtext("/".join(f"{NS}{name}" for name in path.split("/")))


def read(envelope: bytes) -> Reading:
    return medcom.read(envelope, content_type="application/xml", zone=COPENHAGEN)


def changed(envelope: bytes, path: str, value: str | None) -> bytes:
    """The envelope with an element's text changed; None takes the element away."""
    made = root(envelope)
    found = made.find("/".join(f"{NS}{name}" for name in path.split("/")))
    assert found is not None
    if value is None:
        parent = found.getparent()
        assert parent is not None
        parent.remove(found)
    else:
        found.text = value
    return etree.tostring(made)


ABOUT = "Message/MetaInformation"
DOCUMENT = f"{ABOUT}/Document"


# --- out --------------------------------------------------------------------------------------------------


def test_an_envelope_says_who_sends_what_to_whom() -> None:
    made = enveloped()
    ends = {e.tag.removeprefix(NS): (e.get("EndPointType"), e.text) for e in list(root(made))[:2]}
    assert ends == {"SenderID": ("EAN", "5799990000118"), "ReceiverID": ("EAN", "5799990000125")}
    assert at(made, "SentDateTime") == "2026-02-20T12:01:00+01:00"
    assert at(made, f"{ABOUT}/Identifier") == json.loads(content(LEAVE))["entry"][0]["resource"]["id"]
    assert at(made, f"{DOCUMENT}/Format") == "HL7"
    assert at(made, f"{DOCUMENT}/SizeInBytes") == str(len(content(LEAVE)))
    assert at(made, f"{ABOUT}/Transport/Type") == "reliable"
    tag = root(made).find(f".//{NS}ServiceTag")
    assert tag is not None
    assert (tag.get("name"), tag.text) == ("MCM:MIME", "application/fhir+json")
    assert b64decode(at(made, "Message/Data") or "") == content(LEAVE)
    uuid.UUID(at(made, "EnvelopeIdentifier") or "")


@pytest.mark.parametrize(
    ("activity", "postfix"),
    (
        ("admit-inpatient", "AdmissionInpatient"),
        ("revise-admit-inpatient", "AdmissionInpatient"),
        ("cancel-admit-inpatient", "AdmissionInpatient"),
        ("admit-emergency", "AcuteAmbulant"),
        ("start-leave-inpatient", "OnLeave"),
        ("end-leave-inpatient", "EndOfLeave"),
        ("discharge-inpatient-home", "EndHospitalStay"),
        ("revise-discharge-emergency-home", "EndHospitalStay"),
    ),
)
def test_a_notification_is_named_by_what_it_tells(activity: str, postfix: str) -> None:
    told = content(LEAVE).replace(b'"start-leave-inpatient"', f'"{activity}"'.encode())
    made = enveloping.close(told)
    assert at(made, f"{DOCUMENT}/Name") == f"MCM:FDIS20#{postfix}"
    assert at(made, f"{DOCUMENT}/Version") == "3.0.0"


def test_a_conversation_is_named_by_its_category_and_a_receipt_by_its_code() -> None:
    talk, receipt = enveloped(ASKED), enveloped(REFUSED)
    assert at(talk, f"{DOCUMENT}/Name") == "MCM:FDIS91#medicine"
    assert at(talk, f"{DOCUMENT}/Version") == "5.0"
    assert at(receipt, f"{DOCUMENT}/Name") == "MCM:FCTL#fatal-error"
    assert at(receipt, f"{DOCUMENT}/Version") == "2.0.0"


def test_without_a_location_number_there_is_no_envelope() -> None:
    told = content(LEAVE).replace(b"https://www.gs1.org/gln", b"urn:of-another-register")
    with pytest.raises(CannotWrite, match=r"SenderID needs the location number \(GLN\)"):
        enveloping.close(told)


def test_another_message_has_no_name_on_an_envelope() -> None:
    told = content(LEAVE).replace(b"hospital-notification-message", b"homecareobservation-message")
    with pytest.raises(CannotWrite, match="no Name for a message of this event"):
        enveloping.close(told)


# --- in ---------------------------------------------------------------------------------------------------


def test_what_is_in_an_envelope_is_read_as_without_one() -> None:
    bare = medcom.read(content(LEAVE), content_type=None, zone=COPENHAGEN)
    found = read(enveloped())
    assert found.bundle == bare.bundle
    assert found.losses == bare.losses == ()
    assert found.envelope.dialect == "medcom-vans"
    assert found.envelope.content_type == "application/xml"
    assert found.envelope.message_id == bare.envelope.message_id
    assert medcom.envelope(enveloped(), content_type=None, zone=COPENHAGEN) == found.envelope


def test_an_envelope_is_recognised_before_any_other_dialect_asks() -> None:
    for start in (b"", b"\xef\xbb\xbf", b"<?xml version='1.0'?>\n<!-- of the network -->\n"):
        body = start + re.sub(rb"^<\?xml[^>]*\?>\s*", b"", enveloped())
        assert known.recognise(Head(content=body)) is medcom
    assert known.named("medcom-vans") is medcom


def test_the_receipt_goes_back_in_an_envelope_to_where_the_message_came_from() -> None:
    came = changed(enveloped(), "SenderID", "5790000000001")  # the network's number for the sender
    found = read(came)
    verdict = Verdict(
        status=Status.REFUSED,
        at=AT,
        id="1c1f3f0e-0000-4000-8000-000000000001",
        issues=(Issue(code="MSG_VALUESET_VALUE_UNKNOWN", text="Encounter.class"),),
    )
    made = medcom.acknowledge(found.envelope, verdict)
    assert made is not None
    assert [e.text for e in list(root(made))[:2]] == ["5799990000125", "5790000000001"]
    assert at(made, f"{DOCUMENT}/Name") == "MCM:FCTL#fatal-error"
    inside = json.loads(b64decode(at(made, "Message/Data") or ""))  # JSON, as the message was
    assert inside["entry"][0]["resource"]["response"]["code"] == "fatal-error"
    back = read(made)
    assert back.acknowledgement is not None
    assert back.acknowledgement.original_id == found.envelope.message_id
    assert back.acknowledgement.issues[0].code == "MSG_VALUESET_VALUE_UNKNOWN"
    assert medcom.acknowledge(back.envelope, verdict) is None  # a receipt is never answered


def test_a_new_sending_has_a_new_envelope_around_the_same_message() -> None:
    first = enveloped()
    second = medcom.repeat(first, at=AT, number=1)
    assert at(second, "EnvelopeIdentifier") != at(first, "EnvelopeIdentifier")
    assert at(second, "SentDateTime") == "2026-02-20T11:30:00+00:00"
    assert at(second, f"{ABOUT}/Identifier") == at(first, f"{ABOUT}/Identifier")
    once, again = (json.loads(b64decode(at(one, "Message/Data") or "")) for one in (first, second))
    assert once["entry"] == again["entry"]
    assert once["id"] != again["id"]
    assert medcom.repeat(first, at=AT, number=1) == second


@pytest.mark.parametrize(
    ("path", "value", "said"),
    (
        (f"{DOCUMENT}/SizeInBytes", "7", "SizeInBytes of the VANSEnvelope is not the"),
        (f"{DOCUMENT}/Version", "2.0.0", "Version is not 3.0.0, as of FDIS20"),
        (f"{DOCUMENT}/Version", None, "Version is not 3.0.0, as of FDIS20"),
        (f"{DOCUMENT}/Name", "MCM:FDIS91#discharge", "Name is not MCM:FDIS20 and a postfix"),
        (f"{ABOUT}/Transport", None, "has no ServiceTag MCM:MIME"),
        (f"{ABOUT}/Transport/ServiceTag", "application/fhir+xml", "MCM:MIME says application/fhir+xml"),
    ),
)
def test_what_is_odd_on_an_envelope_is_said_and_the_message_taken(
    path: str, value: str | None, said: str
) -> None:
    found = read(changed(enveloped(), path, value))
    assert found.problem is None
    assert found.bundle is not None
    assert [loss for loss in found.losses if said in loss]


@pytest.mark.parametrize("postfix", ("AdmissionInpatient", "start-leave-inpatient", ""))
def test_any_postfix_of_the_name_is_read(postfix: str) -> None:
    name = f"MCM:FDIS20#{postfix}" if postfix else "MCM:FDIS20"
    assert read(changed(enveloped(), f"{DOCUMENT}/Name", name)).losses == ()


def test_base64_may_be_in_lines() -> None:
    data = at(enveloped(), "Message/Data") or ""
    lines = "\r\n".join(data[n : n + 76] for n in range(0, len(data), 76))
    assert read(changed(enveloped(), "Message/Data", f"\n  {lines}\n")).losses == ()


# --- hostile ----------------------------------------------------------------------------------------------

BOMB = b"""<?xml version="1.0"?><!DOCTYPE VANSEnvelope [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<VANSEnvelope xmlns="urn:oio:medcom:vans-envelope:1.0.4"><SenderID EndPointType="EAN">&b;</SenderID>
</VANSEnvelope>"""


def _twice(envelope: bytes) -> bytes:
    made = root(envelope)
    message = made.find(f"{NS}Message")
    assert message is not None
    made.append(etree.fromstring(etree.tostring(message)))
    return etree.tostring(made)


def _many(envelope: bytes) -> bytes:
    return envelope.replace(b"<Message>", b"<x/>" * 500 + b"<Message>")


HOSTILE: dict[str, tuple[bytes, str]] = {
    "no message": (changed(enveloped(), "Message", None), "has 0 elements Message; it has one"),
    "two messages": (_twice(enveloped()), "has 2 elements Message; it has one"),
    "no meta": (changed(enveloped(), ABOUT, None), "has 0 elements MetaInformation"),
    "no document": (changed(enveloped(), DOCUMENT, None), "has 0 elements Document"),
    "no data": (changed(enveloped(), "Message/Data", None), "has 0 elements Data"),
    "empty data": (changed(enveloped(), "Message/Data", ""), "Data is empty"),
    "not base64": (changed(enveloped(), "Message/Data", "Bundle{}"), "Data is not base64"),
    "broken base64": (changed(enveloped(), "Message/Data", "AAA"), "Data is not base64"),
    "letters": (changed(enveloped(), "Message/Data", "æøå="), "Data is not base64"),
    "no text": (changed(enveloped(), "Message/Data", b64encode(b"hello").decode()), "neither JSON nor XML"),
    "nested": (
        changed(enveloped(), "Message/Data", b64encode(enveloped()).decode()),
        "holds another VANSEnvelope",
    ),
    "OIOXML": (changed(enveloped(), f"{DOCUMENT}/Format", "XML"), "Format is not HL7"),
    "bomb": (BOMB, "document type declaration"),
    "bomb inside": (
        changed(enveloped(), "Message/Data", b64encode(b'<!DOCTYPE x []><Bundle/>').decode()),
        "document type declaration",
    ),
    "many elements": (_many(enveloped()), "more than 100 elements"),
    "another namespace": (
        enveloped().replace(b"vans-envelope", b"post-envelope"),
        "the root is not VANSEnvelope",
    ),
    "cut off": (enveloped()[:-40], "not well-formed XML"),
    "empty receipt": (
        b'<VANSEnvelope xmlns="urn:oio:medcom:vans-envelope:1.0.4"><Receipt/></VANSEnvelope>',
        "names no message that it is for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_envelope_is_refused_in_words(name: str) -> None:
    sent, said = HOSTILE[name]
    assert medcom.recognises(Head(content=sent))
    with pytest.raises(Refused, match=re.escape(said)):
        read(sent)


def test_a_long_attachment_fits_in_an_envelope() -> None:
    told: dict[str, Any] = json.loads(content(ASKED))
    told["entry"][2]["resource"]["payload"][0]["contentString"] = "æ" * 9_000_000
    long = json.dumps(told, ensure_ascii=False).encode()
    found = vans.opened(vans.parse(enveloping.close(long)))
    assert found.message == long


# --- receipts of the network ------------------------------------------------------------------------------


def network_receipt(kind: str, error: str = "") -> bytes:
    original = "5D0C7F10-0072-4E11-8C33-000000000072"
    return f"""<VANSEnvelope xmlns="{NS[1:-1]}"><SenderID EndPointType="EAN">5799990000125</SenderID>
    <ReceiverID EndPointType="EAN">5799990000118</ReceiverID>
    <EnvelopeIdentifier>3c1f3f0e-0000-4000-8000-000000000003</EnvelopeIdentifier>
    <SentDateTime>2026-02-20T12:02:00</SentDateTime><Receipt><{kind}>{error}
    <OriginalEnvelopeIdentifier>4c1f3f0e-0000-4000-8000-000000000004</OriginalEnvelopeIdentifier>
    <OriginalMessage><Identifier>{original}</Identifier></OriginalMessage></{kind}></Receipt>
    </VANSEnvelope>""".encode()


def test_a_receipt_of_the_network_says_that_the_envelope_has_arrived_and_no_more() -> None:
    found = read(network_receipt("PositiveMessage"))
    said = found.acknowledgement
    assert said is not None
    assert said.status is Status.TAKEN_OVER
    assert said.original_id == "5d0c7f10-0072-4e11-8c33-000000000072"
    assert said.giver.token == "https://www.gs1.org/gln|5799990000125"
    assert said.at == datetime(2026, 2, 20, 12, 2, tzinfo=COPENHAGEN)  # no offset: the zone's own time
    verdict = Verdict(status=Status.ACCEPTED, at=AT, id="x")
    assert medcom.acknowledge(found.envelope, verdict) is None


@pytest.mark.parametrize("kind", ("NegativeVans", "NegativeMessage"))
def test_a_negative_receipt_of_the_network_says_why_the_message_will_not_come(kind: str) -> None:
    error = "<Error><Code>1</Code><Description>Ukendt lokationsnummer</Description></Error>"
    said = read(network_receipt(kind, error)).acknowledgement
    assert said is not None
    assert said.status is Status.REFUSED
    assert said.issues == (Issue(code="1", text="Ukendt lokationsnummer"),)


@pytest.mark.parametrize("told", ["", "9" * 5000])
def test_a_receipt_of_the_network_without_an_id_that_can_be_looked_up_has_one_of_what_it_says(
    told: str,
) -> None:
    """Else the second is taken for the first once more, or the store cannot hold it."""
    negative = network_receipt("NegativeVans")
    own = f"<EnvelopeIdentifier>{told}</EnvelopeIdentifier>" if told else ""
    content = re.sub(rb"<EnvelopeIdentifier>[^<]*</EnvelopeIdentifier>", own.encode(), negative)
    other = content.replace(b"5D0C7F10", b"5D0C7F11")
    ids = [read(one).envelope.message_id for one in (content, content, other)]
    assert ids[0] == ids[1] != ids[2]
    assert 0 < len(ids[0]) <= LONGEST_ID and 0 < len(ids[2]) <= LONGEST_ID


if SAMPLES:
    EVERY = sorted((Path(SAMPLES) / "denmark").glob("*/Bundle-*.*"))
    NAMED = [path for path in EVERY if "eb26be85" not in path.name]  # an empty message, which has no name

    @pytest.mark.parametrize("path", NAMED, ids=lambda path: path.name)
    def test_every_official_example_goes_through_an_envelope(path: Path) -> None:
        made = enveloping.close(path.read_bytes())
        found = vans.opened(vans.parse(made))
        assert found.message == path.read_bytes()
        assert found.losses == ()
        bare = medcom.read(path.read_bytes(), content_type=None, zone=COPENHAGEN)
        assert read(made).bundle == bare.bundle
