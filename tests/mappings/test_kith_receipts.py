"""AppRec given and read: one version per dialect, every address mirrored, never an answer to an answer."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from adapter.errors import Quarantined, Refused
from adapter.mappings import Reading, kith
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.envelope import HER, Envelope

PLO = Path(__file__).parents[2] / "fixtures" / "plo"
OSLO = ZoneInfo("Europe/Oslo")
NAMESPACES = {
    "1.5": "http://www.kith.no/xmlstds/apprec/2004-11-21",
    "1.6": "http://www.kith.no/xmlstds/apprec/2012-02-15",
}


def read(data: bytes) -> Reading:
    return kith.read(data, content_type=None, zone=OSLO)


def envelope(scenario: str, name: str, version: str = "1.6") -> Envelope:
    return read((PLO / scenario / f"{name}.plo-{version}.xml").read_bytes()).envelope


def verdict(
    status: Status = Status.ACCEPTED, *, receiver: int = 0, issues: tuple[Issue, ...] = ()
) -> Verdict:
    return Verdict(
        status=status,
        at=datetime(2014, 3, 3, 13, 21, 9, tzinfo=UTC),
        id="7a1f6dd2-5c2f-4f57-8a39-1c2d8c1f0f11",
        receiver=receiver,
        issues=issues,
    )


def receipt(of: Envelope, said: Verdict) -> etree._Element:
    given = kith.acknowledge(of, said)
    assert given is not None
    return etree.fromstring(given)


def texts(root: etree._Element, path: str) -> list[str | None]:
    return [found.text for found in root.findall("/".join(f"{{*}}{part}" for part in path.split("/")))]


def value(root: etree._Element, path: str, attribute: str = "V") -> str | None:
    found = root.find("/".join(f"{{*}}{part}" for part in path.split("/")))
    return found.get(attribute) if found is not None else None


@pytest.mark.parametrize(("version", "mig"), [("1.5", "1.0 2004-11-21"), ("1.6", "v1.1 2012-02-15")])
def test_an_acceptance_is_in_the_version_that_the_sender_expects(version: str, mig: str) -> None:
    root = receipt(envelope("home-with-help", "admitted", version), verdict())
    assert root.tag == f"{{{NAMESPACES[version]}}}AppRec"
    assert texts(root, "MIGversion") == [mig]
    assert (value(root, "Status"), value(root, "Status", "DN")) == ("1", "OK")
    assert texts(root, "GenDate") == ["2014-03-03T14:21:09"]
    assert texts(root, "Id") == ["7a1f6dd2-5c2f-4f57-8a39-1c2d8c1f0f11"]
    assert root.find("{*}Error") is None


def test_sender_and_receiver_are_swapped_level_by_level() -> None:
    root = receipt(envelope("home-with-help", "admitted"), verdict())
    assert (value(root, "Sender/Role"), value(root, "Receiver/Role")) == ("PRIM", "AVS")
    assert texts(root, "Sender/HCP/Inst/Name") == ["Lærdal kommune"]
    assert texts(root, "Sender/HCP/Inst/Dept/Name") == ["Sjukepleieteneste"]
    assert texts(root, "Sender/HCP/Inst/Dept/Id") == ["8143511"]
    assert texts(root, "Receiver/HCP/Inst/Id") == ["8143500"]
    assert texts(root, "Receiver/HCP/Inst/Dept/Id") == ["8143501"]


def test_letters_are_kept_though_identity_is_normalised() -> None:
    of = envelope("copy-to-the-gp", "discharged-in-latin-1")
    root = receipt(of, verdict())
    assert texts(root, "Receiver/HCP/Inst/Id") == ["8.143.500"]
    assert texts(root, "OriginalMsgId/Id") == [of.message_id.upper()]
    assert texts(root, "OriginalMsgId/IssueDate") == ["2014-03-07T12:31:00"]
    assert value(root, "OriginalMsgId/MsgType") == "LOG_UTSKREVET"


def test_a_copy_receiver_answers_as_one_and_a_person_as_a_person() -> None:
    root = receipt(envelope("copy-to-the-gp", "discharged-in-latin-1"), verdict(receiver=1))
    assert value(root, "Sender/Role") == "COP"
    assert texts(root, "Sender/HCP/Inst/Name") == ["Lærdal legekontor"]
    assert texts(root, "Sender/HCP/Inst/HCPerson/Name") == ["Eldbjørg Moen"]
    assert texts(root, "Sender/HCP/Inst/HCPerson/Id") == ["8143591"]


def test_further_identifiers_come_after_the_departments() -> None:
    data = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
    enh = b"</Ident><Ident><Id>999999901</Id><TypeId V='ENH' DN='Org' S='2.16.578.1.12.4.1.1.9051'/></Ident>"
    of = read(data.replace(b"</Ident>", enh, 1)).envelope
    assert ("urn:oid:2.16.578.1.12.4.1.4.101", "999999901") in of.sender.identifiers
    inst = receipt(of, verdict()).find("{*}Receiver/{*}HCP/{*}Inst")
    assert inst is not None
    names = [str(etree.QName(child).localname) for child in inst]
    assert names == ["Name", "Id", "TypeId", "Dept", "AdditionalId"]


def test_a_refusal_gives_the_lists_code_its_text_and_our_reason() -> None:
    of = envelope("refused-on-arrival", "message-id-is-no-guid")
    root = receipt(of, verdict(Status.REFUSED, issues=(Issue(code="E10", text="no GUID"),)))
    assert (value(root, "Status"), value(root, "Status", "DN")) == ("2", "Avvist")
    assert value(root, "Error") == "E10"
    assert value(root, "Error", "S") == "2.16.578.1.12.4.1.1.8221"
    assert value(root, "Error", "DN") == "Ugyldig meldingsidentifikator"
    assert value(root, "Error", "OT") == "no GUID"
    assert texts(root, "OriginalMsgId/Id") == ["2014/000317"]


def test_a_reason_outside_the_list_and_none_at_all_are_another_error() -> None:
    of = envelope("home-with-help", "admitted")
    other = receipt(of, verdict(Status.REFUSED, issues=(Issue(code="invalid", text="why"),)))
    assert (value(other, "Error"), value(other, "Error", "OT")) == ("X99", "why")
    assert value(receipt(of, verdict(Status.REFUSED)), "Error") == "X99"


@pytest.mark.parametrize("status", [Status.TAKEN_OVER, Status.NOT_NOW])
def test_nothing_is_said_before_it_is_final(status: Status) -> None:
    assert kith.acknowledge(envelope("home-with-help", "admitted"), verdict(status)) is None


def test_a_receipt_is_never_answered() -> None:
    for path in (PLO / "receipt-for-an-admission").iterdir():
        assert kith.acknowledge(read(path.read_bytes()).envelope, verdict()) is None


def test_an_unreadable_sender_gets_no_receipt() -> None:
    data = (PLO / "home-with-help" / "admitted.plo-1.6.xml").read_bytes()
    start, end = data.index(b"<Sender>"), data.index(b"</Sender>")
    found = read(data[:start] + b"<Sender><Organisation/>" + data[end:])
    assert isinstance(found.problem, Refused)
    assert kith.acknowledge(found.envelope, verdict(Status.REFUSED)) is None


def test_reading_the_stored_bytes_again_gives_the_same_receipt() -> None:
    first = kith.acknowledge(envelope("home-with-help", "ready"), verdict())
    assert first == kith.acknowledge(envelope("home-with-help", "ready"), verdict())


# --- read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apprec", "version"), [("1.0", "1.5"), ("1.1", "1.6")])
def test_a_positive_receipt_finds_its_message(apprec: str, version: str) -> None:
    found = read((PLO / "receipt-for-an-admission" / f"accepted.apprec-{apprec}.xml").read_bytes())
    told = found.acknowledgement
    assert told is not None
    assert told.status is Status.ACCEPTED
    assert told.original_id == envelope("home-with-help", "admitted", version).message_id
    assert told.at == datetime(2014, 3, 3, 14, 21, 9, tzinfo=OSLO)
    assert told.giver.identifiers == ((HER, "8143511"), (HER, "8143510"))
    assert (found.envelope.type, found.envelope.dialect) == ("APPREC", f"plo-{version}")
    assert found.losses == ()


@pytest.mark.parametrize("apprec", ["1.0", "1.1"])
def test_a_rejection_tells_the_reason_in_the_receivers_own_words(apprec: str) -> None:
    told = read(
        (PLO / "receipt-for-an-admission" / f"rejected.apprec-{apprec}.xml").read_bytes()
    ).acknowledgement
    assert told is not None
    assert told.status is Status.REFUSED
    assert told.issues == (Issue(code="E21", text="Mottaker finnes ikke: Tenesta er nedlagd"),)


def test_our_own_receipt_is_read_back() -> None:
    of = envelope("home-with-help", "admitted")
    for status in (Status.ACCEPTED, Status.REFUSED):
        given = kith.acknowledge(of, verdict(status))
        assert given is not None
        told = read(given).acknowledgement
        assert told is not None
        assert (told.original_id, told.status, told.at) == (of.message_id, status, verdict().at)


def changed(old: bytes, new: bytes) -> Reading:
    data = (PLO / "receipt-for-an-admission" / "accepted.apprec-1.1.xml").read_bytes()
    assert old in data
    return read(data.replace(old, new))


def test_an_error_in_part_is_accepted_with_its_issues() -> None:
    error = b'<Status V="3"/><Error V="07" DN="Feil" OT="93495"/>'
    found = changed(b'<Status V="1" DN="OK"/>', error).acknowledgement
    assert found is not None
    assert (found.status, found.issues) == (Status.ACCEPTED, (Issue(code="07", text="Feil: 93495"),))


def test_an_unknown_status_waits_for_a_person() -> None:
    found = changed(b'<Status V="1"', b'<Status V="73"')
    assert isinstance(found.problem, Quarantined)
    assert found.acknowledgement is None


def test_a_receipt_for_nothing_is_refused() -> None:
    found = changed(b"OriginalMsgId>", b"Elsewhere>")
    assert isinstance(found.problem, Refused)
    assert found.acknowledgement is None


def test_the_original_id_is_compared_as_an_identity() -> None:
    of = envelope("home-with-help", "admitted").message_id
    for written in (of.upper(), "{" + of + "}", of.replace("-", "")):
        told = changed(of.encode(), written.encode()).acknowledgement
        assert told is not None
        assert told.original_id == of
