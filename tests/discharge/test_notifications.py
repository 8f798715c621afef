"""MedCom HospitalNotifications in the fold: state by the time of the event, in every order of arrival.

Written from standards.md D-10 to D-14, T7 and process.md 7: no SLHJ is sent at a transfer, the receiving
hospital sends a new STIN; a death is told by any activity; a cancelled admission cancels the stay.
"""

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.discharge.case import Case, CaseState, fold
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.partaking import Concern, part_of, told_to
from tests.discharge.test_case import shape

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
MONDAY = datetime(2024, 3, 4, 10, 0, tzinfo=COPENHAGEN)
A, B = "fjordby-sygehus", "aasted-sygehus"
K, S = NoticeKind, Standing


def at(days: float) -> datetime:
    return MONDAY + timedelta(days=days)


def told(kind: NoticeKind, id_: str, days: float, *, admitted: float | None = 0, **more: object) -> Notice:
    """A HospitalNotification to Fjordby Kommune; `days` and `admitted` are after Monday 4 March 2024."""
    fields: dict[str, object] = {
        "kind": kind,
        "message_id": id_,
        "sent_at": at(days),
        "occurred": at(days),
        "sender": A,
        "receivers": ("fjordby",),
        "hospital": more.get("sender", A),
        "admitted": at(admitted) if admitted is not None else None,
        "episode": "bd481c38",
        "notification": True,
    }
    return Notice(**(fields | more))  # type: ignore[arg-type]


def stin(id_: str, days: float = 0, **more: object) -> Notice:
    return told(K.ADMITTED, id_, days, **({"admitted": days} | more))  # type: ignore[arg-type]


def in_every_order(*facts: Notice) -> tuple[Case, ...]:
    """The cases, which must be the same in every order of arrival."""
    cases = fold(facts, COPENHAGEN)
    for order in itertools.permutations(facts):
        assert shape(fold(order, COPENHAGEN)) == shape(cases)
    return cases


def only(*facts: Notice) -> Case:
    (case,) = in_every_order(*facts)
    return case


# --- each activity alone ----------------------------------------------------------------------------------


def test_each_activity_alone_says_where_the_patient_is() -> None:
    alone = {
        K.ADMITTED: CaseState.ADMITTED,
        K.LEAVE_STARTED: CaseState.ON_LEAVE,
        K.LEAVE_ENDED: CaseState.ADMITTED,
        K.DISCHARGED: CaseState.DISCHARGED,
        K.DECEASED: CaseState.DECEASED,
    }
    for kind, state in alone.items():
        case = only(told(kind, "m", 0 if kind is K.ADMITTED else 2))
        assert (kind, case.state, case.admitted_at) == (kind, state, MONDAY)


def test_a_stay_with_a_leave_goes_home() -> None:
    facts = (
        stin("stin"),
        told(K.LEAVE_STARTED, "stor", 2),
        told(K.LEAVE_ENDED, "slor", 3),
        told(K.DISCHARGED, "slhj", 5),
    )
    told_so_far = [only(*facts[:n]).state for n in range(1, 5)]
    assert told_so_far == [
        CaseState.ADMITTED, CaseState.ON_LEAVE, CaseState.ADMITTED, CaseState.DISCHARGED,
    ]  # fmt: skip


# --- a transfer is no discharge ---------------------------------------------------------------------------


def test_an_admission_at_another_hospital_continues_the_open_case() -> None:
    case = only(stin("a"), stin("b", 2, sender=B))
    assert (case.hospital, case.state, case.admitted_at) == (B, CaseState.ADMITTED, MONDAY)
    assert [e.notice.message_id for e in case.transfers] == ["b"]


def test_the_hospital_that_took_over_discharges() -> None:
    case = only(stin("a"), stin("b", 2, sender=B), told(K.DISCHARGED, "home", 5, admitted=2, sender=B))
    assert (case.state, case.discharged_at, case.municipality) == (CaseState.DISCHARGED, at(5), "fjordby")


def test_a_transfer_ends_a_leave() -> None:
    case = only(stin("a"), told(K.LEAVE_STARTED, "stor", 1), stin("b", 2, sender=B))
    assert case.state is CaseState.ADMITTED


def test_who_has_handed_over_tells_no_more_of_the_stay() -> None:
    case = only(stin("a"), stin("b", 2, sender=B), told(K.DISCHARGED, "wrong", 3))
    assert (case.hospital, case.state) == (B, CaseState.ADMITTED)


def test_a_visit_elsewhere_ends_and_the_first_hospital_discharges() -> None:
    case = only(
        stin("a"),
        stin("b", 1, sender=B),
        told(K.DISCHARGED, "back", 1.2, admitted=1, sender=B),
        told(K.DISCHARGED, "home", 4),
    )
    assert (case.state, case.discharged_at) == (CaseState.DISCHARGED, at(4))


def test_a_transfer_and_back_is_one_case_and_a_new_admission_after_home_is_another() -> None:
    there_and_back = (stin("a"), stin("b", 2, sender=B), stin("a2", 4))
    assert only(*there_and_back).hospital == A
    home = told(K.DISCHARGED, "home", 5, admitted=2, sender=B)
    cases = in_every_order(stin("a"), stin("b", 2, sender=B), home, stin("a2", 8))
    assert [(c.hospital, c.state) for c in cases] == [(B, CaseState.DISCHARGED), (A, CaseState.ADMITTED)]


def test_an_admission_elsewhere_after_the_discharge_is_a_new_case() -> None:
    home = told(K.DISCHARGED, "home", 2)
    for days in (2, 3):  # at the very instant of the discharge, or later
        assert len(in_every_order(stin("a"), home, stin("b", days, sender=B))) == 2


def test_each_hospital_knows_its_own_part_of_a_transfer() -> None:
    case = only(stin("a"), stin("b", 2, sender=B))
    here, there = (told_to(case, party) for party in (A, B))
    assert (here.hospital, here.admitted_at) == (A, MONDAY)
    assert (there.hospital, there.admitted_at) == (B, at(2))
    concerns = [part_of(case, party, {A: "hospital", B: "hospital"}).concern for party in (A, B, "fjordby")]
    assert concerns == [Concern.PAST, Concern.CURRENT, Concern.CURRENT]


def test_acute_ambulatory_becomes_inpatient_in_one_case() -> None:
    case = only(stin("staa"), stin("stin", 0.2), told(K.DISCHARGED, "slhj", 3, admitted=0.2))
    assert (case.state, case.admitted_at, case.transfers) == (CaseState.DISCHARGED, MONDAY, ())
    same_time = only(stin("staa"), told(K.ADMITTED, "stin", 0, sent_at=at(0.2)))
    assert same_time.state is CaseState.ADMITTED


def test_a_cancelled_admission_elsewhere_was_no_transfer() -> None:
    wrong = stin("b", 2, sender=B)
    undone = stin("an", 2, sender=B, sent_at=at(2.1), standing=S.CANCELLATION, refers_to="b")
    cases = in_every_order(stin("a"), wrong, undone)
    assert [(c.hospital, c.state) for c in cases] == [(A, CaseState.ADMITTED), (B, CaseState.CANCELLED)]


def test_without_notifications_another_hospital_has_a_case_of_its_own() -> None:
    cases = fold([stin("a", notification=False), stin("b", 2, sender=B, notification=False)], COPENHAGEN)
    assert [c.hospital for c in cases] == [A, B]
    # the hospital that has the patient is the one that must tell no discharge
    cases = fold([stin("a", notification=False), stin("b", 2, sender=B)], COPENHAGEN)
    assert len(cases) == 2
    assert len(fold([stin("a"), stin("b", 2, sender=B, notification=False)], COPENHAGEN)) == 1


def test_two_stays_that_share_an_episode_are_two_where_the_first_has_ended() -> None:
    cases = in_every_order(
        stin("one"), told(K.DISCHARGED, "home", 2), stin("two", 6), told(K.DECEASED, "mors", 8, admitted=6)
    )
    assert [c.state for c in cases] == [CaseState.DISCHARGED, CaseState.DECEASED]


# --- out of order, corrected, cancelled -------------------------------------------------------------------


def test_a_late_admission_stays_history() -> None:
    assert only(told(K.DISCHARGED, "slhj", 4), stin("stin", sent_at=at(5))).state is CaseState.DISCHARGED


def re(notice: Notice, id_: str, sent: float, refers_to: str, **more: object) -> Notice:
    return _again(notice, id_, sent, refers_to, S.CORRECTION, more)


def an(notice: Notice, id_: str, sent: float, refers_to: str, **more: object) -> Notice:
    return _again(notice, id_, sent, refers_to, S.CANCELLATION, more)


def _again(notice: Notice, id_: str, sent: float, to: str, standing: Standing, more: object) -> Notice:
    changed = {"message_id": id_, "sent_at": at(sent), "refers_to": to, "standing": standing}
    return replace(notice, **(changed | more))  # type: ignore[operator]


def test_cancelling_after_a_correction_cancels_the_stay() -> None:
    first = stin("stin")
    right = re(first, "re", 0.2, "stin", occurred=at(0.04), admitted=at(0.04))
    assert only(first, right, an(right, "an", 0.3, "re")).state is CaseState.CANCELLED


def test_cancelling_the_admission_cancels_what_was_told_of_the_stay() -> None:
    first = stin("stin")
    leave = told(K.LEAVE_STARTED, "stor", 1)
    case = only(first, leave, an(first, "an", 1.5, "stin"))
    assert case.state is CaseState.CANCELLED
    assert not any(e.counts for e in case.entries)


def test_what_the_municipality_has_said_does_not_keep_a_cancelled_stay_alive() -> None:
    first = stin("stin")
    report = Notice(
        kind=K.REPORT_OF_ADMISSION, message_id="report", sent_at=at(0.1), occurred=at(0.1),
        sender="fjordby", receivers=(A,), hospital=A,
    )  # fmt: skip
    assert only(first, report, an(first, "an", 1.5, "stin")).state is CaseState.CANCELLED


def test_later_messages_that_repeat_the_corrected_time_belong_to_the_stay() -> None:
    """The official samples do so: RE_STIN says one o'clock, and the leave after it noon again."""
    first = stin("stin")
    right = re(first, "re", 0.2, "stin", occurred=at(0.04), admitted=at(0.04))
    home = told(K.DISCHARGED, "slhj", 4)
    case = only(first, right, told(K.LEAVE_STARTED, "stor", 2), home)
    assert (case.state, case.admitted_at) == (CaseState.DISCHARGED, at(0.04))
    assert len(in_every_order(first, right, home, stin("new", 9, sender=B))) == 2


def test_a_cancelled_discharge_opens_the_stay_again() -> None:
    home = told(K.DISCHARGED, "slhj", 4)
    case = only(stin("stin"), home, an(home, "an", 4.5, "slhj"))
    assert (case.state, case.discharged_at) == (CaseState.ADMITTED, None)
    again = told(K.DISCHARGED, "slhj2", 6)
    assert only(stin("stin"), home, an(home, "an", 4.5, "slhj"), again).discharged_at == at(6)


def test_leave_is_corrected_and_cancelled() -> None:
    leave = told(K.LEAVE_STARTED, "stor", 2)
    back = told(K.LEAVE_ENDED, "slor", 3)
    assert only(stin("stin"), leave, an(leave, "an", 2.1, "stor")).state is CaseState.ADMITTED
    assert only(stin("stin"), leave, back, an(back, "an", 3.1, "slor")).state is CaseState.ON_LEAVE
    later = re(leave, "re", 3.5, "stor", occurred=at(3.2))  # after the end that is told already
    assert only(stin("stin"), leave, back, later).state is CaseState.ON_LEAVE


# --- death (T7: it has no activity of its own) ------------------------------------------------------------


def test_death_on_arrival_in_hospital_and_on_leave() -> None:
    on_arrival = told(K.DECEASED, "mors", 0)
    assert only(on_arrival).state is CaseState.DECEASED
    assert only(stin("stin"), told(K.DECEASED, "mors", 2)).discharged_at == at(2)
    leave = told(K.LEAVE_STARTED, "stor", 2)
    assert only(stin("stin"), leave, told(K.DECEASED, "mors", 3)).state is CaseState.DECEASED


def test_a_death_is_corrected_and_cancelled_by_what_names_it() -> None:
    first, dead = stin("stin"), told(K.DECEASED, "mors", 2)
    earlier = re(dead, "re", 2.5, "mors", occurred=at(1.8))
    assert only(first, dead, earlier).discharged_at == at(1.8)
    # a cancelled death says that the patient lives: the message reads as the admission's, and names the death
    alive = an(stin("stin"), "an", 2.5, "mors")
    case = only(first, dead, alive)
    assert (case.state, case.discharged_at) == (CaseState.ADMITTED, None)
    assert only(first, dead, earlier, an(dead, "an", 2.6, "re")).state is CaseState.ADMITTED


def test_a_corrected_admission_may_turn_out_to_be_a_death_on_arrival() -> None:
    first = stin("stin")
    dead = re(told(K.DECEASED, "re", 0), "re", 0.2, "stin")
    case = only(first, dead)
    assert (case.state, case.admitted_at) == (CaseState.DECEASED, MONDAY)


def test_a_death_at_the_hospital_that_took_over_ends_the_case() -> None:
    case = only(stin("a"), stin("b", 2, sender=B), told(K.DECEASED, "mors", 3, admitted=2, sender=B))
    assert (case.state, case.discharged_at) == (CaseState.DECEASED, at(3))


# --- closed by hand ---------------------------------------------------------------------------------------


def closed(id_: str, days: float, hospital: str | None = A, **more: object) -> Notice:
    fields: dict[str, object] = {
        "kind": K.CLOSED, "message_id": id_, "sent_at": at(days), "occurred": at(days),
        "sender": "fjordby", "receivers": (A,), "hospital": hospital, "recorded_by": "ida",
    }  # fmt: skip
    return Notice(**(fields | more))  # type: ignore[arg-type]


def test_staff_close_a_case_that_no_message_has_ended() -> None:
    case = only(stin("stin"), closed("c", 9))
    assert (case.state, case.closed_at, case.municipality) == (CaseState.CLOSED, at(9), "fjordby")


def test_a_reopening_undoes_the_closing() -> None:
    undone = closed("open", 9, sent_at=at(10), standing=S.CANCELLATION, refers_to="c")
    case = only(stin("stin"), closed("c", 9), undone)
    assert (case.state, case.closed_at) == (CaseState.ADMITTED, None)


def test_an_admission_after_the_closing_opens_a_new_case() -> None:
    for sender in (A, B):
        cases = in_every_order(stin("stin"), closed("c", 9), stin("new", 11, sender=sender))
        assert [c.state for c in cases] == [CaseState.CLOSED, CaseState.ADMITTED]


def test_what_a_message_tells_of_the_end_counts_more_than_the_closing() -> None:
    for days in (8, 10):  # known late, or happened later
        case = only(stin("stin"), closed("c", 9), told(K.DISCHARGED, "slhj", days))
        assert (case.state, case.discharged_at, case.closed_at) == (CaseState.DISCHARGED, at(days), None)
    dead = only(stin("stin"), closed("c", 9), told(K.DECEASED, "mors", 10))
    assert (dead.state, dead.discharged_at) == (CaseState.DECEASED, at(10))


def test_a_case_is_closed_where_the_patient_is() -> None:
    case = only(stin("a"), stin("b", 2, sender=B), closed("c", 9, hospital=B))
    assert (case.state, case.hospital) == (CaseState.CLOSED, B)


def test_a_closing_of_a_cancelled_stay_leaves_it_cancelled() -> None:
    first = stin("stin")
    states = {c.state for c in in_every_order(first, closed("c", 2), an(first, "an", 3, "stin"))}
    assert CaseState.ADMITTED not in states
    assert CaseState.CANCELLED in states


# --- every order ------------------------------------------------------------------------------------------

KINDS = [
    K.ADMITTED, K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED, K.DECEASED, K.CLOSED, K.NOTE,
    K.REPORT_OF_ADMISSION, K.READY_FOR_DISCHARGE,
]  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Notice]:
    count = draw(st.integers(2, 7))
    made: list[Notice] = []
    for number in range(count):
        standing = draw(st.sampled_from([S.NEW] * 4 + [S.CORRECTION, S.CANCELLATION]))
        names = [*(f"m{n}" for n in range(count)), "lost"]
        day, sent = draw(st.integers(0, 4)), draw(st.sampled_from([0, 0.2, 1.5]))
        kind = draw(st.sampled_from(KINDS))
        notification = kind not in (K.CLOSED, K.NOTE, K.REPORT_OF_ADMISSION, K.READY_FOR_DISCHARGE)
        hospital = draw(st.sampled_from([A, A, B]))
        made.append(
            told(
                kind,
                f"m{number}",
                day,
                sent_at=at(day + sent),
                occurred=at(day) if draw(st.integers(0, 5)) else at(day).date(),
                sender=hospital if notification else draw(st.sampled_from([hospital, "fjordby"])),
                hospital=hospital if draw(st.integers(0, 5)) else None,
                admitted=draw(st.integers(0, 3)) if notification else None,
                notification=notification and draw(st.integers(0, 5)) > 0,
                standing=standing,
                refers_to=draw(st.sampled_from(names)) if standing is not S.NEW else None,
            )
        )
    return made


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(0, 2**16))
def test_every_order_of_arrival_gives_the_same_cases(history: list[Notice], seed: int) -> None:
    shuffled = history[:]
    random.Random(seed).shuffle(shuffled)
    cases = fold(history, COPENHAGEN)
    assert shape(fold(shuffled, COPENHAGEN)) == shape(cases)
    placed = [e.notice.message_id for c in cases for e in c.entries]
    assert set(placed) == {n.message_id for n in history}


# --- absolute time (D-08) ---------------------------------------------------------------------------------


def test_times_are_compared_as_instants_whatever_their_offset() -> None:
    start = datetime(2024, 2, 29, 12, 0, tzinfo=COPENHAGEN)
    first = replace(stin("stin"), occurred=start, admitted=start)
    home = replace(
        told(K.DISCHARGED, "slhj", 0),
        admitted=start.astimezone(UTC), occurred=datetime(2024, 3, 1, 8, 0, tzinfo=UTC),
    )  # fmt: skip
    case = only(first, home)
    assert case.discharged_at == datetime(2024, 3, 1, 9, 0, tzinfo=COPENHAGEN)


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    summer = datetime.fromisoformat("2024-10-27T02:30:00+02:00")
    winter = datetime.fromisoformat("2024-10-27T02:15:00+01:00")
    first = replace(stin("stin"), occurred=summer, admitted=summer, sent_at=summer)
    home = replace(told(K.DISCHARGED, "slhj", 0), admitted=summer, occurred=winter, sent_at=winter)
    assert only(first, home).state is CaseState.DISCHARGED
    days = only(stin("d", occurred=date(2024, 2, 29), admitted=None))
    assert days.admitted_at == datetime(2024, 2, 29, tzinfo=COPENHAGEN)
