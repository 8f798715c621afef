"""Receipts, also for the standard's own examples where DISCHARGE_ADAPTER_SAMPLES says where they lie.

They mirror every level and identifier of both addresses, in the version that the message's format expects
(N-03, N-04), and those that come in tell the receiver's own words (N-10).
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from adapter.mappings import kith
from adapter.messaging.acknowledgement import Status, Verdict
from tests.conftest import OSLO

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plo"
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
VERSIONS = {"2004-11-21": "1.0 2004-11-21", "2012-02-15": "v1.1 2012-02-15"}

Levels = list[tuple[str, str | None, list[tuple[str | None, str | None]]]]


def text(node: etree._Element, *names: str) -> str | None:
    found = node.xpath("/".join(f"*[local-name()='{name}']" for name in names) + "/text()")
    return str(found[0]).strip() if found else None


def children(node: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in node.iterchildren(etree.Element) if etree.QName(child).localname == name]


def told(kind: str, node: etree._Element, name: str | None, idents: list[etree._Element], tag: str) -> tuple:
    pairs = []
    for ident in idents:
        (type_id,) = children(ident, tag)
        pairs.append((text(ident, "Id"), (type_id.get("V") or "").strip()))
    return kind, name, pairs


def in_the_head(party: etree._Element) -> Levels:
    """What MsgHead says of a sender or receiver, level by level."""
    levels: Levels = []
    open_ones = [("Inst", one) for one in children(party, "Organisation")]
    persons: list[etree._Element] = []
    while open_ones:
        kind, node = open_ones.pop(0)
        levels.append(told(kind, node, text(node, "OrganisationName"), children(node, "Ident"), "TypeId"))
        open_ones += [("Dept", one) for one in children(node, "Organisation")]
        persons += children(node, "HealthcareProfessional")
    for node in persons:
        parts = (text(node, part) for part in ("GivenName", "MiddleName", "FamilyName"))
        name = " ".join(part for part in parts if part) or None
        levels.append(told("HCPerson", node, name, children(node, "Ident"), "TypeId"))
    return levels


def in_the_receipt(party: etree._Element) -> Levels:
    """What AppRec says of the same."""
    (hcp,) = children(party, "HCP")
    (inst,) = children(hcp, "Inst")
    levels: Levels = []
    for kind, nodes in (
        ("Inst", [inst]),
        ("Dept", children(inst, "Dept")),
        ("HCPerson", children(inst, "HCPerson")),
    ):
        for node in nodes:
            first = [node] if children(node, "Id") else []
            whole = told(kind, node, text(node, "Name"), first, "TypeId")
            more = told(kind, node, None, children(node, "AdditionalId"), "Type")
            levels.append((kind, whole[1], whole[2] + more[2]))
    return levels


def ident(number: int, kind: str) -> str:
    return f'<Ident><Id>{number}</Id><TypeId V="{kind}" DN="{kind} sitt namn"/></Ident>'


def deep(party: str, number: int) -> bytes:
    """An address of three organisations and a person, each with two identifiers."""
    levels = [f"<OrganisationName>Ledd {n}</OrganisationName>" for n in range(3)]
    first, second, third = (
        f"{name}{ident(number + n, 'HER')}{ident(999999900 + n, 'ENH')}" for n, name in enumerate(levels)
    )
    person = f"<GivenName>Ragnhild</GivenName>{ident(9999901, 'HPR')}{ident(number + 9, 'HER')}"
    within = f"{third}<HealthcareProfessional>{person}</HealthcareProfessional>"
    return (
        f"<{party}><Organisation>{first}<Organisation>{second}<Organisation>{within}"
        f"</Organisation></Organisation></Organisation></{party}>"
    ).encode()


def test_an_address_of_many_levels_and_identifiers_is_mirrored_whole() -> None:
    content = (FIXTURES / "home-with-help" / "ready.plo-1.6.xml").read_bytes()
    before, after = content.index(b"<Sender>"), content.index(b"<Patient>")
    content = content[:before] + deep("Sender", 8143500) + deep("Receiver", 8143510) + content[after:]
    envelope = kith.read(content, content_type=None, zone=OSLO).envelope
    said = Verdict(status=Status.ACCEPTED, at=datetime(2026, 1, 2, tzinfo=UTC), id="r")
    root = etree.fromstring(kith.acknowledge(envelope, said) or b"")
    info = etree.fromstring(content).find("{*}MsgInfo")
    for theirs, ours in (("Sender", "Receiver"), ("Receiver", "Sender")):
        mirrored = in_the_receipt(children(root, ours)[0])
        assert mirrored == in_the_head(children(info, theirs)[0])
        assert [kind for kind, _, _ in mirrored] == ["Inst", "Dept", "Dept", "HCPerson"]
        assert all(len(pairs) == 2 for _, _, pairs in mirrored)


if SAMPLES:
    NORWAY = Path(SAMPLES) / "norway"
    MESSAGES = sorted(
        path
        for folder in ("plo-1.5", "plo-1.6", "dialog-1.0", "dialog-1.1")
        for path in (NORWAY / folder).glob("*.xml")
        if path.stem != "invalid-version"
    )
    GIVEN = sorted(path for path in (NORWAY / "apprec").glob("*.xml") if "migversion" not in path.stem)

    @pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
    def test_every_address_is_mirrored_whole(path: Path) -> None:
        content = path.read_bytes()
        info = etree.fromstring(content)[0]
        receivers = [*children(info, "Receiver"), *children(info, "OtherReceiver")]
        receivers = [one for one in receivers if children(one, "Organisation")]
        envelope = kith.read(content, content_type=None, zone=OSLO).envelope
        assert len(envelope.receivers) == len(receivers)
        for index, receiver in enumerate(receivers):
            said = Verdict(
                status=Status.ACCEPTED, at=datetime(2026, 1, 2, tzinfo=UTC), id="r", receiver=index
            )
            root = etree.fromstring(kith.acknowledge(envelope, said) or b"")
            (sender_of_it,), (receiver_of_it,) = children(root, "Sender"), children(root, "Receiver")
            assert in_the_receipt(sender_of_it) == in_the_head(receiver)
            assert in_the_receipt(receiver_of_it) == in_the_head(children(info, "Sender")[0])
            assert children(sender_of_it, "Role")[0].get("V") == ("COP" if index else "PRIM")
            assert children(receiver_of_it, "Role")[0].get("V") == "AVS"
            (original,) = children(root, "OriginalMsgId")
            assert text(original, "Id") == text(info, "MsgId")
            assert text(original, "IssueDate") == text(info, "GenDate")
            assert children(original, "MsgType")[0].get("V") == children(info, "Type")[0].get("V")
            older = path.parent.name in ("plo-1.5", "dialog-1.0")
            version = "2004-11-21" if older else "2012-02-15"
            assert root.tag == f"{{http://www.kith.no/xmlstds/apprec/{version}}}AppRec"
            assert text(root, "MIGversion") == VERSIONS[version]

    @pytest.mark.parametrize("path", GIVEN, ids=lambda path: path.stem)
    def test_a_receipt_tells_who_gave_it_for_what_and_why_in_the_givers_words(path: Path) -> None:
        root = etree.fromstring(path.read_bytes())
        found = kith.read(path.read_bytes(), content_type=None, zone=OSLO)
        assert found.envelope.sender.identifiers
        if "unknown-status" in path.stem:
            assert found.problem is not None
            return
        assert found.problem is None
        assert found.acknowledgement is not None
        assert found.losses == ()
        said = found.acknowledgement
        written = {value for _, _, pairs in in_the_receipt(children(root, "Sender")[0]) for value, _ in pairs}
        assert {value for _, value in said.giver.identifiers} == written
        assert said.original_id == (text(root, "OriginalMsgId", "Id") or "").lower()
        errors = children(root, "Error")
        assert [issue.code for issue in said.issues] == [error.get("V") for error in errors]
        for issue, error in zip(said.issues, errors, strict=True):
            for words in (error.get("DN"), error.get("OT")):
                assert (words or "") in issue.text
