"""Deliveries are found by words, prefixes, dates and states, on both stores, also the newest ones."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from sqlalchemy import delete, event, insert

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import Reply
from adapter.phrases import phrase
from adapter.store import deliveries, searching
from adapter.store.searching import Term, Wanted, words_of
from adapter.store.tables import delivery, delivery_unindexed, delivery_words
from tests.conftest import OSLO, StandingClock
from tests.stage import TORBJORN, Stage, failing, stage

pytestmark = pytest.mark.postgres_in_soak

FIRST = "0f0e4c55-8d4b-4f7a-9a53-1d3bca11aa01"
SECOND = "0f0e4c55-8d4b-4f7a-9a53-1d3bca11bb02"
THIRD = "33e0c2c5-0000-4f7a-9a53-1d3bca11cc03"


@pytest.fixture
def log(store_url: str, clock: StandingClock):
    """Three deliveries: one given up after a refused connection, one on another day, one to Årdal."""
    made = stage(store_url, clock)
    made.post.answer = failing(503, error="Connection refused by 10.0.0.7: ERR_17% Ærlig")
    made.receive(made.message(NoticeKind.ADMITTED, message_id=FIRST))
    made.deliver()
    clock.forward(days=1)
    made.receive(made.message(NoticeKind.READY_FOR_DISCHARGE, message_id=SECOND, ready=clock()))
    clock.forward(days=1)
    made.receive(
        made.message(
            NoticeKind.ADMITTED, message_id=THIRD, receivers=("aardal",), subject=TORBJORN, encounter="LS-2"
        )
    )
    yield made
    made.close()


def indexed(log: Stage) -> None:
    while log.write(searching.index):
        pass


def ids(log: Stage, wanted: Wanted, **more: object) -> list[int]:
    with log.built.store.read() as tx:
        return searching.ids(tx, wanted, **({"limit": 100} | more))  # type: ignore[arg-type]


def of(*words: str) -> Wanted:
    """Words as a person types them: each may be the beginning of one."""
    return Wanted(terms=tuple((Term(word, begins=True),) for said in words for word in words_of(said)))


@pytest.fixture(params=["indexed", "fresh", "changed"])
def read_in(request: pytest.FixtureRequest, log: Stage) -> Stage:
    """The log with its words written down; not yet; and with words that have changed since."""
    if request.param != "fresh":
        indexed(log)
    if request.param == "changed":
        log.write(lambda tx: [deliveries.change(tx, n, error="lost since") for n in (2, 3)])
        log.write(lambda tx: [deliveries.change(tx, n, error=None) for n in (2, 3)])
    return log


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["0f0e4c55"], [2, 1]),
        ([FIRST], [1]),
        ([FIRST.upper()], [1]),
        (["bca1"], []),
        (["1d3bca11a"], [1]),
        (["33e0"], [3]),
        (["33E0", "1d3bca11cc03"], [3]),
        (["sogndal"], [2, 1]),
        (["aard"], [3]),
        (["admitted"], [3, 1]),
        (["ready-for"], [2]),
        (["connection", "refused"], [1]),
        (["err_17%"], [1]),
        (["ÆRLI"], [1]),
        (["connection", "ready"], []),
        (["nowhere"], []),
    ],
)
def test_words_and_their_beginnings_are_found_wherever_they_stand(read_in: Stage, typed, found):
    assert ids(read_in, of(*typed)) == found


@pytest.mark.parametrize(
    ("phrase", "found"),
    [("refused by 10", [1]), ("refused by 1", []), ("by refused", []), ("sogndal fhir", [])],
)
def test_a_phrase_stands_together_and_in_one_text(read_in: Stage, phrase, found):
    assert ids(read_in, Wanted(phrases=(phrase,))) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [3, 2, 1]),
        (Wanted(party="sogndal"), [2, 1]),
        (Wanted(party="sogn"), []),
        (Wanted(kind="admitted"), [3, 1]),
        (Wanted(kind="admitted", party="sogndal"), [1]),
        (Wanted(dialect="fhir", endpoint="sogndal"), [2, 1]),
        (Wanted(states=("waiting",)), [3, 2, 1]),
        (Wanted(states=("sent", "refused")), []),
        (Wanted(states=("leased",)), []),
        (Wanted(states=("given-up",)), []),
        (Wanted(states=("waiting", "leased"), party="aardal"), [3]),
        (Wanted(awaiting=True), []),
        (Wanted(states=("waiting",), terms=of("refused").terms), [1]),
        (Wanted(case_ids=(1,)), [2, 1]),
        (Wanted(case_ids=(1,), terms=of("ready").terms), [2]),
        (Wanted(case_ids=()), []),
        (Wanted(since=datetime(2014, 3, 4, tzinfo=OSLO)), [3, 2]),
        (Wanted(until=datetime(2014, 3, 4, tzinfo=OSLO)), [1]),
        (Wanted(since=datetime(2014, 3, 4, tzinfo=OSLO), until=datetime(2014, 3, 5, tzinfo=OSLO)), [2]),
        (Wanted(since=datetime(2015, 3, 4, tzinfo=OSLO)), []),
        (Wanted(since=datetime(2014, 3, 4, tzinfo=OSLO), terms=of("admitted").terms), [3]),
        (Wanted(terms=((Term(searching.mark("case", 2)), Term("nothing")),)), [3]),
        (Wanted(terms=((Term(searching.mark("number", 2)),),)), [2]),
    ],
)
def test_filters_go_together_with_words(read_in: Stage, wanted, found):
    assert ids(read_in, wanted) == found


@pytest.mark.parametrize("many", [3, 5000])
def test_open_and_failed_ones_are_those_that_a_look_at_each_row_finds(
    log: Stage, monkeypatch: pytest.MonkeyPatch, many: int
):
    """By whatever index they are found, however many there are."""
    monkeypatch.setattr("adapter.store.searching.FEW", many)
    (mould,) = log.rows(delivery, id=1)
    dice = random.Random(many)
    rows = [
        {**mould, "id": number, "message_id": f"m-{number}", "party": dice.choice(("sogndal", "luster"))}
        | dict(zip(("state", "expects_receipt"), (dice.choice(STATES), dice.randrange(2)), strict=True))
        | {name: dice.choice((None, mould["created_at"])) for name in ("sent_at", "accepted_at")}
        for number in range(4, 104)
    ]
    log.write(lambda tx: tx.execute(insert(delivery), rows))
    everything = sorted(log.rows(delivery), key=lambda row: -row["id"])
    for states, awaiting, party, said in product(ASKED, (False, True), (None, "luster"), ((), ("luster",))):
        wanted = replace(of(*said), states=states, awaiting=awaiting, party=party)
        right = [
            row["id"]
            for row in everything
            if (not states or row["state"] in states)
            and (not awaiting or awaits(row))
            and (party is None or row["party"] == party)
            and (not said or row["party"] == "luster")
        ]
        assert ids(log, wanted, limit=30) == right[:30], wanted
        assert ids(log, wanted, limit=30, before=50) == [n for n in right if n < 50][:30], wanted


STATES = ("waiting", "leased", "sent", "acknowledged", "refused", "cancelled")
ASKED = ((), ("waiting",), ("leased",), ("sent",), ("refused",), ("given-up",), ("refused", "waiting"))


def awaits(row: Mapping[str, Any]) -> bool:
    on_its_way = row["state"] in ("waiting", "leased", "sent") and row["expects_receipt"] == 1
    return on_its_way and row["sent_at"] is not None and row["accepted_at"] is None


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("states", [("leased",), ("given-up",), ("refused", "given-up"), None])
def test_nothing_is_found_without_walking_through_the_log(log: Stage, states: tuple[str, ...] | None):
    """Over SQLite, where the plan can be read; None is what is awaited."""
    wanted = Wanted(awaiting=True) if states is None else Wanted(states=states)
    with log.built.store.read() as tx:
        said: list[tuple[str, Any]] = []
        event.listen(tx, "before_cursor_execute", lambda _c, _u, sql, values, *_: said.append((sql, values)))
        searching.ids(tx, wanted, limit=50)
        asked = tuple(said)
        plans = [tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all() for sql, values in asked]
    assert plans
    steps = [step[3] for plan in plans for step in plan if "delivery" in step[3]]
    assert all("INDEX" in step or "INTEGER PRIMARY KEY" in step for step in steps), steps


def test_the_log_is_paged_from_a_number_downwards(read_in: Stage):
    assert ids(read_in, of("0f0e"), limit=1) == [2]
    assert ids(read_in, of("0f0e"), before=2) == [1]
    assert ids(read_in, Wanted(), before=2) == [1]


def test_what_goes_wrong_later_is_found_as_well_as_what_went_wrong_before(log: Stage, clock: StandingClock):
    indexed(log)
    log.post.answer = failing(500, error="Schlüssel abgelaufen")
    clock.forward(hours=1)
    log.deliver()
    assert ids(log, of("schlüssel"))[-1] == 1
    assert ids(log, of("connection")) == [1]
    indexed(log)
    assert log.rows(delivery_unindexed) == []
    assert ids(log, of("schlüssel"))[-1] == 1
    log.post.answer = lambda _m, _e: Reply(status=200, taken=True, delivered=True, ms=1.0)
    clock.forward(hours=9)
    log.deliver()
    assert log.delivery(1)["error"] is None
    indexed(log)
    assert ids(log, of("connection")) == [1]  # the attempt still tells of it


def test_a_case_that_was_merged_is_found_by_the_number_it_has_now(log: Stage):
    indexed(log)
    log.write(lambda tx: deliveries.move_case(tx, 2, 1))
    one = Wanted(terms=((Term(searching.mark("case", 1)),),))
    assert ids(log, one) == [3, 2, 1]
    indexed(log)
    assert ids(log, one) == [3, 2, 1]
    assert ids(log, Wanted(terms=((Term(searching.mark("case", 2)),),))) == []


@pytest.mark.parametrize(
    "typed",
    [
        '"', "'", '"" OR 1=1', "' OR '1'='1", "words:x", "delivery_found:x", "NEAR(a b)", "a AND NOT b", "*",
        "%", "_", "a* OR b*", "-a", "^a", "a:*|b", "& | ! <->", "\\", ");DROP TABLE delivery;--", "a\x00b",
        "ﬁ", "١٧", "\u200fעברית\u200f", "x" * 10_000, "x " * 5_000, "\ud83d", "🙂", "İ", "ß", "a'b''c", "{a}",
        "$1", ":before", "?",
    ],
)  # fmt: skip
def test_whatever_is_typed_is_only_words(log: Stage, typed):
    indexed(log)
    assert {*ids(log, of(typed))} <= {1, 2, 3}
    assert len(log.rows(delivery)) == 3


def test_what_is_written_down_later_over_postgresql_is_not_passed_over(store_url: str, clock: StandingClock):
    made = stage(store_url, clock)
    if made.built.store.embedded:
        made.close()
        return  # it has one writer: numbers come in their order
    for number in range(3):
        made.receive(made.message(NoticeKind.ADMITTED, message_id=f"{FIRST[:-1]}{number}"))
    indexed(made)
    made.write(lambda tx: tx.execute(delete(delivery_words).where(delivery_words.c.id == 2)))
    assert ids(made, of(f"{FIRST[:-1]}1")) == [2]
    indexed(made)
    assert len(made.rows(delivery_words)) == 3
    made.close()


def test_older_deliveries_are_read_in_by_and_by_and_it_is_known_how_many_are_left(log: Stage, monkeypatch):
    monkeypatch.setattr(searching, "FRESH", 1)
    with log.built.store.read() as tx:
        assert searching.unread(tx) == 2
        assert searching.behind(tx)
    assert ids(log, of("0f0e")) == [1]  # whose words have changed since, with an error
    assert log.write(lambda tx: searching.index(tx, most=2)) == 3
    assert ids(log, of("0f0e")) == [2, 1]
    indexed(log)
    with log.built.store.read() as tx:
        assert searching.unread(tx) == 0
        assert not searching.behind(tx)


def test_the_words_of_a_delivery_hold_nothing_of_the_message(log: Stage):
    indexed(log)
    kept = " ".join(row["words"] for row in log.rows(delivery_words))
    for said in ("fjellheim", "synnøve", "21843012660", "vik", "hansen", "nesøy"):
        assert said not in kept.split()


@pytest.mark.parametrize(
    "typed", ["does not let", "slipper oss ikke inn", "släpper inte in", "påloggingsdata"]
)
def test_what_went_wrong_is_found_by_the_words_in_which_somebody_reads_it(
    store_url: str, clock: StandingClock, typed: str
):
    made = stage(store_url, clock)
    made.post.answer = failing(401)
    made.receive(made.message(NoticeKind.ADMITTED))
    made.deliver()
    assert ids(made, of(typed)) == [1]
    indexed(made)
    assert ids(made, of(typed)) == [1]
    assert ids(made, of(typed, "luftkasse")) == []
    made.close()


def test_names_and_ids_are_found_though_very_much_went_wrong(log: Stage):
    fault = phrase("{server}: {reason}", server="x", reason=phrase("waived: {why}", why="ord " * 500))
    log.write(lambda tx: deliveries.change(tx, 1, error=fault))
    assert ids(log, of(FIRST)) == [1]
    indexed(log)
    assert ids(log, of(FIRST)) == [1]


def test_an_error_with_an_endless_text_is_kept_short(log: Stage):
    log.write(
        lambda tx: deliveries.change(tx, 1, error=" ".join(f"word{n}" for n in range(5000)) + "y" * 9000)
    )
    indexed(log)
    (kept,) = log.rows(delivery_words, id=1)
    assert len(kept["words"].split()) <= searching.MOST_WORDS
    assert max(map(len, kept["words"].split())) <= searching.LONGEST_WORD
    assert ids(log, Wanted(party="sogndal")) == [2, 1]
