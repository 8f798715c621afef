"""Telephone and paper, recorded as people did it: who to whom, the true time, and what follows from it."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from adapter.config import Settings
from adapter.discharge.agreement import Accord
from adapter.discharge.notices import AnswerValue, NoticeKind, Way
from adapter.errors import NotFound
from adapter.messaging.people import Person
from adapter.phrases import unpacked
from adapter.reserve_routine import ReserveRoutine, Spoken
from adapter.sight import Sight
from adapter.speaking import Speaking, Told, Unsaid
from adapter.store import tables
from adapter.web.words import Words
from tests.conftest import OSLO
from tests.stage import Stage, failing, region, stage
from tests.test_speaking import accepted, deadline, ready
from tests.web.people import LUSTER, SOGNDAL, WARD

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@pytest.fixture
def play(store_url, clock) -> Iterator[Stage]:
    made = stage(store_url, clock, sogndal="theirs")
    made.receive(made.message(K.ADMITTED, encounter="LS-1", acute=True))
    clock.forward(hours=1)
    yield made
    made.close()


def routine(play: Stage, who: Person) -> ReserveRoutine:
    sight = Sight(person=who, register=play.built.register)
    return ReserveRoutine(speaking=Speaking(inbox=play.built.inbox, sight=sight))


def record(play: Stage, kind: NoticeKind, who: Person = WARD, **more: object) -> Told:
    spoken = Spoken(
        way=Way.TELEPHONE, at=more.pop("at", play.clock()), reason="Spoke with Marta; systems down"
    )
    chosen: dict[str, object] = {
        "sender": "laerdal-sjukehus", "receiver": "sogndal", "spoken": spoken, "key": str(uuid.uuid4()),
        "now": play.clock(), "by": who.name,
    }  # fmt: skip
    made = routine(play, who)
    return play.write(lambda tx: made.notice(tx, 1, kind, **(chosen | more)))  # type: ignore[arg-type]


def test_a_ward_records_what_the_municipality_answered_by_telephone_and_no_message_leaves(play, clock):
    ready(play)
    accepted(play)
    clock.forward(minutes=40)
    record(
        play, K.ANSWER, sender="sogndal", receiver="laerdal-sjukehus", at=clock() - timedelta(minutes=10),
        answer=AnswerValue.NOT_KNOWN,
    )  # fmt: skip
    row = deadline(play, "answer")
    assert (row["state"], row["settled_at"]) == ("met", clock() - timedelta(minutes=10))
    assert play.rows(tables.message, type="answer") == play.rows(tables.delivery, kind="answer") == []
    (note,) = [n for n in play.rows(tables.history) if n["by"]]
    assert note["by"] == "Solveig Ness"
    assert note["what"].startswith(
        "recorded: answer by telephone from sogndal to laerdal-sjukehus at 2014-03-03T11:30"
    )
    assert note["what"].endswith(": Spoke with Marta; systems down")


def test_a_notice_by_telephone_is_shown_and_does_not_count_unless_agreed(play):
    record(play, K.READY_FOR_DISCHARGE, ready=play.clock())
    (row,) = play.rows(tables.case)
    assert row["state"] == "admitted"
    (note,) = [n for n in play.rows(tables.history) if n["by"]]
    assert ", which does not count: " in note["what"]


AGREED = Accord(name="samarbeidsavtale", terms={"by_telephone": {"notice": True, "receipt": True}})


@pytest.mark.parametrize(("accords", "on"), [((AGREED,), False), ((), True)], ids=["agreed", "law"])
@pytest.mark.parametrize("how", ["the notice itself", "that it is there"])
def test_the_alarm_to_telephone_ends_where_the_call_counts_and_stays_where_not(
    store_url, clock, accords, on, how
):
    of = region(sogndal="theirs").model_copy(update={"accords": accords})
    play = stage(store_url, clock, of=of, settings=Settings.model_validate({"retry": {"rest_after": 1000}}))
    play.receive(play.message(K.ADMITTED, encounter="LS-1"))
    number = str(uuid.uuid4())
    play.receive(play.message(K.CARE_NEEDS, encounter="LS-1", message_id=number))
    play.post.answer = failing(503)
    until = clock() + timedelta(hours=23)
    while clock() < until:
        clock.forward(hours=1)
        play.write(lambda tx: play.outbox.missing_receipts(tx, clock()))
    assert play.rows(tables.alarm, kind="delivery-urgent", until=None) != []
    if how == "the notice itself":
        record(play, K.CARE_NEEDS)
    else:
        made = routine(play, WARD)
        spoken = Spoken(way=Way.TELEPHONE, at=clock(), reason="Marta has it")
        play.write(
            lambda tx: made.receipt(
                tx, 1, sender="laerdal-sjukehus", message_id=number, receiver="sogndal", spoken=spoken,
                now=clock(), by="Solveig Ness",
            )
        )  # fmt: skip
    assert bool(play.rows(tables.alarm, kind="delivery-urgent", until=None)) is on
    assert deadline(play, "early-notice")["state"] == ("open" if on else "met")
    play.close()


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (datetime(2014, 3, 3, 11, 1, tzinfo=OSLO), "ahead"),
        (datetime(2014, 3, 3, 9, 59, tzinfo=OSLO), "too-early"),
    ],
)
def test_nothing_is_recorded_of_the_future_or_before_the_stay(play, at, code):
    before = play.counts()
    with pytest.raises(Unsaid) as error:
        record(play, K.READY_FOR_DISCHARGE, at=at)
    assert error.value.code == code
    assert play.counts() == before


@pytest.mark.parametrize(
    ("who", "fields"),
    [
        (LUSTER, {}),
        (WARD, {"sender": "luster", "receiver": "sogndal"}),
        (WARD, {"receiver": "luster"}),
        (SOGNDAL, {"sender": "laerdal-sjukehus", "receiver": "luster"}),
    ],
)
def test_only_one_of_the_two_records_it_and_both_take_part(play, who, fields):
    with pytest.raises(NotFound, match="there is no such case"):
        record(play, K.READY_FOR_DISCHARGE, who, **fields)


def test_nobody_records_what_another_municipality_answers_to_itself(play):
    play.receive(play.message(K.ADMITTED, encounter="LS-1", receivers=("sogndal", "luster")))
    ready(play)
    for sender, receiver in (("luster", "sogndal"), ("sogndal", "luster")):
        with pytest.raises(Unsaid) as error:
            record(play, K.ANSWER, SOGNDAL, sender=sender, receiver=receiver, answer=AnswerValue.CAN_RECEIVE)
        assert error.value.code == "stale"


def test_whom_the_hospital_has_told_besides_is_not_found_out_by_trying(play):
    play.receive(play.message(K.ADMITTED, encounter="LS-1", receivers=("luster",)))
    for receiver in ("luster", "aardal"):
        with pytest.raises(NotFound, match="there is no such case"):
            record(play, K.ANSWER, SOGNDAL, sender="sogndal", receiver=receiver)


def test_a_form_that_is_sent_twice_records_once(play):
    key = str(uuid.uuid4())
    assert [record(play, K.CARE_NEEDS, key=key).again for _ in range(2)] == [False, True]
    assert len(play.rows(tables.fact, kind="care-needs")) == 1


def test_the_copy_that_comes_later_takes_its_place(play, clock):
    record(play, K.READY_FOR_DISCHARGE, ready=clock())
    clock.forward(hours=3)
    ready(play, ready=clock() - timedelta(hours=3))
    accepted(play)
    (row,) = play.rows(tables.case)
    assert row["state"] == "ready"
    assert deadline(play, "answer")["state"] == "open"


def test_what_was_recorded_in_error_is_taken_back(play, clock):
    about = ready(play)
    accepted(play)
    key = str(uuid.uuid4())
    record(
        play, K.ANSWER, sender="sogndal", receiver="laerdal-sjukehus", key=key, answer=AnswerValue.NOT_KNOWN
    )
    assert deadline(play, "answer")["state"] == "met"
    made = routine(play, WARD)
    play.write(
        lambda tx: made.take_back(
            tx, 1, sender="sogndal", message_id=key, key=str(uuid.uuid4()), now=clock(), by="Solveig Ness"
        )
    )
    assert deadline(play, "answer")["state"] == "open"
    assert about


def test_a_receipt_by_telephone_is_kept_with_its_source(play, clock):
    about = ready(play)
    play.post.answer = failing(503)
    play.deliver()
    clock.forward(minutes=5)
    made = routine(play, WARD)
    spoken = Spoken(way=Way.TELEPHONE, at=clock(), reason="Marta has it on her desk")

    def confirm(**more: object) -> Told:
        chosen = {
            "sender": "laerdal-sjukehus", "message_id": about, "receiver": "sogndal", "spoken": spoken,
            "now": clock(), "by": "Solveig Ness",
        }  # fmt: skip
        return play.write(lambda tx: made.receipt(tx, 1, **(chosen | more)))  # type: ignore[arg-type]

    assert [confirm().again, confirm().again] == [False, True]
    (fact,) = play.rows(tables.fact, kind="confirmed")
    source = unpacked(json.loads(fact["body"])["from"])
    assert source == "by telephone, recorded by Solveig Ness: Marta has it on her desk"
    said = Words(language="nb", zone=OSLO, now=clock(), register=play.built.register).told(source)
    assert said == "på telefon, registrert av Solveig Ness: Marta has it on her desk"
    assert play.rows(tables.deadline, kind="answer") == []  # in Norway only the application's receipt counts
    with pytest.raises(Unsaid):
        confirm(message_id="another")
