"""Deliveries by words: message id, party, kind, dialect, endpoint, case, and what went wrong.

Never by what a message says. The words of a delivery are written down by a job a moment after it was made
(`index`), so that nobody who stores a message waits for it; the newest, whose words are not there yet, are
looked at one by one. Words are small letters and digits only, whoever wrote them: whatever somebody types is
no language that an engine reads.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    cast,
    column,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from adapter.store.deliveries import AWAITING, TOGETHER
from adapter.store.statements import Row, found
from adapter.store.tables import attempt, delivery, delivery_unindexed, delivery_words, message
from adapter.tongues import in_every_language

LONGEST_WORD = 64
"""Characters of a word; more of it is neither kept nor looked for."""

MOST_WORDS = 300
"""Words of one delivery."""

FRESH = 1000
"""Of the deliveries whose words are not written down yet, how many of the newest are looked at."""

FEW = 3000
"""Deliveries that are rather looked at one by one, where a filter leaves no more."""

AT_ONCE = 250
"""Deliveries whose words one unit of work writes down."""

LATER = 2000
"""Over PostgreSQL a lower number may be committed after a higher one: so many are looked at again."""

FAILED = ("refused", "given-up", "cancelled")
"""States that one index knows, in its own words: SQLite uses it only where a query says just that too."""

SELDOM = (*FAILED, "waiting", "leased")
"""States with an index of their own."""

_OPEN = ("waiting", "leased")
_WORD = re.compile(r"[^\W_]+")
_NEARLY = 1000  # numbers by which the order of making may differ from that of the numbers
_BETWEEN = " / "  # texts of one delivery: no phrase reaches over it
_COLUMNS = (
    delivery.c.id, delivery.c.case_id, delivery.c.message_id, delivery.c.party, delivery.c.kind,
    delivery.c.dialect, delivery.c.endpoint, delivery.c.refers_to, delivery.c.error, delivery.c.message_row,
)  # fmt: skip
_NEWEST = 5_000  # numbers in which a frequent word is looked for first
_OTHER_WAYS = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan")
_FOUND = table("delivery_found", column("rowid", BigInteger), column("delivery_found"))


def words_of(said: str) -> list[str]:
    """The words of a text as they are kept: letters and digits, small, nothing else."""
    plain = unicodedata.normalize("NFKC", said).casefold()
    return [word[:LONGEST_WORD] for word in _WORD.findall(plain)]


def mark(what: str, value: object) -> str:
    """One word for a whole value, by which a filter finds it; the value itself is compared besides."""
    return f"z{what}{''.join(words_of(str(value)))}"


@dataclass(frozen=True, slots=True)
class Term:
    """A word that must be there; with `begins` one that begins like it."""

    word: str
    begins: bool = False

    def within(self, padded: str) -> bool:
        """Whether it is among words between spaces."""
        return (f" {self.word}" if self.begins else f" {self.word} ") in padded


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is asked for; everything that is named must hold."""

    terms: tuple[tuple[Term, ...], ...] = ()  # of each, one
    phrases: tuple[str, ...] = ()  # words that stand together
    states: tuple[str, ...] = ()
    party: str | None = None
    kind: str | None = None
    dialect: str | None = None
    endpoint: str | None = None
    awaiting: bool = False
    case_ids: tuple[int, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None  # before that instant

    @property
    def in_words(self) -> bool:
        """Whether it asks for words that somebody has typed."""
        return bool(self.terms or self.phrases)

    @property
    def all_terms(self) -> list[tuple[Term, ...]]:
        """Also those by which the filters find."""
        filters = {
            "party": self.party, "kind": self.kind, "dialect": self.dialect, "endpoint": self.endpoint,
        }  # fmt: skip
        marks = [(Term(mark(name, value)),) for name, value in filters.items() if value is not None]
        of_phrases = [(Term(word),) for phrase in self.phrases for word in phrase.split()]
        return [*self.terms, *of_phrases, *marks]

    def holds(self, padded: str) -> bool:
        """Whether words between spaces are like that."""
        return all(any(term.within(padded) for term in one) for one in self.terms) and all(
            f" {phrase} " in padded for phrase in self.phrases
        )


def ids(tx: Connection, wanted: Wanted, *, limit: int, before: int | None = None) -> list[int]:
    """The numbers of the deliveries that are like that, the newest first, below `before`."""
    conditions = _conditions(tx, wanted, before)
    if conditions is None:
        return []
    newest = delivery.c.id.desc()
    open_ones = _open(tx, wanted)
    if open_ones is not None:
        of_them = delivery.c.id.in_(open_ones)
        return _like(tx, wanted, found(tx, select(*_COLUMNS).where(of_them, *conditions.all)))[:limit]
    if not wanted.all_terms:
        return list(
            tx.execute(select(delivery.c.id).where(*conditions.all).order_by(newest).limit(limit)).scalars()
        )
    if wanted.case_ids is not None or (wanted.states and {*wanted.states} <= {*SELDOM}):
        few = found(tx, select(*_COLUMNS).where(*conditions.all).order_by(newest).limit(FEW + 1))
        if len(few) <= FEW or wanted.case_ids is not None:
            return _like(tx, wanted, few)[:limit]
    known = _found(tx, wanted, conditions, limit)
    fresh = _like(tx, wanted, found(tx, _fresh(tx).where(*conditions.all)))
    return sorted({*known, *fresh}, reverse=True)[:limit]


def _open(tx: Connection, wanted: Wanted) -> list[int] | None:
    """Where only what is open is asked for: all of that, by its indexes; None where there is too much of it.

    An engine would rather walk the whole log backwards, which takes long where little or nothing is open.
    """
    awaiting = ("sent",) if wanted.awaiting else ()
    states = wanted.states or (*_OPEN, *awaiting)
    if not {*states} <= {*_OPEN, *awaiting} or not (wanted.states or awaiting):
        return None
    numbers: list[int] = []
    for state in states:
        terms = [delivery.c.state == _state(state)]
        if state == "sent":  # whose receipt is awaited
            terms.append(delivery.c.expects_receipt == literal_column("1"))
        numbers += tx.execute(select(delivery.c.id).where(*terms).limit(FEW + 1)).scalars()
        if len(numbers) > FEW:
            return None
    return numbers


def rows(tx: Connection, numbers: Sequence[int]) -> list[Row]:
    """The deliveries of these numbers, in that order."""
    known = {row["id"]: row for row in found(tx, select(delivery).where(delivery.c.id.in_(numbers)))}
    return [known[number] for number in numbers if number in known]


def words(tx: Connection, some: Sequence[Row]) -> dict[int, str]:
    """The words of deliveries, by their numbers."""
    said: dict[int, list[str]] = {}
    names: dict[int, str | None] = {}
    numbers = [row["id"] for row in some]
    for start in range(0, len(numbers), TOGETHER):
        of_them = attempt.c.delivery_id.in_(numbers[start : start + TOGETHER])
        query = select(attempt.c.delivery_id, attempt.c.error).where(of_them, attempt.c.error.is_not(None))
        for number, error in tx.execute(query.distinct()):
            said.setdefault(number, []).append(error)
    told = sorted({row["message_row"] for row in some if row["message_row"] is not None})
    for start in range(0, len(told), TOGETHER):
        query = select(message.c.id, message.c.message_id)
        of_them = message.c.id.in_(told[start : start + TOGETHER])
        names |= {row[0]: row[1] for row in tx.execute(query.where(of_them))}
    return {row["id"]: _words(row, names.get(row["message_row"]), said.get(row["id"], ())) for row in some}


def _words(row: Row, told_as: str | None, errors: Iterable[str]) -> str:
    """Every text once, and each value as one word besides; `told_as` is the id of the message that came.

    What went wrong is found by the words of every language. Of too many, the last are kept: names and ids.
    """
    faults = [in_every_language(error) for error in (*errors, row["error"]) if error]
    texts = [
        *(said for fault in faults for said in fault[1:]),
        *(fault[0] for fault in faults),
        row["message_id"],
        told_as,
        row["refers_to"],
        row["party"],
        row["kind"],
        row["dialect"],
        row["endpoint"],
    ]
    kept = dict.fromkeys(" ".join(words_of(said)) for said in texts if said)
    filters = {name: row[name] for name in ("party", "kind", "dialect", "endpoint")}
    filters |= {"case": row["case_id"], "number": row["id"]}
    marks = " ".join(mark(name, value) for name, value in filters.items() if value is not None)
    return " ".join(_BETWEEN.join([*filter(None, kept), marks]).split()[-MOST_WORDS:])


# --- writing down -----------------------------------------------------------------------------------------


def index(tx: Connection, most: int = AT_ONCE) -> int:
    """Write down the words of some that have none yet, or new ones; 0 where there is nothing to do."""
    changed = select(delivery_unindexed.c.id).order_by(delivery_unindexed.c.id).limit(most)
    again = list(tx.execute(changed).scalars())
    numbers = set(tx.execute(_missing(tx).limit(most)).scalars()) if len(again) < most else set()
    if again:
        tx.execute(delete(delivery_unindexed).where(delivery_unindexed.c.id.in_(again)))
        last = _last(tx)
        numbers |= {number for number in again if number <= last}  # those beyond it come in their turn
    some = found(tx, select(*_COLUMNS).where(delivery.c.id.in_(numbers)).order_by(delivery.c.id))
    if some:
        _keep(tx, words(tx, some))
    return len(numbers) + len(again)


def behind(tx: Connection) -> bool:
    """Whether there is anything to write down."""
    return any(tx.execute(query.limit(1)).first() is not None for query in _left(tx))


def unread(tx: Connection) -> int:
    """How many older deliveries are not found by their words yet, as after an upgrade."""
    beyond = _missing(tx).order_by(None).subquery()
    return max(0, tx.execute(select(func.count()).select_from(beyond)).scalar_one() - FRESH)


def forget(tx: Connection, numbers: Sequence[int]) -> None:
    """Let go of the words of these, whatever they were; what they are found by now is written down anew."""
    for start in range(0, len(numbers), 500):
        some = numbers[start : start + 500]
        tx.execute(delete(delivery_words).where(delivery_words.c.id.in_(some)))
        _unless_there(tx, [{"id": number} for number in some])
    if numbers and tx.dialect.name == "sqlite":  # what is deleted stays in the index until it is put in order
        tx.execute(text("INSERT INTO delivery_found (delivery_found) VALUES ('optimize')"))


def _unless_there(tx: Connection, rows: list[dict[str, int]]) -> None:
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    tx.execute(insert(delivery_unindexed).on_conflict_do_nothing(), rows)


def _keep(tx: Connection, known: dict[int, str]) -> None:
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    made = insert(delivery_words)
    anew = made.on_conflict_do_update(index_elements=["id"], set_={"words": made.excluded.words})
    tx.execute(anew, [{"id": number, "words": said} for number, said in sorted(known.items())])


def _left(tx: Connection) -> tuple[Select[Any], ...]:
    return select(delivery_unindexed.c.id), _missing(tx)


def _last(tx: Connection) -> int:
    """Up to which number words have been written down."""
    return tx.execute(select(func.max(delivery_words.c.id))).scalar() or 0


def _missing(tx: Connection) -> Select[Any]:
    """The numbers of those without any words, the oldest first."""
    last = _last(tx)
    if tx.dialect.name != "postgresql":
        return select(delivery.c.id).where(delivery.c.id > last).order_by(delivery.c.id)
    none = ~exists().where(delivery_words.c.id == delivery.c.id)
    return select(delivery.c.id).where(delivery.c.id > last - LATER, none).order_by(delivery.c.id)


# --- finding ----------------------------------------------------------------------------------------------


def _conditions(tx: Connection, wanted: Wanted, before: int | None) -> "_Conditions | None":
    """What must hold of a row itself; None where nothing can."""
    conditions: list[ColumnElement[bool]] = []
    for name in ("party", "kind", "dialect", "endpoint"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(delivery.c[name] == value)
    if wanted.states:
        # said as they are: only so is an index of some states understood
        conditions.append(delivery.c.state.in_([_state(state) for state in wanted.states]))
        if {*wanted.states} <= {*FAILED}:
            conditions.append(delivery.c.state.in_([_state(state) for state in FAILED]))
    if wanted.awaiting:
        conditions.append(AWAITING)
    if wanted.case_ids is not None:
        conditions.append(delivery.c.case_id.in_(wanted.case_ids))
    first, after = 0, before
    if wanted.since is not None:
        made = _made_from(tx, wanted.since)
        if made is None:
            return None
        first = made - _NEARLY
        conditions.append(delivery.c.created_at >= wanted.since)
    if wanted.until is not None:
        made = _made_from(tx, wanted.until)
        if made is not None:
            after = made + _NEARLY if after is None else min(after, made + _NEARLY)
        conditions.append(delivery.c.created_at < wanted.until)
    return _Conditions(of_row=tuple(conditions), first=first, after=after)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Conditions:
    """What must hold of a row of the log, and between which numbers it stands."""

    of_row: tuple[ColumnElement[bool], ...]
    first: int
    after: int | None

    def between(self, number: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Of a column that holds its number."""
        low = [number >= self.first] if self.first > 0 else []
        return low + ([number < self.after] if self.after is not None else [])

    @property
    def all(self) -> list[ColumnElement[bool]]:
        """Of a row of the log."""
        return [*self.of_row, *self.between(delivery.c.id)]


def _state(state: str) -> ColumnElement[str]:
    known: ColumnElement[str] = literal_column(f"'{state}'")
    return known if re.fullmatch("[a-z-]+", state) else literal(state)


def _made_from(tx: Connection, moment: datetime) -> int | None:
    """The first number made at that instant or later: numbers grow with time; None where none is."""
    low, high = tx.execute(select(func.min(delivery.c.id), func.max(delivery.c.id))).one()
    first = None
    while low is not None and low <= high:
        middle = (low + high) // 2
        query = select(delivery.c.id, delivery.c.created_at).where(delivery.c.id >= middle)
        at = tx.execute(query.order_by(delivery.c.id).limit(1)).first()
        if at is None:
            high = middle - 1
        elif at.created_at >= moment:
            first, high = at.id, middle - 1
        else:
            low = at.id + 1
    return first


def _found(tx: Connection, wanted: Wanted, conditions: _Conditions, limit: int) -> list[int]:
    """What the engine finds by the words that are written down, the newest first."""
    if tx.dialect.name == "postgresql":
        return _found_by_gin(tx, wanted, conditions, limit)
    asked = _asked(wanted, " AND ", " OR ", lambda term: f'"{term.word}"{"*" if term.begins else ""}')
    number = _FOUND.c.rowid
    query = select(number).where(_FOUND.c.delivery_found.bool_op("MATCH")(asked), *conditions.between(number))
    if conditions.of_row:
        query = query.join(delivery, delivery.c.id == number).where(*conditions.of_row)
    if wanted.phrases:
        query = query.join(delivery_words, delivery_words.c.id == number).where(*_phrases(wanted))
    return list(tx.execute(query.order_by(number.desc()).limit(limit)).scalars())


def _found_by_gin(tx: Connection, wanted: Wanted, conditions: _Conditions, limit: int) -> list[int]:
    """Over PostgreSQL, whose index tells nothing of the order: what is frequent is found among the newest.

    Its planner takes every word for a frequent one; so what is not is found with no other way left to it.
    """
    number: ColumnElement[int] = delivery_words.c.id
    kept = func.array_to_tsvector(func.string_to_array(delivery_words.c.words, literal_column("' '")))
    asked = _asked(wanted, " & ", " | ", lambda term: f"'{term.word}'{':*' if term.begins else ''}")
    query = select(number).where(*conditions.between(number), *_phrases(wanted))
    if conditions.of_row:
        query = query.join(delivery, delivery.c.id == number).where(*conditions.of_row)
    query = query.order_by(number.desc()).limit(limit)
    highest = conditions.after if conditions.after is not None else _last(tx) + 1
    newest = [number >= highest - _NEWEST, *map(_has, wanted.all_terms)]
    some = list(tx.execute(query.where(*newest)).scalars())
    if len(some) == limit:
        return some
    every = query.where(kept.bool_op("@@")(cast(asked, TSQUERY)))
    for way in _OTHER_WAYS:
        tx.execute(text(f"SET LOCAL {way} = off"))
    try:
        return list(tx.execute(every).scalars())
    finally:
        for way in _OTHER_WAYS:
            tx.execute(text(f"SET LOCAL {way} = on"))


def _has(one: Sequence[Term]) -> ColumnElement[bool]:
    """Whether one of these words is there, as text."""
    padded = _padded()
    return or_(*(padded.like(f"% {term.word}%" if term.begins else f"% {term.word} %") for term in one))


def _phrases(wanted: Wanted) -> list[ColumnElement[bool]]:
    return [_padded().like(f"% {phrase} %") for phrase in wanted.phrases]


def _padded() -> ColumnElement[str]:
    return literal(" ").concat(delivery_words.c.words).concat(literal(" "))


def _asked(wanted: Wanted, both: str, either: str, say: Callable[[Term], str]) -> str:
    """All terms in the engine's own words; a word is of letters and digits only, and stands in quotes."""
    return both.join(f"({either.join(map(say, one))})" for one in wanted.all_terms)


def _fresh(tx: Connection) -> Select[Any]:
    """The newest of those whose words are not written down, or have changed since."""
    numbers = set(
        tx.execute(_missing(tx).order_by(None).order_by(delivery.c.id.desc()).limit(FRESH)).scalars()
    )
    changed = select(delivery_unindexed.c.id).order_by(delivery_unindexed.c.id.desc()).limit(FRESH)
    numbers |= set(tx.execute(changed).scalars())
    return select(*_COLUMNS).where(delivery.c.id.in_(sorted(numbers)))


def _known(tx: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The words of those that are written down and have not changed since."""
    kept: dict[int, str] = {}
    anew = exists().where(delivery_unindexed.c.id == delivery_words.c.id)
    for start in range(0, len(numbers), TOGETHER):
        some = delivery_words.c.id.in_(numbers[start : start + TOGETHER])
        kept |= {row[0]: row[1] for row in tx.execute(select(delivery_words).where(some, ~anew))}
    return kept


def _like(tx: Connection, wanted: Wanted, some: Sequence[Row]) -> list[int]:
    """Of these the ones that are like that, the newest first."""
    if wanted.in_words:
        kept = _known(tx, [row["id"] for row in some])
        kept |= words(tx, [row for row in some if row["id"] not in kept])
        some = [row for row in some if wanted.holds(f" {kept[row['id']]} ")]
    return sorted((row["id"] for row in some), reverse=True)
