"""What must be true of every life, whatever went wrong in it.

`Watch` looks on: after each commit, at each claim, record, arrival and look of the clock. `at_the_end` looks
at what is left when everything works again and time has passed. A finding names the invariant first.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.discharge.deadlines import DeadlineState, deadlines
from adapter.discharge.readmission import courses
from adapter.messaging.delivery import Leased, Reply
from adapter.parcels import NOTICES
from adapter.phrases import unpacked
from adapter.store import cases as case_rows
from adapter.store import journal
from adapter.store.cases import fact_of, row_of
from adapter.store.writer import Unit
from tests.simulation.network import System
from tests.simulation.people import Told
from tests.simulation.world import Disk, Process

ACKNOWLEDGED = "acknowledged: delivered, or given up with an alarm"
ORDER = "never out of order"
ONCE = "never a duplicate effect"
FOLD = "a case is the fold of its notices"
DEADLINE = "a deadline fires once, not early, at most one tick late"
LEASE = "leases never overlap"
STUCK = "nothing is stuck"
STUMBLED = "no step ends in an error"
SOUND = "the store's records agree"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOLD_OF = ("given-up", "refused", "not-received", "plan-conflict")
_BY_HAND = ("given up by hand", "reissued as")


def instant(stored: int) -> datetime:
    """What a column of the store says."""
    return _EPOCH + timedelta(microseconds=stored)


def micro(at: datetime) -> int:
    """And back."""
    return (at - _EPOCH) // timedelta(microseconds=1)


@dataclass
class Watch:
    """Looks on, and keeps what it finds."""

    disk: Disk
    found: list[str] = field(default_factory=list)
    acting: Process | None = None  # whose step it is
    _fired: dict[int, tuple[int, int | None]] = field(default_factory=dict)  # deadline: due, fired
    _fences: dict[int, int] = field(default_factory=dict)
    _excused: dict[int, set[int]] = field(default_factory=dict)  # delivery: those it may overtake
    _accepted: dict[int, int] = field(default_factory=dict)

    def say(self, invariant: str, what: str) -> None:
        """Something is wrong; each thing is said once."""
        finding = f"{invariant}: {what}"
        if finding not in self.found:
            self.found.append(finding)

    # --- after each commit ---

    def committed(self) -> None:
        """What must hold in the store at any moment."""
        now = micro(self.acting.clock()) if self.acting is not None else None
        fired = {}
        for row in self.disk.look("SELECT id, due_at, fired_at FROM deadline"):
            fired[row["id"]] = (row["due_at"], row["fired_at"])
            self._fired_once(row, self._fired.get(row["id"]), now)
        self._fired = fired
        for row in self.disk.look("SELECT id, accepted_at FROM delivery WHERE accepted_at IS NOT NULL"):
            before = self._accepted.setdefault(row["id"], row["accepted_at"])
            if before != row["accepted_at"]:
                self.say(ONCE, f"delivery {row['id']} was accepted a second time")
        lost = set(self._accepted) - {
            row["id"] for row in self.disk.look("SELECT id FROM delivery WHERE accepted_at IS NOT NULL")
        }
        for number in lost:
            self.say(ACKNOWLEDGED, f"delivery {number} had been accepted, and is not any more")

    def _fired_once(self, row: Any, before: tuple[int, int | None] | None, now: int | None) -> None:
        fired_before = before[1] if before is not None else None
        if row["fired_at"] is None or row["fired_at"] == fired_before:
            return
        if fired_before is not None and before is not None and before[0] == row["due_at"]:
            self.say(DEADLINE, f"deadline {row['id']} fired twice")
        late = row["due_at"] // 1_000_000 * 1_000_000 + 1_000_000  # all of its last second is in time
        if now is not None and now < late:
            self.say(DEADLINE, f"deadline {row['id']} fired {(late - now) / 1e6:.1f} s early")

    def looked(self, process: Process) -> None:
        """The clock of the law has looked: nothing that was due then is left."""
        now = process.clock()
        late = micro(now) - 1_000_000
        for row in self.disk.look("SELECT * FROM deadline WHERE state = 'open' AND due_at <= ?", late):
            if row["next_at"] is None or row["next_at"] <= micro(now) or _is_missed(process, row, now):
                self.say(DEADLINE, f"deadline {row['id']} was due when the clock looked, and was not fired")

    # --- leases and lanes ---

    def claimed(self, items: Sequence[Leased], now: datetime) -> None:
        """Each lease has a higher number than any before it, and each is the first of its lane."""
        for item in items:
            if item.fence <= self._fences.get(item.id, 0):
                self.say(LEASE, f"delivery {item.id} was leased twice under number {item.fence}")
            self._fences[item.id] = item.fence
            if item.kind in NOTICES:
                self._first_of_its_lane(item, micro(now))

    def _first_of_its_lane(self, item: Leased, now: int) -> None:
        (own,) = self.disk.look("SELECT * FROM delivery WHERE id = ?", item.id)
        if own["sent_at"] is not None:
            return  # it is only sent again
        merged = {
            row[0]
            for row in self.disk.look("SELECT merged_into FROM discharge_case WHERE merged_into IS NOT NULL")
        }
        for other in self.disk.look(
            "SELECT * FROM delivery WHERE case_id = ? AND party = ? AND id < ? AND sent_at IS NULL "
            "AND state IN ('waiting', 'leased')",
            own["case_id"],
            own["party"],
            item.id,
        ):
            if other["kind"] not in NOTICES:
                continue
            if own["case_id"] in merged or self._may_overtake(own, other, now):
                self._excused.setdefault(item.id, set()).add(other["id"])
            else:
                self.say(ORDER, f"delivery {item.id} was claimed before delivery {other['id']} of its lane")

    def _may_overtake(self, own: Any, other: Any, now: int) -> bool:
        if other["state"] == "leased":
            return False
        parked = other["next_attempt_at"] is None
        again = other["trigger"] == "person" and other["resume_state"] in ("given-up", "refused")
        in_need = own["hold_until"] is not None and own["hold_until"] <= now
        backing_off = not parked and other["attempts"] > 0 and other["next_attempt_at"] > now
        return parked or again or (in_need and backing_off)

    def arrived(self, system: System, leased: Leased) -> None:
        """For the first time at its receiver: those before it in its lane have come, or may be late."""
        if leased.kind not in NOTICES:
            return
        (own,) = self.disk.look("SELECT * FROM delivery WHERE id = ?", leased.id)
        for other in self.disk.look(
            "SELECT * FROM delivery WHERE case_id = ? AND party = ? AND id < ?",
            own["case_id"],
            own["party"],
            leased.id,
        ):
            waits = other["kind"] in NOTICES and other["state"] in ("waiting", "leased", "sent")
            came = other["message_id"] in system.arrived
            if other["trigger"] == "person" and other["resume_state"] in ("given-up", "refused"):
                continue  # it had left its lane, and a person sends it again
            excused = other["id"] in self._excused.get(leased.id, ()) or other["next_attempt_at"] is None
            if waits and not came and not (excused and other["state"] != "leased"):
                self.say(ORDER, f"delivery {leased.id} arrived before delivery {other['id']} of its lane")

    def recording(self, item: Leased, reply: Reply) -> Callable[[Unit], Unit]:
        """Around the unit that records an attempt: who has lost the lease changes nothing by it."""

        def around(unit: Unit) -> Unit:
            def watched(tx: Connection) -> Any:
                before = self._row(item.id)
                held = before["state"] == "leased" and before["fence"] == item.fence
                result = unit(tx)
                after = self._row(item.id)
                kept = ("fence", "attempts") if reply.body else ("fence", "attempts", "state", "lease_until")
                if not held and any(before[name] != after[name] for name in kept):
                    self.say(
                        LEASE,
                        f"lease {item.fence} of delivery {item.id} had passed on to {before['fence']} "
                        f"({before['state']}), and its holder recorded all the same",
                    )
                return result

            return watched

        return around

    def _row(self, number: int) -> Any:
        (row,) = self.disk.look(
            "SELECT fence, attempts, state, lease_until FROM delivery WHERE id = ?", number
        )
        return row


def _is_missed(process: Process, row: Any, now: datetime) -> bool:
    """Whether the facts themselves say so; one that waits for a person's word stays open."""
    with process.built.store.read() as tx:
        case = case_rows.get(tx, row["case_id"])
        assert case is not None
        told = [fact for _, _, fact in case_rows.facts(tx, case["patient"])]
    agreement, roles = process.built.agreement, process.built.cases.roles
    own = (one for one in courses(told, agreement, roles) if one.hospital == case["hospital"])
    found = (d for one in own for d in deadlines(one, agreement, now, roles))
    return any(
        (d.kind, d.party, micro(d.since), d.state)
        == (row["kind"], row["party"], row["since"], DeadlineState.MISSED)
        for d in found
    )


# --- when everything works again, and time has passed ------------------------------------------------------


def at_the_end(
    watch: Watch, process: Process, story: Sequence[Told], systems: dict[str, System], chance: random.Random
) -> None:
    """What is left must be final, complete and there once."""
    _final(watch)
    for told in story:
        _kept(watch, told, systems)
    _once(watch, systems)
    with process.built.store.read() as tx:
        for finding in journal.findings(tx, process.built.agreement, process.built.cases.roles):
            watch.say(SOUND, finding)
        _folded(watch, tx, process, chance)


def _final(watch: Watch) -> None:
    alarmed = {row["subject"] for row in watch.disk.look("SELECT subject FROM alarm WHERE until IS NULL")}
    for row in watch.disk.look("SELECT * FROM delivery WHERE state IN ('waiting', 'leased', 'sent')"):
        parked = row["state"] == "waiting" and row["next_attempt_at"] is None and row["error"] is not None
        asked = row["state"] == "sent" and f"delivery {row['id']}" in alarmed
        if not (parked or asked or (row["state"] == "sent" and not row["expects_receipt"])):
            watch.say(
                STUCK, f"delivery {row['id']} ({row['kind']} to {row['party']}) is still {row['state']}"
            )


def _kept(watch: Watch, told: Told, systems: dict[str, System]) -> None:
    what = f"message {told.number} ({told.kind} of {told.sender})"
    if told.insists:
        watch.say(STUCK, f"{what} was never answered")
    if not told.acknowledged:
        return
    rows = watch.disk.look(
        "SELECT * FROM message WHERE sender = ? AND message_id = ?", told.sender, told.message_id
    )
    taken = [row for row in rows if row["outcome"] in ("accepted", "released")]
    if len(taken) != 1:
        watch.say(ACKNOWLEDGED if not taken else ONCE, f"{what} is in the store {len(taken)} times")
        return
    facts = watch.disk.look(
        "SELECT count(*) FROM fact WHERE message_row = ? AND json_extract(body, '$.message_id') = ?",
        taken[0]["id"],
        told.message_id,
    )
    unjudged = unpacked(taken[0]["reason"] or "").startswith("passed on as it came")  # between two of theirs
    if facts[0][0] != 1 and not unjudged:
        watch.say(ONCE, f"{what} gave {facts[0][0]} facts")
    system = systems.get(told.receiver)
    if system is None:
        return  # its board is its system
    sent = watch.disk.look(
        "SELECT * FROM delivery WHERE message_row = ? AND party = ? AND kind != 'receipt'",
        taken[0]["id"],
        told.receiver,
    )
    ids = {row["id"] for row in sent}  # what was taken back may go after all, as another delivery
    own = [row for row in sent if row["original"] is None and row["superseded_by"] not in ids]
    if len(own) != 1:
        watch.say(ONCE if sent else ACKNOWLEDGED, f"{what} was put into the outbox {len(sent)} times")
    for row in sent:
        if row["message_id"] not in system.arrived and not _told_of(watch, row):
            watch.say(ACKNOWLEDGED, f"{what}: delivery {row['id']} is {row['state']} and nobody was told")


def _told_of(watch: Watch, row: Any) -> bool:
    """Whether a person knows that it has not come through, or has decided so."""
    if row["state"] == "cancelled":
        return True  # its sender took it back before it was ever attempted
    subject = f"delivery {row['id']}"
    kinds = ", ".join(f"'{kind}'" for kind in _TOLD_OF)
    alarms = f"SELECT count(*) FROM alarm WHERE subject = ? AND kind IN ({kinds})"
    notes = watch.disk.look("SELECT what FROM history WHERE subject = ?", subject)
    by_person = any(unpacked(note["what"]).startswith(_BY_HAND) for note in notes)
    parked = row["state"] == "waiting" and row["next_attempt_at"] is None and row["error"] is not None
    return parked or (
        row["state"] in ("given-up", "refused") and bool(watch.disk.look(alarms, subject)[0][0] or by_person)
    )


def _once(watch: Watch, systems: dict[str, System]) -> None:
    for system in systems.values():
        for name in system.altered:
            watch.say(ONCE, f"{system.name} was sent a message a second time as other bytes ({name})")
    passed_back = Counter(
        (row["message_row"], row["message_id"], row["party"])
        for row in watch.disk.look("SELECT * FROM delivery WHERE kind = 'receipt'")
    )
    for (message, _, party), times in passed_back.items():
        if times > 1:
            watch.say(ONCE, f"the receipt for message {message} was passed back to {party} {times} times")
    repeated = watch.disk.look(
        "SELECT kind, body FROM fact WHERE json_extract(body, '$.m') IS NULL GROUP BY patient, kind, "
        "json_extract(body, '$.sender'), json_extract(body, '$.message_id') HAVING count(*) > 1"
    )
    for row in repeated:
        watch.say(ONCE, f"a notice ({row['kind']}) is among the facts twice")


def _folded(watch: Watch, tx: Connection, process: Process, chance: random.Random) -> None:
    """Other orders of arrival give the same cases; and what is missed by now has been fired."""
    agreement, roles, now = process.built.agreement, process.built.cases.roles, process.clock()
    patients = [row[0] for row in watch.disk.look("SELECT DISTINCT patient FROM fact ORDER BY patient")]
    for patient in patients:
        facts = [
            fact_of(row["kind"], row["body"])
            for row in watch.disk.look("SELECT kind, body FROM fact WHERE patient = ? ORDER BY id", patient)
        ]
        given = courses(facts, agreement, roles)
        chance.shuffle(facts)
        if courses(facts, agreement, roles) != given:
            watch.say(FOLD, "another order of arrival gives other cases")
        rows = {tuple(row_of(case).values()): deadlines(case, agreement, now, roles) for case in given}
        for row in case_rows.listed(tx, patient=patient):
            same = rows.get(tuple(row[name] for name in row_of(given[0])))
            if same is None:
                watch.say(FOLD, f"case {row['id']} says something else than its facts")
                continue
            stored = {
                (d["kind"], d["party"], d["about"] or d["since"]): d
                for d in case_rows.deadlines(tx, row["id"])
            }
            for d in same:
                kept = stored.get((d.kind, d.party, d.about or d.since))
                if (
                    d.state is DeadlineState.MISSED
                    and not d.quiet
                    and (kept is None or kept["fired_at"] is None)
                ):
                    watch.say(DEADLINE, f"{d.kind} of case {row['id']} was missed, and nobody was told")
