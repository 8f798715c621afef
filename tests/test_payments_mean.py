"""The mean of a month in the ledger: one line between a municipality and the region, frozen and corrected."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.config import load_region
from adapter.discharge.ledger import EntryKind, EntryState
from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import NotFound
from adapter.fhir.bundles import Subject
from adapter.ledger import Statement
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import Stage, stage

K = NoticeKind
UMEAA = Path(__file__).parent.parent / "fixtures" / "regions" / "umea-average.toml"
STOCKHOLM = ZoneInfo("Europe/Stockholm")
INVENTED = "urn:example:invented-patients"
ELSA = Subject(identifiers=((INVENTED, "elsa"),), family="Fjällström", given="Elsa", gender="female")
NILS = Subject(identifiers=((INVENTED, "nils"),), family="Bäcklund", given="Nils", gender="male")


@pytest.fixture
def mean_clock() -> StandingClock:
    return StandingClock(at=datetime(2022, 3, 1, 8, 0, tzinfo=STOCKHOLM))


@pytest.fixture
def play(store_url: str, mean_clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, mean_clock, of=load_region(UMEAA))
    yield made
    made.close()


def on(clock: StandingClock, day: str, hour: int = 10) -> None:
    wanted = datetime.fromisoformat(day).replace(hour=hour, tzinfo=STOCKHOLM)
    clock.forward(seconds=int((wanted - clock()).total_seconds()))


def tell(play: Stage, kind: K, subject: Subject, **more: object) -> str:
    parties = {"sender": "nus", "receivers": ("vindeln", "vindelns-hc"), "hospital": "nus"}
    done = play.receive(play.message(kind, subject=subject, **(parties | more)))  # type: ignore[arg-type]
    assert done.outcome == "accepted", done
    return str(play.rows(tables.message)[-1]["message_id"])


def admitted(play: Stage, subject: Subject) -> None:
    tell(play, K.ADMITTED, subject)
    available = {"sender": "vindelns-hc", "receivers": ("nus",), "open_care_available": True}
    tell(play, K.OPEN_CARE_AVAILABILITY, subject, **available)


@pytest.fixture
def march(play: Stage, mean_clock: StandingClock) -> Stage:
    """Elsa was ready for nine days of March, Nils left on the day of the notice: a mean of 4.5 over 3."""
    admitted(play, ELSA)
    admitted(play, NILS)
    on(mean_clock, "2022-03-02")
    tell(play, K.READY_FOR_DISCHARGE, ELSA)
    tell(play, K.READY_FOR_DISCHARGE, NILS)
    on(mean_clock, "2022-03-02", 15)
    tell(play, K.DISCHARGED, NILS)
    on(mean_clock, "2022-03-11")
    tell(play, K.DISCHARGED, ELSA)
    return play


def statement(play: Stage, month: str = "2022-03") -> Statement:
    return play.write(lambda tx: play.built.ledger.statement(tx, month, play.clock()))


def close(play: Stage, month: str = "2022-03") -> Statement:
    return play.write(lambda tx: play.built.ledger.close(tx, month, play.clock(), by="Karin"))


def told(made: Statement) -> list[tuple[str, str, Decimal | None, Decimal | None]]:
    return [(f"{e.day:%m-%d}", e.kind.value, e.days_over, e.amount) for e in made.lines]


def settle(play: Stage, number: int | None, state: EntryState) -> None:
    assert number is not None
    play.write(lambda tx: play.built.ledger.settle(tx, number, state, play.clock(), by="Karin", why="fel"))


def test_a_month_has_one_line_for_its_mean_and_none_for_its_days(march: Stage):
    made = statement(march)
    assert told(made) == [("03-31", "charge", Decimal(3), Decimal(27900))]
    (line,) = made.lines
    assert (line.case_id, line.debtor, line.payee) == (None, "vindeln", "region")
    assert line.why == (
        "Genomsnittsmodellen 2022: patients discharged in 2022-03: 2; ready days: 9; the mean 4.50 is above "
        "the agreed 3.0, so days to be paid: 3.0 (lag 2017:612 4 kap. 5 §); "
        "the amount of 2022 is from Vårdsamverkan Skåne, not from the regulation itself"
    )
    assert [(t.days, t.days_over, t.amount) for t in made.totals] == [(0, Decimal(3), Decimal(27900))]


def test_a_mean_within_the_level_is_shown_and_costs_nothing(play: Stage, mean_clock: StandingClock):
    admitted(play, NILS)
    tell(play, K.READY_FOR_DISCHARGE, NILS)
    assert statement(play).lines == ()
    on(mean_clock, "2022-03-04")
    tell(play, K.DISCHARGED, NILS)
    assert told(statement(play)) == [("03-31", "charge", Decimal(0), Decimal(0))]


def test_a_correction_after_the_closing_is_a_reversal_and_a_new_line_in_the_next(
    march: Stage, mean_clock: StandingClock
):
    on(mean_clock, "2022-04-02")
    frozen = close(march)
    assert told(frozen) == [("03-31", "charge", Decimal(3), Decimal(27900))]
    wrong = march.rows(tables.message, type="discharged")[-1]["message_id"]
    said = {"standing": Standing.CORRECTION, "refers_to": wrong}
    tell(march, K.DISCHARGED, ELSA, occurred=datetime(2022, 3, 9, 10, tzinfo=STOCKHOLM), **said)
    assert statement(march).lines == frozen.lines
    april = statement(march, "2022-04")
    assert told(april) == [
        ("03-31", "charge", Decimal(1), Decimal(9300)),
        ("03-31", "reversal", Decimal(-3), Decimal(-27900)),
    ]
    assert [(t.days_over, t.amount) for t in april.totals] == [(Decimal(-2), Decimal(-18600))]
    on(mean_clock, "2022-05-02")
    assert told(close(march, "2022-04")) == told(april)
    assert statement(march, "2022-05").lines == ()


def test_a_patient_whose_discharge_is_corrected_into_the_next_month_moves_there(
    march: Stage, mean_clock: StandingClock
):
    on(mean_clock, "2022-04-02")
    close(march)
    wrong = march.rows(tables.message, type="discharged")[-1]["message_id"]
    said = {"standing": Standing.CORRECTION, "refers_to": wrong}
    tell(march, K.DISCHARGED, ELSA, occurred=datetime(2022, 4, 1, 10, tzinfo=STOCKHOLM), **said)
    assert told(statement(march, "2022-04")) == [
        ("03-31", "charge", Decimal(0), Decimal(0)),
        ("03-31", "reversal", Decimal(-3), Decimal(-27900)),
        ("04-30", "charge", Decimal(27), Decimal(251100)),
    ]


def test_a_month_of_which_nobody_is_left_is_reversed(march: Stage, mean_clock: StandingClock):
    on(mean_clock, "2022-04-02")
    close(march)
    rows = march.rows(tables.message, type="discharged")
    for subject, row in zip((NILS, ELSA), rows, strict=True):
        tell(march, K.DISCHARGED, subject, standing=Standing.CANCELLATION, refers_to=row["message_id"])
    (line,) = statement(march, "2022-04").lines
    assert (line.kind, line.amount, line.why) == (
        EntryKind.REVERSAL, Decimal(-27900), "the notices no longer give this month",
    )  # fmt: skip


def test_a_line_of_a_mean_is_disputed_upheld_and_waived_like_a_day(march: Stage, mean_clock: StandingClock):
    on(mean_clock, "2022-04-02")
    (line,) = close(march).lines
    settle(march, line.id, EntryState.DISPUTED)
    assert [e.state for e in statement(march).lines] == [EntryState.DISPUTED]
    settle(march, line.id, EntryState.UPHELD)
    assert statement(march, "2022-04").lines == ()
    settle(march, line.id, EntryState.WAIVED)
    on(mean_clock, "2022-05-02")
    assert told(close(march, "2022-04")) == [("03-31", "reversal", Decimal(-3), Decimal(-27900))]
    assert statement(march, "2022-05").lines == ()
    with pytest.raises(NotFound, match="reversed already"):
        settle(march, line.id, EntryState.UPHELD)


def test_an_agreement_that_is_taken_back_leaves_a_reversal_and_the_days_by_themselves(
    march: Stage, mean_clock: StandingClock
):
    on(mean_clock, "2022-04-02")
    close(march)
    without = load_region(UMEAA).model_copy(update={"accords": ()})
    later = stage(str(march.built.settings.store), mean_clock, of=without)
    april = statement(later, "2022-04")
    kinds = [(e.kind.value, e.case_id is None) for e in april.lines]
    assert kinds == [*[("charge", False)] * 6, ("reversal", True)]
    assert sum((e.amount or Decimal() for e in april.lines), Decimal()) == 6 * 9300 - 27900
    later.close()


def test_nobody_is_alarmed_of_the_days_that_the_mean_takes_the_place_of(march: Stage):
    rows = march.rows(tables.deadline, kind="payment-start")
    assert [(row["state"], row["remind_at"], row["next_at"]) for row in rows] == [
        ("met-late", None, None),
        ("met", None, None),
    ]


def test_the_case_says_why_no_day_is_charged(march: Stage):
    explained = march.write(lambda tx: march.built.inbox.cases.explained(tx, 1, march.clock()))["payment"]
    assert (explained["days"], explained["total"]) == ([], "0")
    assert "the agreed level is 3.0 days" in explained["reasons"][0]
    assert "in the mean of vindeln for 2022-03" in explained["reasons"][1]
