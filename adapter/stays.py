"""What a board knows of stays: each as one of the reader's parties was told, put together for a page of rows.

A page's rows are selected by `store.stays`; what a row says besides is read here, for those rows only: the
way of the notices, the answer, the deadlines that matter to the reader, and what the waiting has cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.case import Case, Entry, Step, as_told
from adapter.discharge.notices import NoticeKind, local_date
from adapter.discharge.partaking import Stage, answer_to, stage_of, steps_of
from adapter.discharge.payment import liabilities
from adapter.discharge.planning import ConsentState, Planning, planning
from adapter.messaging.people import Role
from adapter.sight import Sight
from adapter.store import parties as party_rows
from adapter.store import protections
from adapter.store import stays as rows
from adapter.store.statements import Row
from adapter.store.stays import Asked, Face, Scope, Side

K = NoticeKind

SIDES: Mapping[Role, Side] = {
    Role.WARD: "hospital",
    Role.MUNICIPALITY: "municipality",
    Role.PRIMARY_CARE: "primary-care",
}
"""From where each role looks at a stay."""

_ACTORS = {
    Role.WARD: ("hospital",),
    Role.MUNICIPALITY: ("municipality",),
    Role.PRIMARY_CARE: ("open-care", "fixed-care-contact", "gp"),
}
_AWAITED = {Role.WARD: ("answer",)}
_ASKS = (K.READY_FOR_DISCHARGE, K.CARE_NEEDS, K.ADMITTED)


class Way(StrEnum):
    """How far a notice has come to its receiver."""

    WAITING = "waiting"  # not sent yet
    FAILING = "failing"  # tried in vain, and tried again
    GIVEN_UP = "given-up"
    SENT = "sent"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    MISSING = "missing"  # no receipt within the standard's time
    SEEN = "seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The way of one notice to one receiver, since when it stands so."""

    kind: NoticeKind
    party: str
    way: Way
    at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What somebody has answered to the readiness that stands."""

    by: str
    value: str  # discharge.notices.AnswerValue
    receive_from: date | None
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A deadline that stands."""

    kind: str
    at: datetime
    party: str | None
    actor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """How long a patient has been ready, and what the days have come to."""

    days: int
    charged: int
    amount: Decimal | None  # None where no price is known
    currency: str | None  # None where nothing is charged


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """One row of a board."""

    id: int
    patient: str
    face: Face
    protected: bool
    party: str  # of the reader's parties, the one whose stay it is
    hospital: str | None
    municipality: str | None
    told: Case  # as the reader was told
    stage: Stage
    steps: frozenset[Stage]
    receipts: tuple[Receipt, ...]
    said: Said | None
    dues: tuple[Due, ...]  # that matter to the reader, the earliest first
    wait: Wait | None
    planning: Planning
    meeting: datetime | date | None
    coming: date | None
    readmission: str | None  # None also where the reader does not know the stay before
    reserved: bool
    sip: bool
    concern: str

    @property
    def consent(self) -> str | None:
        """As it stands; None where nobody has said anything."""
        state = self.planning.consent.state
        return None if state is ConsentState.NONE else state.value


@dataclass(frozen=True, kw_only=True)
class Board:
    """One role's board, for one person at one instant."""

    role: Role
    sight: Sight
    cases: Cases
    now: datetime

    @cached_property
    def parties(self) -> tuple[str, ...] | None:
        """Whose stays are listed: the person's parties of the role's kinds and those that they speak for."""
        if self.sight.register.open and self.sight.person.parties is None:
            return None
        own = self.sight.own(self.role)
        known = (self.sight.register.party(one) for one in own)
        spoken = (p for one in known if one is not None for p in self.sight.register.spoken_for(one))
        return tuple(dict.fromkeys((*own, *spoken)))

    @cached_property
    def scope(self) -> Scope:
        """The same for the store."""
        return Scope(
            side=SIDES[self.role],
            parties=self.parties,
            concerned=self._concerned,
            everybody=self.sight.person.parties is None,
            actors=_ACTORS[self.role],
            awaited=_AWAITED.get(self.role, ()),
            protected=self.sight.person.named,
            now=self.now,
        )

    @property
    def _concerned(self) -> tuple[str, ...] | None:
        """A ward's deadlines are about its receivers, everybody else's about themselves."""
        if self.role is not Role.WARD:
            return self.parties
        known = tuple(party.id for party in self.sight.register.parties)
        return None if self.sight.register.open else known

    def counts(self, tx: Connection, groups: Mapping[str, Asked]) -> dict[str, int]:
        """How many stays each group has."""
        return rows.counts(tx, self.scope, groups)

    def stays(
        self, tx: Connection, asked: Asked, *, sort: str, descending: bool, limit: int, offset: int = 0
    ) -> list[Stay]:
        """A page of a group."""
        found = rows.page(tx, self.scope, asked, sort=sort, descending=descending, limit=limit, offset=offset)
        return self._told(tx, found) if found else []

    def _told(self, tx: Connection, found: Sequence[Row]) -> list[Stay]:
        """The rows with what they say besides; each kind of thing is read once for all of them."""
        patients = {row["id"]: row["patient"] for row in found}
        cases = self.cases.several(tx, set(patients.values()))
        standing = rows.standing(tx, patients)
        faces = rows.faces(tx, patients, self.parties)
        protected = protections.among(tx, set(patients.values()))
        held_up = rows.undelivered(tx, list(patients), _ASKS)
        earlier = self._earlier(tx, found)
        return [
            self._stay(
                row, cases[row["id"]], faces[row["id"]], standing.get(row["id"], []), held_up,
                protected=row["patient"] in protected, before_known=row["readmission_of"] in earlier,
            )
            for row in found
            if row["id"] in cases
        ]  # fmt: skip

    def _earlier(self, tx: Connection, found: Sequence[Row]) -> frozenset[int]:
        """Of the stays that these are readmissions of, those that the reader knows."""
        ids = {row["readmission_of"] for row in found if row["readmission_of"] is not None}
        parties = self.sight.parties
        return frozenset(ids) if parties is None else party_rows.known_among(tx, ids, parties)

    def _stay(
        self,
        row: Row,
        case: Case,
        face: Face,
        standing: Sequence[Row],
        held_up: Mapping[tuple[str, str], tuple[str, int]],
        *,
        protected: bool,
        before_known: bool,
    ) -> Stay:
        seen = self.sight.entries(case)
        told = case if len(seen) == len(case.entries) else as_told(case, seen)
        stands = planning(told, self.cases.roles)
        party = row["part_party"]
        return Stay(
            id=row["id"],
            patient=row["patient"],
            face=Face(name=face.name, born=face.born) if protected else face,
            protected=protected,
            party=party,
            hospital=told.hospital,
            municipality=told.municipality,
            told=told,
            stage=stage_of(told),
            steps=steps_of(told),
            receipts=_receipts(told, party, held_up),
            said=_said(told),
            dues=tuple(_due(d) for d in standing if self._matters(d, party)),
            wait=self._wait(case, told, party),
            planning=stands,
            meeting=_meeting(told),
            coming=row["part_coming"],
            readmission=row["readmission"] if before_known else None,
            reserved=any(e.notice.reserved for e in told.entries if e.counts),
            sip=any(e.notice.sip_needed for e in told.of(K.READY_FOR_DISCHARGE)) or bool(stands.requested),
            concern=row["part_concern"],
        )

    def _matters(self, d: Row, party: str) -> bool:
        """Whether it is the reader's to keep, or to wait for: the same as `store.stays` counts."""
        scope = self.scope
        if d["actor"] not in scope.actors and d["kind"] not in scope.awaited:
            return False
        return self.role is Role.WARD or d["party"] in (None, party)

    def _wait(self, case: Case, told: Case, party: str) -> Wait | None:
        """Since the readiness that stands; not while that is only announced."""
        if told.ready_at is None or told.ready_at > self.now or self.role is Role.PRIMARY_CARE:
            return None
        zone = self.cases.agreement.zone
        until = min(self.now, told.discharged_at) if told.discharged_at is not None else self.now
        days = (local_date(until, zone) - local_date(told.ready_at, zone)).days
        owed = [
            day
            for one in liabilities(case, self.cases.agreement, self.now, self.cases.roles)
            for day in one.days
            if self.role is Role.WARD or day.party == party
        ]
        known = [day.amount for day in owed if day.amount is not None]
        return Wait(
            days=max(days, 0),
            charged=len(owed),
            amount=sum(known, Decimal()) if len(known) == len(owed) else None,
            currency=owed[0].currency if owed else None,
        )


def _receipts(
    told: Case, party: str, held_up: Mapping[tuple[str, str], tuple[str, int]]
) -> tuple[Receipt, ...]:
    """The way of the notice that asks most of its receivers: ready, else care needs, else the admission."""
    latest = next((told.of(kind)[-1] for kind in _ASKS if told.has(kind)), None)
    if latest is None:
        return ()
    receivers = latest.notice.receivers if party == latest.notice.sender else (party,)
    return tuple(_receipt(latest, one, held_up) for one in receivers if one in latest.notice.receivers)


def _receipt(entry: Entry, party: str, held_up: Mapping[tuple[str, str], tuple[str, int]]) -> Receipt:
    """What is known last; a receipt stands whatever the post says."""
    notice = entry.notice
    known = (
        (Step.SEEN, Way.SEEN), (Step.ACCEPTED, Way.ACCEPTED), (Step.REFUSED, Way.REFUSED),
        (Step.NOT_RECEIVED, Way.MISSING), (Step.DELIVERED, Way.DELIVERED),
    )  # fmt: skip
    replaced = entry.replaced(party)
    for step, way in known:
        at = entry.first(step, party)
        if at is not None and step is not replaced:
            return Receipt(kind=notice.kind, party=party, way=way, at=at)
    state, attempts = held_up.get((notice.message_id, party), ("sent", 0))
    way = {
        "waiting": Way.FAILING if attempts else Way.WAITING,
        "leased": Way.FAILING if attempts else Way.WAITING,
        "given-up": Way.GIVEN_UP,
        "refused": Way.REFUSED,
    }.get(state, Way.SENT)
    return Receipt(kind=notice.kind, party=party, way=way, at=notice.sent_at)


def _said(told: Case) -> Said | None:
    answered = answer_to(told)
    if answered is None or answered.notice.answer is None:
        return None
    notice = answered.notice
    assert notice.answer is not None
    return Said(
        by=notice.sender, value=notice.answer.value, receive_from=notice.receive_from, at=notice.sent_at
    )


def _due(d: Row) -> Due:
    return Due(kind=d["kind"], at=d["due_at"], party=d["party"], actor=d["actor"])


def _meeting(told: Case) -> datetime | date | None:
    """The planning meeting that was called to last."""
    for e in reversed(told.of(K.SIP_CALL, K.CARE_PLAN)):
        if e.notice.meeting is not None and e.notice.meeting.status not in ("cancelled", "entered-in-error"):
            return e.notice.meeting.starts
    return None
