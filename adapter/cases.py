"""Cases: append facts, fold them anew, keep the deadlines true.

`inbox` and `outbox` learn facts in the transaction in which they happen; the clock recomputes before it
fires. A case id is given once: when two cases turn out to be one, the younger id stays as an alias.
"""

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.discharge.agreement import Agreement
from adapter.discharge.case import Case, Evidence, Fact
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.explaining import explained, following
from adapter.discharge.notices import YEARS, Moment, Notice, NoticeKind, Standing, local_date
from adapter.discharge.partaking import Part, part_of
from adapter.discharge.payment import PAYMENT_START
from adapter.discharge.planning import Planning, kind_for_consent, may_share_plan, planning
from adapter.discharge.readmission import COUNTED, courses, links
from adapter.discharge.rules import Placement
from adapter.discharge.sentences import Sentence
from adapter.errors import NotFound
from adapter.fhir.bundles import Subject
from adapter.phrases import Code, Dated, Phrase, dated, phrase
from adapter.store import cases as rows
from adapter.store import deliveries, owed, parties, stays
from adapter.store.statements import Row

_DAY = "%Y-%m-%d"


def pseudonym(key: bytes, subject: Subject) -> str:
    """The name under which a patient is stored, searched and logged: a keyed hash, 80 bits.

    From the national number where there is one, else from name, birth date and sex. The same person under a
    number and without one is two pseudonyms: we do not guess.
    """
    if subject.identifiers:
        system, value = subject.identifiers[0]
        said = f"{system}|{''.join(value.split())}"
    else:
        name = f"{subject.family or ''}, {subject.given or ''}".casefold()
        said = f"{name}|{subject.birth_date}|{subject.gender}"
    digest = hmac.new(key, said.encode(), hashlib.sha256).digest()
    return "P" + b32encode(digest[:10]).decode()


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The cases of a region under its agreement."""

    agreement: Agreement
    roles: Mapping[str, str] = field(default_factory=dict)  # what kind of party the register says each one is
    known_by: dict[str, str] = field(init=False, default_factory=dict, compare=False, repr=False)
    """Names of what it is, worked out once (owing.py)."""
    _met_by: dict[str, frozenset[str]] = field(init=False, default_factory=dict, compare=False, repr=False)

    def learn(
        self, tx: Connection, patient: str, learned: Sequence[tuple[Fact, int | None]], now: datetime
    ) -> dict[tuple[str, str], int]:
        """Append facts with the rows that told them; returns the case id of each of the patient's notices.

        Keys are (sender, message id). A fact known already changes nothing; where the message that told it
        has been forgotten, and comes again after years, that is the one that tells it.
        """
        rows.alone_with(tx, patient)
        stored = rows.facts(tx, patient)
        known = {fact: number for number, _, fact in stored}
        new = [(fact, row) for fact, row in learned if fact not in known]
        again = [(known[f], row) for f, row in learned if f in known and row is not None]
        rows.told_anew(tx, again)
        return self._refold(tx, patient, new, stored, now)

    def happened(
        self, tx: Connection, patient: str, told_by: int, learned: Sequence[Evidence], now: datetime
    ) -> None:
        """Append what has become of the notice that the message in row `told_by` has told.

        It cuts no stay: it joins the case of its notice, and moves only the deadlines that look at when such
        a notice is delivered, accepted or seen. Most of them do not, and then nothing is folded anew.
        """
        rows.alone_with(tx, patient)
        told, case_id, known = rows.told_by(tx, patient, told_by, learned)
        if told is None or not _all_about(told, learned):
            self.learn(tx, patient, [(one, None) for one in learned], now)
            return
        home = {(told.sender, told.message_id): case_id}
        new = [_fact_row(patient, one, None, home, []) for one in learned if one not in known]
        if not new:
            return
        rows.add_facts(tx, new)
        rows.touch(tx, case_id, now)
        moved = self.agreement.heeding(told.kind)
        if moved:
            owed.forget(tx, case_id)
            case = next(c for _, c in self.folded(tx, patient) if (told.sender, told.message_id) in _keys(c))
            self._keep_deadlines(tx, case, case_id, now, moved)

    def refer(
        self, tx: Connection, patient: str, named: tuple[str, str], known_as: str, now: datetime
    ) -> None:
        """What names a message that the case knows by another id is about that one.

        As if it had come after we learned so: what the case says must not depend on the order of arrival.
        """
        rows.alone_with(tx, patient)
        changed = [
            (number, replace(fact, refers_to=known_as))
            for number, _, fact in rows.facts(tx, patient)
            if isinstance(fact, Notice) and (fact.sender, fact.refers_to) == named
        ]
        if changed:
            rows.change_facts(tx, changed)
            self._refold(tx, patient, [], rows.facts(tx, patient), now)

    def refold(self, tx: Connection, patient: str, now: datetime) -> None:
        """Bring what is left of a patient up to date after facts were removed."""
        stored = rows.facts(tx, patient)
        if stored:
            self._refold(tx, patient, [], stored, now)

    def _refold(
        self,
        tx: Connection,
        patient: str,
        new: Sequence[tuple[Fact, int | None]],
        stored: Sequence[tuple[int, int, Fact]],
        now: datetime,
    ) -> dict[tuple[str, str], int]:
        """Bring the patient's case rows and deadlines up to date with the facts."""
        known = {fact for _, _, fact in stored}
        folded = courses([*known, *(fact for fact, _ in new)], self.agreement, self.roles)
        ids = self._ids(tx, patient, folded, stored, now)
        home = {
            (entry.notice.sender, entry.notice.message_id): case_id
            for case, case_id in zip(folded, ids, strict=True)
            for entry in case.entries
        }
        if new:
            rows.add_facts(tx, [_fact_row(patient, fact, row, home, ids) for fact, row in new])
        self._keep_links(tx, folded, ids)
        took_part = {case_id for _, case_id, _ in stored}.difference(ids)
        parties.keep(tx, {i: self._parts(c) for c, i in zip(folded, ids, strict=True)}, took_part)
        for case, case_id in zip(folded, ids, strict=True):
            self._keep_deadlines(tx, case, case_id, now)
        return home

    def _parts(self, case: Case) -> dict[str, Part]:
        """What the case is to each of its parties."""
        return {party: part_of(case, party, self.roles) for party in _parties_of(case)}

    def folded(self, tx: Connection, patient: str) -> list[tuple[int, Case]]:
        """The patient's cases as they are now, each with its id."""
        stored = rows.facts(tx, patient)
        found = courses([fact for _, _, fact in stored], self.agreement, self.roles)
        owner = {(f.sender, f.message_id): case_id for _, case_id, f in stored if isinstance(f, Notice)}
        return [(_owner(case, owner), case) for case in found]

    def several(self, tx: Connection, patients: Collection[str]) -> dict[int, Case]:
        """The cases of these patients by their id: the facts of all are read at once."""
        made: dict[int, Case] = {}
        for known in stays.facts(tx, patients).values():
            found = courses([fact for _, fact in known], self.agreement, self.roles)
            owner = {(f.sender, f.message_id): case_id for case_id, f in known if isinstance(f, Notice)}
            made |= {_owner(case, owner): case for case in found}
        return made

    def fold(self, facts: Sequence[Fact]) -> tuple[Case, ...]:
        """The cases that some of a patient's facts give: what somebody knows who was told only of these."""
        return courses(facts, self.agreement, self.roles)

    def case_with(self, tx: Connection, patient: str, notice: Notice) -> Case:
        """The case that the notice would belong to, with it; nothing is kept of it."""
        known = {fact for _, _, fact in rows.facts(tx, patient)}
        key = (notice.sender, notice.message_id)
        return next(
            case for case in courses([*known, notice], self.agreement, self.roles) if key in _keys(case)
        )

    def due_for(
        self, tx: Connection, case_id: int, kind: str, parties: Collection[str | None]
    ) -> datetime | None:
        """When the earliest open deadline is due that a notice of that kind, between these, would meet."""
        found = self.awaiting(tx, case_id, kind, parties)
        return min((d["due_at"] for d in found if d["state"] == "open"), default=None)

    def awaiting(self, tx: Connection, case_id: int, kind: str, parties: Collection[str | None]) -> list[Row]:
        """The deadlines, open or missed, that a notice of that kind, between these, would meet."""
        meets = self.deadlines_met_by(kind)
        found = rows.deadlines(tx, case_id) if meets else []
        wanting = ("open", "missed")
        return [
            d
            for d in found
            if d["state"] in wanting and d["kind"] in meets and d["party"] in (None, *parties)
        ]

    def deadlines_met_by(self, kind: str) -> frozenset[str]:
        """The kinds of deadline that a notice of that kind can meet."""
        if kind not in self._met_by:
            rules = self.agreement.rules
            found = (r.kind for r in rules if any(kind in telling.notices for telling in r.satisfied_by))
            self._met_by[kind] = frozenset(found)
        return self._met_by[kind]

    def planning(self, tx: Connection, case_id: int) -> Planning:
        """How far the planning of a case has come; NotFound where there is no such case."""
        row = rows.get(tx, case_id)
        if row is None:
            raise _no_case(case_id)
        return planning(dict(self.folded(tx, row["patient"]))[row["id"]], self.roles)

    def withheld(self, tx: Connection, case_id: int, told: tuple[str, str], now: datetime) -> Sentence | None:
        """Why a plan that was taken may not be shared any more; None where it may, or is taken back.

        `told` is the sender and the message id of its notice.
        """
        row = rows.get(tx, case_id)
        for _, case in self.folded(tx, row["patient"]) if row is not None else ():
            for notice in (entry.notice for entry in case.entries):
                if (
                    notice.sender,
                    notice.message_id,
                ) == told and notice.standing is not Standing.CANCELLATION:
                    return may_share_plan(case, now, kind_for_consent(case, notice.plan))
        return None

    def explained(self, tx: Connection, case_id: int, now: datetime, language: str = "en") -> dict[str, Any]:
        """Each deadline and payment day of a case with the sentence why; NotFound where there is none."""
        row = rows.get(tx, case_id)
        if row is None:
            raise _no_case(case_id)
        ids, folded = zip(*self.folded(tx, row["patient"]), strict=True)
        place = ids.index(row["id"])
        linked = links(folded, self.agreement, self.roles)
        told = explained(folded[place], self.agreement, now, self.roles, language)
        return told | following(linked, place, ids, self.agreement, language)

    def followed_up(
        self,
        tx: Connection,
        case_id: int,
        at: datetime,
        now: datetime,
        *,
        new_id: str,
        by: str | None,
        what: str | None = None,
    ) -> None:
        """A person records that the patient has been followed up, as by telephone: a notice like any.

        `what` is the kind of follow-up, as `call`; None where it may be any.
        """
        known = self.agreement.follow_up_kinds
        if what is not None and what not in known:
            raise NotFound(
                phrase("{name}: there is no such follow-up; known: {known}", name=what, known=known)
                if known
                else phrase("{name}: there is no such follow-up; known: none", name=what)
            )
        ahead = phrase("{at} lies ahead; record a follow-up when it has been done", at=written(at))
        row = self._open_to_hand(tx, case_id, at, now, ahead)
        told = self._by_hand(row, NoticeKind.FOLLOWED_UP, at, new_id)
        said = (
            phrase("followed up, recorded by hand")
            if what is None
            else phrase("followed up ({what}), recorded by hand", what=Code("follow-up", what, what))
        )
        self.record(tx, row, [replace(told, fulfils=what)], said, now, by)

    def place(
        self,
        tx: Connection,
        case_id: int,
        name: str,
        at: datetime,
        now: datetime,
        *,
        new_id: str,
        by: str | None,
    ) -> None:
        """A person places the case on a pathway or in a group; NotFound where that cannot be."""
        ahead = phrase("{at} lies ahead; record a placement when it has been made", at=written(at))
        row = self._open_to_hand(tx, case_id, at, now, ahead)
        day = local_date(at, self.agreement.zone)
        if not any(one.name == name and one.holds(day) for one in self.agreement.placements):
            raise NotFound(_not_to_be_chosen(name, day, self.agreement.placements))
        case = dict(self.folded(tx, row["patient"]))[row["id"]]
        if name in case.placements:
            raise NotFound(
                phrase(
                    "case {case} is placed on {name} already; take it off first",
                    case=str(row["id"]),
                    name=name,
                )
            )
        told = self._by_hand(row, NoticeKind.PLACED, at, new_id)
        told = replace(told, placement=name, encounter=case.encounter)
        self.record(tx, row, [told], phrase("placed on {name}, by hand", name=name), now, by)

    def take_off(
        self,
        tx: Connection,
        case_id: int,
        name: str,
        now: datetime,
        *,
        new_id: Callable[[], str],
        by: str | None,
    ) -> None:
        """A person takes the case off again: every standing placement of that name is cancelled."""
        row = self._open_to_hand(tx, case_id, now, now, None)
        case = dict(self.folded(tx, row["patient"]))[row["id"]]
        standing = [e.notice for e in case.of(NoticeKind.PLACED) if e.notice.placement == name]
        if not standing:
            raise NotFound(_not_on(row["id"], name, case.placements))
        told = [
            replace(
                placed,
                message_id=new_id(),
                sent_at=max(now, placed.sent_at),
                standing=Standing.CANCELLATION,
                refers_to=placed.message_id,
            )
            for placed in standing
        ]
        self.record(tx, row, told, phrase("taken off {name}, by hand", name=name), now, by)

    def _open_to_hand(
        self, tx: Connection, case_id: int, at: datetime, now: datetime, ahead: Phrase | None
    ) -> Row:
        """The case's row; `ahead` is what is said of a time that lies ahead, where it can."""
        row = rows.get(tx, case_id)
        if row is None:
            raise _no_case(case_id)
        if at > now and ahead is not None:
            raise NotFound(ahead)
        of_our_time(at)
        return row

    def _by_hand(self, row: Row, kind: NoticeKind, at: datetime, new_id: str) -> Notice:
        return Notice(
            kind=kind,
            message_id=new_id,
            occurred=at,
            sent_at=at,
            sender=row["municipality"] or row["hospital"] or "staff",
            hospital=row["hospital"],
        )

    def record(
        self, tx: Connection, row: Row, told: Sequence[Notice], what: Phrase, now: datetime, by: str | None
    ) -> None:
        """What a person tells becomes facts of that case, with a line in its history.

        NotFound where the patient was in another case then.
        """
        home = self.learn(tx, row["patient"], [(notice, None) for notice in told], now)
        for notice in told:
            if home[notice.sender, notice.message_id] != row["id"]:
                raise NotFound(
                    phrase(
                        "at {at} the patient was in another case; write when it was, with --at",
                        at=written(notice.occurred),
                    )
                )
        rows.note(tx, at=now, subject=f"case {row['id']}", what=what, case_id=row["id"], by=by)

    def recompute(self, tx: Connection, case_id: int, now: datetime) -> None:
        """Bring the deadlines of a case up to date with its facts and the clock."""
        row = rows.get(tx, case_id)
        if row is None:
            return
        rows.alone_with(tx, row["patient"])
        for found, case in self.folded(tx, row["patient"]):
            if found == row["id"]:
                self._keep_deadlines(tx, case, row["id"], now)

    def _ids(
        self,
        tx: Connection,
        patient: str,
        folded: tuple[Case, ...],
        stored: Sequence[tuple[int, int, Fact]],
        now: datetime,
    ) -> list[int]:
        """The id of each folded case: the one it had, the oldest of those that it unites, or a new one."""
        place = {key: number for number, case in enumerate(folded) for key in _keys(case)}
        founder: dict[int, int] = {}
        for _, case_id, fact in stored:  # in the order learned: a case keeps the id that its first notice got
            if isinstance(fact, Notice) and case_id not in founder:
                founder[case_id] = place[fact.sender, fact.message_id]
        ids: list[int] = []
        for number, case in enumerate(folded):
            own = sorted(case_id for case_id, place in founder.items() if place == number)
            if not own:
                ids.append(rows.add(tx, patient, case, now))
                continue
            ids.append(own[0])
            rows.change(tx, own[0], case, now)
            for alias in own[1:]:
                rows.merge(tx, alias, own[0], now)
                owed.drop(tx, (alias,))
                deliveries.move_case(tx, alias, own[0])
        moved: dict[int, list[int]] = {}
        for fact_id, case_id, fact in stored:
            home = place.get((fact.sender, fact.message_id))
            if home is not None and case_id != ids[home]:
                moved.setdefault(ids[home], []).append(fact_id)
        for case_id, fact_ids in moved.items():
            rows.move_facts(tx, fact_ids, case_id)
        return ids

    def _keep_links(self, tx: Connection, folded: tuple[Case, ...], ids: list[int]) -> None:
        """Make the case rows say which case each is a readmission of; those of the fold begin without."""
        for link in links(folded, self.agreement, self.roles):
            if link.verdict in COUNTED:
                rows.link(tx, ids[link.later], ids[link.earlier], link.verdict.value)

    def _keep_deadlines(
        self, tx: Connection, case: Case, case_id: int, now: datetime, kinds: Collection[str] | None = None
    ) -> None:
        """Make the deadline rows (of these kinds) say what the law says now.

        What was reminded or fired stays so.

        One that somebody has been told of is never dropped: the clock looks once more, to end its alarm.
        """
        owing = False  # a count by new terms may have looked at rows that the old ones made
        lawful = deadlines(case, self.agreement, now, self.roles, kinds)
        wanted = {(d.kind, d.party, d.about or d.since): d for d in lawful}
        for row in rows.deadlines(tx, case_id):
            if kinds is not None and row["kind"] not in kinds:
                continue
            found = wanted.pop((row["kind"], row["party"], row["about"] or row["since"]), None)
            told = row["reminded_at"] is not None or row["fired_at"] is not None
            if found is None and not told:
                owing |= row["kind"] == PAYMENT_START
                rows.drop_deadlines(tx, [row["id"]])
                continue
            if found is not None:
                values = _deadline_row(found, row["reminded_at"], row["fired_at"])
                if _put_off(row, found, now):
                    values["next_at"] = row["next_at"]
            else:
                values = {
                    "state": "void",
                    "reason": phrase("the facts no longer give this deadline"),
                    "next_at": None,
                }
            if told and values["state"] not in ("open", "missed"):
                values["next_at"] = row["next_at"] if values["state"] == row["state"] else now
            if row["fired_at"] is not None and values["state"] == "open":  # it was missed, and no longer is
                told_at = row["reminded_at"] or row["fired_at"]  # that there is an alarm to end must be known
                values |= {"fired_at": None, "noted_at": None, "reminded_at": told_at, "next_at": now}
            if any(row[name] != value for name, value in values.items()):
                owing |= row["kind"] == PAYMENT_START and row["state"] != values["state"]
                rows.change_deadline(tx, row["id"], row["state"], **values)
        if wanted:
            new = [{"case_id": case_id} | _deadline_row(d, None, None) for d in wanted.values()]
            rows.add_deadlines(tx, new)
            owing |= any(d.kind == PAYMENT_START for d in wanted.values())
        if owing:
            owed.forget(tx, case_id)


def _no_case(case_id: int) -> NotFound:
    return NotFound(
        phrase("there is no case {case}; `discharge-adapter cases` lists them", case=str(case_id))
    )


def _not_to_be_chosen(name: str, day: date, placements: Sequence[Placement]) -> Phrase:
    named = [one for one in placements if one.name == name]
    if named:
        return phrase(
            "{name}: cannot be chosen on {day}; it holds {periods}",
            name=name,
            day=dated(day, _DAY),
            periods=[_period(one) for one in named],
        )
    if not placements:
        return phrase("{name}: there is no such pathway or group; known: none is configured", name=name)
    known = tuple(dict.fromkeys(one.name for one in placements))
    return phrase("{name}: there is no such pathway or group; known: {known}", name=name, known=known)


def _period(placement: Placement) -> Phrase:
    first, last = placement.valid_from, placement.valid_to
    if first is not None and last is not None:
        return phrase("from {first} to {last}", first=dated(first, _DAY), last=dated(last, _DAY))
    if first is not None:
        return phrase("from {first}", first=dated(first, _DAY))
    assert last is not None  # one without either holds always
    return phrase("to {last}", last=dated(last, _DAY))


def _not_on(case_id: int, name: str, placements: Sequence[str]) -> Phrase:
    case = str(case_id)
    if not placements:
        return phrase("case {case} is not placed on {name}; it is on: nothing", case=case, name=name)
    return phrase(
        "case {case} is not placed on {name}; it is on: {known}", case=case, name=name, known=placements
    )


def written(at: Moment) -> Dated:
    """A moment in a sentence, in English as somebody has typed it."""
    return Dated(at, at.isoformat())


def of_our_time(at: datetime) -> None:
    """NotFound for a year that nobody means."""
    if at.year not in YEARS:
        raise NotFound(
            phrase(
                "{at} is not in {first} to {last}; write when it was",
                at=written(at),
                first=str(YEARS[0]),
                last=str(YEARS[-1]),
            )
        )


def late_from(due_at: datetime) -> datetime:
    """The first second in which a deadline is missed: all of the one in which it is due is in time."""
    return due_at + timedelta(seconds=1)


def _put_off(row: Row, d: Deadline, now: datetime) -> bool:
    """Whether its time is up, it waits for a person's word, and the clock has seen that already."""
    waits = d.state == "open" and row["state"] == "open" and late_from(d.due_at) <= now
    return waits and row["next_at"] is not None and bool(row["next_at"] > now)


def next_look(d: Deadline, reminded_at: datetime | None, fired_at: datetime | None) -> datetime | None:
    """When the clock must look at a deadline again: to remind, or when it is late; None when never."""
    if d.state == "open":
        return d.remind_at if d.remind_at is not None and reminded_at is None else late_from(d.due_at)
    return d.due_at if d.state == "missed" and fired_at is None and not d.quiet else None


def _deadline_row(d: Deadline, reminded_at: datetime | None, fired_at: datetime | None) -> dict[str, Any]:
    return {
        "kind": d.kind,
        "actor": d.actor,
        "party": d.party,
        "since": d.since,
        "due_at": d.due_at,
        "state": str(d.state),
        "basis": d.basis,
        "reason": d.reason,
        "settled_at": d.settled_at,
        "remind_at": d.remind_at,
        "next_at": next_look(d, reminded_at, fired_at),
        "about": d.about,
    }


def _all_about(told: Notice, learned: Sequence[Evidence]) -> bool:
    return all((one.sender, one.message_id) == (told.sender, told.message_id) for one in learned)


def _keys(case: Case) -> set[tuple[str, str]]:
    return {(entry.notice.sender, entry.notice.message_id) for entry in case.entries}


def _parties_of(case: Case) -> set[str]:
    return {party for e in case.entries for party in (e.notice.sender, *e.notice.receivers)}


def _owner(case: Case, owner: dict[tuple[str, str], int]) -> int:
    return next(owner[key] for key in sorted(_keys(case)) if key in owner)


def _fact_row(
    patient: str, fact: Fact, message_row: int | None, home: dict[tuple[str, str], int], ids: list[int]
) -> dict[str, Any]:
    return {
        "patient": patient,
        "case_id": home.get((fact.sender, fact.message_id), ids[0] if ids else 0),
        "kind": fact.kind.value if isinstance(fact, Notice) else fact.step.value,
        "message_row": message_row,
        "body": rows.text_of(fact),
    }
