"""What the boards list: stays by what they are to the reader's parties; counted, filtered, sorted, in pages.

Everything is selected and sorted by columns and walks an index of the party; only the rows of a page are read
any further. Who has a protected identity is left out, of counts too, for those who are shown none of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)

from adapter.discharge.case import Fact
from adapter.store import protections
from adapter.store.cases import fact_of, only_shown, still_wanted
from adapter.store.statements import Row, found
from adapter.store.tables import (
    case,
    case_party,
    deadline,
    delivery,
    fact,
    message,
    resource_version,
    shelf,
)

Side = Literal["hospital", "municipality", "primary-care"]
"""From where a board looks at a stay."""

FOLLOWS = "follow-up-"
"""How the kinds of deadline begin that ask for a follow-up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Whose board it is."""

    side: Side
    parties: tuple[str, ...] | None  # None: everybody's, where no party is registered
    concerned: tuple[str, ...] | None  # whom the reader's deadlines may be about; None: anybody
    everybody: bool  # who looks sees the whole region: each stay as the responsible municipality's
    actors: tuple[str, ...]  # whose deadlines matter to the reader
    awaited: tuple[str, ...] = ()  # kinds of deadline of others that matter too
    protected: bool  # whether people with a protected identity are shown
    now: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A group of stays: every condition must hold."""

    concerns: tuple[str, ...] = ("current",)
    left_since: datetime | None = None
    coming_from: date | None = None
    coming_to: date | None = None
    ready: bool = False
    unanswered: bool = False
    no_contact: bool = False  # no fixed care contact has been named
    unclarified: bool = False  # whether open care is available has not been said
    due: "Due | None" = None  # a deadline of the reader's
    stage: int | None = None
    other: str | None = None  # the hospital, or on the hospital's own board the municipality
    words: tuple[str, ...] = ()  # each in the patient's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A deadline that stands: of such a kind, and due so early."""

    kinds: tuple[str, ...] = ()  # none named: of any; one that ends in - is the beginning of a kind
    before: datetime | None = None
    after: datetime | None = None  # what has been missed for longer is no list's business any more


SORTS = ("planned", "stage", "left", "waiting", "name", "admitted")
"""By what a list can be sorted."""


def counts(tx: Connection, scope: Scope, groups: Mapping[str, Asked]) -> dict[str, int]:
    """How many stays each group has; those who are in now are counted in one walk."""
    here = {name: a for name, a in groups.items() if a.due is None and a.concerns == Asked().concerns}
    counted: dict[str, int] = {}
    if here:
        words = next(iter(here.values())).words  # whatever the reader has written narrows every group
        alike = [replace(asked, words=()) for asked in here.values()]
        columns = [
            func.count().filter(_narrowed(scope, asked)).label(name)
            for name, asked in zip(here, alike, strict=True)
        ]
        query = _from(select(*columns)).where(*_conditions(scope, Asked(words=words)))
        counted |= dict(tx.execute(query).mappings().one())
    for name, asked in groups.items():
        if name not in counted:
            counted[name] = count(tx, scope, asked)
    return {name: counted[name] for name in groups}


def count(tx: Connection, scope: Scope, asked: Asked) -> int:
    """How many stays a group has."""
    query = _from(select(func.count())).where(*_conditions(scope, asked))
    return int(tx.execute(query).scalar_one())


def page(
    tx: Connection, scope: Scope, asked: Asked, *, sort: str, descending: bool, limit: int, offset: int = 0
) -> list[Row]:
    """A page of a group: the columns of its cases, and those of the reader's part in them as `part_…`."""
    part = [c.label(f"part_{c.name}") for c in case_party.columns]
    query = _from(select(case, *part)).where(*_conditions(scope, asked))
    key = _key(scope, sort)
    order = (key.is_(None), key.desc() if descending else key.asc(), case_party.c.case_id)
    return found(tx, query.order_by(*order).limit(limit).offset(offset))


def others(tx: Connection, scope: Scope) -> list[str]:
    """The hospitals, or on a hospital's board the municipalities, of the stays that are on now."""
    column = _other(scope)
    query = _from(select(column).distinct()).where(
        *_theirs(scope), case_party.c.concern == literal_column("'current'"), column.is_not(None)
    )
    return sorted(tx.execute(query).scalars())


def _from(query: Any) -> Any:
    return query.select_from(case_party.join(case, case.c.id == case_party.c.case_id))


def _other(scope: Scope) -> Any:
    return case.c.municipality if scope.side == "hospital" else case.c.hospital


def _conditions(scope: Scope, asked: Asked) -> list[ColumnElement[bool]]:
    return [*_theirs(scope), _concerning(scope, asked), _narrowed(scope, asked)]


def _concerning(scope: Scope, asked: Asked) -> ColumnElement[bool]:
    """Where few cases are named, SQLite shall begin with them and not walk all that have ever left."""
    concern: Any = case_party.c.concern
    if asked.due is not None and asked.due.after is not None:
        concern = func.coalesce(concern, "")
    return cast("ColumnElement[bool]", concern.in_(asked.concerns))


def _theirs(scope: Scope) -> list[ColumnElement[bool]]:
    """The rows that a board may know of at all; a stay that two of its parties know stands there once."""
    terms: list[ColumnElement[bool]] = []
    if scope.parties is not None:
        terms.append(case_party.c.party.in_(scope.parties))
    elif scope.side == "primary-care":
        terms.append(case_party.c.party.not_in(("", func.coalesce(case.c.municipality, ""))))
    if scope.side == "hospital":
        terms.append(case.c.hospital == case_party.c.party)
    else:
        terms.append(func.coalesce(case.c.hospital, "") != case_party.c.party)
        if scope.everybody and scope.side == "municipality":
            terms.append(case.c.municipality == case_party.c.party)
        elif scope.parties is not None and len(scope.parties) > 1:
            terms.append(not_(_better(scope.parties)))
    if not scope.protected:
        terms.append(case.c.patient.not_in(protections.everybody()))
    return terms


def _better(parties: tuple[str, ...]) -> ColumnElement[bool]:
    """Whether another of these parties has the same stay, with more to do with it, or first by its id."""
    other = case_party.alias("other")
    return exists().where(
        other.c.case_id == case_party.c.case_id,
        other.c.party.in_(parties),
        other.c.party != func.coalesce(case.c.hospital, ""),
        or_(
            other.c.concern < case_party.c.concern,  # current, left, over, past
            and_(other.c.concern == case_party.c.concern, other.c.party < case_party.c.party),
        ),
    )


def _narrowed(scope: Scope, asked: Asked) -> ColumnElement[bool]:
    mine = case_party.c
    terms: list[ColumnElement[bool]] = []
    if asked.left_since is not None:
        terms.append(mine.discharged_at >= asked.left_since)
    if asked.coming_from is not None:
        terms.append(mine.coming >= asked.coming_from)
    if asked.coming_to is not None:
        terms.append(mine.coming <= asked.coming_to)
    if asked.ready or asked.unanswered:
        terms.append(mine.ready_at <= scope.now)
    if asked.unanswered:
        terms.append(or_(mine.answer.is_(None), mine.answer.in_(("not-known", "unclassified"))))
    if asked.no_contact:
        terms.append(mine.contact == 0)
    if asked.unclarified:
        terms.append(mine.open_care.is_(None))
    if asked.due is not None:
        terms.append(_due(scope, asked.due))
    if asked.stage is not None:
        terms.append(mine.stage == asked.stage)
    if asked.other is not None:
        terms.append(_other(scope) == asked.other)
    terms += [_named(scope, word) for word in asked.words]
    return and_(true(), *terms)


def _due(scope: Scope, due: Due) -> ColumnElement[bool]:
    """The reader's own; looked for first among all that stand in those days, for these are few."""
    early = _so_early(due)
    own = exists().where(*_of_the_reader(scope), *early)
    if due.after is None:
        return own
    if scope.concerned is None:
        of_anybody = select(deadline.c.case_id).where(still_wanted, _acting(scope), *early)
        return and_(case_party.c.case_id.in_(of_anybody), own)
    standing = [
        select(deadline.c.case_id).where(_stands(), about, _acting(scope), *early)
        for about in (deadline.c.party.in_(scope.concerned), deadline.c.party.is_(None))
    ]
    return and_(case_party.c.case_id.in_(union_all(*standing)), own)


def _acting(scope: Scope) -> ColumnElement[bool]:
    return or_(deadline.c.actor.in_(scope.actors), deadline.c.kind.in_(scope.awaited))


def _so_early(due: Due) -> list[ColumnElement[bool]]:
    terms: list[ColumnElement[bool]] = []
    whole = [kind for kind in due.kinds if not kind.endswith("-")]
    begun = [deadline.c.kind.startswith(kind) for kind in due.kinds if kind.endswith("-")]
    if due.kinds:
        terms.append(or_(deadline.c.kind.in_(whole), *begun))
    if due.before is not None:
        terms.append(deadline.c.due_at < due.before)
    if due.after is not None:
        terms.append(deadline.c.due_at >= due.after)
    return terms


def _of_the_reader(scope: Scope) -> list[ColumnElement[bool]]:
    """A deadline of the row's case that the reader's side has to keep, and nobody has dealt with."""
    terms = [
        deadline.c.case_id == case_party.c.case_id,
        _stands(),
        deadline.c.noted_at.is_(None),
        not_(only_shown),
        _acting(scope),
    ]
    if scope.side != "hospital":
        terms.append(or_(deadline.c.party.is_(None), deadline.c.party == case_party.c.party))
    return terms


def _stands() -> ColumnElement[bool]:
    return deadline.c.state.in_([literal_column("'open'"), literal_column("'missed'")])


def _named(scope: Scope, word: str) -> ColumnElement[bool]:
    lying = shelf.join(resource_version, resource_version.c.id == shelf.c.version)
    return (
        select(shelf.c.resource)
        .select_from(lying)
        .where(*_on_their_shelves(scope), resource_version.c.sorted_as.contains(word, autoescape=True))
        .exists()
    )


def _on_their_shelves(scope: Scope) -> list[ColumnElement[bool]]:
    terms = [shelf.c.patient == case.c.patient, shelf.c.type == literal_column("'Patient'")]
    if scope.parties is not None:
        terms.append(shelf.c.party.in_(scope.parties))
    return terms


def _key(scope: Scope, sort: str) -> Any:
    match sort:
        case "planned":
            return case_party.c.coming
        case "stage":
            return case_party.c.stage
        case "left":
            return select(func.min(deadline.c.due_at)).where(*_of_the_reader(scope)).scalar_subquery()
        case "waiting":
            return case_party.c.ready_at
        case "discharged":
            return case_party.c.discharged_at
        case "name":
            lying = shelf.join(resource_version, resource_version.c.id == shelf.c.version)
            return (
                select(resource_version.c.sort_key)
                .select_from(lying)
                .where(*_on_their_shelves(scope))
                .order_by(shelf.c.version.desc())
                .limit(1)
                .scalar_subquery()
            )
        case _:
            return case_party.c.admitted_at


# --- what the rows of a page say besides ------------------------------------------------------------------


def facts(tx: Connection, patients: Collection[str]) -> dict[str, list[tuple[int, Fact]]]:
    """What is known of each of these patients: (case id, fact), in the order in which it was learned."""
    query = (
        select(fact.c.patient, fact.c.case_id, fact.c.kind, fact.c.body)
        .where(fact.c.patient.in_(patients))
        .order_by(fact.c.patient, fact.c.id)
    )
    known: dict[str, list[tuple[int, Fact]]] = {patient: [] for patient in patients}
    for patient, case_id, kind, body in tx.execute(query):
        known[patient].append((case_id, fact_of(kind, body)))
    return known


def standing(tx: Connection, case_ids: Collection[int]) -> dict[int, list[Row]]:
    """The deadlines of each of these cases that stand and that nobody has dealt with, the earliest first."""
    query = (
        select(deadline)
        .where(deadline.c.case_id.in_(case_ids), _stands(), deadline.c.noted_at.is_(None), not_(only_shown))
        .order_by(deadline.c.due_at, deadline.c.id)
    )
    known: dict[int, list[Row]] = {}
    for row in found(tx, query):
        known.setdefault(row["case_id"], []).append(row)
    return known


_ON_ITS_WAY = ("waiting", "leased", "given-up", "refused")


def undelivered(
    tx: Connection, case_ids: Collection[int], kinds: Sequence[str]
) -> dict[tuple[str, str], tuple[str, int]]:
    """State and attempts of notices that have not got through, by message id and party; the latest."""
    query = (
        select(message.c.message_id, delivery.c.party, delivery.c.state, delivery.c.attempts)
        .join(message, message.c.id == delivery.c.message_row)
        .where(
            delivery.c.case_id.in_(case_ids), delivery.c.kind.in_(kinds), delivery.c.state.in_(_ON_ITS_WAY)
        )
        .order_by(delivery.c.id)
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in tx.execute(query)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """Who a patient is, and where, as the newest on the reader's shelves says."""

    name: str | None = None
    born: date | None = None
    place: str | None = None


def faces(tx: Connection, stays: Mapping[int, str], parties: Sequence[str] | None) -> dict[int, Face]:
    """Who and where the patients of these stays (case id, pseudonym) are, by what these parties were told."""
    version = resource_version.c
    query = (
        select(shelf.c.patient, shelf.c.type, version.case_id, version.label, version.born)
        .join(resource_version, version.id == shelf.c.version)
        .where(shelf.c.patient.in_(set(stays.values())), shelf.c.type.in_(("Patient", "Encounter")))
        .order_by(shelf.c.version)
    )
    if parties is not None:
        query = query.where(shelf.c.party.in_(parties))
    who: dict[str, tuple[str | None, date | None]] = {}
    where: dict[int | None, str] = {}
    for patient, kind, case_id, label, born in tx.execute(query):
        if kind == "Patient":
            who[patient] = (label, born)
        elif label is not None:
            where[case_id] = label
    return {
        case_id: Face(name=name, born=born, place=where.get(case_id))
        for case_id, patient in stays.items()
        for name, born in (who.get(patient, (None, None)),)
    }
