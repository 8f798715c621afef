"""Who gets a message, and at which service (N-16); what becomes of one that is for somebody else (N-07)."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError
from adapter.mappings.known import named
from adapter.messaging.addressing import SERVICES, addressed, service_at, unknown_service
from adapter.messaging.envelope import HER, Address
from adapter.messaging.register import Party, ReceiptWhen, Service, Side, UnknownService
from adapter.store import tables
from tests.apprecs import receipts, to_service, with_copy
from tests.conftest import StandingClock
from tests.stage import REGION, Stage, address_of, altered, region, stage

K = NoticeKind
NURSING, CASE_WORK, MENTAL_HEALTH = "8143521", "8143522", "8143523"
AARDAL = Party(
    id="aardal",
    name="Årdal kommune",
    kind="municipality",
    side=Side.THEIRS,
    identifiers=((HER, "8143520"),),
    services=(
        Service(role="nursing", identifiers=((HER, NURSING),)),
        Service(role="case-work", identifiers=((HER, CASE_WORK),)),
    ),
)
WITH_MENTAL_HEALTH = replace(
    AARDAL, services=(*AARDAL.services, Service(role="mental-health", identifiers=((HER, MENTAL_HEALTH),)))
)


def at(*numbers: str) -> Address:
    return Address(identifiers=tuple((HER, number) for number in numbers))


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Of one kind only: an address is found in the region file, whatever the store."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


def service_of(content: bytes) -> str:
    """The HER-id of the service to which a MsgHead is addressed; of the organisation where it names none."""
    envelope = named("plo-1.6").read(content, content_type=None, zone=REGION_ZONE).envelope
    return envelope.receivers[0].identifiers[0][1]


REGION_ZONE = StandingClock().at.tzinfo


def to_organisation(play: Stage, kind: NoticeKind, party: str, **more: object) -> bytes:
    """A FHIR message that names the organisation and no service of it."""
    made = play.message(kind, receivers=(party,), **more)
    service, organisation = address_of(play.built.register, party).identifiers[:2]
    return made.replace(service[1].encode(), organisation[1].encode())


# --- which service ------


@pytest.mark.parametrize(
    ("kind", "service"),
    [
        ("admitted", NURSING),
        ("discharged", NURSING),
        ("deceased", NURSING),
        ("discharge-report", NURSING),
        ("care-needs", CASE_WORK),
        ("ready-for-discharge", CASE_WORK),
        ("readiness-withdrawn", CASE_WORK),
    ],
)
def test_each_kind_goes_to_the_service_of_the_profiles(kind: str, service: str):
    assert addressed(AARDAL, at("8143520"), kind) == Address(
        identifiers=((HER, service), (HER, "8143520")), name="Årdal kommune"
    )


def test_kinds_of_which_the_profiles_say_nothing_stay_where_they_were_addressed():
    for kind in {k.value for k in K} - set(SERVICES):
        assert addressed(AARDAL, at("8143520"), kind) == at("8143520")


@pytest.mark.parametrize("kind", sorted(SERVICES))
def test_psychiatric_stays_go_to_the_mental_health_service_where_there_is_one(kind: str):
    found = addressed(WITH_MENTAL_HEALTH, at("8143520"), kind, psychiatric=True)
    assert found.identifiers[0] == (HER, MENTAL_HEALTH)
    elsewhere = addressed(AARDAL, at("8143520"), kind, psychiatric=True)
    assert elsewhere == addressed(AARDAL, at("8143520"), kind)


def test_a_party_may_want_it_otherwise():
    """The profile of 1.5 has all logistics messages go to case-work."""
    party = replace(AARDAL, addressing=(("admitted", ("case-work", "nursing")), ("enquiry", ("nursing",))))
    assert addressed(party, at("8143520"), "admitted").identifiers[0] == (HER, CASE_WORK)
    assert addressed(party, at(NURSING, "8143520"), "admitted") == at(NURSING, "8143520")
    assert addressed(party, at("8143520"), "enquiry").identifiers[0] == (HER, NURSING)


def test_a_service_that_the_table_allows_stays_and_another_one_gives_way():
    assert addressed(AARDAL, at(CASE_WORK, "8143520"), "care-needs") == at(CASE_WORK, "8143520")
    moved = addressed(AARDAL, at(NURSING, "8143520"), "care-needs")
    assert moved.identifiers == ((HER, CASE_WORK), (HER, "8143520"))


def test_what_is_addressed_to_a_service_in_plo_stays_there():
    written = at(NURSING, "8143520")
    assert addressed(AARDAL, written, "care-needs", explicit=True) == written


def test_without_such_a_service_the_address_stays():
    bare = replace(AARDAL, services=())
    assert addressed(bare, at("8143520"), "care-needs") == at("8143520")


def test_a_copy_receiver_stays_one():
    assert addressed(AARDAL, replace(at("8143520"), copy=True), "admitted").copy


@pytest.mark.parametrize(
    ("party", "kind", "service"),
    [
        ("aardal", K.ADMITTED, "8143521"),
        ("aardal", K.READY_FOR_DISCHARGE, "8143522"),
        ("aardal", K.READINESS_WITHDRAWN, "8143522"),
        ("aardal", K.DISCHARGED, "8143521"),
        ("leikanger", K.READY_FOR_DISCHARGE, "8143562"),
    ],
)
@pytest.mark.parametrize("how", ["organisation", "nursing"])
def test_what_we_write_for_a_plo_reader_goes_to_the_right_service(
    play: Stage, how: str, party: str, kind: NoticeKind, service: str
):
    write = {"organisation": to_organisation, "nursing": lambda p, k, r: p.message(k, receivers=(r,))}[how]
    assert play.receive(write(play, kind, party)).outcome == "accepted"
    play.deliver()
    assert service_of(play.post.sent[0][1].content) == service


def test_the_region_s_own_choice_holds_for_what_we_write(store_url: str, clock: StandingClock):
    own = altered(region(), "aardal", addressing=(("ready-for-discharge", ("nursing",)),))
    play = stage(store_url, clock, of=own)
    play.receive(to_organisation(play, K.READY_FOR_DISCHARGE, "aardal"))
    play.deliver()
    assert service_of(play.post.sent[0][1].content) == "8143521"
    play.close()


def test_a_reissue_goes_to_the_right_service_too(play: Stage, clock: StandingClock):
    play.receive(to_organisation(play, K.READY_FOR_DISCHARGE, "aardal"))
    inbox = play.built.inbox
    play.write(lambda tx: inbox.reissue(tx, 1, clock(), to="leikanger", by="Kari"))
    play.deliver()
    to = {name: sent.content for name, sent in play.post.sent}
    assert service_of(to["leikanger"]) == "8143562"


def test_an_answer_goes_to_the_address_that_was_written_from(store_url: str, clock: StandingClock):
    """The ward wrote, so the ward is answered, whatever the answer's sender has put there."""
    theirs = region(**{"laerdal-sjukehus": "theirs"})
    play = stage(store_url, clock, of=altered(theirs, "laerdal-sjukehus", endpoint="aardal"))
    number = str(uuid.uuid4())
    play.receive(play.plo(K.READY_FOR_DISCHARGE, message_id=number))
    answer = play.message(
        K.DECEASED, sender="sogndal", receivers=("laerdal-sjukehus",), hospital=None, refers_to=number
    )
    assert play.receive(answer.replace(b"8143501", b"8143500")).outcome == "accepted"
    play.deliver()
    (written,) = [m.content for _, m in play.post.sent if b"LOG_DOD" in m.content]
    assert service_of(written) == "8143501"
    play.close()


# --- hosts and acute beds ------


@pytest.mark.parametrize("dialect", ["plo-1.5", "plo-1.6"])
def test_a_host_receives_for_the_hosted_party_which_gives_the_receipt(
    store_url: str, clock: StandingClock, dialect: str
):
    """Sogn lokalmedisinske senter is hosted by Lærdal; the AppRec is in the hosted party's own name."""
    play = stage(store_url, clock, of=altered(region(), "sogn-lms", receipt=ReceiptWhen.STORED))
    done = play.receive(play.plo(K.ADMITTED, receivers=("sogn-lms",), dialect=dialect))
    assert done.outcome == "accepted"
    assert [(d["party"], d["endpoint"]) for d in play.rows(tables.delivery)] == [("sogn-lms", "laerdal")]
    assert done.acknowledgement is not None
    assert b"8143600" in done.acknowledgement
    assert b"8143510" not in done.acknowledgement
    play.close()


def test_an_acute_bed_gets_no_early_notice(play: Stage):
    held = play.receive(play.message(K.CARE_NEEDS, receivers=("sogn-lms",)))
    assert (held.outcome, held.code, held.acknowledgement) == ("quarantined", "not-for-acute-bed", None)
    assert "ask the sender to address the municipality's case-work service" in str(held.reason)
    assert play.rows(tables.delivery) == []


@pytest.mark.parametrize("kind", [K.REPORT_OF_ADMISSION, K.ADMITTED, K.DISCHARGE_REPORT])
def test_an_acute_bed_gets_everything_else(play: Stage, kind: NoticeKind):
    assert play.receive(play.message(kind, receivers=("sogn-lms",))).outcome == "accepted"


@pytest.mark.parametrize("kind", [K.ADMITTED, K.READY_FOR_DISCHARGE, K.DISCHARGED, K.DISCHARGE_REPORT])
def test_an_acute_bed_sends_for_itself(play: Stage, kind: NoticeKind):
    done = play.receive(play.message(kind, sender="sogn-lms", hospital="sogn-lms"))
    assert (done.outcome, done.sender) == ("accepted", "sogn-lms")


# --- for somebody else ------


def elsewhere(content: bytes) -> bytes:
    return content.replace(b"8143551", b"9999991").replace(b"8143550", b"9999990")


def test_a_message_for_somebody_else_gets_no_receipt_and_a_person_can_see_it(play: Stage):
    done = play.receive(elsewhere(play.plo(K.ADMITTED)), channel="directory")
    assert (done.outcome, done.code, done.acknowledgement) == ("quarantined", "unknown-receiver", None)
    assert [d for d in play.rows(tables.delivery) if d["kind"] == "receipt"] == []
    assert [m["outcome"] for m in play.rows(tables.message)] == ["quarantined"]


@pytest.mark.parametrize("fault", [b"<GivenName>", b"<MsgId>"])
def test_not_even_one_that_would_be_refused(play: Stage, fault: bytes):
    """A refusal is a receipt, too: it is not ours to give (N-07)."""
    content = elsewhere(play.plo(K.ADMITTED)).replace(fault, fault + b"x", 1)
    broken = content.replace(b"21843012660", b"") if fault == b"<GivenName>" else content
    done = play.receive(broken, channel="directory")
    assert (done.outcome, done.acknowledgement) == ("refused", None)
    assert play.rows(tables.delivery) == []


def test_one_whose_sender_cannot_be_read_gets_no_receipt(play: Stage):
    root = etree.fromstring(play.plo(K.ADMITTED))
    for ident in root.xpath("//*[local-name()='Sender']//*[local-name()='Ident']"):
        ident.getparent().remove(ident)
    done = play.receive(etree.tostring(root), channel="directory")
    assert (done.outcome, done.acknowledgement) == ("refused", None)
    assert play.rows(tables.delivery) == []


def test_every_receiver_of_ours_gives_its_own_refusal(play: Stage):
    """N-01: one receipt for each receiver, also where it is negative."""
    number = str(uuid.uuid4())
    content = with_copy(play.plo(K.ADMITTED, message_id=number)).replace(b"21843012660", b"")
    assert play.receive(content, channel="directory").code == "E36"
    assert sorted(receipts(play)) == [(number, "COP", "8143552", "2"), (number, "PRIM", "8143551", "2")]


# --- the right organisation, an unknown service (E21) ------


def on_board(**more: object):
    return altered(region(), "sogndal", endpoint=None, receipt=ReceiptWhen.STORED, **more)


@pytest.mark.parametrize("as_", ["message", "plo"])
def test_an_unknown_service_is_its_organisation_s_and_somebody_is_told(
    store_url: str, clock: StandingClock, as_: str
):
    play = stage(store_url, clock, of=on_board())
    done = play.receive(to_service(getattr(play, as_)(K.ADMITTED), "8143559"))
    assert done.outcome == "accepted"
    assert done.acknowledgement is not None
    assert "sogndal has no service HER-id 8143559 in the region file" in str(done.warning)
    told = [row["subject"] for row in play.rows(tables.alarm) if row["kind"] == "unknown-service"]
    assert told == ["service HER-id 8143559 of sogndal"]
    play.receive(to_service(getattr(play, as_)(K.ADMITTED), "8143559"))
    assert [row["kind"] for row in play.rows(tables.alarm)].count("unknown-service") == 1
    play.close()


def test_where_the_party_wants_it_so_it_is_refused_with_e21(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=on_board(unknown_service=UnknownService.REFUSE))
    number = str(uuid.uuid4())
    content = to_service(play.plo(K.ADMITTED, message_id=number), "8143559")
    done = play.receive(content, channel="directory")
    assert (done.outcome, done.code) == ("refused", "E21")
    assert receipts(play) == [(number, "PRIM", "8143559", "2")]
    assert b'V="E21"' in (done.acknowledgement or b"")
    play.close()


def test_only_the_unknown_one_of_two_receivers_is_refused(store_url: str, clock: StandingClock):
    play = stage(store_url, clock, of=on_board(unknown_service=UnknownService.REFUSE))
    number = str(uuid.uuid4())
    content = with_copy(play.plo(K.ADMITTED, message_id=number), service="8143559")
    assert play.receive(content, channel="directory").outcome == "accepted"
    assert sorted(receipts(play)) == [(number, "COP", "8143559", "2"), (number, "PRIM", "8143551", "1")]
    assert [f["kind"] for f in play.rows(tables.fact) if f["message_row"]] == ["admitted"]
    play.close()


def test_what_is_relayed_is_not_judged(store_url: str, clock: StandingClock):
    theirs = region(**{"laerdal-sjukehus": "theirs"})
    play = stage(store_url, clock, of=altered(theirs, "aardal", unknown_service=UnknownService.REFUSE))
    content = to_service(play.plo(K.ADMITTED, receivers=("aardal",)), "8143529", was="8143521")
    assert play.receive(content, channel="directory").outcome == "accepted"
    assert [d["party"] for d in play.rows(tables.delivery)] == ["aardal"]
    play.close()


def test_another_number_of_the_organisation_is_no_service():
    """An organisation number beside the HER-id, or a person's, does not name a service."""
    enh, hpr = "urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:2.16.578.1.12.4.1.4.4"
    for other in (enh, hpr):
        assert unknown_service(AARDAL, Address(identifiers=((other, "1"), (HER, "8143520")))) is None
    assert unknown_service(AARDAL, at(NURSING, "8143520")) is None
    assert unknown_service(AARDAL, at("8143529", "8143520")) == "HER-id 8143529"
    assert service_at(AARDAL, at("8143529", "8143520")) is None


# --- in the region file ------


def written(folder: Path, *, top: str = "", party: str = "") -> Path:
    text = REGION.read_text(encoding="utf-8")
    text = text.replace('agreement = "norway"\n', f'agreement = "norway"\n{top}\n', 1)
    mark = 'identifiers = ["HER|8143520"]\n'
    made = folder / "region.toml"
    made.write_text(text.replace(mark, mark + party + "\n", 1), encoding="utf-8")
    return made


def test_the_region_file_says_who_gets_what_and_what_becomes_of_unknown_services(tmp_path: Path):
    path = written(
        tmp_path,
        top='unknown_service = "refuse"',
        party='unknown_service = "accept"\naddressing = { admitted = "case-work", enquiry = ["nursing"] }',
    )
    register = load_region(path).register_
    aardal, luster = register.party("aardal"), register.party("luster")
    assert aardal is not None and luster is not None
    assert aardal.addressing == (("admitted", ("case-work",)), ("enquiry", ("nursing",)))
    assert (aardal.unknown_service, luster.unknown_service) == (UnknownService.ACCEPT, UnknownService.REFUSE)


@pytest.mark.parametrize(
    ("top", "party", "says"),
    [
        ('unknown_service = "maybe"', "", "unknown_service = 'maybe' is not one of accept, refuse"),
        ("", 'unknown_service = "maybe"', "unknown_service = 'maybe' is not one of accept, refuse"),
        ("", 'addressing = { admited = "nursing" }', "'admited' is no kind of notice"),
        (
            "",
            'addressing = { admitted = "ward" }',
            "admitted = 'ward' is not the role of any of its services",
        ),
        ("", "addressing = { admitted = [] }", "admitted names no role"),
    ],
)
def test_what_the_region_file_says_wrongly_is_told(tmp_path: Path, top: str, party: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        load_region(written(tmp_path, top=top, party=party))


def test_the_table_in_the_docs_is_the_one_that_is_followed():
    page = (REGION.parent.parent.parent / "docs" / "norwegian-messages.md").read_text(encoding="utf-8")
    section = page.split("<!-- services -->")[1].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in section.strip().splitlines()[2:]]
    assert {kind.strip(" `"): role.strip(" `") for kind, role in rows} == dict(SERVICES)
