"""The shelves: which resources can be read, in which versions, and by whom.

A version says where its content stands (an entry of a message); nothing is stored twice. A shelf row is the
newest version that one party, or one service of it, may see.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from adapter.store import statements
from adapter.store.statements import Row, add, added, found
from adapter.store.tables import (
    emergency,
    fhir_access,
    message,
    resource,
    resource_token,
    resource_version,
    shelf,
)

_named = select(resource).where(
    resource.c.fhir_id == bindparam("fhir_id"), resource.c.type == bindparam("type")
)
_version = select(resource_version).where(resource_version.c.id == bindparam("version"))
_of_message = (
    select(
        resource_version.c.place,
        resource_version.c.made,
        resource_version.c.id,
        resource.c.type,
        resource.c.fhir_id,
    )
    .join(resource, resource.c.id == resource_version.c.resource)
    .where(resource_version.c.message_row == bindparam("row"))
)
_on_shelf = select(shelf).where(
    shelf.c.party == bindparam("party"),
    shelf.c.role == bindparam("role"),
    shelf.c.resource == bindparam("resource"),
)
_RARE = 500
_UNSHELVED = text("shelved = 0 AND outcome IN ('accepted', 'released')")


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """One party, or one service of it."""

    party: str
    role: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Eyes:
    """Who looks: these parties, at these services of theirs; None sees everything (evaluation)."""

    parties: tuple[str, ...] | None
    roles: tuple[str, ...] = ()

    def sees(self, party: str, role: str) -> bool:
        """Whether what lies on that shelf is theirs to see."""
        if self.parties is None:
            return True
        return party in self.parties and (not self.roles or role in ("", *self.roles))


def unshelved(tx: Connection, limit: int, *, case_ids: Collection[int] | None = None) -> list[Row]:
    """Messages that have been taken and are not on the shelves yet, in the order in which they came."""
    query = select(message).where(_UNSHELVED)
    if case_ids is not None:
        query = query.where(message.c.case_id.in_(case_ids))
    return found(tx, query.order_by(message.c.id).limit(limit).with_for_update())


def any_unshelved(tx: Connection) -> bool:
    """Whether there are any."""
    return tx.execute(select(message.c.id).where(_UNSHELVED).limit(1)).first() is not None


def named(tx: Connection, kind: str, fhir_id: str) -> Row | None:
    """The resource of that type and id."""
    return statements.row(tx, _named, type=kind, fhir_id=fhir_id)


def version(tx: Connection, version_id: int) -> Row | None:
    """One version by its row."""
    return statements.row(tx, _version, version=version_id)


def numbered(tx: Connection, resource_id: int, number: int) -> Row | None:
    """One version by its number."""
    query = select(resource_version).where(
        resource_version.c.resource == resource_id, resource_version.c.number == number
    )
    return next(iter(found(tx, query)), None)


def versions(tx: Connection, resource_id: int) -> list[Row]:
    """Every version, newest first."""
    query = select(resource_version).where(resource_version.c.resource == resource_id)
    return found(tx, query.order_by(resource_version.c.number.desc()))


def of_message(tx: Connection, row: int) -> list[Row]:
    """What a message has put on the shelves: place, made, version id, type, fhir_id."""
    return statements.rows(tx, _of_message, row=row)


def add_resource(tx: Connection, kind: str, fhir_id: str, patient: str) -> int:
    """A resource that is new; its row."""
    return added(tx, resource, {"type": kind, "fhir_id": fhir_id, "patient": patient})


def add_version(
    tx: Connection, resource_id: int, values: dict[str, Any], searched: Iterable[tuple[str, str]]
) -> int:
    """The next version, found by (parameter, value) pairs from now on instead of the one before it."""
    last = statements.row(tx, _newest, resource=resource_id)
    number = last["number"] + 1 if last is not None else 1
    version_id = added(tx, resource_version, values | {"resource": resource_id, "number": number})
    statements.change(tx, resource, resource_id, {"version": version_id})
    for name, value in set(searched):
        add(tx, resource_token, {"version": version_id, "name": name, "value": value})
    return version_id


_newest = (
    select(resource_version.c.number, resource_version.c.id)
    .where(resource_version.c.resource == bindparam("resource"))
    .order_by(resource_version.c.number.desc())
    .limit(1)
)


_renewed = (
    update(shelf)
    .where(
        shelf.c.party == bindparam("its_party"),
        shelf.c.role == bindparam("its_role"),
        shelf.c.resource == bindparam("its_resource"),
    )
    .values(
        version=bindparam("new_version"),
        at=bindparam("at", type_=shelf.c.at.type),
        shared=bindparam("shared"),
    )
)
_holding = (
    select(shelf.c.party)
    .where(shelf.c.resource == bindparam("resource"), shelf.c.version == bindparam("version"))
    .limit(1)
)
_tokens_gone = delete(resource_token).where(resource_token.c.version == bindparam("of_version"))


def put(
    tx: Connection, who: Audience, kind: str, resource_id: int, patient: str, version_id: int,
    at: datetime, *, shared: bool,
) -> None:  # fmt: skip
    """Make that version the newest on somebody's shelf."""
    before = statements.row(tx, _on_shelf, party=who.party, role=who.role, resource=resource_id)
    if before is None:
        values = {
            "party": who.party, "role": who.role, "resource": resource_id, "type": kind, "patient": patient,
            "version": version_id, "at": at, "shared": int(shared),
        }  # fmt: skip
        add(tx, shelf, values)
        return
    new = {"new_version": version_id, "at": at, "shared": max(before["shared"], int(shared))}
    where = {"its_party": who.party, "its_role": who.role, "its_resource": resource_id}
    statements.run(tx, _renewed, new | where)
    if before["version"] != version_id:
        _forget_tokens(tx, resource_id, before["version"])


def _forget_tokens(tx: Connection, resource_id: int, version_id: int) -> None:
    """Nobody searches for a version that is on no shelf any more."""
    if statements.row(tx, _holding, resource=resource_id, version=version_id) is None:
        statements.run(tx, _tokens_gone, {"of_version": version_id})


def plans_of(tx: Connection, patient: str) -> list[str]:
    """The ids of a patient's plans that are shared, the one that changed last first."""
    query = (
        select(resource.c.fhir_id)
        .join(shelf, shelf.c.resource == resource.c.id)
        .where(resource.c.patient == patient, resource.c.type == "CarePlan", shelf.c.shared == 1)
        .group_by(resource.c.fhir_id)
        .order_by(func.max(shelf.c.version).desc())
    )
    return [row[0] for row in tx.execute(query)]


def holders(tx: Connection, resource_id: int) -> list[Row]:
    """Whose shelf a resource is on."""
    return found(tx, select(shelf).where(shelf.c.resource == resource_id))


def on_shelf(tx: Connection, who: Audience, resource_id: int) -> Row | None:
    """That resource on that shelf."""
    return statements.row(tx, _on_shelf, party=who.party, role=who.role, resource=resource_id)


def shelved(tx: Connection, row: int, names: str | None = None) -> None:
    """The message is on the shelves; `names` are those that are not a part's own, as JSON."""
    statements.change(tx, message, row, {"shelved": 1, "shelved_as": names})


# --- looking ----------------------------------------------------------------------------------------------


def _theirs(eyes: Eyes, *, named: bool = False) -> list[ColumnElement[bool]]:
    """What they may see; where patient or ids are `named`, SQLite shall begin there, not with a party."""
    if eyes.parties is None:
        return []
    party = func.coalesce(shelf.c.party, "") if named else shelf.c.party
    terms: list[ColumnElement[bool]] = [party.in_(eyes.parties)]
    if eyes.roles:
        terms.append(shelf.c.role.in_(("", *eyes.roles)))
    return terms


def _lying() -> Select[Any]:
    """What lies on shelves: each with its name, and the columns of its version as `version_…`."""
    version_columns = [c.label(f"version_{c.name}") for c in resource_version.columns]
    return (
        select(shelf, resource.c.fhir_id, *version_columns)
        .join(resource, resource.c.id == shelf.c.resource)
        .join(resource_version, resource_version.c.id == shelf.c.version)
    )


def version_in(row: Row) -> Row:
    """The version of a row that `seen` or `search` has found."""
    return {c.name: row[f"version_{c.name}"] for c in resource_version.columns}


def seen(tx: Connection, eyes: Eyes, kind: str, fhir_id: str) -> Row | None:
    """The newest version of a resource that they may see, as a row of shelf and version."""
    query = (
        _lying()
        .where(resource.c.type == kind, resource.c.fhir_id == fhir_id, *_theirs(eyes))
        .order_by(shelf.c.version.desc(), shelf.c.shared.desc())
        .limit(1)
    )
    return next(iter(found(tx, query)), None)


def of_case(tx: Connection, eyes: Eyes, patient: str, case_ids: Collection[int]) -> list[Row]:
    """What they may see of a case: the newest version of each resource that a message of the case brought."""
    wanted = (shelf.c.patient == patient, resource_version.c.case_id.in_(case_ids))
    query = _lying().where(*wanted, *_theirs(eyes, named=True)).order_by(shelf.c.version)
    return list({row["resource"]: row for row in found(tx, query)}.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a search asks for; every term must hold, of each one's values any."""

    kind: str
    ids: tuple[str, ...] | None = None
    patients: tuple[str, ...] | None = None
    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()  # parameter, values
    since: datetime | None = None  # at or after
    until: datetime | None = None  # before
    by_id: bool = False  # the order: by id, else by time
    ascending: bool = False
    after: tuple[Any, ...] | None = None  # the last (at, resource) or (fhir_id,) of the page before
    limit: int = 50


def search(tx: Connection, eyes: Eyes, wanted: Wanted) -> list[Row]:
    """A page of the shelf rows that match, each resource once, in the newest version that they may see."""
    one_by_one = eyes.parties is not None and len(eyes.parties) > 1
    if one_by_one and not wanted.by_id and wanted.patients is None and wanted.ids is None:
        return _of_each(tx, eyes, wanted)
    return _page(tx, eyes, wanted, _matching(tx, eyes, wanted))


def _of_each(tx: Connection, eyes: Eyes, wanted: Wanted) -> list[Row]:
    """The same, of each party by itself and put together: every one's shelf has an index in order of time."""
    matching = _matching(tx, eyes, wanted)
    rows = [
        row
        for party in eyes.parties or ()
        for row in _page(tx, eyes, wanted, [*matching, shelf.c.party == party])
    ]
    rows.sort(key=lambda row: (row["at"], row["resource"]), reverse=not wanted.ascending)
    return rows[: wanted.limit]


def _page(tx: Connection, eyes: Eyes, wanted: Wanted, matching: Sequence[ColumnElement[bool]]) -> list[Row]:
    query = _lying().where(*matching)
    if wanted.by_id:
        order = resource.c.fhir_id
        if wanted.after is not None:
            last = wanted.after[0]
            query = query.where(order > last if wanted.ascending else order < last)
        query = query.order_by(order if wanted.ascending else order.desc())
    else:
        query = query.where(*_after(wanted))
        columns = (shelf.c.at, shelf.c.resource)
        query = query.order_by(*(c if wanted.ascending else c.desc() for c in columns))
    return found(tx, query.limit(wanted.limit))


def count(tx: Connection, eyes: Eyes, wanted: Wanted) -> int:
    """How many match."""
    query = select(func.count()).select_from(shelf.join(resource, resource.c.id == shelf.c.resource))
    return int(tx.execute(query.where(*_matching(tx, eyes, wanted))).scalar_one())


def _after(wanted: Wanted) -> list[ColumnElement[bool]]:
    if wanted.after is None:
        return []
    at, last = wanted.after
    if wanted.ascending:
        return [or_(shelf.c.at > at, and_(shelf.c.at == at, shelf.c.resource > last))]
    return [or_(shelf.c.at < at, and_(shelf.c.at == at, shelf.c.resource < last))]


def _matching(tx: Connection, eyes: Eyes, wanted: Wanted) -> list[ColumnElement[bool]]:
    theirs = _theirs(eyes, named=wanted.ids is not None)
    terms = [shelf.c.type == wanted.kind, *theirs, _the_newest(eyes)]
    if wanted.ids is not None:
        terms.append(resource.c.fhir_id.in_(wanted.ids))
    if wanted.patients is not None:
        terms.append(shelf.c.patient.in_(wanted.patients))
    if wanted.since is not None:
        terms.append(shelf.c.at >= wanted.since)
    if wanted.until is not None:
        terms.append(shelf.c.at < wanted.until)
    for name, values in wanted.terms:
        said = (resource_token.c.name == name, resource_token.c.value.in_(values))
        if wanted.patients is None and wanted.ids is None and _is_rare(tx, said):
            terms.append(shelf.c.version.in_(select(resource_token.c.version).where(*said)))
        else:
            terms.append(exists().where(resource_token.c.version == shelf.c.version, *said))
    return terms


def _is_rare(tx: Connection, said: Sequence[ColumnElement[bool]]) -> bool:
    """Whether so few versions have it that they are looked up first; SQLite would not find that out."""
    some = select(resource_token.c.version).where(*said).limit(_RARE).subquery()
    return int(tx.execute(select(func.count()).select_from(some)).scalar_one()) < _RARE


def _the_newest(eyes: Eyes) -> ColumnElement[bool]:
    """Of several shelves of theirs the one with the newest version; of equal ones the first."""
    other = shelf.alias("other")
    better = or_(
        other.c.version > shelf.c.version,
        and_(
            other.c.version == shelf.c.version,
            or_(
                other.c.party < shelf.c.party,
                and_(other.c.party == shelf.c.party, other.c.role < shelf.c.role),
            ),
        ),
    )
    terms = [other.c.resource == shelf.c.resource, better]
    if eyes.parties is not None:
        terms.append(other.c.party.in_(eyes.parties))
        if eyes.roles:
            terms.append(other.c.role.in_(("", *eyes.roles)))
    return ~exists().where(*terms)


# --- who has looked ---------------------------------------------------------------------------------------


def accessed(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write down who has read what of whom."""
    tx.execute(insert(fhir_access), list(rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """Which look-ups are asked for; None is all."""

    patients: Collection[str] | None = None
    numbers: Collection[int] | None = None
    who: str | None = None  # a person by id or name, or a partner
    emergency: bool = False  # only those that rested on emergency access
    since: datetime | None = None
    until: datetime | None = None

    def of(self, partner: str | None) -> list[ColumnElement[bool]]:
        """The conditions: a partner's own, of everybody where nobody must sign in."""
        conditions: list[ColumnElement[bool]] = []
        if partner is not None:
            conditions.append(fhir_access.c.partner == partner)
        if self.patients is not None:
            conditions.append(fhir_access.c.patient.in_(self.patients))
        if self.numbers is not None:
            conditions.append(fhir_access.c.id.in_(self.numbers))
        if self.who is not None:
            named = (fhir_access.c.person, fhir_access.c.name, fhir_access.c.partner)
            conditions.append(or_(*(column == self.who for column in named)))
        if self.emergency:
            conditions.append(fhir_access.c.why.is_not(None))
        if self.since is not None:
            conditions.append(fhir_access.c.at >= self.since)
        if self.until is not None:
            conditions.append(fhir_access.c.at < self.until)
        return conditions


def accesses(
    tx: Connection, partner: str | None, looks: Looks, *, limit: int, after: int | None = None,
    ascending: bool = False,
) -> list[Row]:  # fmt: skip
    """Look-ups beyond the number `after`, newest first unless `ascending`."""
    query = select(fhir_access).where(*looks.of(partner))
    number = fhir_access.c.id
    if after is not None:
        query = query.where(number > after if ascending else number < after)
    return found(tx, query.order_by(number.asc() if ascending else number.desc()).limit(limit))


def count_accesses(tx: Connection, partner: str | None, looks: Looks) -> int:
    """How many look-ups there are."""
    query = select(func.count()).select_from(fhir_access).where(*looks.of(partner))
    return int(tx.execute(query).scalar_one())


def prune_accesses(tx: Connection, before: datetime, limit: int) -> int:
    """Forget some of the look-ups older than that, and of the emergencies that gave access; how many."""
    old = select(fhir_access.c.id).where(fhir_access.c.at < before).order_by(fhir_access.c.at).limit(limit)
    gone = tx.execute(delete(fhir_access).where(fhir_access.c.id.in_(old))).rowcount
    past = select(emergency.c.id).where(emergency.c.until < before).limit(limit)
    return gone + tx.execute(delete(emergency).where(emergency.c.id.in_(past))).rowcount
