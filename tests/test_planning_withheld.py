"""A joint plan that has been taken, and not yet sent, when the patient withdraws consent stays here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind, PlanKind, Standing
from adapter.errors import NotFound
from adapter.messaging.register import Endpoint, Side
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import altered, failing, stage, taken
from tests.test_planning import (
    LASARETT,
    NOW,
    TOLVAN,
    VANNAS,
    VARDCENTRAL,
    VASTERBOTTEN,
    Play,
    at,
    begun,
    consent,
    plan,
)

K = NoticeKind


@pytest.fixture
def play(store_url: str, clock: StandingClock):
    """Vännäs has a system of its own, which does not answer at first."""
    clock.at = NOW
    server = Endpoint(name=VANNAS, transport="fhir", address="http://127.0.0.1:9/fhir", dialect="fhir")
    region = altered(load_region(VASTERBOTTEN), VANNAS, side=Side.THEIRS, endpoint=VANNAS)
    region = region.model_copy(update={"register_": replace(region.register_, endpoints=(server,))})
    made = Play(stage(store_url, clock, of=region), LASARETT, TOLVAN)
    made.take(begun(made)[0], consent(made))
    while made.stage.deliver():
        pass
    made.stage.post.sent.clear()
    made.stage.post.answer = failing()
    yield made
    made.stage.close()


def withdrawn(play: Play) -> None:
    (told,) = play.take(play.says(K.CONSENT_WITHDRAWN, VARDCENTRAL, f"{LASARETT} {VANNAS}", at(10, 9)))
    assert told.outcome == "accepted"


def later(play: Play, clock: StandingClock) -> list[str]:
    """The other end is there again; what kinds of message reach it."""
    play.stage.post.sent.clear()
    play.stage.post.answer = taken()
    for _ in range(5):
        clock.forward(hours=1)
        play.stage.deliver()
    known = {row["message_id"]: row["kind"] for row in play.stage.rows(tables.delivery)}
    return [known[message.message_id] for _, message in play.stage.post.sent]


def delivery(play: Play) -> Any:
    return play.stage.rows(tables.delivery, kind="care-plan")[0]


@pytest.mark.parametrize("tried", [True, False])
def test_what_still_waits_does_not_leave(play: Play, clock: StandingClock, tried: bool):
    play.take(plan(play, at(8, 14)))
    if tried:
        assert play.stage.deliver() == ["retry"]
    withdrawn(play)
    assert later(play, clock) == ["consent-withdrawn"]
    assert delivery(play)["state"] == "given-up"
    assert "withdrew consent" in delivery(play)["error"]
    noted = [row["what"] for row in play.stage.rows(tables.history) if "withdrew" in row["what"]]
    assert len(noted) == 1


def test_what_was_on_its_way_is_not_tried_again(play: Play, clock: StandingClock):
    play.take(plan(play, at(8, 14)))
    play.stage.post.answer = lambda *told: (withdrawn(play), failing()(*told))[1]
    assert play.stage.deliver() == ["retry"]
    assert later(play, clock) == ["consent-withdrawn"]


@pytest.mark.parametrize("act", ["resend", "reissue", "once_more"])
def test_nobody_sends_it_by_hand_before_there_is_consent_again(play: Play, clock: StandingClock, act: str):
    play.take(plan(play, at(8, 14)))
    withdrawn(play)
    later(play, clock)
    number, outbox, inbox = delivery(play)["id"], play.stage.outbox, play.stage.built.inbox
    acts: dict[str, Callable[[Any], object]] = {
        "resend": lambda tx: outbox.resend(tx, number, clock(), by="Eva"),
        "reissue": lambda tx: inbox.reissue(tx, number, clock(), to=None, by="Eva"),
        "once_more": lambda tx: outbox.once_more(tx, number, clock(), by="Eva", why="decided"),
    }
    with pytest.raises(NotFound, match="withdrew consent"):
        play.stage.write(acts[act])
    play.take(consent(play, at(12, 9)))
    play.stage.write(acts[act])
    assert later(play, clock).count("care-plan") == 1


def test_a_plan_that_needs_no_consent_leaves_and_so_does_what_takes_one_back(
    play: Play, clock: StandingClock
):
    play.take(plan(play, at(8, 14)))
    (entry,) = play.case.of(K.CARE_PLAN)
    free = replace(play.plan(kind=PlanKind.DISCHARGE_PLAN), id="discharge-1")
    play.take(play.says(K.CARE_PLAN, LASARETT, VANNAS, at(8, 15), plan=free))
    withdrawn(play)
    back = {"standing": Standing.CANCELLATION, "refers_to": entry.notice.message_id}
    play.take(plan(play, at(10, 10), **back))
    assert later(play, clock) == ["care-plan", "consent-withdrawn"]
    states = [row["state"] for row in play.stage.rows(tables.delivery, kind="care-plan")]
    assert states == ["cancelled", "sent", "cancelled"]  # what was never tried is taken back here


def test_a_joint_plan_stays_one_whatever_a_later_version_calls_it(play: Play):
    play.take(plan(play, at(8, 14)))
    withdrawn(play)
    renamed = play.plan(kind=PlanKind.DISCHARGE_PLAN)
    (held,) = play.take(play.says(K.CARE_PLAN, VARDCENTRAL, VANNAS, at(11, 9), plan=renamed))
    assert (held.outcome, held.code) == ("quarantined", "consent")
    another = replace(renamed, id="discharge-1")
    (free,) = play.take(play.says(K.CARE_PLAN, VARDCENTRAL, VANNAS, at(11, 9), plan=another))
    assert free.outcome == "accepted"
