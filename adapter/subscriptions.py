"""Subscribers are told that something has happened: numbered events, through the outbox, in order.

An event is numbered, kept and enqueued in the transaction in which it happens. Its notification holds no more
than where to read (process.md 28), and its subscriber learns only of what one of its own parties sent or was
addressed in. A subscription that cannot be reached falls into `error`; its events are counted on, and asked
for by number (`$events`) once its subscriber has asked to be told again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapter.alarming import Alarms
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir import wire
from adapter.fhir.bundles import Resource
from adapter.fhir.subscriptions import (
    CASE_CHANGED,
    DISCHARGE_READY,
    FOCUS,
    Event,
    Status,
    notification,
    wish_in,
)
from adapter.messaging.delivery import Leased, Trigger
from adapter.messaging.register import Endpoint, Partner, Register
from adapter.messaging.retry import Decision, GiveUp, RetryAt, Sent
from adapter.messaging.subscribing import (
    LISTENING,
    SPEAKING,
    Content,
    Occurrence,
    Said,
    State,
    Wish,
    concerns,
    endpoint_for,
    matches,
    may_send_to,
    next_look,
)
from adapter.parcels import SUBSCRIPTION, Parcel, enqueue
from adapter.phrases import Phrase, phrase
from adapter.store import cases as case_rows
from adapter.store import subscriptions as rows
from adapter.store.savepoint import savepoint
from adapter.store.statements import Row

LOOKED_AT_ONCE = 100

ANYBODY = "subscriber"
"""Whom a notification is for where nobody must sign in."""

Shown = Callable[[Connection, Partner | None, str], Resource | None]
"""The resource of that reference as that caller may read it; None where there is none for it."""


def endpoint_name(name: str) -> str:
    """How a subscription's endpoint is called in the delivery log, and its lane."""
    return f"{SUBSCRIPTION}/{name}"


@dataclass(frozen=True, kw_only=True)
class Subscriptions:
    """The subscriptions of a store."""

    register: Register
    alarms: Alarms
    base: str  # of our FHIR endpoint, as subscribers reach it, without a slash at its end
    new_id: Callable[[], str]
    most_failures: int = 8
    longest: int = 30  # seconds that a subscriber may take to answer
    shown: Shown | None = None  # None: no notification holds a resource

    # --- what happens ---

    def begin(self, tx: Connection, row: int, name: str, wish: Wish, now: datetime) -> None:
        """Off, or a handshake: the first thing in an empty lane, so that nothing old is sent any more."""
        why = phrase("the subscriber has changed its subscription since")
        rows.close_lane(tx, endpoint_name(name), why)
        self.alarms.end(tx, "subscription", f"subscription {name}", now)
        state = State.OFF if wish.off else State.REQUESTED
        rows.change(
            tx,
            row,
            status=state.value,
            error=None,
            failures=0,
            handshake=None,
            next_at=next_look(state, wish, now),
        )
        if state is State.REQUESTED:
            made = rows.get(tx, name)
            assert made is not None
            rows.change(tx, row, handshake=self._send(tx, made, wish, Said.HANDSHAKE, now))

    def told(
        self,
        tx: Connection,
        notice: Notice,
        *,
        case_id: int,
        patient: str,
        now: datetime,
    ) -> int:
        """A notice has been accepted; returns how many are told. Its parties alone learn of it."""
        episode = f"EpisodeOfCare/case-{case_id}"
        foci = {CASE_CHANGED: episode}
        if notice.kind is NoticeKind.READY_FOR_DISCHARGE and notice.standing is not Standing.CANCELLATION:
            foci[DISCHARGE_READY] = episode
        parties = {notice.sender, *notice.receivers}
        return self._happened(tx, foci, case_id=case_id, patient=patient, parties=parties, now=now)

    def occurred(
        self,
        tx: Connection,
        *,
        topic: str,
        case_id: int | None,
        patient: str,
        focus: str,
        parties: Collection[str],
        now: datetime,
    ) -> int:
        """Number and enqueue an event for every subscription that may learn of it; returns how many.

        `focus` is a reference in our own FHIR endpoint, `parties` are those who may see what it leads to.
        """
        return self._happened(tx, {topic: focus}, case_id=case_id, patient=patient, parties=parties, now=now)

    def _happened(
        self,
        tx: Connection,
        foci: Mapping[str, str],
        *,
        case_id: int | None,
        patient: str,
        parties: Collection[str],
        now: datetime,
    ) -> int:
        listening = rows.listening(tx, list(foci))
        if not listening:
            return 0
        case = case_rows.get(tx, case_id) if case_id is not None else None
        order = list(FOCUS)
        told = 0
        # always in one order: two processes that count the same subscriptions must not wait for each other
        for row in sorted(listening, key=lambda one: (order.index(one["topic"]), one["id"])):
            happened = Occurrence(
                topic=row["topic"],
                focus=foci[row["topic"]],
                case_id=case_id,
                patient=patient,
                hospital=case["hospital"] if case is not None else None,
                municipality=case["municipality"] if case is not None else None,
                parties=parties,
            )
            told += self._counted(tx, row, happened, now)
        return told

    def _counted(self, tx: Connection, row: Row, happened: Occurrence, now: datetime) -> bool:
        """Whether it is told; a fault of ours about one subscriber holds up neither message nor others."""
        try:
            with savepoint(tx):
                return self._count(tx, row, happened, now)
        except SQLAlchemyError:
            raise
        except Exception as fault:  # noqa: BLE001  # whatever it was, the message that told of it is taken
            self.alarms.start(
                tx,
                kind="subscription",
                subject=f"subscription {row['name']}",
                text=phrase(
                    "an event could not be told ({fault}), which is our fault; report it, and have the "
                    "subscriber read anew what it follows",
                    fault=type(fault).__name__,
                ),
                now=now,
            )
            return False

    def _count(self, tx: Connection, row: Row, happened: Occurrence, now: datetime) -> bool:
        """Give the event its number in this subscription, if it is one there, and send word of it."""
        wish, partner = wish_of(row), self._partner(row)
        if (row["partner"] is None) != (partner is None):
            return False  # the region file no longer has that partner
        if wish.ends_at is not None and wish.ends_at <= now:
            return False
        if not concerns(partner, signs_in=bool(self.register.partners), happened=happened):
            return False
        if not matches(wish.filters, happened):
            return False
        counted = rows.counted(tx, row["id"])
        if counted is None:
            return False
        event = Event(number=counted["events"], at=now, focus=happened.focus)
        rows.remember(
            tx,
            {"subscription": row["id"], "number": event.number, "at": event.at, "focus": event.focus},
        )
        if State(counted["status"]) in SPEAKING:
            self._send(tx, counted, wish, Said.EVENT, now, event, happened.case_id)
        return True

    def _send(
        self,
        tx: Connection,
        row: Row,
        wish: Wish,
        said: Said,
        now: datetime,
        event: Event | None = None,
        case_id: int | None = None,
    ) -> int:
        """Freeze a notification and put it into its subscription's lane; the number of its delivery.

        What follows a handshake leaves only once that has succeeded, so it says `active`.
        """
        partner, bundle_id = self._partner(row), self.new_id()
        state = State.REQUESTED if said is Said.HANDSHAKE else State.ACTIVE
        content = wish.content
        if content is Content.FULL and not self.tells_whole(partner):
            content = Content.ID_ONLY
        events = [event] if event is not None else []
        bundle = notification(
            replace(status_of(row), state=state, error=None),
            bundle_id=bundle_id,
            base=self.base,
            said=said,
            content=content,
            at=now,
            events=events,
            resources=self.resources(tx, content, partner, events),
        )
        parcel = Parcel(
            kind=SUBSCRIPTION,
            party=partner.parties[0] if partner is not None and partner.parties else ANYBODY,
            endpoint=endpoint_name(row["name"]),
            dialect=SUBSCRIPTION,
            message_id=bundle_id,
            content=wire.write(bundle, wish.media),
            content_type=wish.media,
            case_id=case_id,
            expects_receipt=False,
        )
        return enqueue(tx, parcel, now)

    def resources(
        self, tx: Connection, content: Content, partner: Partner | None, events: Sequence[Event]
    ) -> dict[str, Resource]:
        if content is not Content.FULL or self.shown is None:
            return {}
        found = {event.focus: self.shown(tx, partner, event.focus) for event in events}
        return {focus: resource for focus, resource in found.items() if resource is not None}

    def tells_whole(self, partner: Partner | None) -> bool:
        """Whether that subscriber may be sent resources: the region says so, and there is somebody to ask."""
        return self.shown is not None and partner is not None and partner.subscription_content

    def _partner(self, row: Row) -> Partner | None:
        return next((p for p in self.register.partners if p.name == row["partner"]), None)

    # --- on the way ---

    def due(self, tx: Connection, now: datetime) -> list[str]:
        """The endpoints of subscriptions for which something is due."""
        return rows.due(tx, now)

    def endpoint(self, tx: Connection, name: str) -> Endpoint | None:
        """Where the notifications of that subscription go; None where nowhere any more."""
        row = rows.get(tx, name.removeprefix(f"{SUBSCRIPTION}/"))
        if row is None:
            return None
        wish, partner = wish_of(row), self._partner(row)
        if (row["partner"] is None) != (partner is None) or not may_send_to(wish.address, partner):
            return None
        return endpoint_for(name, wish, longest=self.longest)

    def astray(self, tx: Connection, name: str, now: datetime) -> None:
        """Something waits for an endpoint that is no longer allowed: it is not sent, and a person is told."""
        row = rows.get(tx, name.removeprefix(f"{SUBSCRIPTION}/"))
        reason = phrase("the region file no longer allows its address, or no longer has its partner")
        if row is None or State(row["status"]) not in SPEAKING:
            rows.close_lane(tx, name, phrase("its subscription is not told any more"))
        else:
            self._fail(tx, row, reason, now)

    def decided(self, tx: Connection, leased: Leased, decision: Decision) -> Decision:
        """What follows from an attempt: a handshake is tried once, and a receiver fails so often in a row."""
        if not isinstance(decision, RetryAt) or leased.trigger is not Trigger.SCHEDULE:
            return decision
        row = rows.get(tx, leased.endpoint.removeprefix(f"{SUBSCRIPTION}/"))
        if row is None or _outdated(row, leased) or State(row["status"]) not in SPEAKING:
            outdated = phrase("the subscription is not told any more, or asked for anew")
            return GiveUp(reason=outdated, permanent=False)
        if row["handshake"] == leased.id:
            failed = phrase("the handshake failed: {why}", why=decision.reason)
            return GiveUp(reason=failed, permanent=False)
        failures = row["failures"] + 1
        if failures >= self.most_failures:
            in_vain = phrase("{tries} tries in a row failed: {why}", tries=failures, why=decision.reason)
            return GiveUp(reason=in_vain, permanent=False)
        return decision

    def attempted(self, tx: Connection, leased: Leased, decision: Decision, now: datetime) -> None:
        """An attempt has been written down: the subscription becomes active, counts a failure, or fails."""
        row = rows.get(tx, leased.endpoint.removeprefix(f"{SUBSCRIPTION}/"))
        if row is None or leased.trigger is not Trigger.SCHEDULE or _outdated(row, leased):
            return
        state = State(row["status"])
        if state not in SPEAKING:
            return
        match decision:
            case Sent():
                self._reached(tx, row, leased, now)
            case RetryAt():
                rows.change(tx, row["id"], failures=row["failures"] + 1)
            case GiveUp():
                self._fail(tx, row, decision.reason, now)

    def _reached(self, tx: Connection, row: Row, leased: Leased, now: datetime) -> None:
        state = State(row["status"])
        values: dict[str, Any] = {"failures": 0}
        if state is State.REQUESTED and row["handshake"] == leased.id:
            state = State.ACTIVE
            values |= {"status": state.value, "version": row["version"] + 1, "updated_at": now}
            subject, what = f"subscription {row['name']}", phrase("active")
            case_rows.note(tx, at=now, subject=subject, what=what, case_id=None, by=None)
        rows.change(tx, row["id"], **values, next_at=next_look(state, wish_of(row), now))

    def _fail(self, tx: Connection, row: Row, reason: Phrase, now: datetime) -> None:
        """Into `error`, with an alarm; what waits is not sent, and is had by number."""
        rows.close_lane(
            tx, endpoint_name(row["name"]), phrase("its subscription is in error; $events has it")
        )
        rows.change(
            tx,
            row["id"],
            status=State.ERROR.value,
            error=reason,
            failures=0,
            version=row["version"] + 1,
            updated_at=now,
            next_at=next_look(State.ERROR, wish_of(row), now),
        )
        whose = row["partner"] or phrase("a subscriber on this machine")
        self.alarms.start(
            tx,
            kind="subscription",
            subject=f"subscription {row['name']}",
            text=phrase(
                "{subscriber} is not told of {topic} any more: {why}",
                subscriber=whose,
                topic=row["topic"],
                why=reason,
            ),
            now=now,
        )

    # --- the clock ---

    def look(self, tx: Connection, now: datetime) -> int:
        """Heartbeats that are due, and subscriptions whose end has come; returns how many were looked at."""
        found = rows.to_look_at(tx, now, LOOKED_AT_ONCE)
        for row in found:
            self._look_at(tx, row, now)
        return len(found)

    def _look_at(self, tx: Connection, row: Row, now: datetime) -> None:
        wish, state = wish_of(row), State(row["status"])
        if wish.ends_at is not None and wish.ends_at <= now and state in LISTENING:
            self._end(tx, row, now)
            return
        silent = not rows.unfinished(tx, endpoint_name(row["name"]))
        if state is State.ACTIVE and wish.heartbeat is not None and silent:
            self._send(tx, row, wish, Said.HEARTBEAT, now)
        later = next_look(state, wish, now)
        rows.change(tx, row["id"], next_at=max(later, now + timedelta(seconds=1)) if later else None)

    def _end(self, tx: Connection, row: Row, now: datetime) -> None:
        rows.close_lane(tx, endpoint_name(row["name"]), phrase("its subscription has come to its end"))
        rows.change(
            tx,
            row["id"],
            status=State.OFF.value,
            error=None,
            version=row["version"] + 1,
            updated_at=now,
            next_at=None,
        )
        self.alarms.end(tx, "subscription", f"subscription {row['name']}", now)


def wish_of(row: Row) -> Wish:
    return wish_in(orjson.loads(row["body"]))


def status_of(row: Row) -> Status:
    return Status(
        id=row["name"],
        topic=row["topic"],
        state=State(row["status"]),
        events=row["events"],
        error=row["error"],
    )


def _outdated(row: Row, leased: Leased) -> bool:
    """Whether the subscription has been asked for anew since this left."""
    return row["handshake"] is None or leased.id < row["handshake"]
