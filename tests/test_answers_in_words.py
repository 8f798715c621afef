"""A municipality answers in free text: what that is in the case, and what a person makes of it."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapter.classifying import classify
from adapter.discharge.case import Case
from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.notices import notice_in
from adapter.fhir.wire import parse
from adapter.store import messages, tables
from tests.conftest import StandingClock
from tests.stage import TORBJORN, Stage, answering, region, stage

K, A = NoticeKind, AnswerValue
HOSPITAL = "laerdal-sjukehus"


@pytest.fixture
def play(tmp_path: Path, clock: StandingClock) -> Iterator[Stage]:
    """A patient of whom Sogndal has known since the admission, and who has been ready since noon."""
    yield from _begun(f"sqlite:///{tmp_path}/store.db", clock)


@pytest.fixture
def stored(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    """The same on either store."""
    yield from _begun(store_url, clock)


def _begun(url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(url, clock)
    made.post.answer = answering(clock)
    for kind in (K.ADMITTED, K.CARE_NEEDS, K.READY_FOR_DISCHARGE):
        assert made.receive(made.message(kind)).outcome == "accepted"
        made.deliver()
        clock.forward(hours=1)
    yield made
    made.close()


def ready_id(play: Stage) -> str:
    return str(play.rows(tables.message, type="ready-for-discharge")[0]["message_id"])


def note(play: Stage, kind: NoticeKind = K.NOTE, **more: object) -> int:
    """A municipality writes to the hospital; returns the number of its message."""
    to_hospital: dict[str, object] = {
        "sender": "sogndal", "receivers": (HOSPITAL,), "hospital": None, "text": "Vi har plass fra fredag",
    }  # fmt: skip
    done = play.receive(play.message(kind, **(to_hospital | more)))  # type: ignore[arg-type]
    assert done.outcome == "accepted"
    assert done.message_row is not None
    return done.message_row


def case(play: Stage, number: int = 1) -> Case:
    def folded(tx: object) -> Case:
        patient = play.rows(tables.case)[number - 1]["patient"]
        return dict(play.built.cases.folded(tx, patient))[number]  # type: ignore[arg-type]

    return play.write(folded)


def answers(play: Stage) -> list[tuple[AnswerValue | None, date | None]]:
    return [(e.notice.answer, e.notice.receive_from) for e in case(play).of(K.ANSWER)]


def charged(play: Stage) -> list[int]:
    made = play.write(lambda tx: play.built.ledger.statement(tx, "2014-03", play.clock()))
    return [line.day.day for line in made.lines]


def say(play: Stage, message: int, value: AnswerValue, day: date | None = None) -> int:
    return play.write(
        lambda tx: classify(
            tx, play.built.cases, play.outbox.subscriptions, message, value, play.clock(),
            new_id=str(uuid.uuid4()), by="Kari", receive_from=day,
        )
    )  # fmt: skip


# --- what is an answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [K.NOTE, K.REPLY])
def test_free_text_linked_to_a_ready_notice_is_an_unclassified_answer(play: Stage, kind: NoticeKind) -> None:
    note(play, kind, refers_to=ready_id(play))
    (entry,) = case(play).of(K.ANSWER)
    assert entry.notice.answer is A.UNCLASSIFIED
    assert entry.notice.text == "Vi har plass fra fredag"
    assert entry.notice.hospital == HOSPITAL
    assert play.rows(tables.fact, kind=kind.value), "what was told stays as it was told"


def test_silence_says_nothing_while_nobody_has_read_it(play: Stage, clock: StandingClock) -> None:
    clock.forward(days=1)
    assert charged(play) == [3]
    note(play, refers_to=ready_id(play))
    clock.forward(days=3)
    assert charged(play) == []
    (payment,) = play.rows(tables.deadline, kind="payment-start")
    assert payment["state"] != "met"


def test_what_goes_on_to_the_hospital_stays_a_note(play: Stage) -> None:
    note(play, refers_to=ready_id(play))
    assert play.rows(tables.delivery)[-1]["kind"] == "note"


def test_the_dialogue_in_between_leads_to_it_too(play: Stage) -> None:
    asked, first = str(uuid.uuid4()), ready_id(play)
    play.receive(play.message(K.ENQUIRY, message_id=asked, refers_to=first, text="Kan dere?"))
    note(play, K.REPLY, refers_to=asked)
    assert answers(play) == [(A.UNCLASSIFIED, None)]


def test_a_kith_conversation_leads_to_it(play: Stage) -> None:
    known_there = play.rows(tables.delivery, kind="ready-for-discharge")[0]["message_id"]
    content = play.plo(
        K.NOTE, sender="sogndal", receivers=(HOSPITAL,), hospital=None, text="Det går bra",
        refers_to=str(uuid.uuid4()),
    )  # fmt: skip
    at = content.index(b"<RefToConversation>") + len(b"<RefToConversation>")
    content = content[:at] + known_there.encode() + content[at + 36 :]
    assert play.receive(content).outcome == "accepted"
    assert answers(play) == [(A.UNCLASSIFIED, None)]


def test_a_fixed_sentence_needs_nobody(play: Stage) -> None:
    content = play.plo(
        K.ANSWER, sender="sogndal", receivers=(HOSPITAL,), hospital=None, refers_to=ready_id(play),
        answer=A.CAN_RECEIVE, receive_from=date(2014, 3, 5),
    )  # fmt: skip
    assert play.receive(content).outcome == "accepted"
    assert answers(play) == [(A.CAN_RECEIVE, date(2014, 3, 5))]


def test_a_hospital_that_quotes_the_fixed_sentence_answers_nothing(play: Stage) -> None:
    quoted = (
        "Svar på melding om utskrivningsklar pasient: Kommunen kan ta imot pasienten fra 05.03.2014."
        " Stemmer dette?"
    )
    for refers_to, kind in ((ready_id(play), K.REPLY), (None, K.NOTE)):
        content = play.plo(K.NOTE, refers_to=refers_to, text=quoted, message_id=str(uuid.uuid4()))
        done = play.receive(content)
        assert (done.outcome, done.reason) == ("accepted", None)
        (entry,) = case(play).of(kind)
        assert (entry.notice.text, entry.notice.answer, entry.notice.receive_from) == (quoted, None, None)
        sent = play.rows(tables.delivery)[-1]
        assert sent["kind"] == kind.value
        assert play.receive(content).outcome == "duplicate"
    assert answers(play) == []


def test_what_quotes_it_reaches_a_system_of_fhir_whole(tmp_path: Path, clock: StandingClock) -> None:
    quoted = "Svar på melding om utskrivningsklar pasient: Kommunen kan ta imot pasienten. Stemmer dette?"
    play = stage(f"sqlite:///{tmp_path}/store.db", clock)
    for sender, receiver in ((HOSPITAL, "sogndal"), ("sogndal", HOSPITAL)):
        content = play.plo(
            K.NOTE, sender=sender, receivers=(receiver,), hospital=None, message_id=str(uuid.uuid4()),
            text=quoted,
        )  # fmt: skip
        assert play.receive(content, channel="directory").outcome == "accepted"
        play.deliver()
    notices = [row for row in play.rows(tables.delivery) if row["kind"] != "receipt"]
    with play.built.store.read() as tx:
        contents = [messages.content(tx, row["payload"]) for row in notices]
    sent = [notice_in(parse(one or b""), zone=play.built.agreement.zone) for one in contents]
    play.close()
    assert [(told.kind, told.text) for told in sent] == [(K.NOTE, quoted), (K.ANSWER, "Stemmer dette?")]


def test_what_quotes_it_is_shelved_and_written_anew_as_the_note_that_it_is(play: Stage) -> None:
    quoted = "Svar på melding om utskrivningsklar pasient: Kommunen kan ta imot pasienten. Stemmer dette?"
    play.built.shelves.catch_up()
    before = {row["id"] for row in play.rows(tables.resource)}
    assert play.receive(play.plo(K.NOTE, text=quoted, message_id=str(uuid.uuid4()))).outcome == "accepted"
    play.built.shelves.catch_up()
    put = {row["type"] for row in play.rows(tables.resource) if row["id"] not in before}
    assert "Communication" in put and "Task" not in put

    number = play.rows(tables.delivery, kind="note")[-1]["id"]
    new = play.write(lambda tx: play.built.inbox.reissue(tx, number, play.clock(), to=None, by="Kari"))
    with play.built.store.read() as tx:
        content = messages.content(tx, play.delivery(new)["payload"])
    told = notice_in(parse(content or b""), zone=play.built.agreement.zone)
    assert (told.kind, told.text) == (K.NOTE, quoted)


def test_what_quotes_it_and_is_released_is_a_note_too(play: Stage, clock: StandingClock) -> None:
    quoted = "Svar på melding om utskrivningsklar pasient: Kommunen kan ta imot pasienten. Stemmer dette?"
    held = play.receive(play.plo(K.NOTE, text=quoted, at=clock() + timedelta(days=2)))
    assert held.outcome == "quarantined"
    row = play.rows(tables.message, outcome="quarantined")[0]["id"]
    clock.forward(days=2)
    play.write(lambda tx: play.built.inbox.release(tx, row, clock(), by="Kari"))
    (entry,) = case(play).of(K.NOTE)
    assert (entry.notice.text, answers(play)) == (quoted, [])


def test_other_words_stay_what_they_are(play: Stage) -> None:
    about = ready_id(play)
    note(play, refers_to=None)
    note(play, refers_to=about, sender="vik")  # was not told that the patient is ready
    note(play, refers_to=about, subject=TORBJORN)
    note(play, K.ENQUIRY, refers_to=about)
    assert answers(play) == []


# --- the order of arrival -----------------------------------------------------------------------------------


def test_the_order_of_arrival_does_not_matter(tmp_path_factory: pytest.TempPathFactory) -> None:
    clock = StandingClock()
    ready, first, asked = (str(uuid.uuid4()) for _ in range(3))

    def told(play: Stage, name: str) -> bytes:
        if name == "ready":
            return play.message(K.READY_FOR_DISCHARGE, message_id=ready)
        if name == "asked":
            return play.message(K.ENQUIRY, message_id=asked, refers_to=ready, text="Kan dere?")
        return play.message(
            K.REPLY, sender="sogndal", receivers=(HOSPITAL,), hospital=None, message_id=first,
            refers_to=asked, text="Ja",
        )  # fmt: skip

    seen = set()
    for order in (("ready", "asked", "reply"), ("reply", "asked", "ready")):
        play = stage(f"sqlite:///{tmp_path_factory.mktemp('order')}/store.db", clock)
        for name in order:
            assert play.receive(told(play, name)).outcome == "accepted"
        seen.add(tuple(replace(e.notice, message_id="-", text=None) for e in case(play).of(K.ANSWER)))
        play.close()
    assert len(seen) == 1
    assert seen.pop()[0].answer is A.UNCLASSIFIED


# --- a person classifies it ---------------------------------------------------------------------------------


def test_a_classification_counts_from_when_the_municipality_wrote(
    stored: Stage, clock: StandingClock
) -> None:
    play = stored
    number = note(play, refers_to=ready_id(play))
    clock.forward(days=3)
    assert charged(play) == []
    assert say(play, number, A.CAN_RECEIVE, date(2014, 3, 5)) == 1
    assert answers(play) == [(A.CAN_RECEIVE, date(2014, 3, 5))]
    assert charged(play) == [3, 4]
    (line,) = play.rows(tables.history, subject=f"message {number}")
    assert (line["what"], line["by"]) == ("classified as can-receive from 2014-03-05, by hand", "Kari")


def test_a_slip_is_corrected_by_saying_it_again(play: Stage, clock: StandingClock) -> None:
    number = note(play, refers_to=ready_id(play))
    say(play, number, A.CAN_RECEIVE)
    say(play, number, A.CANNOT_RECEIVE)
    say(play, number, A.NOT_KNOWN)
    assert answers(play) == [(A.NOT_KNOWN, None)]
    clock.forward(days=2)
    assert charged(play) == [3, 4]


def test_a_classified_answer_stays_with_its_readiness_after_a_withdrawal(
    play: Stage, clock: StandingClock
) -> None:
    first = ready_id(play)
    for kind in (K.READINESS_WITHDRAWN, K.READY_FOR_DISCHARGE):
        play.receive(play.message(kind))
        play.deliver()
        clock.forward(hours=1)
    say(play, note(play, refers_to=first), A.CAN_RECEIVE)
    clock.forward(days=2)
    assert charged(play) == [3, 4], "the second readiness has had no answer"


def test_what_the_municipality_writes_later_waits_for_a_person_again(
    play: Stage, clock: StandingClock
) -> None:
    say(play, note(play, refers_to=ready_id(play)), A.CANNOT_RECEIVE)
    clock.forward(days=2)
    assert charged(play) == [3, 4]
    later = note(play, refers_to=ready_id(play), text="Nå har vi plass")
    clock.forward(days=2)
    assert charged(play) == [3, 4], "nothing from then on"
    say(play, later, A.NOT_KNOWN)
    assert charged(play) == [3, 4, 5, 6]


def test_only_an_unclassified_answer_can_be_classified(play: Stage) -> None:
    plain = note(play, refers_to=None)
    said = note(play, K.ANSWER, refers_to=ready_id(play), answer=A.CAN_RECEIVE, text=None)
    taken_back = str(uuid.uuid4())
    void = note(play, refers_to=ready_id(play), message_id=taken_back)
    note(play, refers_to=taken_back, standing=Standing.CANCELLATION)
    for number, why in (
        (plain, "it tells note"),
        (said, "can-receive"),
        (void, "cancelled"),
        (4711, "no message 4711"),
    ):
        with pytest.raises(NotFound, match=why):
            say(play, number, A.NOT_KNOWN)
    assert play.rows(tables.history, what="classified as not-known, by hand") == []


def test_a_corrected_note_is_classified_in_its_latest_words(play: Stage, clock: StandingClock) -> None:
    first = str(uuid.uuid4())
    number = note(play, refers_to=ready_id(play), message_id=first)
    clock.forward(hours=1)
    corrected = note(play, refers_to=first, standing=Standing.CORRECTION, text="Vi har ikke plass")
    with pytest.raises(NotFound, match="corrected it"):
        say(play, number, A.CAN_RECEIVE)
    say(play, corrected, A.CANNOT_RECEIVE)
    assert answers(play) == [(A.CANNOT_RECEIVE, None)]


def test_a_held_message_is_no_answer(play: Stage) -> None:
    done = play.receive(b"<MsgHead")
    assert done.message_row is not None
    with pytest.raises(NotFound, match="belongs to no case"):
        say(play, done.message_row, A.CAN_RECEIVE)


# --- the other way ------------------------------------------------------------------------------------------


def test_a_hospital_that_reads_kith_gets_the_fixed_sentence(tmp_path: Path, clock: StandingClock) -> None:
    known = region()
    endpoints = tuple(
        replace(e, dialect="plo-1.6") if e.name == HOSPITAL else e for e in known.register_.endpoints
    )
    play = stage(
        f"sqlite:///{tmp_path}/store.db",
        clock,
        of=known.model_copy(update={"register_": replace(known.register_, endpoints=endpoints)}),
    )
    play.receive(play.message(K.READY_FOR_DISCHARGE))
    note(
        play, K.ANSWER, refers_to=ready_id(play), text=None, answer=A.CAN_RECEIVE,
        receive_from=date(2014, 3, 5),
    )  # fmt: skip
    play.deliver()
    (sent,) = [message for name, message in play.post.sent if name == HOSPITAL]
    assert b"Kommunen kan ta imot pasienten fra 05.03.2014." in sent.content
    assert f"<RefToParent>{ready_id(play)}</RefToParent>".encode() in sent.content
    assert b'"DIALOG_HELSEFAGLIG"' in sent.content
    play.close()
