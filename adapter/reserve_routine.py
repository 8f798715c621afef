"""The reserve routine (reservrutin): what was told by telephone or on paper is recorded as people did it.

Who told whom, when in truth, and why not by message; whoever records it acts for one of the two. It is a fact
like any, with its source, and no message leaves. Whether it counts is the agreement's to say (`by_telephone`,
`on_paper`); the electronic copy that comes later takes its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from adapter.cases import Cases
from adapter.discharge.by_hand import counts
from adapter.discharge.case import Case, Entry, Evidence, Step
from adapter.discharge.notices import Notice, NoticeKind, Standing, Way
from adapter.discharge.turns import HOSPITAL, ready_now
from adapter.errors import NotFound
from adapter.phrases import Code, Dated, packed, phrase, verbatim
from adapter.speaking import Speaking, Told, Unsaid, admission_in, form_number
from adapter.store import cases as case_rows
from adapter.store import deliveries, messages
from adapter.store.statements import Row

K = NoticeKind

BY_HOSPITAL = (
    K.ADMITTED, K.CARE_NEEDS, K.PLANNED_DISCHARGE, K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN, K.DISCHARGED,
)  # fmt: skip
"""What a hospital tells by telephone or on paper."""

BY_MUNICIPALITY = (K.ANSWER,)
BY_PRIMARY_CARE = (K.FIXED_CONTACT_NAMED, K.SIP_CALL, K.OPEN_CARE_AVAILABILITY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """How something was told outside of the messages."""

    way: Way
    at: datetime  # when in truth
    reason: str  # why not by message, and with whom one spoke


@dataclass(frozen=True, kw_only=True)
class ReserveRoutine:
    """What one person records, over the cases."""

    speaking: Speaking

    def notice(
        self,
        tx: Connection,
        case_id: int,
        kind: NoticeKind,
        *,
        sender: str,
        receiver: str,
        spoken: Spoken,
        key: str,
        now: datetime,
        by: str,
        **said: Any,
    ) -> Told:
        """A notice or an answer that `sender` gave to `receiver`.

        Raises NotFound where the person acts for neither, Unsaid where it cannot have been so.
        """
        row, case = self.speaking.case(tx, case_id)
        self._acts(case, (sender, receiver), now)
        self._possible(case, spoken, now)
        number = form_number(key)
        if self._known(tx, row, sender, number):
            return Told(case_id=row["id"], message=0, again=True)
        if kind not in allowed(case, sender, self._kind_of(sender), receiver) or sender == receiver:
            raise Unsaid("stale")
        told = Notice(
            kind=kind,
            message_id=number,
            sender=sender,
            receivers=(receiver,),
            sent_at=spoken.at,
            way=spoken.way,
            recorded_by=by,
            text=spoken.reason,
            **self._of_stay(case, kind, spoken, said),
        )
        return self._learn(tx, row, told, spoken, now, by)

    def _of_stay(
        self, case: Case, kind: NoticeKind, spoken: Spoken, said: Mapping[str, Any]
    ) -> dict[str, Any]:
        ready = ready_now(case)
        about = ready.notice.message_id if ready and kind in (K.ANSWER, K.READINESS_WITHDRAWN) else None
        return {
            "occurred": spoken.at,
            "hospital": case.hospital,
            "encounter": case.encounter,
            "admitted": admission_in(case),
            "refers_to": about,
            **said,
        }

    def receipt(
        self,
        tx: Connection,
        case_id: int,
        *,
        sender: str,
        message_id: str,
        receiver: str,
        spoken: Spoken,
        now: datetime,
        by: str,
    ) -> Told:
        """Somebody at the receiver has said that a notice is there."""
        row, case = self.speaking.case(tx, case_id)
        self._acts(case, (sender, receiver), now)
        entry = self._entry(case, sender, message_id)
        if entry is None or receiver not in entry.notice.receivers:
            raise Unsaid("stale")
        self._possible(case, spoken, now)
        if spoken.at < entry.notice.sent_at.replace(second=0, microsecond=0):
            raise Unsaid("too-early")
        evidence = Evidence(
            step=Step.CONFIRMED,
            message_id=message_id,
            sender=sender,
            party=receiver,
            at=spoken.at,
            source=packed(
                phrase(
                    "{way}, recorded by {by}: {reason}",
                    way=Code("way", spoken.way, f"by {spoken.way}"),
                    by=by,
                    reason=spoken.reason,
                )
            ),
            way=spoken.way,
        )
        if any(e.step is Step.CONFIRMED and e.party == receiver for e in entry.evidence):
            return Told(case_id=row["id"], message=0, again=True)
        self._cases.learn(tx, row["patient"], [(evidence, None)], now)
        what = phrase(
            "received, as {party} says {way} at {at}: {why}",
            party=receiver,
            way=_way(spoken),
            at=Dated(spoken.at, spoken.at.isoformat()),
            why=verbatim(spoken.reason),
        )
        known = messages.known(tx, sender, message_id)
        subject = f"message {known['id']}" if known is not None else f"case {row['id']}"
        case_rows.note(tx, at=now, subject=subject, what=what, case_id=row["id"], by=by)
        self._quiet(tx, row, entry.notice.kind, receiver, now)
        return Told(case_id=row["id"], message=0)

    def take_back(
        self, tx: Connection, case_id: int, *, sender: str, message_id: str, key: str, now: datetime, by: str
    ) -> Told:
        """What was recorded in error is taken back; the history keeps both."""
        row, case = self.speaking.case(tx, case_id)
        number = form_number(key)
        if self._known(tx, row, sender, number):
            return Told(case_id=row["id"], message=0, again=True)
        entry = self._entry(case, sender, message_id)
        if entry is None or entry.notice.way is None:
            raise Unsaid("stale")
        self._acts(case, (sender, *entry.notice.receivers), now)
        told = replace(
            entry.notice,
            message_id=number,
            sent_at=max(now, entry.notice.sent_at),
            standing=Standing.CANCELLATION,
            refers_to=message_id,
            recorded_by=by,
            beside=False,
        )
        self._cases.learn(tx, row["patient"], [(told, None)], now)
        kind = Code("notice", told.kind.value, told.kind.value)
        what = phrase("what was recorded of {notice} is taken back", notice=kind)
        case_rows.note(tx, at=now, subject=f"case {row['id']}", what=what, case_id=row["id"], by=by)
        return Told(case_id=row["id"], message=0)

    # --- inside ---

    @property
    def _cases(self) -> Cases:
        return self.speaking.inbox.cases

    def _acts(self, case: Case, parties: tuple[str, ...], now: datetime) -> None:
        """The person acts for one of the parties, which all take part as far as the person knows.

        NotFound otherwise: whom the hospital has told besides is not to be found out by trying.
        """
        voices = self.speaking.voices(case, now)
        seen = self.speaking.sight.entries(case)
        there = {case.hospital, *(p for e in seen for p in (e.notice.sender, *e.notice.receivers))}
        if any(v.part == HOSPITAL for v in voices):
            there.add(case.municipality)
        if {v.party for v in voices}.isdisjoint(parties) or not set(parties) <= there:
            raise NotFound(phrase("there is no such case"))

    def _possible(self, case: Case, spoken: Spoken, now: datetime) -> None:
        if spoken.at > now:
            raise Unsaid("ahead")
        begun = case.admitted_at
        if begun is not None and spoken.at < begun.replace(second=0, microsecond=0):
            raise Unsaid("too-early")

    def _kind_of(self, party: str) -> str:
        found = self.speaking.inbox.register.party(party)
        return found.kind if found is not None else "unknown"

    def _known(self, tx: Connection, row: Row, sender: str, number: str) -> bool:
        told = (f for _, _, f in case_rows.facts(tx, row["patient"]) if isinstance(f, Notice))
        return any((n.sender, n.message_id) == (sender, number) for n in told)

    def _entry(self, case: Case, sender: str, message_id: str) -> Entry | None:
        wanted = (sender, message_id)
        return next(
            (
                e
                for e in case.entries
                if (e.notice.sender, e.notice.message_id) == wanted
                and not e.void
                and e.notice.standing is not Standing.CANCELLATION
            ),
            None,
        )

    def _learn(self, tx: Connection, row: Row, told: Notice, spoken: Spoken, now: datetime, by: str) -> Told:
        home = self._cases.learn(tx, row["patient"], [(told, None)], now)[told.sender, told.message_id]
        if home != row["id"]:
            raise Unsaid("too-early")
        terms = self._cases.agreement
        parties = (told.hospital, told.sender, *told.receivers)
        what = phrase(
            "recorded: {notice} {way} from {sender} to {receivers} at {at}: {why}"
            if counts(terms, spoken.way, told.kind, parties, spoken.at)
            else "recorded: {notice} {way} from {sender} to {receivers} at {at}, which does not count: {why}",
            notice=Code("notice", told.kind.value, told.kind.value),
            way=_way(spoken),
            sender=told.sender,
            receivers=told.receivers,
            at=Dated(spoken.at, spoken.at.isoformat()),
            why=verbatim(spoken.reason),
        )
        case_rows.note(tx, at=now, subject=f"case {home}", what=what, case_id=home, by=by)
        inbox = self.speaking.inbox
        inbox.outbox.subscriptions.told(tx, told, case_id=home, patient=row["patient"], now=now)
        for receiver in told.receivers:
            self._quiet(tx, row, told.kind, receiver, now)
        return Told(case_id=home, message=0)

    def _quiet(self, tx: Connection, row: Row, kind: NoticeKind, receiver: str, now: datetime) -> None:
        """Alarms to telephone about such a notice end, where no deadline wants it any more."""
        telephoning = self.speaking.inbox.outbox.telephoning
        for one in deliveries.listed(tx, party=receiver, case_ids=[row["id"]]):
            if one["kind"] == kind.value:
                telephoning.keep_or_end(tx, one, now)
                if not telephoning.due_still(tx, one):
                    telephoning.alarms.end(tx, "receipt-urgent", f"delivery {one['id']}", now)


def _way(spoken: Spoken) -> Code:
    return Code("way", spoken.way.value, f"by {spoken.way}")


def allowed(case: Case, sender: str, kind: str, receiver: str) -> tuple[NoticeKind, ...]:
    """What a party of that kind can have told `receiver` by telephone or on paper.

    An answer is the hospital's to hear: what municipalities tell each other answers nothing.
    """
    if sender == case.hospital:
        return BY_HOSPITAL
    if kind in ("municipality", "municipal-acute-bed", "unknown"):
        return BY_MUNICIPALITY if receiver == case.hospital else ()
    return BY_PRIMARY_CARE
