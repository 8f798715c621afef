"""What must go out waits here, is sent, and is tried again until there is a receipt or a person is told.

Sending takes two short transactions, `claim` and `record`, and holds no database connection in between.
`messaging.retry` decides, this station acts. A lane is the order of one case's messages to one receiver: it
advances when the transport has accepted, never waiting for a receipt.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.alarming import Alarms, patient
from adapter.awaiting import Awaited
from adapter.cases import Cases
from adapter.discharge.case import Evidence, Step
from adapter.discharge.notices import Notice, NoticeKind, word
from adapter.discharge.wording import phrase_of
from adapter.errors import NotFound
from adapter.messaging.acknowledgement import Acknowledgement, Status
from adapter.messaging.delivery import DeliveryState, Leased, Reply, Trigger
from adapter.messaging.envelope import masked
from adapter.messaging.nearing import hurried
from adapter.messaging.practices import practice
from adapter.messaging.register import Endpoint, Party, Register, Side
from adapter.messaging.resting import Health
from adapter.messaging.retry import Decision, GiveUp, RetryAt, Schedule, Sent, decide, delay
from adapter.parcels import ALARM, MAIL, NOTICES, NOWHERE, SUBSCRIPTION
from adapter.phrases import Code, Phrase, lasting, phrase, verbatim
from adapter.resting import Resting
from adapter.sending_again import SendingAgain, contradicts, is_old, replaces, timely
from adapter.store import cases as case_rows
from adapter.store import deliveries, messages, restored
from adapter.store.statements import Row
from adapter.subscriptions import Subscriptions
from adapter.telephoning import Telephoning
from adapter.transport import Outgoing, Transport
from adapter.transport.fhir_rest import is_duplicate

_SETTLED: dict[str, Any] = {
    "receipt_due_at": None,
    "look_at": None,
    "lease_until": None,
    "trigger": Trigger.SCHEDULE.value,
    "resume_state": None,
    "resume_at": None,
}
"""What a delivery forgets once its receiver, or a person, has spoken."""

NOT_RECEIVED = phrase("no receipt within 96 hours: not received")

_CONTRADICTED = {
    Status.ACCEPTED: "{party} first said refused, now accepted; the first stands",
    Status.REFUSED: "{party} first said accepted, now refused; the first stands",
}
_REPLACED = {
    Status.ACCEPTED: "{party} first said refused, now accepted; the newer one holds",
    Status.REFUSED: "{party} first said accepted, now refused; the newer one holds",
}
"""By what the later one of two receipts says."""


@dataclass(frozen=True, kw_only=True)
class Receipted:
    """A receipt has found its delivery."""

    delivery: Row
    told: Row | None  # the message that the delivery was made for
    status: Status
    news: bool  # False: it only repeats, or contradicts, what an earlier one said


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """The queue of deliveries over one store, one register and its transports."""

    cases: Cases
    register: Register
    transports: Mapping[str, Transport]
    schedule: Schedule
    jitter: Callable[[], float]  # in [-1, 1]
    lease: timedelta
    alarms: Alarms
    subscriptions: Subscriptions
    resting: Resting
    lead_time: timedelta = timedelta(hours=4)  # that people need before a deadline; then its notice overtakes

    @property
    def telephoning(self) -> Telephoning:
        """Who is told in time whom to call."""
        return Telephoning(
            cases=self.cases, register=self.register, alarms=self.alarms, before=self.lead_time
        )

    @property
    def _awaited(self) -> Awaited:
        """How long receipts are waited for, and who is told."""
        return Awaited(
            cases=self.cases,
            register=self.register,
            alarms=self.alarms,
            telephoning=self.telephoning,
            lead_time=self.lead_time,
        )

    @property
    def again(self) -> SendingAgain:
        """What is said of one more sending."""
        return SendingAgain(register=self.register)

    def endpoint(self, name: str) -> Endpoint | None:
        """A configured endpoint, those of alarms among them."""
        of_alarms = (one for one in self.alarms.endpoints if one.name == name)
        return next(of_alarms, None) or self.register.endpoint(name)

    def find_endpoints(self, tx: Connection, now: datetime) -> int:
        """After the region file has changed: what waited without an endpoint goes to the one named now.

        Only where that one reads the dialect in which the content is frozen; the rest can be reissued.
        """
        found = 0
        self.resting.forget(tx, now)
        for row in deliveries.astray(tx, [e.name for e in self.register.endpoints]):
            party = self.register.party(row["party"])
            endpoint = self.endpoint_for(party, row["kind"]) if party is not None else None
            if party is not None and not self.register.own_system(party) and self._reserved(tx, row):
                continue  # the patient has reserved against passing on: not by way of its host
            if endpoint is None and row["endpoint"] is not None:
                deliveries.change(tx, row["id"], endpoint=None, next_attempt_at=None, error=NOWHERE)
            elif endpoint is not None and endpoint.dialect == row["dialect"]:
                deliveries.change(tx, row["id"], endpoint=endpoint.name, next_attempt_at=now, error=None)
                found += 1
        return found

    def _reserved(self, tx: Connection, row: Row) -> bool:
        """Whether only the addressed receiver may have the notice that a delivery carries."""
        full = _found(deliveries.get(tx, row["id"]), row["id"])
        case = case_rows.get(tx, full["case_id"]) if full["case_id"] is not None else None
        known = case_rows.told(tx, case["patient"]) if case is not None else []
        told = (fact for told_by, _, fact in known if told_by == full["message_row"])
        return any(isinstance(fact, Notice) and fact.reserved for fact in told)

    def endpoint_for(self, party: Party, kind: str) -> Endpoint | None:
        """Where what is of that kind goes: care plans may have an endpoint of their own."""
        of_plans = kind == NoticeKind.CARE_PLAN.value
        return (self.register.plans_endpoint_of if of_plans else self.register.endpoint_of)(party)

    # --- out ---

    def claim(
        self,
        tx: Connection,
        wanted: Mapping[str, int],
        now: datetime,
        enough: Callable[[Sequence[Leased]], bool] = lambda _: False,
    ) -> list[Leased]:
        """Lease what is due: for each endpoint up to the number wanted. `wanted` missing one means none.

        The endpoints are asked in their order, until there is `enough`.
        """
        taken: list[Leased] = []
        paused, ailing = deliveries.paused(tx), self.resting.look(tx)
        due = deliveries.with_something_due(tx, now)
        until = now + self.lease
        for name, most in wanted.items():
            if most <= 0 or name in paused:
                continue
            if name in ailing:
                taken += self.resting.claim(tx, name, ailing[name], most=most, now=now, lease_until=until)
            elif name in due:
                taken += deliveries.claim(
                    tx, name, most=most, now=now, lease_until=until, passed=self.resting.passed
                )
            if enough(taken):
                break
        return [one for one in taken if self._may_leave(tx, one, now)]

    def _may_leave(self, tx: Connection, leased: Leased, now: datetime) -> bool:
        """A plan that waits when consent ends does not leave any more; what is of no plan always may."""
        if leased.kind != NoticeKind.CARE_PLAN.value:
            return True
        why = self._withheld(tx, _found(deliveries.get(tx, leased.id), leased.id), now)
        if why is None:
            return True
        if leased.trigger is Trigger.PERSON:
            self._back_to_schedule(tx, leased, GiveUp(reason=why, permanent=False))
        else:
            self.close(tx, leased.id, why, now, by=None)
        return False

    def _withheld(self, tx: Connection, row: Row, now: datetime) -> Phrase | None:
        """Why the plan that a delivery carries may not be shared; what is only relayed is its sender's."""
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        if row["kind"] != NoticeKind.CARE_PLAN.value or told is None or row["case_id"] is None:
            return None
        ends = (self.register.party(told["sender"]), self.register.party(row["party"]))
        if all(party is not None and party.side is Side.THEIRS for party in ends):
            return None
        why = self.cases.withheld(tx, row["case_id"], (told["sender"], told["message_id"]), now)
        if why is None:
            return None
        return phrase("{why}; once there is consent again, resend it", why=phrase_of(why))

    def check_consent(self, tx: Connection, delivery_id: int, now: datetime) -> None:
        """NotFound where a person would send a plan that may not be shared any more."""
        why = self._withheld(tx, _found(deliveries.get(tx, delivery_id), delivery_id), now)
        if why is not None:
            raise NotFound(phrase("delivery {delivery}: {why}", delivery=str(delivery_id), why=why))

    def claim_notifications(
        self, tx: Connection, busy: Collection[str], most: int, now: datetime
    ) -> list[Leased]:
        """Lease the next notification of up to `most` subscriptions whose endpoints are not `busy`."""
        due = self.subscriptions.due(tx, now) if most > 0 else []
        paused = deliveries.paused(tx) if due else frozenset()
        taken: list[Leased] = []
        for name in due:
            if len(taken) >= most or name in busy or name in paused:
                continue
            endpoint = self.subscriptions.endpoint(tx, name)
            if endpoint is None:
                self.subscriptions.astray(tx, name, now)
                continue
            leased = deliveries.claim(tx, name, most=1, now=now, lease_until=now + self.lease)
            taken += [replace(one, to=endpoint) for one in leased]
        return taken

    def send(self, leased: Leased) -> Reply:
        """One attempt, over the network; nothing of the store is held."""
        endpoint = leased.to or self.endpoint(leased.endpoint)
        if endpoint is None:
            gone = phrase("the endpoint {endpoint} is no longer configured", endpoint=repr(leased.endpoint))
            return Reply(error=gone, ours=True)
        outgoing = Outgoing(
            message_id=leased.message_id,
            content=leased.content,
            content_type=leased.content_type,
            delivery_id=leased.id,
            party=leased.party,
        )
        return self.transports[endpoint.transport].send(outgoing, endpoint)

    def release(self, tx: Connection, leased: Sequence[Leased], now: datetime) -> None:
        """Give back what was claimed and not tried."""
        for item in leased:
            deliveries.change_leased(tx, item, state=DeliveryState.WAITING.value, next_attempt_at=now)

    def record(
        self, tx: Connection, leased: Leased, reply: Reply, now: datetime, *, receipted: bool = False
    ) -> str:
        """Write down an attempt and what follows from it; returns `sent`, `retry` or `gave-up`.

        `receipted` says that the reply carries the receiver's receipt for this message, which decides more
        than the HTTP status does and is taken right after, in the same transaction.
        """
        by_person = leased.trigger is Trigger.PERSON
        told = leased.dialect == SUBSCRIPTION
        attempts = leased.attempts + (0 if by_person or leased.probe else 1)
        decision = (
            Sent(delivered=True)
            if receipted
            else decide(
                reply,
                attempts=max(attempts, 1),
                created_at=leased.created_at,
                now=now,
                schedule=self.schedule,
                jitter=self.jitter(),
                duplicate=is_duplicate(reply),
                due_at=None if reply.taken else self._due(tx, leased, now),
            )
        )
        if told:
            decision = self.subscriptions.decided(tx, leased, decision)
        else:
            alive = isinstance(decision, Sent)
            health = self.resting.learn(tx, leased, reply, now, lives=alive, jitter=self.jitter())
            decision = _behind_the_others(leased, decision, health)
        if leased.endpoint == MAIL:
            decision = patient(decision, now)
        outcome = {Sent: "sent", RetryAt: "retry", GiveUp: "gave-up"}[type(decision)]
        deliveries.add_attempt(
            tx,
            {
                "delivery_id": leased.id,
                "at": now,
                "trigger": _why(leased).value,
                "status": reply.status,
                "outcome": outcome,
                "ms": round(reply.ms, 1),
                "error": None if isinstance(decision, Sent) else decision.reason,
                "sending": leased.sending,
                "content_hash": leased.payload if practice(leased.dialect).renews else None,
            },
        )
        if reply.plan is not None and (reply.taken or reply.conflict):
            self._plan(tx, leased, reply, now)
        if receipted:
            ours_still = deliveries.hand_over(tx, leased, attempts, now)
            if ours_still and leased.trigger is not Trigger.SCHEDULE:
                self.alarms.end(tx, "given-up", f"delivery {leased.id}", now)
        elif isinstance(decision, Sent):
            self._sent(tx, leased, attempts, delivered=decision.delivered, now=now)
        elif by_person:
            self._back_to_schedule(tx, leased, decision)
        else:
            again = isinstance(decision, RetryAt)
            state = DeliveryState.WAITING if again else DeliveryState.GIVEN_UP
            ours_still = deliveries.change_leased(
                tx,
                leased,
                state=state.value,
                attempts=attempts,
                next_attempt_at=decision.at if isinstance(decision, RetryAt) else None,
                error=decision.reason,
            )
            if ours_still and not again and not told:
                self._undeliverable(tx, leased.id, decision.reason, now, alarm=not reply.conflict)
        if told:
            self.subscriptions.attempted(tx, leased, decision, now)
        return outcome

    def recorded(self, tx: Connection, leased: Leased, tried: Collection[datetime]) -> bool:
        """Whether the attempt is on record, written at one of the moments at which that was tried."""
        return any(one["at"] in tried for one in deliveries.attempts(tx, [leased.id]))

    def _due(self, tx: Connection, leased: Leased, now: datetime) -> datetime | None:
        """The deadline that what has failed would meet."""
        row = deliveries.get(tx, leased.id) if leased.kind in NOTICES else None
        return self.telephoning.due(tx, row, now) if row is not None else None

    def _plan(self, tx: Connection, leased: Leased, reply: Reply, now: datetime) -> None:
        """A plan that stands on the receiver's server ends its alarm; one changed at both ends begins it."""
        subject = plan_at(reply.plan or "", leased.endpoint)
        if not reply.conflict:
            self.alarms.end(tx, "plan-conflict", subject, now)
            return
        row = _found(deliveries.get(tx, leased.id), leased.id)
        self.alarms.start(
            tx,
            kind="plan-conflict",
            subject=subject,
            text=reply.error or phrase("changed at both ends"),
            now=now,
            case_id=row["case_id"],
        )

    def _sent(
        self,
        tx: Connection,
        leased: Leased,
        attempts: int,
        *,
        delivered: bool,
        now: datetime,
    ) -> None:
        """The transport has it, and the receipt is still to come."""
        row = _found(deliveries.get(tx, leased.id), leased.id)
        endpoint = self.endpoint(leased.endpoint)
        awaits = bool(row["expects_receipt"]) and row["accepted_at"] is None
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        waiting = self._awaited.wait(tx, row, told, now, now) if awaits and endpoint else None
        done = DeliveryState.ACKNOWLEDGED if row["accepted_at"] else DeliveryState.SENT
        ours_still = deliveries.change_leased(
            tx,
            leased,
            state=done.value,
            attempts=attempts,
            trigger=Trigger.SCHEDULE.value,
            next_attempt_at=None,
            resume_state=None,
            resume_at=None,
            error=None,
            sent_at=row["sent_at"] or now,
            delivered_at=row["delivered_at"] or (now if delivered else None),
            receipt_due_at=waiting.missing_from if waiting else None,
            look_at=waiting.next_look(now) if waiting else None,
        )
        if not ours_still:
            return  # the lease has passed on, or a receipt was quicker: the attempt stands in the log
        if leased.trigger is not Trigger.SCHEDULE:
            self.alarms.end(tx, "given-up", f"delivery {leased.id}", now)
        self._unpark(tx, row, now)
        if delivered and row["delivered_at"] is None:
            self._learn(tx, row, told, {Step.DELIVERED: now}, f"delivery {leased.id}", now)

    def _back_to_schedule(self, tx: Connection, leased: Leased, decision: RetryAt | GiveUp) -> None:
        """A person's attempt failed: the schedule goes on as if it had not been made."""
        row = _found(deliveries.get(tx, leased.id), leased.id)
        deliveries.change_leased(
            tx,
            leased,
            state=row["resume_state"] or DeliveryState.WAITING.value,
            trigger=Trigger.SCHEDULE.value,
            next_attempt_at=row["resume_at"],
            resume_state=None,
            resume_at=None,
            error=decision.reason,
        )

    def _unpark(self, tx: Connection, row: Row, now: datetime) -> None:
        """What waited behind this one may go, and what waited behind the one that it was reissued for."""
        deliveries.unpark(tx, row["message_id"], row["party"], now)
        if row["original"] is not None:
            first = deliveries.get(tx, row["original"])
            if first is not None:  # retention takes it, unless something waits behind it
                deliveries.unpark(tx, first["message_id"], row["party"], now)

    def delivered(self, tx: Connection, delivery_id: int, now: datetime, *, source: str) -> None:
        """The receiver's side holds it, as the transport has learned after sending; known once."""
        row = _alone(tx, delivery_id)
        if row["delivered_at"] is not None:
            return
        deliveries.change(tx, delivery_id, delivered_at=now)
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        self._learn(tx, row, told, {Step.DELIVERED: now}, source, now)

    def not_carried(self, tx: Connection, delivery_id: int, why: Phrase, now: datetime) -> None:
        """The transport took it and could not get it through: not received, and given up with an alarm.

        A receipt that comes later all the same is taken (N-02).
        """
        row = _alone(tx, delivery_id)
        if row["accepted_at"] is not None or _is_refused(row):
            return  # its receipt was quicker
        _given_up(tx, delivery_id, why)
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        self._awaited.over(tx, row, now)
        self._undeliverable(tx, delivery_id, why, now)
        self._learn(tx, row, told, {Step.NOT_RECEIVED: now}, f"delivery {delivery_id}", now)

    def give_up_late(self, tx: Connection, now: datetime, most: int = 200) -> int:
        """What has waited too long for an endpoint that rests is given up, some at a time, with alarms."""
        late = self.resting.late(tx, deliveries.paused(tx), now, most)
        for delivery_id, error in late:
            row = _alone(tx, delivery_id)
            if row["state"] != DeliveryState.WAITING.value or row["trigger"] == Trigger.PERSON.value:
                continue  # another process has just taken it up, or a person has sent it again
            span = lasting(self.schedule.give_up_after)
            reason = phrase("still not reached after {span}: {fault}", span=span, fault=error)
            _given_up(tx, delivery_id, reason)
            self._undeliverable(tx, delivery_id, reason, now)
        return len(late)

    def _undeliverable(
        self, tx: Connection, delivery_id: int, reason: Phrase, now: datetime, *, alarm: bool = True
    ) -> None:
        """It leaves its lane with an alarm; only what refers to it parks behind it.

        No `alarm` where there is another one that says more.
        """
        row = _found(deliveries.get(tx, delivery_id), delivery_id)
        deliveries.park_behind(tx, row["message_id"], row["party"], delivery_id)
        self.telephoning.watch(tx, delivery_id, now)
        if not alarm:
            return
        self.alarms.start(
            tx,
            kind="refused" if row["state"] == DeliveryState.REFUSED.value else "given-up",
            subject=f"delivery {delivery_id}",
            text=phrase(
                "{notice} to {party} was not delivered: {why}",
                notice=word("notice", row["kind"]),
                party=self.register.name(row["party"]),
                why=reason,
            ),
            now=now,
            case_id=row["case_id"],
            post=row["kind"] != ALARM,
        )

    # --- receipts ---

    def receipt(
        self,
        tx: Connection,
        said: Acknowledgement,
        party: str | None,
        now: datetime,
        *,
        source: str,
        repeated: bool = False,
    ) -> Receipted | None:
        """Take a receipt; None where we never sent such a message to that party.

        A receipt is final: a second one that says otherwise changes nothing and raises an alarm, but for a
        newer one where the standard has that count (D-06). Late is not too late (HIS 80415, N-02).
        One that is `repeated` in a newer sending is the receiver's answer to ours (D-04).
        """
        row = deliveries.sent_as(tx, said.original_id, party)
        if row is None or row["state"] == DeliveryState.CANCELLED.value:
            return None
        row, said = deliveries.alone(tx, row), timely(said, now)
        state, delivery_id = row["state"], row["id"]
        told = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        settled = {
            DeliveryState.ACKNOWLEDGED.value: Status.ACCEPTED,
            DeliveryState.REFUSED.value: Status.REFUSED,
        }
        before = Status.ACCEPTED if row["accepted_at"] else settled.get(state)
        if before is not None and not replaces(row, said, before):
            if contradicts(row, said, before):
                self.alarms.start(
                    tx,
                    kind="contradicting-receipt",
                    subject=f"delivery {delivery_id}",
                    text=phrase(_CONTRADICTED[said.status], party=self.register.name(row["party"])),
                    now=now,
                    case_id=row["case_id"],
                )
            return Receipted(delivery=row, told=told, status=before, news=False)
        if is_old(row, said, repeated=repeated):
            return Receipted(delivery=row, told=told, status=said.status, news=False)
        if before is not None:
            self._told_otherwise(tx, row, said, now)
        match said.status:
            case Status.ACCEPTED:
                self._accepted(tx, row, told, said, now, source)
            case Status.REFUSED:
                self._refused(tx, row, told, said, now, source)
            case Status.NOT_NOW:
                self._not_now(tx, row, said, now)
            case Status.TAKEN_OVER:
                endpoint = self.endpoint(row["endpoint"] or "")
                due = now + endpoint.receipt_within if endpoint else None
                deliveries.change(tx, delivery_id, receipt_due_at=due, look_at=due)
                self._unpark(tx, row, now)
        return Receipted(delivery=row, told=told, status=said.status, news=True)

    def _told_otherwise(self, tx: Connection, row: Row, said: Acknowledgement, now: datetime) -> None:
        """The case's history tells that a newer receipt has taken the place of an older one."""
        what = phrase(_REPLACED[said.status], party=self.register.name(row["party"]))
        case_rows.note(tx, at=now, subject=f"delivery {row['id']}", what=what, case_id=row["case_id"])

    def _not_now(self, tx: Connection, row: Row, said: Acknowledgement, now: datetime) -> None:
        """The receiver asks for it later: it waits as its next sending, or a person is told."""
        reason = _words(said) or phrase("the receiver asks us to try again later")
        if practice(row["dialect"]).renews and self.again.relayed(tx, row):
            due = now + self.again.within(row)
            deliveries.change(
                tx, row["id"], error=reason, receipt_at=said.at, receipt_due_at=due, look_at=due
            )  # its sender sends it again
            return
        wait = self._until_later(tx, row, now)
        if wait is None or now + wait > row["created_at"] + self.schedule.give_up_after:
            _given_up(tx, row["id"], reason)
            deliveries.change(tx, row["id"], receipt_at=said.at)
            why = phrase("still asked to wait; its own words: {words}", words=reason)
            self._undeliverable(tx, row["id"], why, now)
            return
        values = self.again.renewed(tx, row, now)
        deliveries.change(
            tx,
            row["id"],
            state=DeliveryState.WAITING.value,
            next_attempt_at=now + wait,
            error=reason,
            receipt_at=said.at,
            **_SETTLED,
            **values,
        )
        self.telephoning.watch(tx, row["id"], now)

    def _until_later(self, tx: Connection, row: Row, now: datetime) -> timedelta | None:
        """The wait until the next sending of what its receiver wants later; None: only a person sends it.

        The schedule's own, or where sendings are few and counted, as long as for a receipt that is missing.
        """
        wait = delay(self.schedule, max(row["attempts"], 1), self.jitter())
        if practice(row["dialect"]).renews:
            if not self.again.by_itself(tx, row, deliveries.attempts(tx, [row["id"]])):
                return None
            wait = max(wait, self.again.within(row))
        return hurried(wait, self.telephoning.due(tx, row, now), now)

    def _within(self, tx: Connection, row: Row, said: Acknowledgement, now: datetime) -> datetime:
        """When a receipt was given, as far as that can be."""
        return max(self._earliest(tx, row, said.at), min(said.at, now))

    def _earliest(self, tx: Connection, row: Row, said_at: datetime) -> datetime:
        """From when a receipt for it may be: its making, or where a restore has lost that, the backup."""
        made: datetime = row["created_at"]
        lost = restored.last(tx) if said_at < made else None
        return lost.of if lost is not None and lost.of <= said_at <= lost.at <= made else made

    def _accepted(
        self, tx: Connection, row: Row, told: Row | None, said: Acknowledgement, now: datetime, source: str
    ) -> None:
        at = self._within(tx, row, said, now)
        deliveries.change(
            tx,
            row["id"],
            state=DeliveryState.ACKNOWLEDGED.value,
            accepted_at=at,
            receipt_at=said.at,
            sent_at=row["sent_at"] or at,
            delivered_at=row["delivered_at"] or at,
            next_attempt_at=None,
            error=None,
            **_SETTLED,
        )
        self.alarms.delivered(tx, f"delivery {row['id']}", now)
        self._unpark(tx, row, now)
        steps = {Step.ACCEPTED: at}
        if not row["delivered_at"]:
            steps[Step.DELIVERED] = at
        self._learn(tx, row, told, steps, source, now)

    def _refused(
        self, tx: Connection, row: Row, told: Row | None, said: Acknowledgement, now: datetime, source: str
    ) -> None:
        reason = _words(said) or phrase("the receiver gave no reason")
        deliveries.change(
            tx,
            row["id"],
            state=DeliveryState.REFUSED.value,
            accepted_at=None,
            receipt_at=said.at,
            sent_at=row["sent_at"] or now,
            delivered_at=row["delivered_at"] or now,
            next_attempt_at=None,
            error=reason,
            **_SETTLED,
        )
        self._awaited.over(tx, row, now)
        why = phrase("it was refused; its own words: {words}", words=reason)
        self._undeliverable(tx, row["id"], why, now)
        newest = practice(row["dialect"]).newest_counts  # then its own time says whether it holds
        steps = {Step.REFUSED: self._within(tx, row, said, now) if newest else now}
        if not row["delivered_at"]:
            steps[Step.DELIVERED] = now
        self._learn(tx, row, told, steps, source, now)

    def _learn(
        self,
        tx: Connection,
        row: Row,
        told: Row | None,
        steps: Mapping[Step, datetime],
        source: str,
        now: datetime,
    ) -> None:
        """Evidence about the notice that a delivery carries, to its case."""
        if row["kind"] not in NOTICES or row["case_id"] is None or told is None:
            return
        case = case_rows.get(tx, row["case_id"])
        if case is None or told["sender"] is None:
            return
        learned = [
            Evidence(
                step=step,
                message_id=told["message_id"],
                sender=told["sender"],
                party=row["party"],
                at=at,
                source=source,
            )
            for step, at in steps.items()
        ]
        self.cases.happened(tx, case["patient"], told["id"], learned, now)

    def missing_receipts(self, tx: Connection, now: datetime) -> int:
        """Look at every receipt that is awaited too long; returns for how many something was done."""
        return sum(self._still_missing(tx, row, now) for row in deliveries.receipts_missing(tx, now))

    def _still_missing(self, tx: Connection, missed: Row, now: datetime) -> bool:
        row = deliveries.alone(tx, missed)
        if row["look_at"] is None or row["look_at"] > now:
            return False  # it has come meanwhile
        if self.telephoning.not_there(row):
            return self.telephoning.look(tx, row, now)
        self.telephoning.keep_or_end(tx, row, now)
        tries = deliveries.attempts(tx, [row["id"]])
        told_by = messages.get(tx, row["message_row"]) if row["message_row"] is not None else None
        sent = max((t["at"] for t in tries if t["outcome"] == "sent"), default=row["sent_at"] or now)
        wait = self._awaited.wait(tx, row, told_by, sent, now)
        if wait.negative_from is not None and wait.negative_from <= now:
            self._not_received(tx, row, told_by, wait.negative_from, now)
            return True
        told = resend = False
        if wait.telephone_from is not None and wait.telephone_from <= now:
            told = self._awaited.telephone(tx, row, wait, now)
        under_way = row["trigger"] == Trigger.MISSING_RECEIPT.value  # it is being sent again
        if wait.missing_from <= now and not under_way:
            resend = row["state"] == DeliveryState.SENT.value and self.again.by_itself(tx, row, tries)
            told = self._awaited.missing(tx, row, now, resend=resend) or told
        values: dict[str, Any] = {"look_at": wait.next_look(now)}
        if wait.missing_from <= now:
            values["receipt_due_at"] = None
        if resend:
            self.send_again(tx, row, now)
        deliveries.change(tx, row["id"], **values)
        return told or resend

    def send_again(self, tx: Connection, row: Row, now: datetime, *, content: bytes | None = None) -> None:
        """Its next sending is due now, because no receipt has come for the present one.

        `content` are the bytes of its sender, where it only passes between two of theirs.
        """
        values = self.again.renewed(tx, row, now)
        if content is not None:
            values["payload"] = messages.keep(tx, content)
        deliveries.change(
            tx,
            row["id"],
            state=DeliveryState.WAITING.value,
            trigger=Trigger.MISSING_RECEIPT.value,
            next_attempt_at=now,
            **values,
        )

    def _not_received(self, tx: Connection, row: Row, told: Row | None, at: datetime, now: datetime) -> None:
        """None within the standard's time counts as a refusal; one that comes later still counts (N-02)."""
        _given_up(tx, row["id"], NOT_RECEIVED)
        self._awaited.over(tx, row, now)
        deliveries.park_behind(tx, row["message_id"], row["party"], row["id"])
        self._awaited.not_received(tx, row, NOT_RECEIVED, now)
        self._learn(tx, row, told, {Step.NOT_RECEIVED: at}, f"delivery {row['id']}", now)

    # --- by hand ---

    def resend(
        self, tx: Connection, delivery_id: int, now: datetime, *, by: str | None, why: str | None = None
    ) -> None:
        """Try the same content once more now; the schedule stays as it is. What had left is a new sending."""
        row = _alone(tx, delivery_id)
        if row["state"] == DeliveryState.LEASED.value:
            return  # it is on its way at this moment
        self.not_cancelled(row)
        if row["endpoint"] is None or not self._reachable(tx, row["endpoint"]):
            raise NotFound(
                phrase(
                    "delivery {delivery} has no endpoint; name one for {party} in the region file",
                    delivery=str(delivery_id),
                    party=row["party"],
                )
            )
        if messages.content(tx, row["payload"]) is None:
            raise NotFound(
                phrase(
                    "the bytes of delivery {delivery} are gone: retention has removed them; "
                    "ask the sender to send it anew",
                    delivery=str(delivery_id),
                )
            )
        self.check_consent(tx, delivery_id, now)
        deliveries.change(
            tx,
            delivery_id,
            state=DeliveryState.WAITING.value,
            trigger=Trigger.PERSON.value,
            resume_state=row["resume_state"] or row["state"],
            resume_at=row["resume_at"] if row["resume_state"] else row["next_attempt_at"],
            next_attempt_at=now,
            **self.again.next_sending(tx, row, now),
        )
        case_rows.note(
            tx,
            at=now,
            subject=f"delivery {delivery_id}",
            what=because(phrase("resent by hand"), why),
            case_id=row["case_id"],
            by=by,
        )

    def take_back(
        self, tx: Connection, delivery_id: int, now: datetime, *, by: str | None, why: str | None = None
    ) -> None:
        """Undo a resend that has not left yet: it stands again where it stood, and its schedule goes on."""
        row = _alone(tx, delivery_id)
        if row["state"] != DeliveryState.WAITING.value or row["resume_state"] is None:
            raise NotFound(
                phrase(
                    "delivery {delivery} does not wait to be sent by hand: it has left, or never was",
                    delivery=str(delivery_id),
                )
            )
        deliveries.change(
            tx,
            delivery_id,
            state=row["resume_state"],
            next_attempt_at=row["resume_at"],
            trigger=Trigger.SCHEDULE.value,
            resume_state=None,
            resume_at=None,
            **self.again.undone(tx, row),
        )
        messages.let_go(tx, row["payload"])  # the bytes that have never left
        what = because(phrase("not resent after all"), why)
        subject = f"delivery {delivery_id}"
        case_rows.note(tx, at=now, subject=subject, what=what, case_id=row["case_id"], by=by)

    def not_cancelled(self, row: Row) -> None:
        """NotFound for what is never sent, with what it is: nothing that people do by hand brings it back."""
        if row["state"] != DeliveryState.CANCELLED.value:
            return
        cancelled = phrase(
            "delivery {delivery} is cancelled for good: {why}", delivery=str(row["id"]), why=row["error"]
        )
        by = row["superseded_by"]
        if by is None:
            raise NotFound(cancelled)
        raise NotFound(phrase("{what}; see delivery {delivery}", what=cancelled, delivery=str(by)))

    def _reachable(self, tx: Connection, name: str) -> bool:
        """Whether an endpoint is one of the region's, or of a subscription that may be told."""
        return self.endpoint(name) is not None or self.subscriptions.endpoint(tx, name) is not None

    def once_more(
        self, tx: Connection, delivery_id: int, now: datetime, *, by: str | None, why: Phrase
    ) -> None:
        """Put a delivery back on the schedule, because a person has decided what stood in its way."""
        row = _alone(tx, delivery_id)
        self.not_cancelled(row)
        self.check_consent(tx, delivery_id, now)
        deliveries.change(
            tx,
            delivery_id,
            state=DeliveryState.WAITING.value,
            next_attempt_at=now,
            error=None,
            **_SETTLED,
            **self.again.next_sending(tx, row, now),
        )
        self.telephoning.watch(tx, delivery_id, now)
        subject = f"delivery {delivery_id}"
        case_rows.note(tx, at=now, subject=subject, what=why, case_id=row["case_id"], by=by)

    def take_up(
        self, tx: Connection, delivery_id: int, now: datetime, *, by: str | None, why: str | None = None
    ) -> None:
        """Undo a giving up: it goes back on its schedule."""
        row = _found(deliveries.get(tx, delivery_id), delivery_id)
        if row["state"] != DeliveryState.GIVEN_UP.value:
            raise NotFound(
                phrase(
                    "delivery {delivery} is {state}: only what was given up is taken up again",
                    delivery=str(delivery_id),
                    state=_state(row["state"]),
                )
            )
        if deliveries.reissue_of(tx, row) is not None:
            raise NotFound(
                phrase(
                    "delivery {delivery} has been reissued: its new one goes in its place",
                    delivery=str(delivery_id),
                )
            )
        self.once_more(tx, delivery_id, now, by=by, why=because(phrase("taken up again"), why))

    def give_up(
        self, tx: Connection, delivery_id: int, now: datetime, *, by: str | None, why: str | None = None
    ) -> None:
        """Stop trying, because a person says so; visible, never silent."""
        row = _alone(tx, delivery_id)
        self.not_cancelled(row)
        settled = row["resume_state"] or row["state"]  # where it stands, also while a person sends it again
        if settled in (DeliveryState.ACKNOWLEDGED.value, DeliveryState.REFUSED.value):
            raise NotFound(
                phrase(
                    "delivery {delivery} is {state} already: there is nothing to give up",
                    delivery=str(delivery_id),
                    state=_state(settled),
                )
            )
        self.close(tx, delivery_id, because(phrase("given up by hand"), why), now, by=by)
        deliveries.park_behind(tx, row["message_id"], row["party"], delivery_id)

    def close(self, tx: Connection, delivery_id: int, why: Phrase, now: datetime, *, by: str | None) -> None:
        """Take a delivery off the schedule for good, with the reason, and end its alarms."""
        row = _alone(tx, delivery_id)
        if row["state"] != DeliveryState.ACKNOWLEDGED.value:
            deliveries.change(
                tx,
                delivery_id,
                state=row["state"] if _is_refused(row) else DeliveryState.GIVEN_UP.value,
                next_attempt_at=None,
                error=why,
                **_SETTLED,
            )
        subject = f"delivery {delivery_id}"
        self.alarms.delivered(tx, subject, now)
        case_rows.note(tx, at=now, subject=subject, what=why, case_id=row["case_id"], by=by)


def because(what: Phrase, why: str | None) -> Phrase:
    """What was done, with the reason that a person gave; without what may be a person's number."""
    return phrase("{what}: {why}", what=what, why=masked(why)) if why else what


def plan_at(plan: str, endpoint: str) -> str:
    """What the alarm of a plan is about: it, on one server."""
    return f"{plan} at {endpoint}"


def _found(row: Row | None, delivery_id: int) -> Row:
    if row is None:
        raise NotFound(
            phrase(
                "there is no delivery {delivery}; `discharge-adapter deliveries` lists them",
                delivery=str(delivery_id),
            )
        )
    return row


def _alone(tx: Connection, delivery_id: int) -> Row:
    return deliveries.alone(tx, _found(deliveries.get(tx, delivery_id), delivery_id))


def _given_up(tx: Connection, delivery_id: int, why: Phrase) -> None:
    """It is not tried any more, and nobody waits for it."""
    state = DeliveryState.GIVEN_UP.value
    deliveries.change(tx, delivery_id, state=state, next_attempt_at=None, error=why, **_SETTLED)


def _why(leased: Leased) -> Trigger:
    """The trigger that the attempt log has: a probe, unless it would have left for a reason of its own."""
    return Trigger.PROBE if leased.probe and leased.trigger is Trigger.SCHEDULE else leased.trigger


def _behind_the_others(leased: Leased, decision: Decision, health: Health | None) -> Decision:
    """A probe in vain does not move a message's backoff, but the next probe is another message's turn."""
    if not leased.probe or not isinstance(decision, RetryAt):
        return decision
    turns = (leased.next_attempt_at, health.probe_at if health is not None else None)
    return replace(decision, at=max(filter(None, turns), default=decision.at))


def _state(state: str) -> Code:
    return Code("delivery", state, state)


def _is_refused(row: Row) -> bool:
    return bool(row["state"] == DeliveryState.REFUSED.value)


def _words(said: Acknowledgement) -> Phrase:
    """The reasons of a receipt, the giver's own text too (N-10), without what may be a person's number."""
    return verbatim(masked("; ".join(f"{issue.code} {issue.text}".strip() for issue in said.issues)))
