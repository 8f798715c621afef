"""The cases of a national acceptance test for each Norwegian message type, through the real inbox.

Whatever becomes of a message, it is logged, its bytes are kept as they came, it is shown, and its sender gets
exactly the AppRec that is due, or none (N-01 to N-18). Written from the standard, not from the code.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from adapter.config import Settings
from adapter.inbox import Acceptance
from adapter.store import Store, tables
from adapter.store.migrations import migrate
from tests.acceptance.norway import (
    AARDAL,
    BOTH,
    CANCELLABLE,
    MH,
    NEWEST,
    NOBODYS,
    SCHEMAS,
    STRANGER,
    Message,
    Specimen,
    due,
    gist,
    is_logged,
    known_to,
    said,
    standing,
)
from tests.conftest import StandingClock
from tests.stage import Stage, stage

Begin = Callable[..., Stage]
INVALID = "09913638057"  # its last digit does not fit; month + 80
D_NUMBER, F_NUMBER = "57864133012", "17864133029"  # of the same person
HELP_NUMBER = "80913600012"


def each(*specimens: Specimen) -> pytest.MarkDecorator:
    """A test for every message type."""
    return pytest.mark.parametrize("specimen", specimens, ids=lambda specimen: specimen.name)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store with nothing in it."""
    path = tmp_path_factory.mktemp("norway") / "empty.db"
    store = Store(f"sqlite:///{path}")
    migrate(store)
    store.close()
    return path


@pytest.fixture
def begin(empty: Path, tmp_path: Path) -> Iterator[Begin]:
    """The receiver's side of the region over a store of its own, six minutes after the message was sent."""
    made: list[Stage] = []

    def _begin(specimen: Specimen, settings: Settings | None = None) -> Stage:
        shutil.copy(empty, tmp_path / "store.db")
        clock = StandingClock(at=specimen.message().sent + timedelta(minutes=6))
        url = f"sqlite:///{tmp_path / 'store.db'}"
        made.append(stage(url, clock, settings=settings, of=known_to(specimen)))
        return made[-1]

    yield _begin
    for play in made:
        play.close()


def receive(play: Stage, message: Message, *, told_before: bool = False) -> Acceptance:
    """Send it as the sender's own system would, and look whether it is logged, kept and shown."""
    content = message.content()
    done = play.receive(content, channel="http")
    if done.outcome != "duplicate":
        is_logged(play, done, content, told_before=told_before)
    return done


def is_taken(play: Stage, specimen: Specimen, message: Message, done: Acceptance, **how: object) -> None:
    """Accepted, with the one positive AppRec that is due."""
    assert (done.outcome, done.code) == ("accepted", None), done.reason
    assert [gist(one) for one in said(play, done)] == [due(message, specimen.version, **how)]


def is_rejected(play: Stage, specimen: Specimen, message: Message, done: Acceptance, code: str) -> None:
    """Refused, with the one negative AppRec that is due; nothing of it reaches a case."""
    assert (done.outcome, done.code) == ("refused", code), done.reason
    expected = due(message, specimen.version, status="2", errors=(code,))
    (given,) = said(play, done)
    assert gist(given) == expected
    assert all(given.reasons), "people on the other side must read why"
    assert play.rows(tables.fact) == []


def is_unanswered(play: Stage, done: Acceptance) -> None:
    """Nothing is said to anybody, and nothing reaches a case."""
    assert done.outcome in ("refused", "quarantined")
    assert said(play, done) == []
    assert play.rows(tables.fact) == []


# --- the message itself -------------------------------------------------------------------------------------


@each(*BOTH)
def test_reference_message(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message()
    done = receive(play, message)
    is_taken(play, specimen, message, done)
    assert standing(play, specimen.kind) == [message.one("mh:MsgInfo/mh:MsgId").text]
    assert done.warning is None
    assert play.rows(tables.alarm) == []


@each(*NEWEST)
def test_not_well_formed(begin: Begin, specimen: Specimen):
    play, content = begin(specimen), specimen.message().content()[:-40]
    done = play.receive(content, channel="http")
    is_logged(play, done, content)
    assert done.code == "T01"
    is_unanswered(play, done)


@each(*BOTH)
def test_message_id_is_no_guid(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().numbered("2014/000317")
    is_rejected(play, specimen, message, receive(play, message), "E10")


@each(*BOTH)
def test_type_and_payload_are_no_pair(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message()
    other = "LOG_UTSKREVET" if not specimen.type.startswith("LOG") else "INNLEGGELSESRAPPORT"
    message.one("mh:MsgInfo/mh:Type").set("V", other)
    is_rejected(play, specimen, message, receive(play, message), "T02")


@each(*BOTH)
def test_unknown_code_values_are_no_reason_to_reject(begin: Begin, specimen: Specimen):
    """N-06. Nothing that says what the message is has been touched, only what it says of the patient."""
    play, message = begin(specimen), specimen.message()
    for element in message.payload.iter():
        if element.get("DN") is not None and etree.QName(element).localname != "Forsendelsesstatus":
            element.set("V", "ZZ9")
            element.set("DN", "Finst ikkje")
    is_taken(play, specimen, message, receive(play, message))


@each(*NEWEST)
def test_an_unknown_sending_status_is_no_reason_to_reject(begin: Begin, specimen: Specimen):
    if not specimen.cancellable:
        return
    play, message = begin(specimen), specimen.message()
    message.one("//*[local-name() = 'Forsendelsesstatus']").set("V", "Q")
    is_taken(play, specimen, message, receive(play, message))


@each(*NEWEST)
def test_what_the_schema_does_not_know_is_taken_where_no_schemas_are_configured(
    begin: Begin, specimen: Specimen
):
    play, message = begin(specimen), specimen.message()
    etree.SubElement(message.payload, f"{{{MH}}}Ukjent").text = "noko som ikkje høyrer heime her"
    is_taken(play, specimen, message, receive(play, message))


if SCHEMAS is not None:

    def strict() -> Settings:
        return Settings.model_validate({"norway": {"schemas": SCHEMAS, "schema_errors": "refuse"}})

    @each(*BOTH)
    def test_a_payload_that_the_official_schema_refuses(begin: Begin, specimen: Specimen):
        play, message = begin(specimen, strict()), specimen.message()
        etree.SubElement(message.payload, f"{{{MH}}}Ukjent").text = "noko som ikkje høyrer heime her"
        is_rejected(play, specimen, message, receive(play, message), "T02")

    @each(*BOTH)
    def test_the_reference_message_is_valid_by_the_official_schema(begin: Begin, specimen: Specimen):
        play, message = begin(specimen, strict()), specimen.message()
        is_taken(play, specimen, message, receive(play, message))


@each(*NEWEST)
def test_iso_8859_1_is_read_and_kept_as_it_came(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message()
    content = message.content("ISO-8859-1")
    assert "Lærdal".encode("latin-1") in content
    done = play.receive(content, channel="http")
    is_logged(play, done, content)
    is_taken(play, specimen, message, done)


# --- the patient --------------------------------------------------------------------------------------------


@each(*NEWEST)
def test_patient_without_a_number_but_with_name_birth_date_and_sex(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().identified(None)
    is_taken(play, specimen, message, receive(play, message))


@each(*BOTH)
def test_patient_with_a_name_alone(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().identified(None)
    message.without("mh:MsgInfo/mh:Patient/mh:DateOfBirth", "mh:MsgInfo/mh:Patient/mh:Sex")
    is_rejected(play, specimen, message, receive(play, message), "E36")


def nameless_but_numbered(specimen: Specimen, number: str, kind: str) -> Message:
    """Identified by name and number only, so that the number must do."""
    message = specimen.message()
    message.without("mh:MsgInfo/mh:Patient/mh:DateOfBirth", "mh:MsgInfo/mh:Patient/mh:Sex")
    return message.identified(number, kind)


@each(*NEWEST)
def test_patient_with_a_common_auxiliary_number(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), nameless_but_numbered(specimen, HELP_NUMBER, "FHN")
    is_taken(play, specimen, message, receive(play, message))


@each(*NEWEST)
def test_patient_with_a_hospitals_own_auxiliary_number_alone(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), nameless_but_numbered(specimen, HELP_NUMBER, "HNR")
    is_rejected(play, specimen, message, receive(play, message), "E36")


@each(*NEWEST)
def test_patient_with_a_d_number(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), nameless_but_numbered(specimen, D_NUMBER, "DNR")
    done = receive(play, message)
    is_taken(play, specimen, message, done)
    assert done.warning is None


@each(*NEWEST)
def test_patient_whom_nobody_knows(begin: Begin, specimen: Specimen):
    """Nobody is unknown to us: the case is opened (E35 is for systems that must have the person already)."""
    play, other, message = begin(specimen), specimen.message().numbered(), specimen.message()
    receive(play, other.identified(F_NUMBER))
    done = receive(play, message)
    is_taken(play, specimen, message, done)
    assert len(play.rows(tables.case)) == 2


@each(*NEWEST)
def test_patient_with_an_invalid_number(begin: Begin, specimen: Specimen):
    """No reason that N-05 names: taken, and somebody is told to look at it."""
    play, message = begin(specimen), nameless_but_numbered(specimen, INVALID, "FNR")
    done = receive(play, message)
    is_taken(play, specimen, message, done)
    warned = [done.warning or "", *(alarm["text"] for alarm in play.rows(tables.alarm))]
    assert any("identity number" in text for text in warned)
    assert not any(INVALID in text for text in warned)


@each(*NEWEST)
def test_patient_known_under_another_number(begin: Begin, specimen: Specimen):
    play = begin(specimen)
    for number, kind in ((D_NUMBER, "DNR"), (F_NUMBER, "FNR")):
        message = specimen.message().numbered().identified(number, kind)
        is_taken(play, specimen, message, receive(play, message))
    assert len(standing(play, specimen.kind)) == 2


# --- sender and receivers -----------------------------------------------------------------------------------


@each(*NEWEST)
def test_sender_without_any_identifier(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().without("mh:MsgInfo/mh:Sender//mh:Ident")
    is_unanswered(play, receive(play, message))


@each(*NEWEST)
def test_no_sender_at_all(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().without("mh:MsgInfo/mh:Sender")
    is_unanswered(play, receive(play, message))


@each(*NEWEST)
def test_her_ids_with_dots_are_repeated_to_the_letter(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message()
    for number in message.all("mh:MsgInfo/mh:Sender//mh:Id | mh:MsgInfo/mh:Receiver//mh:Id"):
        number.text = f"{number.text[0]}.{number.text[1:4]}.{number.text[4:]}"
    is_taken(play, specimen, message, receive(play, message))


@each(*NEWEST)
def test_right_organisation_and_unknown_service(begin: Begin, specimen: Specimen):
    """The standard lets a receiver choose between taking it and E21; silence is no choice."""
    play, message = begin(specimen), specimen.message().addressed(specimen.organisation, NOBODYS)
    done = receive(play, message)
    if done.outcome == "accepted":
        is_taken(play, specimen, message, done)
    else:
        is_rejected(play, specimen, message, done, "E21")


@each(*NEWEST)
def test_only_a_copy_receiver_is_ours(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().only_copied()
    done = receive(play, message)
    is_taken(play, specimen, message, done, role="COP", by="mh:MsgInfo/mh:OtherReceiver")


@each(*NEWEST)
def test_only_a_copy_receiver_is_ours_beside_a_partner_whom_we_know(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message().only_copied(beside=AARDAL)
    done = receive(play, message)
    is_taken(play, specimen, message, done, role="COP", by="mh:MsgInfo/mh:OtherReceiver")


@each(*NEWEST)
def test_a_copy_to_somebody_else_is_not_ours_to_answer(begin: Begin, specimen: Specimen):
    """N-07: the stranger gives its own receipt, to the sender's system, which sent it its own copy."""
    play, message = begin(specimen), specimen.message().copied(*STRANGER)
    is_taken(play, specimen, message, receive(play, message))


@each(*BOTH)
def test_receiver_and_copy_receiver_alike(begin: Begin, specimen: Specimen):
    """N-01: an AppRec for each, PRIM and COP; the case hears of it once."""
    play, message = begin(specimen), specimen.message().copied(specimen.organisation, None)
    done = receive(play, message)
    assert done.outcome == "accepted", done.reason
    expected = [
        due(message, specimen.version),
        due(message, specimen.version, role="COP", by="mh:MsgInfo/mh:OtherReceiver"),
    ]
    given = said(play, done)
    assert [gist(one) for one in given] == expected
    assert len({one.id for one in given}) == 2
    assert standing(play, specimen.kind) == [message.one("mh:MsgInfo/mh:MsgId").text]


@each(*NEWEST)
def test_the_same_to_a_copy_receiver_under_another_message_id(begin: Begin, specimen: Specimen):
    """Some systems send the copy as a message of its own: both are answered, the case hears of it once."""
    play, message = begin(specimen), specimen.message()
    is_taken(play, specimen, message, receive(play, message))
    again = message.copy().numbered().addressed(specimen.organisation, None)
    is_taken(play, specimen, again, receive(play, again, told_before=True))
    assert len(standing(play, specimen.kind)) == 1


# --- what follows on a message ------------------------------------------------------------------------------


@each(*BOTH)
def test_duplicate(begin: Begin, specimen: Specimen):
    """N-08: no second AppRec, ever, and nothing changes but the count."""
    play, message = begin(specimen), specimen.message()
    is_taken(play, specimen, message, receive(play, message))
    before = play.counts()
    play.clock.forward(hours=2)
    again = receive(play, message)
    assert (again.outcome, again.acknowledgement) == ("duplicate", None)
    assert play.counts() == before
    assert [row["duplicates"] for row in play.rows(tables.message)] == [1]


@each(*CANCELLABLE)
def test_cancellation(begin: Begin, specimen: Specimen):
    play, message = begin(specimen), specimen.message()
    for one in (message, message.cancelling()):
        is_taken(play, specimen, one, receive(play, one))
    assert standing(play, specimen.kind) == []


@each(*CANCELLABLE)
def test_cancellation_before_its_original(begin: Begin, specimen: Specimen):
    """N-11: whichever comes first, each gets its AppRec, and nothing of the message stands."""
    play, message = begin(specimen), specimen.message()
    for one in (message.cancelling(), message):
        is_taken(play, specimen, one, receive(play, one))
    assert standing(play, specimen.kind) == []


@each(*(one for one in NEWEST if one.cancellable))
def test_cancellation_without_a_reference(begin: Begin, specimen: Specimen):
    """Some systems send no ConversationRef: then patient, sender and type say which message is meant."""
    play, message = begin(specimen), specimen.message()
    for one in (message, message.cancelling(referring=False)):
        is_taken(play, specimen, one, receive(play, one))
    assert standing(play, specimen.kind) == []
