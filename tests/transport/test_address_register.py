"""Looking HER-ids up in the address register: over HTTP, from memory, and while it is down."""

import os
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.config import Settings
from adapter.config.norway import NorwaySettings
from adapter.errors import RegisterError
from adapter.messaging.communication_party import (
    CommunicationParty,
    PartyKind,
    document,
    her_id,
    read,
    written,
)
from adapter.messaging.register import Endpoint
from adapter.runtime import address_register
from adapter.simulator.address_register import AddressRegisterServer, Trouble
from adapter.store import Store
from adapter.store.migrations import migrate
from adapter.transport.address_register import (
    LARGEST,
    REST,
    TRIES,
    AddressRegister,
    Kept,
    LookedUp,
    RememberedRegister,
)
from adapter.transport.communication_party import Fault, Soap, Unreadable, answer
from tests.conftest import StandingClock
from tests.registers import LAERDAL, MARTA, NURSING, ended, register
from tests.transport.conftest import CERTIFICATE

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def server() -> Iterator[AddressRegisterServer]:
    with register() as made:
        yield made


@dataclass
class Waits:
    """The pauses that somebody has asked for; nobody waits."""

    taken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def asking(url: str, *, soap: Soap = Soap.V12, waits: Waits | None = None, **more: Any) -> AddressRegister:
    settings = {"timeout": 2.0, **more}
    endpoint = Endpoint(name="ar", transport="soap", address=url, dialect="soap", **settings)
    return AddressRegister(
        endpoint=endpoint, soap=soap, new_id=lambda: str(uuid.uuid4()), sleep=waits or Waits()
    )


def fault(made: AddressRegister, number: str = "8143510") -> RegisterError:
    with pytest.raises(RegisterError) as raised:
        made.look_up(number)
    return raised.value


# --- over HTTP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soap", list(Soap))
def test_an_organisation_is_read_as_the_register_has_it(server: AddressRegisterServer, soap: Soap) -> None:
    found = asking(server.url, soap=soap).look_up("8143510")
    assert found is not None
    assert (found.kind, found.name, found.display_name) == (
        PartyKind.ORGANISATION, "LÆRDAL KOMMUNE", "Lærdal kommune",
    )  # fmt: skip
    assert found.active and found.receives
    assert (found.organisation_number, found.municipality) == ("987654321", "4642")
    assert (found.parent_her_id, found.parent_name, found.parent_organisation_number) == (None, None, None)
    assert found.edi == "laerdal@edi.example"
    assert found.certificates == ("ldap://ldap.example/cn=x?usercertificate;binary",)
    (place,) = found.postal
    assert (place.kind, place.street, place.postal_code, place.city) == (
        "PST", "Øyraplassen 7", "6887", "LÆRDAL",
    )  # fmt: skip
    assert (place.postbox, place.country) == (None, None)


@pytest.mark.parametrize("soap", list(Soap))
def test_a_service_and_a_person_stand_below_an_organisation(
    server: AddressRegisterServer, soap: Soap
) -> None:
    made = asking(server.url, soap=soap)
    for one, kind in ((NURSING, PartyKind.SERVICE), (MARTA, PartyKind.PERSON)):
        found = made.look_up(one.her_id)
        assert found is not None
        assert (found.kind, found.name) == (kind, one.name)
        assert (found.parent_her_id, found.parent_name) == ("8143510", "LÆRDAL KOMMUNE")
        assert (found.organisation_number, found.parent_organisation_number) == (None, "987654321")


def test_times_are_norwegian_and_the_year_9999_is_no_end(
    server: AddressRegisterServer,
) -> None:
    server.put(ended(MARTA, "2026-07-01"))
    made = asking(server.url)
    nursing, marta = made.look_up("8143511"), made.look_up("8143590")
    assert nursing is not None and marta is not None
    assert nursing.valid_from == datetime(2013, 12, 31, 23, 0, tzinfo=UTC)
    assert nursing.valid_to is None
    assert marta.valid_to == datetime(2026, 6, 30, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize("soap", list(Soap))
def test_a_her_id_that_nobody_has_is_an_answer(server: AddressRegisterServer, soap: Soap) -> None:
    assert asking(server.url, soap=soap).look_up("1") is None
    assert server.asked == ["1"]


def test_user_and_password_or_a_token_let_us_in() -> None:
    basic = (("Authorization", "Basic c29sdmVpZzpoZW1tZWxpZw=="),)
    with register(user="solveig", password="hemmelig", token="nøkkel") as server:
        assert asking(server.url, headers=basic).look_up("8143510") is not None
        assert server.asked == ["8143510"]
        refused = fault(asking(server.url, token="feil"))
    assert refused.whole
    assert "does not let us in (HTTP 401); correct address_register_user" in str(refused)


def test_a_token_that_no_header_can_hold_is_said_to_be_so(server: AddressRegisterServer) -> None:
    refused = fault(asking(server.url, token="a\nb"))
    assert "correct them in [norway]" in str(refused)
    assert "a\nb" not in str(refused)


@pytest.mark.parametrize(
    ("trouble", "words", "whole"),
    [
        (Trouble.DOWN, "has a fault of its own (HTTP 503)", True),
        (Trouble.RESET, "cannot be asked: the", True),
        (Trouble.FAULT, "answers with a fault (s:Receiver: The server was unable", True),
        (Trouble.REFUSED, "will not tell of HER-id 8143510 (AccessDenied: Ikke tilgang", False),
        (Trouble.RUBBISH, "what cannot be read: it is not well-formed XML", False),
        (Trouble.CUT, "what cannot be read: it is not well-formed XML", False),
        (Trouble.DOCTYPE, "what cannot be read: it has a DOCTYPE", False),
        (Trouble.OTHER, "what cannot be read: it is about another HER-id", False),
    ],
)
def test_what_goes_wrong_is_said_with_what_to_do(
    server: AddressRegisterServer, trouble: Trouble, words: str, whole: bool
) -> None:
    server.trouble = trouble
    error = fault(asking(server.url))
    assert words in str(error)
    assert error.whole is whole
    assert any(word in str(error) for word in ("used meanwhile", "[norway]", "ask those who run it"))


def test_a_register_that_answers_too_late_is_left() -> None:
    with register() as server:
        server.trouble, server.wait = Trouble.SLOW, 5.0
        error = fault(asking(server.url, timeout=0.1))
        assert "no complete answer within 0.1 s" in str(error)
        assert len(server.asked) == TRIES
    assert "nobody listens" in str(fault(asking(server.url)))


def test_no_more_is_read_than_the_largest_answer_may_have() -> None:
    with register(largest=LARGEST) as server:
        server.trouble = Trouble.TOO_LONG
        error = fault(asking(server.url))
    assert "with more than 8 MiB" in str(error)
    assert len(server.asked) == 1


def test_a_fault_that_passes_is_waited_for(server: AddressRegisterServer) -> None:
    waits = Waits()
    server.trouble, server.first = Trouble.DOWN, 2
    assert asking(server.url, waits=waits).look_up("8143510") is not None
    assert waits.taken == [0.25, 0.5]
    server.trouble, server.first = Trouble.FAULT, 1
    assert fault(asking(server.url, waits=waits)).whole  # a fault that the register has thought about
    assert len(waits.taken) == 2


def test_another_version_or_address_is_named_as_what_to_correct(server: AddressRegisterServer) -> None:
    assert "correct address_register in [norway]" in str(fault(asking(f"{server.url}/elsewhere")))


@pytest.mark.parametrize(
    "script",
    [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     b"HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 0\r\n\r\n"],
)  # fmt: skip
def test_a_redirect_is_not_followed_and_a_wrong_version_is_named(peer: Any, script: bytes) -> None:
    there = peer(script)
    error = fault(asking(there.url))
    assert "correct address_register in" in str(error) or "address_register_soap" in str(error)
    assert len(there.requests) == 1


def test_the_question_has_the_action_where_each_version_has_it(peer: Any) -> None:
    there = peer(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    action = (
        "http://register.nhn.no/CommunicationParty/ICommunicationPartyService/GetCommunicationPartyDetails"
    )
    for soap in Soap:
        assert "HTTP 500" in str(fault(asking(there.url, soap=soap)))
    first, second = (request.decode() for request in there.requests)
    assert f'SOAPAction: "{action}"' in first
    assert "Content-Type: text/xml; charset=utf-8" in first
    assert f'Content-Type: application/soap+xml; charset=utf-8; action="{action}"' in second
    assert f">{action}</a:Action>" in second and f">{there.url}</a:To>" in second
    assert all("<herId>8143510</herId>" in request for request in (first, second))


def test_a_register_is_asked_over_tls_only_where_its_certificate_is_trusted(peer: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    there = peer(answered(BASE.format("<HerId>5</HerId>").encode()), context)
    assert asking(there.url, trust=str(CERTIFICATE)).look_up("5") is not None
    assert "certificate is not trusted" in str(fault(asking(there.url), "5"))
    assert len(there.requests) == 1


def answered(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


# --- reading ----------------------------------------------------------------------------------------------

BASE = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>
<GetCommunicationPartyDetailsResponse xmlns="http://register.nhn.no/CommunicationParty">
<GetCommunicationPartyDetailsResult xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{}
</GetCommunicationPartyDetailsResult></GetCommunicationPartyDetailsResponse></s:Body></s:Envelope>"""


def said(inner: str, number: str = "5") -> Any:
    return answer(BASE.format(inner).encode(), number)


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("", "names no HER-id"),
        ("<HerId>fem</HerId>", "HerId is no number"),
        ("<HerId>5</HerId><ParentHerId>x</ParentHerId>", "ParentHerId is no number"),
        ('<HerId>5</HerId><Valid xmlns:b="http://register.nhn.no/Common"><b:To>i morgen</b:To></Valid>',
         "Valid/To is no time"),
        ("<HerId>6</HerId>", "about another HER-id"),
        ("&a;", "not well-formed"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_not_taken_for_one(inner: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        said(inner)


def test_xml_that_is_no_envelope_or_no_answer_is_not_taken_for_one() -> None:
    for content, words in (
        (b"<html/>", "no SOAP envelope"),
        (b'<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"/>', "no SOAP envelope"),
        (
            b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body/></e:Envelope>',
            "no answer",
        ),
    ):
        with pytest.raises(Unreadable, match=words):
            answer(content, "5")


def test_little_is_enough_and_what_nobody_has_heard_of_is_another_kind() -> None:
    found = said("<HerId>5</HerId><Type>Drone</Type>")
    assert (found.kind, found.name, found.active) == (PartyKind.OTHER, None, False)


def test_a_nil_answer_is_nobody() -> None:
    nil = BASE.format("").replace('-instance">', '-instance" i:nil="true">')
    assert answer(nil.encode(), "5") is None


def test_what_would_steer_a_terminal_is_left_out() -> None:
    found = said("<HerId>5</HerId><Name>L\u009brdal \u202ekommune\nher</Name>")
    assert found.name == "Lrdal kommune her"


def test_a_fault_shows_no_number_of_a_person_and_is_cut() -> None:
    words = f"Person 15076500565 {'x' * 500}"
    envelope = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f"<faultcode>s:Client</faultcode><faultstring>{words}</faultstring></s:Fault></s:Body></s:Envelope>"
    )
    found = answer(envelope.encode(), "5")
    assert isinstance(found, Fault)
    assert found.text.startswith("s:Client: Person * xxx")
    assert len(found.text) == 200


def test_a_party_is_kept_as_text_and_read_back_as_it_was(server: AddressRegisterServer) -> None:
    found = asking(server.url).look_up("8143510")
    text = written(found)
    assert found is not None and text is not None
    assert read(text) == found
    assert document(found)["valid_from"] == "2001-12-31T23:00:00Z"
    with pytest.raises(ValueError, match="of another form"):
        read('{"her_id": "5"}')


def test_a_her_id_is_at_most_nine_digits_and_dots_are_tolerated() -> None:
    assert [her_id(text) for text in ("8143510", "81.43510", " 5 ", "999999999")] == [
        "8143510", "8143510", "5", "999999999",
    ]  # fmt: skip
    assert [her_id(text) for text in ("", "0", "-1", "15076500565", "8143510x", "٥")] == [None] * 6


# --- remembering ------------------------------------------------------------------------------------------


@pytest.fixture
def kept_in(store_url: str) -> Iterator[str]:
    store = Store(store_url)
    migrate(store)
    store.close()
    yield store_url


@dataclass
class Process:
    """A process of the adapter: a store that is opened, and the register remembered in it."""

    store: Store
    register: RememberedRegister

    def look_up(self, number: str = "8143510", *, refresh: bool = False) -> LookedUp:
        return self.register.look_up(number, refresh=refresh)


def process(url: str, server_url: str, clock: StandingClock) -> Process:
    store = Store(url)
    made = address_register(Settings(norway=NorwaySettings(address_register=server_url)), store, clock=clock)
    assert made is not None
    return Process(store, made)


def test_an_answer_is_used_for_its_age_and_after_a_restart(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    one = process(kept_in, server.url, clock)
    first = one.look_up()
    one.store.close()
    clock.forward(hours=23, minutes=59)
    other = process(kept_in, server.url, clock)
    assert other.look_up() == first
    assert (server.asked, first.stale) == (["8143510"], None)
    clock.forward(minutes=1)
    assert other.look_up().fetched_at == clock()
    assert server.asked == ["8143510"] * 2
    other.store.close()


def test_unknown_is_remembered_for_a_shorter_time(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    assert made.look_up("5").party is None
    clock.forward(minutes=59)
    assert made.look_up("5").party is None
    assert server.asked == ["5"]
    clock.forward(minutes=1)
    server.put(ended(LAERDAL, "2030-01-01"))
    made.look_up("5")
    assert server.asked == ["5", "5"]
    made.store.close()


def test_while_the_register_is_down_the_old_answer_is_used_and_marked(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    first, nobody = made.look_up(), made.look_up("5")
    clock.forward(hours=24 * 10)
    server.trouble = Trouble.FAULT
    later = made.look_up()
    assert (later.party, later.fetched_at) == (first.party, first.fetched_at)
    assert later.stale is not None and "answers with a fault" in later.stale
    assert made.look_up("5").party is nobody.party is None
    assert made.look_up("5").stale is not None
    with pytest.raises(RegisterError, match="answers with a fault"):
        made.look_up("8143511")
    made.store.close()


def test_a_register_that_is_down_is_left_alone_for_a_minute(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    server.trouble = Trouble.FAULT
    for number in ("8143510", "8143511", "5"):
        with pytest.raises(RegisterError):
            made.look_up(number)
    assert server.asked == ["8143510"]
    server.trouble = None
    clock.forward(seconds=REST.total_seconds())
    assert made.look_up("8143511").party is not None
    made.store.close()


def test_a_fault_about_one_her_id_does_not_keep_from_asking_about_others(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    server.trouble, server.first = Trouble.REFUSED, 1
    with pytest.raises(RegisterError, match="AccessDenied"):
        made.look_up("8143510")
    assert made.look_up("8143511").party is not None
    made.store.close()


def test_asking_anew_puts_the_new_answer_in_the_place_of_the_old(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    made.look_up()
    server.put(ended(LAERDAL, "2014-01-01"))
    clock.forward(minutes=5)
    for found in (made.look_up(refresh=True), made.look_up()):
        assert found.party is not None and found.party.valid_to is not None
        assert found.fetched_at == clock()
    made.store.close()


def test_an_answer_from_the_future_is_asked_for_anew(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    made.look_up()
    clock.forward(hours=-1)
    assert made.look_up().fetched_at == clock()
    assert made.look_up().fetched_at == clock()
    assert len(server.asked) == 2
    made.store.close()


def test_answers_of_one_register_are_none_of_another(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    one = process(kept_in, server.url, clock)
    one.look_up()
    with register(NURSING) as test_register:
        other = process(kept_in, test_register.url, clock)
        assert other.look_up().party is None
        other.store.close()
    assert one.look_up().party is not None
    one.store.close()


def test_what_another_version_has_kept_is_asked_for_anew(
    kept_in: str, server: AddressRegisterServer, clock: StandingClock
) -> None:
    made = process(kept_in, server.url, clock)
    made.register.answers.put("8143510", Kept(fetched_at=clock(), document='{"name": "Lærdal"}'))
    assert made.look_up().party is not None
    assert server.asked == ["8143510"]
    made.store.close()


def test_user_and_password_of_the_settings_let_us_in_and_no_register_is_none(clock: StandingClock) -> None:
    with register(user="solveig", password="hemmelig") as server:
        norway = NorwaySettings(
            address_register=server.url, address_register_user="solveig", address_register_password="hemmelig"
        )
        made = address_register(Settings(norway=norway), None, clock=clock)
        assert made is not None
        assert made.look_up("8143510") == made.look_up("8143510")
        assert server.asked == ["8143510"]  # remembered without a store, as long as the process lives
    assert address_register(Settings(), None, clock=clock) is None


# --- the recorded answers ---------------------------------------------------------------------------------

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")

if SAMPLES:
    RECORDED = Path(SAMPLES) / "norway" / "address-register"

    def recorded(name: str, number: str) -> CommunicationParty:
        found = answer(
            (RECORDED / f"get-communication-party-details-{name}-response.xml").read_bytes(), number
        )
        assert isinstance(found, CommunicationParty)
        return found

    def test_the_recorded_organisation_is_read_whole() -> None:
        found = recorded("organzation", "8142987")
        assert (found.kind, found.organisation_number, found.municipality) == (
            PartyKind.ORGANISATION, "931796003", "0301",
        )  # fmt: skip
        assert found.parent_her_id is None and found.active and not found.receives
        assert found.valid_to == datetime(2125, 3, 23, 23, 0, tzinfo=UTC)
        assert found.edi == "meldingstjener-api@testedi.nhn.no"
        assert found.certificates[0].startswith("ldap://ldap.test4.buypass.no/dc=Buypass")
        assert [place.kind for place in found.postal] == ["RES", "PST"]

    def test_the_recorded_service_names_its_organisation() -> None:
        found = recorded("service", "8094866")
        assert (found.kind, found.name, found.parent_her_id, found.parent_name) == (
            PartyKind.SERVICE, "Meldingsvalidering", "112374", "Norsk Helsenett SF",
        )  # fmt: skip
        assert found.parent_organisation_number == "994598759"
        assert found.receives and found.organisation_number is None
        assert [e.kind for e in found.electronic][:2] == ["E_EDI", "E_DS"]
        assert {place.country for place in found.postal} == {"NO"}

    def test_of_the_recorded_person_no_number_is_kept() -> None:
        found = recorded("person", "115522")
        assert (found.kind, found.parent_her_id, found.valid_to) == (PartyKind.PERSON, "84556", None)
        text = written(found) or ""
        assert "XXXXX" not in text and "1985" not in text and "7480342" not in text

    def test_the_recorded_parties_with_and_without_parent() -> None:
        alone, below = recorded("no-parent", "12345"), recorded("with-parent", "55555")
        assert (alone.parent_her_id, alone.parent_name) == (None, None)
        assert (below.parent_her_id, below.parent_name) == ("987654", "Overordnet Organisasjon")
        assert (alone.names, below.postal[0].postal_code) == (("ET LEGEKONTOR", "Et legekontor"), "0037")

    def test_the_recorded_refusal_is_that_nobody_has_the_number() -> None:
        content = (RECORDED / "get-communication-party-details-not-found-response.xml").read_bytes()
        assert answer(content, "1") is None
