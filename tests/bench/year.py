"""A year of a region: 50,000 cases and 500,000 deliveries in a store, as the adapter would have written them.

A few hundred stays are played: their messages go through the inbox, their deliveries to far ends that fail,
refuse and answer late. Those that are over are moulds: the rows that they left are copied with new ids,
pseudonyms and message ids, and back by whole weeks, until there are enough. Those that are not over are as
they were played, so that all that a board shows of them folds to the last row. What a copy shares with its
mould is the bytes of its messages: the names of patients are the mould's.

Deadlines of copies on the other side of a change of clocks may be an hour off; they are over long since.
"""

import hashlib
import heapq
import random
import re
import sqlite3
import uuid
from base64 import b32encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.fhir.bundles import Subject
from adapter.incoming import Incoming
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.owing import Owing
from adapter.store import Store, chain, searching
from adapter.store.migrations import migrate
from adapter.store.tables import delivery, instant, metadata, microseconds
from adapter.transport import Outgoing
from tests.conftest import OSLO, StandingClock
from tests.stage import FNR, Stage, receipt, stage

CASES = 50_000
DELIVERIES = 500_000
CURRENT = 300
"""Stays that are not over, of the one hospital."""
MOULDS = 120
WEEKS = 52

HOSPITAL = "laerdal-sjukehus"
OFFICE = "laerdal-legekontor"
"""The GP's office of six patients in ten, which is told of the stay itself as the municipality is."""

MUNICIPALITIES = {
    "sogndal": 30, "luster": 21, "aardal": 18, "laerdal": 12, "vik": 8, "leikanger": 7, "aurland": 4,
}  # fmt: skip
"""Each with its share of the patients, in per cent."""

FILE_DROPS = ("aardal", "leikanger")
"""Those that read PLO, for which not every notice has a message."""

K = NoticeKind
TOLD_TO_THE_OFFICE = (K.ADMITTED, K.READY_FOR_DISCHARGE, K.DISCHARGED)

_GIVEN = "Åse Synnøve Torbjørn Ragnhild Olav Magnhild Sjur Ingebjørg Kåre Gudrun Leif Borghild Arne Solveig"
_FAMILY = (
    "Fjellheim Vik-Hansen Nesøy Hauge Lerum Øvrebø Molland Dalsøyra Eide Kvåle Årøy Hermansverk Bø Kaupanger"
)
_FAULTS = (
    "HTTP 503 Service Unavailable",
    "connection refused",
    "no answer within 30 s",
    "certificate has expired",
)
_REFUSALS = ("E21: ukjend mottakar", "E10: ugyldig meldingsinnhald", "E31: pasienten er ukjend i kommunen")


# --- playing ----------------------------------------------------------------------------------------------


@dataclass
class Play:
    """A region's last days, told to a stage in the order in which they happen."""

    made: Stage
    clock: StandingClock
    chance: random.Random
    now: datetime
    wanted: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    down: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    round_at: datetime | None = None

    def at(self, when: datetime, act: Callable[[], None]) -> None:
        """Do that then, unless it is yet to come."""
        if when <= self.now:
            heapq.heappush(self.wanted, (when, next(self.numbers), act))

    def run(self) -> None:
        """All that happens until now; what waits is sent every few minutes."""
        self.made.post.answer = self.answer
        while self.wanted:
            when, _, act = heapq.heappop(self.wanted)
            self.clock.at = max(self.clock.at, when)
            act()
        self.clock.at = self.now
        self._round()

    def soon(self, when: datetime) -> None:
        """What is due is sent then, or at the round before it that is planned already."""
        if self.round_at is None or when < self.round_at <= self.now:
            self.round_at = when
            self.at(when, self._round)

    def _round(self) -> None:
        self.round_at = None
        due, went = self.made.write(self._sent)
        if due is not None:
            pause = timedelta(seconds=20) if went else timedelta(minutes=8)
            self.soon(max(due, self.clock() + pause))

    def _sent(self, tx: Connection) -> tuple[datetime | None, int]:
        """Send what is due, in one unit of work; when something is due next, and how much went."""
        outbox, inbox, now = self.made.outbox, self.made.built.inbox, self.clock()
        leased = outbox.claim(tx, {e.name: 100 for e in self.made.built.register.endpoints}, now)
        for item in leased:
            reply = outbox.send(item)
            answer = inbox.read(Incoming(content=reply.body, channel="reply")) if reply.body else None
            outbox.record(tx, item, reply, now, receipted=answer is not None)
            if answer is not None:
                inbox.reply(tx, answer, item, now)
        query = select(func.min(delivery.c.next_attempt_at)).where(delivery.c.state == "waiting")
        return tx.execute(query).scalar_one(), len(leased)

    def answer(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """A receipt at once, from the file drops later; seldom a refusal; now and then nothing."""
        at, ms = self.clock(), round(self.chance.lognormvariate(4.5, 0.7), 1)
        if any(begins <= at < ends for begins, ends in self.down.get(endpoint.name, ())):
            fault = _FAULTS[len(endpoint.name) % len(_FAULTS)]
            return Reply(status=503 if fault.startswith("HTTP") else None, error=fault, ms=ms)
        if self.chance.random() < 0.03:
            return Reply(status=None, error=self.chance.choice(_FAULTS[1:3]), ms=30_000.0)
        refused = self.chance.random() < 0.008
        status = Status.REFUSED if refused else Status.ACCEPTED
        issues = (Issue(code="E21", text=self.chance.choice(_REFUSALS)),) if refused else ()
        if endpoint.transport == "directory":
            if self.chance.random() < 0.97:
                later = at + timedelta(minutes=self.chance.lognormvariate(2.5, 0.8))
                self.at(later, lambda: self._receipted(message.content, status, issues))
            return Reply(status=None, taken=True, delivered=False, ms=1.0)
        body = _receipt_of(message.content, status, at, issues)
        return Reply(
            status=200, taken=True, delivered=True, body=body, content_type=message.content_type, ms=ms
        )

    def _receipted(self, content: bytes, status: Status, issues: tuple[Issue, ...]) -> None:
        body = _receipt_of(content, status, self.clock(), issues)
        if body:
            self.made.receive(body, channel="directory")
            self.soon(self.clock() + timedelta(seconds=5))


def _receipt_of(content: bytes, status: Status, at: datetime, issues: tuple[Issue, ...]) -> bytes:
    try:
        return receipt(content, status, at=at, issues=issues)
    except AssertionError:  # a receipt is not receipted
        return b""


@dataclass
class Stay:
    """One patient's stay, told message by message."""

    play: Play
    number: int
    municipality: str
    subject: Subject
    registered: bool = False  # with the GP's office
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def encounter(self) -> str:
        return f"LS-{self.number}"

    def tell(self, when: datetime, kind: NoticeKind, *, back: bool = False, **more: Any) -> None:
        """A message at that instant: of the hospital, or back from the municipality."""
        message_id = str(uuid.UUID(int=self.play.chance.getrandbits(128), version=4))
        self.ids.setdefault(kind.value, message_id)
        office = (OFFICE,) if self.registered and kind in TOLD_TO_THE_OFFICE else ()
        told: dict[str, Any] = {"receivers": (self.municipality, *office), "encounter": self.encounter}
        if back:
            told = {"receivers": (HOSPITAL,), "sender": self.municipality, "encounter": self.encounter}

        def act() -> None:
            content = self.play.made.message(
                kind, subject=self.subject, at=when, message_id=message_id, **(told | more)
            )
            done = self.play.made.receive(content, channel="http")
            assert done.outcome == "accepted", (kind, done.outcome, done.reason)
            self.play.soon(self.play.clock() + timedelta(seconds=self.play.chance.uniform(0.5, 40)))

        self.play.at(when, act)

    def whole(self, admitted: datetime, days: float) -> None:
        """From the admission to the report after the discharge, and what the municipality says meanwhile."""
        chance, hour = self.play.chance, timedelta(hours=1)
        ready = _in_hours(admitted + timedelta(days=days * 0.55))
        leaving = _in_hours(admitted + timedelta(days=days))
        leaving = max(leaving, ready + 3 * hour)
        planned = leaving.date()
        self.tell(admitted, K.ADMITTED)
        if chance.random() < 0.3:  # nobody at home needs to do anything
            self.tell(leaving, K.DISCHARGED)
            return
        if chance.random() < 0.8:
            self.tell(admitted + chance.uniform(0.5, 20) * hour, K.REPORT_OF_ADMISSION, back=True)
        needs = admitted + chance.uniform(3, 22) * hour
        if needs < ready:
            self.tell(needs, K.CARE_NEEDS, planned_discharge=planned)
        fhir = self.municipality not in FILE_DROPS
        if days > 3 and fhir and chance.random() < 0.4:
            self.tell(needs + 20 * hour, K.PLANNED_DISCHARGE, planned_discharge=planned)
        if chance.random() < 0.15:
            self.tell(ready - 4 * hour, K.ENQUIRY, text="Treng pasienten hjelp på natt?")
            self.tell(ready - 2 * hour, K.REPLY, back=True, refers_to=self.ids["enquiry"], text="Ja, i dag.")
        self.tell(ready, K.READY_FOR_DISCHARGE, ready=ready, planned_discharge=planned)
        told = ready + chance.lognormvariate(0.7, 0.8) * hour
        about = {"back": True, "refers_to": self.ids["ready-for-discharge"]}
        which = chance.random()
        if which < 0.7:
            value = {"answer": AnswerValue.CAN_RECEIVE, "receive_from": planned}
            self.tell(told, K.ANSWER, **about, **value)
        elif which < 0.85:
            self.tell(told, K.ANSWER, **about, answer=AnswerValue.NOT_KNOWN)
        else:
            self.tell(told, K.ANSWER, **about, answer=AnswerValue.CANNOT_RECEIVE)
        if which > 0.7 and chance.random() < 0.7:
            value = {"answer": AnswerValue.CAN_RECEIVE, "receive_from": planned}
            self.tell(told + 18 * hour, K.ANSWER, **about, **value)
        if fhir and chance.random() < 0.3:
            self.tell(leaving - hour, K.MEDICATION_LIST)
        self.tell(leaving, K.DISCHARGED)
        self.tell(leaving + chance.uniform(0, 3) * hour, K.DISCHARGE_REPORT)


def _in_hours(when: datetime) -> datetime:
    """The same day, when a ward has its staff."""
    return when if 8 <= when.hour < 18 else when.replace(hour=10 + when.minute % 6)


def _subject(number: int, chance: random.Random) -> Subject:
    born = date(1922, 1, 1) + timedelta(days=chance.randrange(16_000))
    digits = f"{born.day:02}{born.month + 80:02}{born.year % 100:02}{10_000 + number:05}"  # 80: a test person
    return Subject(
        identifiers=((FNR, digits),),
        family=chance.choice(_FAMILY.split()),
        given=chance.choice(_GIVEN.split()),
        gender=chance.choice(("female", "male")),
        birth_date=born,
    )


def play(url: str, now: datetime, *, moulds: int = MOULDS, current: int = CURRENT, seed: int = 7) -> None:
    """Tell a store the stays of the last days, and shelve what they have brought."""
    chance = random.Random(seed)
    clock = StandingClock(at=now - timedelta(days=22))
    made = stage(url, clock)
    told = Play(made=made, clock=clock, chance=chance, now=now)
    names, shares = zip(*MUNICIPALITIES.items(), strict=True)
    for number in range(moulds + current):
        of_office = number % 10 < 6
        stay = Stay(told, number, chance.choices(names, shares)[0], _subject(number, chance), of_office)
        days = min(9.0, 0.8 + chance.lognormvariate(0.7, 0.6))
        if number < moulds:
            leaves = now - timedelta(days=1.5 + chance.random() * 7)
            admitted = leaves - timedelta(days=days)
        else:
            days += 1.0
            admitted = now - timedelta(days=chance.random() * days * 0.97)
        stay.whole(admitted.replace(microsecond=0), days)
    told.down = {
        "luster": [(now - timedelta(days=8), now - timedelta(days=8, hours=-3))],
        "aurland": [(now - timedelta(days=5), now - timedelta(days=5, hours=-9))],
        "vik": [(now - timedelta(hours=16), now + timedelta(days=1))],
    }
    told.run()
    made.built.shelves.catch_up(600)
    made.close()


# --- copying ----------------------------------------------------------------------------------------------

_REFERRED = {
    "message": {"case_id": "discharge_case", "same_as": "message"},
    "fact": {"case_id": "discharge_case", "message_row": "message"},
    "case_party": {"case_id": "discharge_case"},
    "deadline": {"case_id": "discharge_case"},
    "history": {"case_id": "discharge_case"},
    "delivery": {
        "case_id": "discharge_case", "message_row": "message",
        "original": "delivery", "superseded_by": "delivery",
    },
    "attempt": {"delivery_id": "delivery"},
    "alarm": {"case_id": "discharge_case"},
    "resource": {"version": "resource_version"},
    "resource_version": {"resource": "resource", "message_row": "message", "case_id": "discharge_case"},
    "shelf": {"resource": "resource", "version": "resource_version"},
    "resource_token": {"version": "resource_version"},
}  # fmt: skip
"""The tables that a stay leaves rows in, and the rows that these name."""

_IN_ORDER = {
    "message": "received_at",
    "discharge_case": "admitted_at",
    "delivery": "created_at",
    "attempt": "at",
}
"""Those whose numbers follow the time, as the newest are told by their number."""
_TABLES = ("discharge_case", *_REFERRED)

_SLOT = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-)[0-9a-f]{12}\b"
    r"|(?P<patient>\bP[A-Z2-7]{16}\b)"
    r"|(?P<what>\b(?:delivery|message|case)[ -])(?P<number>\d+)\b"
    r"|(?P<stay>\bLS-\d+)\b"
)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))?")
_NAMED = {"delivery": "delivery", "message": "message", "case": "discharge_case"}


@dataclass
class Mould:
    """The rows that one patient has left, by table, in a play that ended at `now`."""

    patient: str
    rows: dict[str, list[dict[str, Any]]]
    places: dict[str, dict[int, int]] = field(default_factory=dict)  # of each row's number, by table

    def __post_init__(self) -> None:
        for table, rows in self.rows.items():
            self.places[table] = {row["id"]: place for place, row in enumerate(rows) if "id" in row}

    def is_over(self, now: datetime) -> bool:
        """Whether nothing can happen any more to the stay or its messages."""
        left = [case["discharged_at"] for case in self.rows["discharge_case"]]
        long_since = microseconds(now - timedelta(hours=30))
        ended = all(at is not None and at < long_since for at in left)
        states = {row["state"] for row in self.rows["delivery"]}
        return ended and states.isdisjoint({"waiting", "leased"})


@dataclass
class Copy:
    """One more patient like that, some weeks earlier; number 0 is the mould itself."""

    mould: Mould
    number: int
    weeks: int
    ids: dict[str, list[int]] = field(default_factory=dict)


def moulds_in(play: sqlite3.Connection) -> list[Mould]:
    """Every patient of a played store, in the order of their cases."""

    def rows(table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in play.execute(f'SELECT * FROM "{table}" ORDER BY 1')]

    known = {table: rows(table) for table in _TABLES}
    patients = {case["id"]: case["patient"] for case in known["discharge_case"]}
    of_message = {m["id"]: patients[m["case_id"]] for m in known["message"] if m["case_id"] is not None}
    for fact in known["fact"]:  # what a receipt has told is of the patient of its message
        if (source := re.search(r'"from":"message (\d+)"', fact["body"])) is not None:
            of_message.setdefault(int(source[1]), fact["patient"])
    of_delivery = {
        d["id"]: patients.get(d["case_id"]) or of_message.get(d["message_row"]) for d in known["delivery"]
    }
    of_version = {v["id"]: patients[v["case_id"]] for v in known["resource_version"]}
    whose: dict[str, Callable[[dict[str, Any]], str | None]] = {
        "message": lambda row: of_message.get(row["id"]),
        "delivery": lambda row: of_delivery[row["id"]],
        "attempt": lambda row: of_delivery[row["delivery_id"]],
        "resource_version": lambda row: of_version[row["id"]],
        "resource_token": lambda row: of_version[row["version"]],
    }
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: {t: [] for t in _TABLES})
    for table, some in known.items():
        for row in some:
            patient = (
                whose[table](row) if table in whose else row.get("patient") or patients.get(row["case_id"])
            )
            if patient is not None:
                found[patient][table].append(row)
    return [Mould(patient=patient, rows=found[patient]) for patient in dict.fromkeys(patients.values())]


_INSTANTS = {
    table.name: frozenset(c.name for c in table.columns if type(c.type).__name__ == "Instant")
    for table in metadata.tables.values()
}


def _earlier(moment: datetime, weeks: int) -> datetime:
    """The same hour by the clock on the wall."""
    return (moment.astimezone(OSLO).replace(tzinfo=None) - timedelta(weeks=weeks)).replace(tzinfo=OSLO)


def _instant(since: int, weeks: int) -> int:
    return microseconds(_earlier(instant(since), weeks)) if weeks else since


def _text(text: str, weeks: int) -> str:
    def shifted(match: re.Match[str]) -> str:
        said = match[0]
        if len(said) == 10:
            return (date.fromisoformat(said) - timedelta(weeks=weeks)).isoformat()
        return _earlier(datetime.fromisoformat(said), weeks).isoformat()

    return _TIME.sub(shifted, text) if weeks else text


def _settled(table: str, row: dict[str, Any], now: int, chance: random.Random) -> None:
    """What has been open in the mould is over by now, and a person has dealt with nearly all of it."""
    if table == "deadline":
        if row["state"] == "open" and row["due_at"] < now:
            row |= {"state": "met", "settled_at": row["due_at"], "next_at": None}
        if row["state"] == "missed" and chance.random() < 0.97:
            row |= {"noted_at": row["due_at"] + 10**10, "next_at": None}
    if table == "alarm" and row["until"] is None and chance.random() < 0.99:
        row |= {"until": row["since"] + 3 * 10**10, "seen_by": "Kari Lerum", "seen_at": row["since"] + 10**9}


def _parts(text: str, mould: Mould) -> list[str | tuple[str, Any]] | None:
    """The text in pieces, of which some are another in each copy; None where it is the same in all."""
    pieces: list[str | tuple[str, Any]] = []
    end = 0
    for match in _SLOT.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match["uuid"]:
            pieces.append(("uuid", (match["uuid"], match[0])))
        elif match["patient"]:
            pieces.append(("patient", None) if match[0] == mould.patient else match[0])
        elif match["stay"]:
            pieces.append(("stay", match["stay"]))
        else:
            table = _NAMED[match["what"][:-1]]
            place = mould.places[table].get(int(match["number"]))
            pieces.append(match[0] if place is None else ("row", (match["what"], table, place)))
    return [*pieces, text[end:]] if pieces else None


Compiled = dict[str, list[tuple[list[Any], list[tuple[int, str, Any]]]]]


def compiled(mould: Mould, weeks: int, now: datetime, chance: random.Random, *, settled: bool) -> Compiled:
    """The mould's rows so many weeks earlier, and what in each of them is another in each copy."""
    made: Compiled = {}
    until = microseconds(now)
    for table, rows in mould.rows.items():
        made[table] = some = []
        for place, original in enumerate(rows):
            row = dict(original)
            for name in _INSTANTS[table]:
                if row[name] is not None:
                    row[name] = _instant(row[name], weeks)
            if settled:
                _settled(table, row, until, chance)
            slots: list[tuple[int, str, Any]] = []
            for column, (name, value) in enumerate(row.items()):
                referred = _REFERRED.get(table, {}).get(name)
                if name == "id":
                    slots.append((column, "row", (table, place)))
                elif referred is not None and value is not None:
                    there = mould.places[referred].get(value)
                    row[name] = None
                    if there is not None:
                        slots.append((column, "row", (referred, there)))
                elif isinstance(value, str):
                    row[name] = _text(value, weeks)
                    if (parts := _parts(row[name], mould)) is not None:
                        slots.append((column, "text", parts))
            some.append((list(row.values()), slots))
    return made


def filled_in(
    rows: Sequence[tuple[list[Any], list[tuple[int, str, Any]]]], copy: Copy
) -> Iterator[list[Any]]:
    """The rows of one copy."""
    ids, number = copy.ids, copy.number
    suffix, patient = f"{number:012x}", copy.mould.patient if number == 0 else pseudonym_of(copy)
    for values, slots in rows:
        row = values.copy()
        for column, kind, arg in slots:
            if kind == "row":
                row[column] = ids[arg[0]][arg[1]]
            else:
                said = []
                for part in arg:
                    if isinstance(part, str):
                        said.append(part)
                        continue
                    what, value = part
                    if what == "uuid":
                        said.append(value[0] + suffix if number else value[1])
                    elif what == "patient":
                        said.append(patient)
                    elif what == "stay":
                        said.append(f"{value}-{number}" if number else value)
                    else:
                        said.append(f"{value[0]}{ids[value[1]][value[2]]}")
                row[column] = "".join(said)
        yield row


def pseudonym_of(copy: Copy) -> str:
    """A pseudonym that looks like any."""
    digest = hashlib.sha256(f"{copy.mould.patient} {copy.number}".encode()).digest()
    return "P" + b32encode(digest[:10]).decode()


# --- writing ----------------------------------------------------------------------------------------------

_WEEK = timedelta(weeks=1) // timedelta(microseconds=1)
_AT_ONCE = 20_000  # rows
_AS_THEY_ARE = ("setting", "payload", "endpoint_health", "endpoint_pause")


def filled(
    folder: Path, now: datetime, *, cases: int = CASES, moulds: int = MOULDS, current: int = CURRENT
) -> Path:
    """An embedded store in that folder with a year of the region up to `now`."""
    played, whole = folder / "played.db", folder / "store.db"
    play(f"sqlite:///{played}", now, moulds=moulds, current=current)
    store = Store(f"sqlite:///{whole}")
    migrate(store)
    store.close()
    source = sqlite3.connect(played)
    source.row_factory = sqlite3.Row
    target = sqlite3.connect(whole, isolation_level=None)
    target.execute("PRAGMA synchronous = OFF")
    target.execute("PRAGMA cache_size = -400000")
    indices = target.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    target.execute("BEGIN")
    for name, _ in indices:
        target.execute(f'DROP INDEX "{name}"')
    for table in _AS_THEY_ARE:
        target.execute(f'DELETE FROM "{table}"')
        _insert(target, table, [list(row) for row in source.execute(f'SELECT * FROM "{table}"')])
    chance = random.Random(11)
    known = moulds_in(source)
    copies = _planned(known, cases, now, chance)
    _number(copies)
    _write(target, copies, now, chance)
    _chain(target)
    for _, statement in indices:
        target.execute(statement)
    target.execute("COMMIT")
    source.close()
    target.close()
    caught_up(f"sqlite:///{whole}", now)
    return whole


def caught_up(url: str, now: datetime) -> None:
    """What the running adapter does by and by: deliveries are found by their words, charged days counted."""
    store = Store(url)
    migrate(store)
    while store.write(lambda tx: searching.index(tx, _AT_ONCE // 4)):
        pass
    store.close()
    made = stage(url, lambda: now)
    owing = Owing(cases=made.built.cases)
    while made.write(lambda tx: owing.reckon(tx, now)):
        pass
    made.close()


def _planned(known: Sequence[Mould], cases: int, now: datetime, chance: random.Random) -> list[Copy]:
    """Every patient as played, and copies of those that are over, the oldest first."""
    over = [mould for mould in known if mould.is_over(now)]
    some = [Copy(mould, 0, 0) for mould in known]
    for number in range(1, cases - len(known) + 1):
        some.append(Copy(over[number % len(over)], number, chance.randrange(WEEKS)))
    return sorted(some, key=lambda copy: (-copy.weeks, copy.number == 0, id(copy.mould)))


def _number(copies: Sequence[Copy]) -> None:
    """Give every row its number: in the order of time where the newest are told by it."""
    for table in _TABLES:
        if table not in _IN_ORDER:
            last = 0
            for copy in copies:
                size = len(copy.mould.rows[table])
                copy.ids[table] = list(range(last + 1, last + size + 1))
                last += size
            continue
        when = _IN_ORDER[table]
        order = sorted(
            ((row[when] or 0) - copy.weeks * _WEEK, at, place)
            for at, copy in enumerate(copies)
            for place, row in enumerate(copy.mould.rows[table])
        )
        for copy in copies:
            copy.ids[table] = [0] * len(copy.mould.rows[table])
        for number, (_, at, place) in enumerate(order, 1):
            copies[at].ids[table][place] = number


def _write(target: sqlite3.Connection, copies: Iterable[Copy], now: datetime, chance: random.Random) -> None:
    waiting: dict[str, list[list[Any]]] = {table: [] for table in _TABLES}
    last: tuple[object, ...] = ()
    made: Compiled = {}
    for copy in copies:
        which = (id(copy.mould), copy.weeks, copy.number == 0)
        if which != last:
            made, last = compiled(copy.mould, copy.weeks, now, chance, settled=copy.number > 0), which
        for table, rows in made.items():
            some = waiting[table]
            some.extend(filled_in(rows, copy))
            if len(some) >= _AT_ONCE:
                _insert(target, table, some)
                some.clear()
    for table, some in waiting.items():
        _insert(target, table, some)


def _insert(target: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        target.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)


def _chain(target: sqlite3.Connection) -> None:
    """The journal of hashes over all messages, as if each had been noted when it came."""
    previous, some = chain.BEFORE_THE_FIRST, []
    messages = target.execute("SELECT id, received_at, coalesce(sha256, payload) FROM message ORDER BY id")
    for number, (row, at, content) in enumerate(messages.fetchall(), 1):
        kind = chain.Kind.RECEIVED.value
        layout = chain.LAYOUT.pack(number, at, kind.encode(), row, content or bytes(32), previous)
        digest = hashlib.sha256(layout).digest()
        some.append((number, at, kind, row, content, previous, digest))
        previous = digest
    _insert(target, "journal", some)
