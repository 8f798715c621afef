"""What is told on a board: a message like any, once, in one's own party's name, true to what stands."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from adapter.cases import pseudonym
from adapter.config import load_region
from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.discharge.turns import ready_now
from adapter.errors import NotFound
from adapter.fhir.bundles import PERSONNUMMER, Subject
from adapter.fhir.wire import parse, to_json
from adapter.messaging.people import Person
from adapter.sight import Sight
from adapter.speaking import Speaking, Told, Unsaid
from adapter.store import messages, tables
from adapter.store.statements import Row
from tests.conftest import OSLO
from tests.plan_fixtures import protect
from tests.stage import REGION, SYNNOVE, Stage, altered, region, stage
from tests.web.people import LUSTER, SOGNDAL, UMEA, WARD

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
STOCKHOLM = ZoneInfo("Europe/Stockholm")
TOLVAN = Subject(
    identifiers=((PERSONNUMMER, "191212121212"),), family="Tolvansson", given="Tolvan", gender="male"
)


@pytest.fixture
def play(store_url, clock) -> Iterator[Stage]:
    """Synnøve was admitted at Lærdal sjukehus at ten on 3 March 2014, and Sogndal has been told."""
    made = stage(store_url, clock)
    made.receive(made.message(K.ADMITTED, encounter="LS-1", acute=True))
    clock.forward(hours=1)
    yield made
    made.close()


def ready(play: Stage, **more: object) -> str:
    number = str(uuid.uuid4())
    told = {"ready": play.clock(), "encounter": "LS-1", "message_id": number} | more
    done = play.receive(play.message(K.READY_FOR_DISCHARGE, **told))
    assert done.outcome == "accepted", done.reason
    return number


def accepted(play: Stage) -> None:
    """Sogndal's own system has taken everything that was sent to it."""
    from tests.stage import answering

    play.post.answer = answering(play.clock)
    while play.deliver():
        pass


def tell(play: Stage, kind: NoticeKind, who: Person, **more: object) -> Told:
    chosen: dict[str, object] = {
        "party": who.parties[0] if who.parties else "",
        "about": "",
        "key": str(uuid.uuid4()),
        "now": play.clock(),
        "by": who.name,
    }
    sight = Sight(person=who, register=play.built.register)
    speaking = Speaking(inbox=play.built.inbox, sight=sight)
    return play.write(lambda tx: speaking.tell(tx, 1, kind, **(chosen | more)))  # type: ignore[arg-type]


def deadline(play: Stage, kind: str) -> Row:
    (row,) = play.rows(tables.deadline, kind=kind)
    return row


def days(play: Stage) -> list[date]:
    from adapter.discharge.payment import liabilities

    patient = pseudonym(play.built.inbox.pseudonym_key, SYNNOVE)
    cases = play.built.inbox.cases
    with play.built.store.read() as tx:
        (case,) = [case for _, case in cases.folded(tx, patient)]
    found = liabilities(case, cases.agreement, play.clock(), cases.roles)
    return [day.date for one in found for day in one.days]


def test_an_answer_goes_to_the_hospital_as_a_message_and_meets_the_deadline(play, clock):
    about = ready(play)
    accepted(play)
    assert deadline(play, "answer")["state"] == "open"
    clock.forward(minutes=30)
    told = tell(
        play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CAN_RECEIVE, receive_from=date(2014, 3, 3)
    )
    assert deadline(play, "answer")["state"] == "met"
    (message,) = play.rows(tables.message, id=told.message)
    assert (message["channel"], message["sender"], message["type"]) == ("board", "sogndal", "answer")
    assert message["outcome"] == "accepted"
    (sent,) = play.rows(tables.delivery, kind="answer")
    assert (sent["party"], sent["endpoint"]) == ("laerdal-sjukehus", "laerdal-sjukehus")
    (note,) = play.rows(tables.history, case_id=1)
    assert (note["by"], note["what"]) == ("Marta Kvam", "told on the board: answer")


def test_who_cannot_receive_is_charged_from_the_day_of_readiness_and_no_longer_when_it_can(play, clock):
    play.receive(play.message(K.CARE_NEEDS, encounter="LS-1"))
    about = ready(play)
    accepted(play)
    tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CANNOT_RECEIVE, text="Full to the roof")
    clock.at = datetime(2014, 3, 6, 9, 0, tzinfo=OSLO)
    assert days(play) == [date(2014, 3, 3), date(2014, 3, 4), date(2014, 3, 5)]
    tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CAN_RECEIVE, receive_from=date(2014, 3, 6))
    clock.at = datetime(2014, 3, 9, 9, 0, tzinfo=OSLO)
    assert days(play) == [date(2014, 3, 3), date(2014, 3, 4), date(2014, 3, 5)]


def test_a_form_that_is_sent_twice_tells_once(play, clock):
    about, key = ready(play), str(uuid.uuid4())
    said = {"about": about, "key": key, "answer": AnswerValue.NOT_KNOWN}
    first = tell(play, K.ANSWER, SOGNDAL, **said)
    clock.forward(seconds=2)
    second = tell(play, K.ANSWER, SOGNDAL, **said)
    assert (first.again, second.again, second.message) == (False, True, first.message)
    assert len(play.rows(tables.message, type="answer")) == 1
    assert len(play.rows(tables.delivery, kind="answer")) == 1
    with pytest.raises(Unsaid) as error:
        tell(play, K.ANSWER, SOGNDAL, **(said | {"answer": AnswerValue.CANNOT_RECEIVE, "text": "No"}))
    assert error.value.code == "reused"
    assert len(play.rows(tables.message, type="answer")) == 1


def test_a_form_is_sent_twice_though_the_case_has_moved_on_meanwhile(play):
    about, key = ready(play), str(uuid.uuid4())
    tell(play, K.ANSWER, SOGNDAL, about=about, key=key, answer=AnswerValue.NOT_KNOWN)
    play.receive(play.message(K.READINESS_WITHDRAWN, encounter="LS-1", refers_to=about))
    assert tell(play, K.ANSWER, SOGNDAL, about=about, key=key, answer=AnswerValue.NOT_KNOWN).again


def test_a_form_for_a_readiness_that_was_withdrawn_is_too_old(play, clock):
    about = ready(play)
    clock.forward(minutes=5)
    play.receive(play.message(K.READINESS_WITHDRAWN, encounter="LS-1", refers_to=about))
    before = play.counts()
    with pytest.raises(Unsaid) as error:
        tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CAN_RECEIVE)
    assert error.value.code == "stale"
    assert play.counts() == before
    clock.forward(minutes=5)
    anew = ready(play)
    with pytest.raises(Unsaid):
        tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CAN_RECEIVE)
    tell(play, K.ANSWER, SOGNDAL, about=anew, answer=AnswerValue.NOT_KNOWN)


@pytest.mark.parametrize(
    ("who", "party"),
    [(LUSTER, "luster"), (LUSTER, "sogndal"), (SOGNDAL, "laerdal-sjukehus"), (WARD, "sogndal")],
)
def test_who_does_not_act_for_the_party_finds_no_such_case(play, who, party):
    about = ready(play)
    before = play.counts()
    with pytest.raises(NotFound, match="there is no such case"):
        tell(play, K.ANSWER, who, party=party, about=about, answer=AnswerValue.CAN_RECEIVE)
    assert play.counts() == before


def test_a_ward_does_not_answer_in_the_municipalitys_place(play):
    about = ready(play)
    with pytest.raises(Unsaid) as error:
        tell(play, K.ANSWER, WARD, about=about, answer=AnswerValue.CAN_RECEIVE)
    assert error.value.code == "stale"


def test_a_party_with_a_system_of_its_own_speaks_there(store_url, clock):
    play = stage(store_url, clock, sogndal="theirs")
    play.receive(play.message(K.ADMITTED, encounter="LS-1"))
    about = ready(play)
    with pytest.raises(Unsaid) as error:
        tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.CAN_RECEIVE)
    assert error.value.code == "own-system"
    play.close()


def test_a_party_of_theirs_that_one_of_ours_hosts_speaks_on_the_hosts_board(store_url, clock):
    of = altered(region(sogndal="theirs"), "sogndal", hosted_by="luster", endpoint=None)
    play = stage(store_url, clock, of=of)
    play.receive(play.message(K.ADMITTED, encounter="LS-1"))
    about = ready(play)
    told = tell(play, K.ANSWER, LUSTER, party="sogndal", about=about, answer=AnswerValue.NOT_KNOWN)
    assert play.rows(tables.message, id=told.message)[0]["sender"] == "sogndal"
    play.close()


def test_what_the_inbox_would_hold_is_not_told_and_nothing_of_it_is_kept(play, monkeypatch):
    about = ready(play)
    monkeypatch.setattr("adapter.judging.MOST_A_DAY", 0)
    before = play.counts()
    with pytest.raises(Unsaid) as error:
        tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.NOT_KNOWN)
    assert (error.value.code, "within a day" in error.value.reason) == ("refused", True)
    assert play.counts() == before


def test_nobody_waits_in_a_system_for_the_receipt_of_what_was_told_on_a_board(play, clock):
    about = ready(play)
    accepted(play)
    tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.NOT_KNOWN)
    accepted(play)
    assert {d["party"] for d in play.rows(tables.delivery, kind="receipt")} == {"laerdal-sjukehus"}
    (sent,) = play.rows(tables.delivery, kind="answer")
    assert sent["accepted_at"] is not None


def test_the_newest_notice_to_whoever_asks_is_the_one_that_stands(play):
    ready(play)
    patient = pseudonym(play.built.inbox.pseudonym_key, SYNNOVE)
    with play.built.store.read() as tx:
        (case,) = [case for _, case in play.built.inbox.cases.folded(tx, patient)]
    assert ready_now(case, ("sogndal",)) is not None
    assert ready_now(case, ("luster",)) is None


def test_two_clicks_at_the_same_moment_tell_once(play):
    about, key = ready(play), str(uuid.uuid4())

    def click(_: int) -> Told:
        return tell(play, K.ANSWER, SOGNDAL, about=about, key=key, answer=AnswerValue.NOT_KNOWN)

    with ThreadPoolExecutor(4) as hands:
        told = list(hands.map(click, range(4)))
    assert sorted(one.again for one in told) == [False, True, True, True]
    assert len(play.rows(tables.message, type="answer")) == 1


def test_in_sweden_a_ready_notice_of_a_board_counts_from_when_it_is_sent(store_url, clock):
    clock.at = datetime(2024, 3, 4, 10, 0, tzinfo=STOCKHOLM)
    made = stage(store_url, clock, of=load_region(REGION.parent / "vasterbotten.toml"))
    umea = {"sender": "umea-lasarett", "hospital": "umea-lasarett", "subject": TOLVAN}
    made.receive(made.message(K.ADMITTED, receivers=("vannas", "backa-vardcentral"), encounter="U-1", **umea))
    clock.at = datetime(2024, 3, 6, 12, 0, 1, tzinfo=STOCKHOLM)  # after noon: four days
    told = tell(made, K.READY_FOR_DISCHARGE, UMEA, ready=clock(), sip_needed=True)
    assert {d["party"] for d in made.rows(tables.delivery, message_row=told.message)} <= {
        "vannas",
        "backa-vardcentral",
    }
    (fact,) = made.rows(tables.fact, kind="ready-for-discharge")
    assert '"sip_needed":true' in fact["body"] and "backa-vardcentral" in fact["body"]
    due = {d["kind"]: d["due_at"].astimezone(STOCKHOLM).date() for d in made.rows(tables.deadline)}
    assert (due["payment-start"], due["sip-call"]) == (date(2024, 3, 10), date(2024, 3, 9))
    made.close()


def test_what_was_told_to_others_rules_nothing_out(play):
    """Else the forms of one municipality would say what the hospital has told another."""
    about = ready(play)
    play.receive(play.message(K.DISCHARGED, encounter="LS-1", receivers=("luster",)))
    assert play.rows(tables.case)[0]["state"] == "discharged"
    assert not tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.NOT_KNOWN).again


def test_a_protected_patient_is_for_those_who_sign_in_under_their_own_name(play):
    about = ready(play)
    several = replace(SOGNDAL, named=False)
    marked = parse(play.message(K.CARE_NEEDS, encounter="LS-1"))
    protect(marked)
    assert play.receive(to_json(marked)).outcome == "accepted"
    play.built.inbox.shelves.catch_up()
    with pytest.raises(NotFound, match="there is no such case"):
        tell(play, K.ANSWER, several, about=about, answer=AnswerValue.NOT_KNOWN)
    assert not tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.NOT_KNOWN).again


def test_the_patients_address_does_not_travel_with_an_answer(play):
    at_home = replace(SYNNOVE, address=("Fjordgata 1", "6887", "Lærdal"))
    number = str(uuid.uuid4())
    told = play.message(K.READY_FOR_DISCHARGE, subject=at_home, ready=play.clock(), message_id=number)
    assert play.receive(told).outcome == "accepted"
    answer = tell(play, K.ANSWER, SOGNDAL, about=number, answer=AnswerValue.NOT_KNOWN)
    with play.built.store.read() as tx:
        row = messages.get(tx, answer.message)
        content = messages.content(tx, row["payload"])
    assert content is not None and b"Fjordgata" not in content


def test_who_has_signed_is_kept_here_where_the_hospital_reads_no_such_message(store_url, clock):
    known = region()
    register = known.register_
    plo = tuple(
        replace(e, dialect="plo-1.6") if e.name == "laerdal-sjukehus" else e for e in register.endpoints
    )
    play = stage(
        store_url, clock, of=known.model_copy(update={"register_": replace(register, endpoints=plo)})
    )
    play.receive(play.message(K.ADMITTED, encounter="LS-1"))
    about, key = ready(play), str(uuid.uuid4())
    told = [tell(play, K.SEEN, SOGNDAL, about=about, key=key, text="Marta Kvam") for _ in range(2)]
    assert [(one.message, one.again) for one in told] == [(0, False), (0, True)]
    assert play.rows(tables.message, type="seen") == play.rows(tables.delivery, kind="seen") == []
    (note,) = [n for n in play.rows(tables.history) if n["by"]]
    assert note["what"].startswith("seen, kept here alone: ")
    with pytest.raises(Unsaid) as error:
        tell(play, K.SEEN, SOGNDAL, about=about)
    assert error.value.code == "stale"  # it has been signed for
    tell(play, K.ANSWER, SOGNDAL, about=about, answer=AnswerValue.NOT_KNOWN)  # which PLO has words for
    (sent,) = play.rows(tables.delivery, kind="answer")
    assert sent["dialect"] == "plo-1.6"
    play.close()


def test_in_evaluation_any_party_may_be_spoken_for(store_url, clock):
    play = stage(store_url, clock, evaluation=True)
    known = stage(f"{store_url}-2" if store_url.startswith("sqlite") else store_url, clock)
    content = known.message(K.READY_FOR_DISCHARGE, ready=clock(), message_id=(about := str(uuid.uuid4())))
    assert play.receive(content).outcome == "accepted"
    (case,) = play.rows(tables.case)
    everybody = replace(SOGNDAL, parties=None)
    told = tell(
        play, K.ANSWER, everybody, party=case["municipality"], about=about, answer=AnswerValue.NOT_KNOWN
    )
    assert play.rows(tables.message, id=told.message)[0]["sender"] == case["municipality"]
    known.close()
    play.close()
