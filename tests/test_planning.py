"""The planning over the inbox: a SIP from admission to follow-up between three parties, and a Norwegian plan.

Sweden: lag 2017:612 2:5, 4:1-4:3, 5:5 and the consent of HSL 16:4. Norway: the individual plan with its
coordinator. Whatever order the messages come in, the case is the same; no joint plan passes without consent.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from adapter.config import load_region
from adapter.discharge.case import Case, Step
from adapter.discharge.deadlines import deadlines
from adapter.discharge.notices import (
    AnswerValue,
    Decliner,
    Meeting,
    NoticeKind,
    Plan,
    PlanKind,
    PlanTask,
    Standing,
)
from adapter.discharge.planning import PlanningState, document, may_share_plan, planning
from adapter.errors import NotFound
from adapter.fhir.bundles import PERSONNUMMER, Subject
from adapter.fhir.notices import notice_in
from adapter.fhir.wire import parse
from adapter.inbox import Acceptance
from adapter.messaging.register import Endpoint, Side
from adapter.scheduler.deadlines import Deadlines
from adapter.store import tables
from tests.shell import FIXTURES, Shell
from tests.stage import REGION, SYNNOVE, Stage, address_of, altered, receipt, stage

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind
STOCKHOLM = ZoneInfo("Europe/Stockholm")
VASTERBOTTEN = REGION.parent / "vasterbotten.toml"
LASARETT, VARDCENTRAL, VANNAS = "umea-lasarett", "backa-vardcentral", "vannas"
TOLVAN = Subject(
    identifiers=((PERSONNUMMER, "191212121212"),), family="Tolvansson", given="Tolvan", gender="male"
)
MEETING = datetime(2024, 3, 8, 13, 0, tzinfo=STOCKHOLM)
NOW = datetime(2024, 6, 3, 8, 0, tzinfo=STOCKHOLM)


def at(day: int, hour: int, minute: int = 0, *, month: int = 3) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=STOCKHOLM)


@dataclass
class Play:
    """A stage on which parties tell each other of one patient; each message has an id of its own."""

    stage: Stage
    hospital: str
    subject: Subject
    ids: "count[int]" = field(default_factory=lambda: count(1))

    def token(self, party: str) -> str:
        return address_of(self.stage.built.register, party).token

    def says(self, kind: NoticeKind, sender: str, receivers: str, when: datetime, **more: object) -> bytes:
        return self.stage.message(
            kind,
            sender=sender,
            receivers=tuple(receivers.split()),
            subject=self.subject,
            at=when,
            message_id=f"00000000-0000-4000-8000-{next(self.ids):012d}",
            transmission_id=f"sending-{next(self.ids)}",
            hospital=self.hospital,
            encounter="V-2024-0301",
            **more,
        )

    def plan(self, *tasks: PlanTask, status: str = "active", kind: PlanKind | None = PlanKind.SIP) -> Plan:
        return Plan(id="urn:plans|tolvan-1", kind=kind, status=status, tasks=tasks)

    def task(self, task_id: str, owner: str, due: date | datetime, status: str = "accepted") -> PlanTask:
        return PlanTask(id=task_id, owner=self.token(owner), due=due, status=status, what="Hemtjänst morgnar")

    def take(self, *contents: bytes) -> list[Acceptance]:
        return [self.stage.receive(content) for content in contents]

    def release_all(self) -> None:
        """What a person does once consent has come."""
        for row in self.stage.rows(tables.message, outcome="quarantined"):
            self.stage.write(
                lambda tx, held=row: self.stage.built.inbox.release(
                    tx, held["id"], self.stage.clock(), by="Eva"
                )
            )

    @property
    def case(self) -> Case:
        ((_, found),) = self.cases()
        return found

    def cases(self) -> list[tuple[int, Case]]:
        cases = self.stage.built.inbox.cases
        patient = self.stage.rows(tables.case)[0]["patient"]
        with self.stage.built.store.read() as connection:
            return cases.folded(connection, patient)

    @property
    def state(self) -> PlanningState:
        return self.planning.state

    @property
    def planning(self):
        return planning(self.case, self.stage.built.inbox.cases.roles)

    def deadlines(self, kind: str) -> list[tuple[str | None, str]]:
        cases = self.stage.built.inbox.cases
        found = deadlines(self.case, cases.agreement, self.stage.clock(), cases.roles)
        return [(d.party, d.state.value) for d in found if d.kind == kind]


@pytest.fixture
def play(store_url, clock):
    clock.at = NOW
    made = Play(stage(store_url, clock, of=load_region(VASTERBOTTEN)), LASARETT, TOLVAN)
    yield made
    made.stage.close()


def begun(play: Play) -> list[bytes]:
    """From admission to the ready notice."""
    return [
        play.says(
            K.ADMITTED, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(1, 10), planned_discharge=date(2024, 3, 6)
        ),
        play.says(K.CARE_NEEDS, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(2, 9)),
        play.says(
            K.FIXED_CONTACT_NAMED,
            VARDCENTRAL,
            f"{LASARETT} {VANNAS}",
            at(4, 9),
            contact=play.token(VARDCENTRAL),
        ),
        play.says(
            K.OPEN_CARE_AVAILABILITY, VARDCENTRAL, f"{LASARETT} {VANNAS}", at(4, 10), open_care_available=True
        ),
        play.says(K.SIP_REQUESTED, VANNAS, f"{VARDCENTRAL} {LASARETT}", at(4, 11)),
        play.says(K.READY_FOR_DISCHARGE, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(6, 10), sip_needed=True),
    ]


def called(play: Play) -> bytes:
    return play.says(
        K.SIP_CALL,
        VARDCENTRAL,
        f"{VANNAS} {LASARETT}",
        at(7, 9),
        meeting=Meeting(starts=MEETING, ends=at(8, 14), status="booked"),
    )


def consent(play: Play, when: datetime | None = None) -> bytes:
    return play.says(K.CONSENT_GIVEN, VARDCENTRAL, f"{VANNAS} {LASARETT}", when or at(5, 9))


def plan(play: Play, when: datetime, *tasks: PlanTask, status: str = "active", **more: object) -> bytes:
    return play.says(
        K.CARE_PLAN, VARDCENTRAL, f"{VANNAS} {LASARETT}", when, plan=play.plan(*tasks, status=status), **more
    )


def the_whole(play: Play) -> list[bytes]:
    """A SIP from admission to follow-up."""
    asked = play.task("1", VANNAS, date(2024, 3, 15))
    return [
        *begun(play),
        consent(play),
        called(play),
        plan(play, at(7, 16), asked, status="draft"),
        plan(play, at(8, 14), asked, follow_up=date(2024, 4, 8)),
        play.says(
            K.ANSWER,
            VANNAS,
            LASARETT,
            at(8, 15),
            answer=AnswerValue.CAN_RECEIVE,
            receive_from=date(2024, 3, 9),
        ),
        play.says(K.DISCHARGED, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(9, 11)),
        play.says(K.DISCHARGE_REPORT, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(9, 11, 5)),
        plan(play, at(14, 9), replace(asked, status="completed"), follow_up=date(2024, 4, 8)),
        play.says(
            K.FOLLOWED_UP,
            VARDCENTRAL,
            f"{VANNAS} {LASARETT}",
            at(8, 10, month=4),
            fulfils="sip-meeting",
        ),
    ]


# --- Sweden -----------------------------------------------------------------------------------------------


def test_a_sip_goes_from_admission_to_follow_up_step_by_step(play):
    seen = []
    for content in the_whole(play):
        assert play.take(content)[0].outcome == "accepted"
        seen.append(play.state)
    S = PlanningState
    assert list(dict.fromkeys(seen)) == [
        S.NOT_STARTED, S.CONTACT_NAMED, S.REQUESTED, S.CALLED, S.PROPOSED, S.AGREED, S.FOLLOWED_UP,
    ]  # fmt: skip
    told = document(play.planning)
    assert told["consent"]["state"] == "given"
    assert told["contacts"] == [
        {"role": "fixed-care-contact", "party": VARDCENTRAL, "at": at(4, 9).isoformat()}
    ]
    assert told["open_care_available"] is True
    assert [wish["by"] for wish in told["requested"]] == [VANNAS]
    assert told["called"] == {"by": VARDCENTRAL, "at": at(7, 9).isoformat()}
    assert told["meeting"] == {
        "starts": MEETING.isoformat(), "ends": at(8, 14).isoformat(), "state": "held",
    }  # fmt: skip
    (made,) = told["plans"]
    assert (made["kind"], made["state"], made["versions"]) == ("sip", "agreed", 3)
    assert (made["agreed_at"], made["tasks"], made["tasks_done"]) == (at(8, 14).isoformat(), 1, 1)
    for kind in ("sip-call", "follow-up-sip-meeting", "payment-start", "fixed-care-contact"):
        assert {state for _, state in play.deadlines(kind)} == {"met"}, kind
    assert play.deadlines("admission-notice") == [(VARDCENTRAL, "met"), (VANNAS, "met")]
    assert play.deadlines("plan-task") == [(VANNAS, "met")]


@pytest.mark.parametrize("seed", [1, 2, 3, "backwards"])
def test_whatever_order_the_messages_come_in_the_case_is_the_same(store_url, clock, tmp_path, seed):
    clock.at = NOW
    first = Play(
        stage(f"sqlite:///{tmp_path}/in-order.db", clock, of=load_region(VASTERBOTTEN)), LASARETT, TOLVAN
    )
    other = Play(stage(store_url, clock, of=load_region(VASTERBOTTEN)), LASARETT, TOLVAN)
    in_order, shuffled = the_whole(first), the_whole(other)
    shuffled.reverse() if seed == "backwards" else random.Random(seed).shuffle(shuffled)
    first.take(*in_order)
    other.take(*shuffled)
    other.release_all()
    assert not other.stage.rows(tables.message, outcome="quarantined")
    assert other.case == first.case
    assert other.planning == first.planning
    shown = ("kind", "actor", "party", "since", "due_at", "state", "settled_at", "about")
    rows = [
        sorted(repr([row[c] for c in shown]) for row in p.stage.rows(tables.deadline)) for p in (first, other)
    ]
    assert rows[0] == rows[1]
    for one in (first, other):
        one.stage.close()


PLANNING_KINDS = (
    K.FIXED_CONTACT_NAMED,
    K.OPEN_CARE_AVAILABILITY,
    K.SIP_REQUESTED,
    K.SIP_CALL,
    K.SIP_DECLINED,
    K.CONSENT_GIVEN,
    K.CONSENT_WITHDRAWN,
    K.CARE_PLAN,
    K.PROCESS_INTERRUPTED,
    K.FOLLOWED_UP,
)


@pytest.mark.parametrize("kind", PLANNING_KINDS)
def test_each_receiver_of_a_notice_of_the_planning_has_its_own_receipt(store_url, clock, kind):
    clock.at = NOW
    region = load_region(VASTERBOTTEN)
    server = Endpoint(name="vannas", transport="fhir", address="http://127.0.0.1:9/fhir", dialect="fhir")
    region = altered(region, VANNAS, side=Side.THEIRS, endpoint="vannas")
    register = replace(region.register_, endpoints=(server,))
    play = Play(
        stage(store_url, clock, of=region.model_copy(update={"register_": register})), LASARETT, TOLVAN
    )
    play.take(begun(play)[0], consent(play))
    more: dict[str, object] = {"plan": play.plan()} if kind is K.CARE_PLAN else {}
    if kind is K.OPEN_CARE_AVAILABILITY:
        more["open_care_available"] = True
    (taken,) = play.take(play.says(kind, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(7, 9), **more))
    assert taken.outcome == "accepted"

    def accepted_by() -> dict[str, datetime]:
        (entry,) = (e for e in play.case.entries if e.notice.kind is kind and e.at == at(7, 9))
        assert entry.notice.receivers == (VANNAS, LASARETT)
        return {e.party: e.at for e in entry.evidence if e.step is Step.ACCEPTED}

    assert accepted_by() == {LASARETT: NOW}
    while play.stage.deliver():
        pass
    assert accepted_by() == {LASARETT: NOW}
    sent = play.stage.post.sent[-1][1].content
    assert notice_in(parse(sent), zone=STOCKHOLM).kind is kind
    later = clock.forward(hours=1)
    play.take(receipt(sent, at=later))
    assert accepted_by() == {LASARETT: NOW, VANNAS: later}
    play.stage.close()


def test_a_joint_plan_is_held_without_consent_and_released_when_it_is_there(play):
    play.take(*begun(play), called(play))
    (held,) = play.take(plan(play, at(8, 14), play.task("1", VANNAS, date(2024, 3, 15))))
    assert (held.outcome, held.code) == ("quarantined", "consent")
    assert "has not consented" in held.reason
    assert "then release" in held.reason
    assert not play.planning.plans
    assert play.deadlines("plan-task") == []
    row = held.message_row
    inbox = play.stage.built.inbox
    again = play.stage.write(lambda tx: inbox.release(tx, row, NOW, by="Eva"))
    assert (again.outcome, again.code) == ("quarantined", "consent")
    play.take(consent(play, at(8, 16)))
    released = play.stage.write(lambda tx: inbox.release(tx, row, NOW, by="Eva"))
    assert released.outcome == "accepted"
    assert play.state is PlanningState.AGREED
    with pytest.raises(NotFound):
        play.stage.write(lambda tx: inbox.release(tx, row, NOW, by="Eva"))


def test_a_plan_that_does_not_say_what_it_is_needs_consent_and_a_discharge_plan_needs_none(play):
    play.take(*begun(play))
    unsaid = play.says(K.CARE_PLAN, LASARETT, VANNAS, at(8, 14), plan=play.plan(kind=None))
    (held,) = play.take(unsaid)
    assert (held.outcome, held.code) == ("quarantined", "consent")
    assert "does not say which plan it is" in held.reason
    of_discharge = replace(play.plan(kind=PlanKind.DISCHARGE_PLAN), id="discharge-1")
    (taken,) = play.take(play.says(K.CARE_PLAN, LASARETT, VANNAS, at(8, 15), plan=of_discharge))
    assert taken.outcome == "accepted"
    assert [p.joint for p in play.planning.plans] == [False]
    assert play.state is PlanningState.REQUESTED  # a discharge plan is no SIP


@pytest.mark.parametrize(
    ("refused", "state"),
    [(True, PlanningState.CONSENT_REFUSED), (False, PlanningState.CONSENT_WITHDRAWN)],
)
def test_after_refusal_or_withdrawal_no_more_is_shared(play, refused, state):
    play.take(*begun(play), called(play))
    if not refused:
        play.take(consent(play), plan(play, at(8, 14)))
    ended = play.says(K.CONSENT_WITHDRAWN, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(10, 9), refused=refused)
    play.take(ended)
    assert play.state is state
    (held,) = play.take(plan(play, at(11, 9)))
    assert (held.outcome, held.code) == ("quarantined", "consent")
    assert ("refused" if refused else "withdrew") in held.reason
    assert len(play.planning.plans) == (0 if refused else 1)
    assert (may_share_plan(play.case, at(9, 9)) is None) is not refused
    assert may_share_plan(play.case, at(11, 9)) is not None
    assert may_share_plan(play.case, at(11, 9), PlanKind.DISCHARGE_PLAN) is None
    play.take(consent(play, at(12, 9)))
    play.release_all()
    assert play.state is PlanningState.AGREED


def test_a_plan_that_comes_after_the_withdrawal_is_held_though_it_was_sent_before(play):
    play.take(*begun(play), consent(play))
    late = plan(play, at(8, 14))
    play.take(play.says(K.CONSENT_WITHDRAWN, VARDCENTRAL, VANNAS, at(10, 9)))
    assert play.take(late)[0].code == "consent"


def test_a_plan_is_taken_back_by_a_cancellation_also_after_the_consent_was_withdrawn(play):
    play.take(*begun(play), consent(play), plan(play, at(8, 14)))
    (entry,) = play.case.of(K.CARE_PLAN)
    play.take(play.says(K.CONSENT_WITHDRAWN, VARDCENTRAL, VANNAS, at(10, 9)))
    back = {"standing": Standing.CANCELLATION, "refers_to": entry.notice.message_id}
    (taken,) = play.take(plan(play, at(10, 10), **back))
    assert taken.outcome == "accepted"
    assert play.planning.plans == ()


def test_a_municipalitys_call_is_a_call_that_satisfies_nothing(play):
    play.take(*begun(play))
    play.take(play.says(K.SIP_CALL, VANNAS, f"{VARDCENTRAL} {LASARETT}", at(7, 9)))
    made = play.planning
    assert made.state is PlanningState.REQUESTED
    assert made.called is None
    assert [call.by for call in made.other_calls] == [VANNAS]
    assert play.deadlines("sip-call") == [(None, "missed")]
    assert play.deadlines("payment-start") == [(VANNAS, "void")]
    play.take(play.says(K.SIP_CALL, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(8, 9)))
    assert play.state is PlanningState.CALLED
    assert play.deadlines("sip-call") == [(None, "met")]


def test_a_call_that_was_moved_was_made_when_it_was_first_sent(play):
    first = called(play)
    head = parse(first)["entry"][0]["resource"]
    moved = play.says(
        K.SIP_CALL, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(8, 14), standing=Standing.CORRECTION,
        refers_to=head["id"], meeting=Meeting(starts=at(12, 13)),
    )  # fmt: skip
    play.take(*begun(play), first, moved)
    made = play.planning
    assert made.called is not None and made.called.at == at(7, 9)
    assert made.meeting is not None and made.meeting.starts == at(12, 13)


def test_only_primary_care_names_the_fixed_contact_and_says_whether_open_care_is_available(play):
    play.take(begun(play)[0])
    play.take(
        play.says(K.FIXED_CONTACT_NAMED, VANNAS, LASARETT, at(4, 9)),
        play.says(K.OPEN_CARE_AVAILABILITY, VANNAS, LASARETT, at(4, 9), open_care_available=True),
    )
    assert play.planning.contacts == ()
    assert play.planning.open_care_available is None


def test_a_patient_who_declines_ends_the_planning_and_a_party_that_does_not_come_does_not(play):
    play.take(*begun(play))
    play.take(
        play.says(K.SIP_DECLINED, VANNAS, VARDCENTRAL, at(7, 8), declined_by=Decliner.PARTY),
    )
    assert play.state is PlanningState.REQUESTED
    assert play.deadlines("sip-call") == [(None, "missed")]
    assert play.deadlines("payment-start") == [(VANNAS, "void")]
    play.take(
        play.says(K.SIP_DECLINED, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(7, 9), declined_by=Decliner.PATIENT)
    )
    assert play.state is PlanningState.DECLINED
    assert play.deadlines("sip-call") == [(None, "void")]
    assert play.deadlines("payment-start") == [(VANNAS, "missed")]  # no plan is needed any more
    assert [(d.who, d.by) for d in play.planning.declined] == [
        (Decliner.PARTY, VANNAS),
        (Decliner.PATIENT, VARDCENTRAL),
    ]
    play.take(called(play))
    assert play.state is PlanningState.DECLINED  # called 7 March at nine as well: not after it
    play.take(play.says(K.SIP_CALL, VARDCENTRAL, VANNAS, at(7, 12)))
    assert play.state is PlanningState.CALLED


def test_the_planning_waits_while_the_patient_is_not_ready_any_more(play):
    play.take(*begun(play), called(play))
    play.take(play.says(K.READINESS_WITHDRAWN, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(7, 15)))
    assert play.state is PlanningState.WITHDRAWN
    assert play.planning.withdrawn_at == at(7, 15)
    assert play.planning.called is not None
    play.take(
        play.says(K.READY_FOR_DISCHARGE, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(11, 9), sip_needed=True)
    )
    assert play.state is PlanningState.CALLED
    assert play.planning.withdrawn_at is None


def test_an_interruption_breaks_the_planning_off_until_it_is_taken_up_again(play):
    play.take(*begun(play), called(play))
    play.take(play.says(K.PROCESS_INTERRUPTED, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(7, 15)))
    assert play.state is PlanningState.INTERRUPTED
    play.take(play.says(K.SIP_CALL, VARDCENTRAL, f"{VANNAS} {LASARETT}", at(12, 15)))
    assert play.state is PlanningState.CALLED
    assert play.planning.interrupted_at == at(7, 15)


def test_an_interruption_that_was_told_by_mistake_is_taken_back(play):
    play.take(*begun(play))
    told = play.says(K.PROCESS_INTERRUPTED, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(7, 15))
    play.take(told)
    (entry,) = play.case.of(K.PROCESS_INTERRUPTED)
    play.take(
        play.says(
            K.PROCESS_INTERRUPTED,
            LASARETT,
            f"{VANNAS} {VARDCENTRAL}",
            at(7, 16),
            standing=Standing.CANCELLATION,
            refers_to=entry.notice.message_id,
        )
    )
    assert play.state is PlanningState.REQUESTED


def test_after_death_the_planning_and_every_task_is_closed(play):
    play.take(*begun(play), consent(play), called(play))
    play.take(plan(play, at(8, 14), play.task("1", VANNAS, date(2024, 7, 15))))
    assert play.deadlines("plan-task") == [(VANNAS, "open")]
    play.take(play.says(K.DECEASED, LASARETT, f"{VANNAS} {VARDCENTRAL}", at(9, 3)))
    assert play.state is PlanningState.CLOSED
    assert play.deadlines("plan-task") == [(VANNAS, "void")]


# --- tasks of the plan ------------------------------------------------------------------------------------


def fire_at(play: Play, clock) -> None:
    """The clock of the law looks once."""
    built = play.stage.built
    Deadlines(
        store=built.store,
        cases=built.inbox.cases,
        outbox=play.stage.outbox,
        register=built.register,
        clock=clock,
    )()


def test_an_overdue_task_raises_an_alarm_that_ends_when_the_plan_says_that_it_is_done(play, clock):
    play.take(*begun(play), consent(play))
    clock.at = at(10, 8)
    asked = play.task("1", VANNAS, date(2024, 3, 15))
    beside = play.task("2", VANNAS, date(2024, 3, 15))
    own = play.task("3", LASARETT, at(14, 12))
    play.take(plan(play, at(10, 8), asked, beside, own))

    def alarms() -> list[str]:
        rows = [a for a in play.stage.rows(tables.alarm, kind="deadline-missed") if a["until"] is None]
        return sorted(a["text"].split(" was due")[0] for a in rows if a["text"].startswith("plan task"))

    clock.at = at(15, 23, 59)
    fire_at(play, clock)
    assert alarms() == ["plan task by Umeå lasarett"]
    clock.at = at(16, 0, 0)
    fire_at(play, clock)
    assert alarms() == ["plan task by Umeå lasarett", *["plan task by Vännäs kommun"] * 2]
    assert not any("Hemtjänst" in row["text"] for row in play.stage.rows(tables.alarm))
    clock.at = at(16, 9)
    done = replace(asked, status="completed")
    play.take(plan(play, at(16, 9), done, replace(beside, status="cancelled"), own))
    fire_at(play, clock)
    assert alarms() == ["plan task by Umeå lasarett"]
    assert play.deadlines("plan-task") == [(LASARETT, "missed"), (VANNAS, "met-late"), (VANNAS, "void")]
    clock.at = at(16, 10)
    play.take(plan(play, at(16, 10), done, own, status="revoked"))
    fire_at(play, clock)
    assert play.deadlines("plan-task") == [(LASARETT, "void"), (VANNAS, "met-late"), (VANNAS, "void")]
    assert alarms() == []


def test_the_alarm_of_a_task_names_its_owner_also_where_that_is_another_hospital(store_url, clock):
    region = load_region(VASTERBOTTEN)
    lasarett = region.register_.party(LASARETT)
    assert lasarett is not None
    another = replace(
        lasarett,
        id="lycksele-lasarett",
        name="Lycksele lasarett",
        identifiers=((lasarett.identifiers[0][0], "SE0000000000-LYC"),),
        services=(),
    )
    register = replace(region.register_, parties=(*region.register_.parties, another))
    known = region.model_copy(update={"register_": register})
    clock.at = at(10, 8)
    play = Play(stage(store_url, clock, of=known), LASARETT, TOLVAN)
    play.take(begun(play)[0], consent(play))
    play.take(plan(play, at(10, 8), play.task("1", "lycksele-lasarett", date(2024, 3, 15))))
    clock.at = at(16, 8)
    fire_at(play, clock)
    (alarm,) = (a for a in play.stage.rows(tables.alarm) if a["text"].startswith("plan task"))
    assert alarm["text"].startswith("plan task by Lycksele lasarett was due 2024-03-15 23:59")
    play.stage.close()


# --- Norway -----------------------------------------------------------------------------------------------


@pytest.fixture
def norwegian(store_url, clock):
    clock.at = NOW
    made = Play(stage(store_url, clock), "laerdal-sjukehus", SYNNOVE)
    yield made
    made.stage.close()


def individual_plan(play: Play) -> list[bytes]:
    """From the need that the hospital reports to the follow-up."""
    hospital, home = "laerdal-sjukehus", "laerdal"
    made = Plan(id="ip-1", kind=PlanKind.INDIVIDUAL_PLAN, tasks=(play.task("1", home, date(2024, 5, 2)),))
    return [
        play.says(K.ADMITTED, hospital, home, at(1, 10)),
        play.says(K.PLAN_NEED_REPORTED, hospital, home, at(2, 10)),
        play.says(K.COORDINATOR_NAMED, home, hospital, at(4, 10), contact=play.token(home)),
        play.says(K.CONSENT_GIVEN, home, hospital, at(5, 10)),
        play.says(K.SIP_CALL, home, hospital, at(6, 10), meeting=Meeting(starts=at(11, 10))),
        play.says(K.CARE_PLAN, home, hospital, at(11, 12), plan=made),
        play.says(K.FOLLOWED_UP, home, hospital, at(2, 12, month=5)),
    ]


def test_a_norwegian_individual_plan_goes_from_the_reported_need_to_the_follow_up(norwegian):
    seen = []
    for content in individual_plan(norwegian):
        assert norwegian.take(content)[0].outcome == "accepted"
        seen.append(norwegian.state)
    S = PlanningState
    assert seen == [
        S.NOT_STARTED, S.REQUESTED, S.REQUESTED, S.REQUESTED, S.CALLED, S.AGREED, S.FOLLOWED_UP,
    ]  # fmt: skip
    made = norwegian.planning
    assert [(c.role, c.party) for c in made.contacts] == [("coordinator", "laerdal")]
    assert made.called is not None
    assert made.called.by == "laerdal"
    assert norwegian.deadlines("plan-task") == [("laerdal", "missed")]


def test_a_norwegian_plan_in_any_order_gives_the_same_case(norwegian, clock, tmp_path):
    other = Play(stage(f"sqlite:///{tmp_path}/other.db", clock), "laerdal-sjukehus", SYNNOVE)
    other.take(*individual_plan(other))
    backwards = individual_plan(norwegian)[::-1]
    norwegian.take(*backwards)
    norwegian.release_all()
    assert norwegian.case == other.case
    assert norwegian.planning == other.planning
    other.stage.close()


# --- shown ------------------------------------------------------------------------------------------------


def test_the_command_shows_the_planning_where_it_has_begun(tmp_path):
    shell = Shell(tmp_path)
    admitted, *planned = (
        FIXTURES / "fhir" / kind / "message.json"
        for kind in ("admitted", "consent-given", "coordinator-named", "care-plan")
    )
    shell("receive", admitted)
    assert b"Planning" not in shell("case", 1).out
    shell("receive", *planned)
    shown = shell("case", 1).out.decode()
    assert "Planning" in shown
    assert "contact-named" in shown
    assert "discharge-plan" in shown
    told = shell("case", 1, "--json").json["planning"]
    assert told["consent"]["state"] == "given"
    assert [c["party"] for c in told["contacts"]] == ["her-8143549"]
    assert [p["tasks"] for p in told["plans"]] == [1]
