"""The delivery log, which is also the queue: claim, record, and what people ask of it.

`claim` is the one place where the two engines differ: PostgreSQL skips rows that another worker holds,
SQLite has one writer at a time and needs no such thing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
    update,
)

from adapter.messaging.delivery import Leased, Trigger
from adapter.phrases import Phrase, phrase
from adapter.store import statements
from adapter.store.statements import Row, added, found
from adapter.store.tables import attempt, delivery, delivery_unindexed, endpoint_pause, message, payload
from adapter.store.waking import is_due

UNFINISHED = or_(
    delivery.c.state.in_(("waiting", "leased")),
    and_(delivery.c.state == "sent", delivery.c.expects_receipt == 1),
)
"""Something can still become of it; a receipt or an alarm is done with when it has been sent."""

AWAITING = and_(
    delivery.c.expects_receipt == 1,
    delivery.c.sent_at.is_not(None),
    delivery.c.accepted_at.is_(None),
    delivery.c.state.in_(("waiting", "leased", "sent")),
)
"""It has been sent, and its receiver has not spoken yet; also while it is sent once more."""

_other = delivery.alias("other")
# Said as literals: SQLite uses a partial index only where the query itself shows that its condition holds.
_WAITING: ColumnElement[str] = literal_column("'waiting'")
_LEASED: ColumnElement[str] = literal_column("'leased'")


LOOKED_AT = 500
"""Due deliveries of one endpoint that one claim looks at: one whose lanes hold thousands slows no other."""

Place = tuple[datetime, int]
"""Where a delivery stands among those that wait for its endpoint: its time, its id."""

BEGINNING: Place = (datetime(1970, 1, 1, tzinfo=UTC), 0)
_NO_ID = 2**62  # beyond every id
_NOUGHT: ColumnElement[int] = literal_column("0")
_time = delivery.c.next_attempt_at
_from_time, _until_time = (bindparam(name, type_=_time.type) for name in ("from_time", "until_time"))
_from_id, _until_id = (bindparam(name, type_=delivery.c.id.type) for name in ("from_id", "until_id"))
_from = and_(_time >= _from_time, tuple_(_time, delivery.c.id) >= tuple_(_from_time, _from_id))
_until = and_(_time <= _until_time, tuple_(_time, delivery.c.id) < tuple_(_until_time, _until_id))
# Said twice each, because the first half is what an index of the times alone understands.


def _due(endpoint: Any, now: Any, *, one_by_one: bool = False) -> Any:
    """Waiting, between two places of which the second is due, and first in its lane.

    An earlier one that is due goes first. One that backs off holds the lane until `hold_until`; one without a
    next attempt (parked, or without an endpoint) holds nothing, and neither does one that has been sent and
    is only sent again. While any of the lane is on its way, the others wait.

    PostgreSQL would rather read and join all that waits, for whatever endpoint: `one_by_one` (an OFFSET,
    which it does not see through) has it look up the lanes of the few that it is asked about.
    """
    sent_again = and_(_other.c.sent_at.is_not(None), _other.c.trigger != "schedule")
    backing_off = and_(
        or_(delivery.c.hold_until.is_(None), delivery.c.hold_until > now, _other.c.attempts == 0),
        not_(sent_again),
    )
    before_it = and_(
        _other.c.state == _WAITING,
        _other.c.id < delivery.c.id,
        _other.c.next_attempt_at.is_not(None),
        or_(_other.c.next_attempt_at <= now, backing_off),
    )
    holding: Any = select(literal_column("1")).where(
        _other.c.lane == delivery.c.lane,
        _other.c.state.in_((_WAITING, _LEASED)),
        _other.c.id != delivery.c.id,
        or_(_other.c.state != _WAITING, before_it),
    )
    if one_by_one:
        holding = holding.offset(_NOUGHT)
    return and_(
        delivery.c.state == _WAITING,
        delivery.c.endpoint == endpoint,
        _from,
        _until,
        ~exists(holding),
    )


def _those_due(*, one_by_one: bool) -> Any:
    now = bindparam("now", type_=_time.type)
    return (
        select(delivery.c.id)
        .where(_due(bindparam("endpoint"), now, one_by_one=one_by_one))
        .order_by(_time, delivery.c.id)
        .limit(bindparam("most"))
    )


candidates = _those_due(one_by_one=False)
_place = (
    select(delivery.c.next_attempt_at, delivery.c.id)
    .where(
        delivery.c.state == _WAITING,
        delivery.c.endpoint == bindparam("endpoint"),
        _from,
        _time <= bindparam("now", type_=_time.type),
    )
    .order_by(_time, delivery.c.id)
    .limit(1)
    .offset(LOOKED_AT)
)
_overtakes = or_(
    delivery.c.hold_until.is_not(None),
    delivery.c.sent_at.is_not(None),
    _other.c.hold_until.is_not(None),
    _other.c.sent_at.is_not(None),
)
_beside = exists().where(
    _other.c.lane == delivery.c.lane,
    _other.c.state.in_((_WAITING, _LEASED)),
    _other.c.id != delivery.c.id,
    _overtakes,
)
"""Another of its lane may go before or after it: two workers that look at once might take one each."""
skipping = (
    _those_due(one_by_one=True)
    .add_columns(delivery.c.lane, _beside.label("beside"))
    .with_for_update(skip_locked=True, of=delivery)
)
_try_lane = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("lane"), 0)).label("ours"))
_after = delivery.alias("after")
_next_endpoint = select(func.min(_after.c.endpoint)).where(_after.c.state == _WAITING)
_named = _next_endpoint.cte("named", recursive=True)
_name = _named.c[0]
_named = _named.union_all(
    select(_next_endpoint.where(_after.c.endpoint > _name).scalar_subquery()).where(_name.is_not(None))
)
_earliest = select(func.min(delivery.c.next_attempt_at)).where(
    delivery.c.state == _WAITING, delivery.c.endpoint == _named.c[0]
)
_with_something_due = select(_named.c[0].label("endpoint")).where(
    _earliest.scalar_subquery() <= bindparam("now", type_=_time.type)
)
"""From one endpoint that anything waits for to the next, whatever waits there: a step an endpoint."""
_content = select(
    delivery.c.id, delivery.c.lane, delivery.c.endpoint, delivery.c.party, delivery.c.dialect,
    delivery.c.message_id, delivery.c.content_type, delivery.c.attempts, delivery.c.created_at,
    delivery.c.trigger, delivery.c.kind, delivery.c.fence, delivery.c.payload, delivery.c.sending,
    delivery.c.case_id, payload.c.content,
).join(payload, payload.c.hash == delivery.c.payload).where(
    delivery.c.id.in_(bindparam("ids", expanding=True))
).order_by(delivery.c.id)  # fmt: skip


_one = select(delivery).where(delivery.c.id == bindparam("row"))
_one_alone = _one.with_for_update()
_still_leased = and_(delivery.c.state == "leased", delivery.c.fence == bindparam("held"))
"""The lease with that number is still the last one given, whatever any clock says."""
_sent_as = (
    select(delivery)
    .where(delivery.c.message_id == bindparam("sent_id"), delivery.c.kind != "receipt")
    .order_by(delivery.c.id.desc())
)
_sent_to = _sent_as.where(delivery.c.party == bindparam("to"))
_receipted = select(delivery.c.id).where(
    delivery.c.message_id == bindparam("sent_id"),
    delivery.c.party == bindparam("to"),
    delivery.c.kind == "receipt",
)
_parked_behind = (
    delivery.c.refers_to == bindparam("earlier_id"),
    delivery.c.party == bindparam("to"),
    delivery.c.state == "waiting",
    delivery.c.next_attempt_at.is_(None),
    delivery.c.endpoint.is_not(None),
)
_parked = select(delivery.c.id).where(*_parked_behind).limit(1)
_unpark = (
    update(delivery)
    .where(*_parked_behind)
    .values(next_attempt_at=bindparam("now", type_=delivery.c.next_attempt_at.type), error=None)
)
_handed_over = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), _still_leased)
    .values(
        state=case((delivery.c.accepted_at.is_(None), "sent"), else_="acknowledged"),
        attempts=bindparam("tried", type_=delivery.c.attempts.type),
        trigger="schedule",
        sent_at=func.coalesce(delivery.c.sent_at, bindparam("now", type_=delivery.c.sent_at.type)),
        next_attempt_at=None,
        lease_until=None,
        receipt_due_at=None,
        look_at=None,
        resume_state=None,
        resume_at=None,
        error=None,
    )
)
_paused = select(endpoint_pause.c.endpoint)
_on_its_way = exists().where(_other.c.lane == delivery.c.lane, _other.c.state == _LEASED)
_lease = (
    update(delivery)
    .where(delivery.c.id.in_(bindparam("ids", expanding=True)), delivery.c.state == _WAITING, ~_on_its_way)
    .values(
        state="leased",
        fence=delivery.c.fence + 1,
        lease_until=bindparam("until", type_=delivery.c.lease_until.type),
    )
    .returning(delivery.c.id)
)


def paused(tx: Connection) -> frozenset[str]:
    """The endpoints that somebody has paused."""
    return frozenset(one["endpoint"] for one in statements.rows(tx, _paused))


def with_something_due(tx: Connection, now: datetime) -> frozenset[str]:
    """The endpoints for which anything is due, even if its lane holds it."""
    return frozenset(one["endpoint"] for one in statements.rows(tx, _with_something_due, now=now))


def claim(
    tx: Connection,
    endpoint: str,
    *,
    most: int,
    now: datetime,
    lease_until: datetime,
    passed: dict[str, Place] | None = None,
) -> list[Leased]:
    """Take up to `most` due deliveries of one endpoint until `lease_until`, one a lane.

    It looks at so many only. Where their lanes hold all of these, `passed` gets the place at which the next
    claim goes on; where it found something, or has come to the end, that one begins at the beginning.
    """
    passed = {} if passed is None else passed
    begin = passed.pop(endpoint, BEGINNING)
    end = place(tx, endpoint, begin, now)
    query = skipping if tx.dialect.name == "postgresql" else candidates
    ids = ids_of(tx, query, endpoint, most, now, begin, end)
    if not ids and end is not None:
        passed[endpoint] = end
    return lease(tx, ids, lease_until)


def place(tx: Connection, endpoint: str, begin: Place, now: datetime) -> Place | None:
    """Where those end that one claim looks at; None where it looks at all."""
    found = statements.row(tx, _place, endpoint=endpoint, from_time=begin[0], from_id=begin[1], now=now)
    return None if found is None else (found["next_attempt_at"], found["id"])


def ids_of(
    tx: Connection, query: Any, endpoint: str, most: int, now: datetime, begin: Place, until: Place | None
) -> list[int]:
    """What a query like `candidates` finds between two places; up to now where the second is None."""
    until = until or (now, _NO_ID)
    bounds = {
        "from_time": begin[0], "from_id": begin[1], "until_time": until[0], "until_id": until[1],
    }  # fmt: skip
    found = statements.rows(tx, query, endpoint=endpoint, now=now, most=most, **bounds)
    return [one["id"] for one in found if _alone_in_lane(tx, one)]


def lease(tx: Connection, ids: Sequence[int], lease_until: datetime) -> list[Leased]:
    """Take these until `lease_until`; whoever calls has made sure that nobody else does."""
    if not ids:
        return []
    taken = tx.execute(_lease, {"ids": ids, "until": lease_until}).scalars().all()
    rows = tx.execute(_content, {"ids": taken}).mappings() if taken else ()
    return [
        Leased(**(dict(row) | {"trigger": Trigger(row["trigger"])}), lease_until=lease_until) for row in rows
    ]


def _alone_in_lane(tx: Connection, one: Row) -> bool:
    """Hold off other workers from the lane of one that another may overtake.

    What they have taken meanwhile is seen by the lease, which looks anew. Other lanes need no lock, for which
    the engine has room for some thousand.
    """
    return not one.get("beside") or bool(statements.value(tx, _try_lane, lane=one["lane"]))


def add(tx: Connection, values: dict[str, Any]) -> int:
    """A new delivery."""
    if values.get("next_attempt_at") is not None:
        is_due(tx)
    return added(tx, delivery, values)


def change(tx: Connection, delivery_id: int, **values: Any) -> None:
    """Set columns of a delivery."""
    statements.change(tx, delivery, delivery_id, values)
    _said_anew(tx, delivery_id, values)


def _said_anew(tx: Connection, delivery_id: int, values: Mapping[str, Any]) -> None:
    """What it is found by has changed, if it has: an error's words, or where it goes."""
    if values.get("error") is not None or "endpoint" in values:
        statements.add_unless_there(tx, delivery_unindexed, {"id": delivery_id})


def change_leased(tx: Connection, leased: Leased, **values: Any) -> bool:
    """Set columns, unless the lease has passed to somebody else meanwhile."""
    held = {"row_id": leased.id, "held": leased.fence, "lease_until": None}
    changed = statements.run(tx, _changing_leased(("lease_until", *values)), values | held) == 1
    _said_anew(tx, leased.id, values)
    return changed


def hand_over(tx: Connection, leased: Leased, attempts: int, now: datetime) -> bool:
    """Sent, and the answer is the receipt, which is taken next; False where the lease has passed on."""
    values = {"row_id": leased.id, "held": leased.fence, "tried": attempts, "now": now}
    return statements.run(tx, _handed_over, values) == 1


@cache
def _changing_leased(names: tuple[str, ...]) -> Update:
    return statements.setting(delivery, names).where(_still_leased)


def add_attempt(tx: Connection, values: dict[str, Any]) -> None:
    """Record one try."""
    statements.add(tx, attempt, values)


def get(tx: Connection, delivery_id: int) -> Row | None:
    """One delivery."""
    return statements.row(tx, _one, row=delivery_id)


def alone(tx: Connection, row: Row) -> Row:
    """The delivery as it stands now; no other process changes it before the commit.

    Whoever decides by what a row says must know that it still says so: a worker may lease it meanwhile.
    SQLite has one writer at a time, and the row is as it was read.
    """
    if tx.dialect.name != "postgresql":
        return row
    now = statements.row(tx, _one_alone, row=row["id"])
    assert now is not None
    return now


def sent_as(tx: Connection, message_id: str, party: str | None) -> Row | None:
    """The latest delivery whose content has that message id, to `party` where that is known."""
    if party is None:
        return statements.row(tx, _sent_as, sent_id=message_id)
    return statements.row(tx, _sent_to, sent_id=message_id, to=party)


def last_told(
    tx: Connection,
    party: str,
    sender: str,
    cases: Collection[int],
    *,
    kinds: Collection[str],
    dialects: Collection[str],
    before: int | None = None,
) -> bytes | None:
    """What `party` was last told by `sender` in those cases, of these kinds and in these dialects.

    Also what still waits to leave, as it goes first; not what was cancelled, nor what the party has refused.
    `before` is a delivery: what was made out after it does not count, nor does it itself.
    """
    query = (
        select(delivery.c.payload)
        .join(message, message.c.id == delivery.c.message_row)
        .where(
            delivery.c.case_id.in_(cases),
            delivery.c.party == party,
            message.c.sender == sender,
            delivery.c.kind.in_(kinds),
            delivery.c.dialect.in_(dialects),
            delivery.c.state.not_in(("cancelled", "refused")),
            *([delivery.c.id < before] if before is not None else []),
        )
    )
    found: bytes | None = tx.execute(query.order_by(delivery.c.id.desc()).limit(1)).scalar()
    return found


def receipted(tx: Connection, receipt_id: str, party: str) -> bool:
    """Whether that receipt has been made out to `party` before."""
    return statements.row(tx, _receipted, sent_id=receipt_id, to=party) is not None


TOGETHER = 5000
"""Ids in one query: an engine takes only so many parameters."""


def attempts(tx: Connection, ids: Sequence[int]) -> list[Row]:
    """The attempts of some deliveries, those of each in order."""
    rows: list[Row] = []
    for start in range(0, len(ids), TOGETHER):
        some = attempt.c.delivery_id.in_(ids[start : start + TOGETHER])
        rows += found(tx, select(attempt).where(some).order_by(attempt.c.id))
    return rows


def listed(
    tx: Connection,
    *,
    state: str | None = None,
    awaiting: bool = False,
    party: str | None = None,
    case_ids: Sequence[int] | None = None,
    message_row: int | None = None,
    limit: int | None = 500,
    before: int | None = None,
) -> list[Row]:
    """Deliveries, the newest first; `before` is the id at which the page above ended.

    With `awaiting` only those whose receipt is still to come.
    """
    query = select(delivery).order_by(delivery.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(delivery.c.state == state)
    if awaiting:
        query = query.where(AWAITING)
    if party is not None:
        query = query.where(delivery.c.party == party)
    if case_ids is not None:
        query = query.where(delivery.c.case_id.in_(case_ids))
    if message_row is not None:
        query = query.where(delivery.c.message_row == message_row)
    if before is not None:
        query = query.where(delivery.c.id < before)
    return found(tx, query)


def park_behind(tx: Connection, message_id: str, party: str, behind: int) -> list[int]:
    """Take what refers to an undeliverable message off the schedule; returns the parked ids."""
    query = select(delivery.c.id).where(
        delivery.c.refers_to == message_id, delivery.c.party == party, delivery.c.state == "waiting"
    )
    ids = list(tx.execute(query).scalars())
    if ids:
        tx.execute(
            update(delivery)
            .where(delivery.c.id.in_(ids))
            .values(next_attempt_at=None, error=parked_behind(behind))
        )
        for one in ids:
            statements.add_unless_there(tx, delivery_unindexed, {"id": one})
    return ids


def parked_behind(delivery_id: int) -> Phrase:
    """Why something waits that refers to what could not be delivered."""
    return phrase("parked behind delivery {delivery}, to which it refers", delivery=str(delivery_id))


def unpark(tx: Connection, message_id: str, party: str, now: datetime) -> None:
    """What was parked behind a message may go, now that it has been delivered.

    Looked up first: hardly ever is anything, and a change that meets no row costs as much as one that does.
    """
    parked = {"earlier_id": message_id, "to": party}
    if statements.row(tx, _parked, **parked) is not None:
        statements.run(tx, _unpark, parked | {"now": now})


def undeliverable(tx: Connection, message_id: str, party: str) -> int | None:
    """The delivery of that message to that party which was refused or given up, and not reissued since."""
    reissued = exists().where(_other.c.original == delivery.c.id, _other.c.sent_at.is_not(None))
    query = select(delivery.c.id).where(
        delivery.c.message_id == message_id,
        delivery.c.party == party,
        delivery.c.state.in_(("refused", "given-up")),
        ~reissued,
    )
    return tx.execute(query).scalars().first()


def move_lane(tx: Connection, old: str, new: str) -> None:
    """After a merge of cases, what still waits follows the surviving lane."""
    tx.execute(
        update(delivery)
        .where(delivery.c.lane == old, delivery.c.state.in_(("waiting", "leased")))
        .values(lane=new)
    )


def move_case(tx: Connection, old: int, new: int) -> None:
    """After a merge of cases, the log follows, and each lane with what still waits in it."""
    waiting = select(delivery.c.lane).where(
        delivery.c.case_id == old, delivery.c.state.in_(("waiting", "leased"))
    )
    for lane in set(tx.execute(waiting).scalars()):
        move_lane(tx, lane, lane.replace(f"{old}:", f"{new}:", 1))
    moved = update(delivery).where(delivery.c.case_id == old).values(case_id=new).returning(delivery.c.id)
    for one in tx.execute(moved).scalars().all():
        statements.add_unless_there(tx, delivery_unindexed, {"id": one})


def reissued_as(tx: Connection, first: Row) -> str | None:
    """The message id of the delivery that went out in place of one that never arrived, or never left."""
    if first["state"] == "cancelled":
        follower = get(tx, first["superseded_by"]) if first["superseded_by"] is not None else None
        if follower is None or follower["kind"] != first["kind"]:
            return None
        return reissued_as(tx, follower) or str(follower["message_id"])
    if first["state"] not in ("refused", "given-up"):
        return None
    query = select(delivery.c.message_id).where(
        delivery.c.original == first["id"], delivery.c.party == first["party"]
    )
    return tx.execute(query.order_by(delivery.c.id.desc())).scalars().first()


def reissue_of(tx: Connection, row: Row) -> int | None:
    """The delivery that was written anew for that one, of the same message."""
    same = (delivery.c.message_row == row["message_row"], delivery.c.original == row["id"])
    return tx.execute(select(delivery.c.id).where(*same).limit(1)).scalar()


def free_leases(tx: Connection, now: datetime) -> int:
    """Leases that ended without a record: their holder has died. They are due at once."""
    freed = tx.execute(
        update(delivery)
        .where(delivery.c.state == _LEASED, delivery.c.lease_until < now)
        .values(state="waiting", lease_until=None, next_attempt_at=now)
    )
    return freed.rowcount


def astray(tx: Connection, endpoints: Collection[str]) -> list[Row]:
    """What waits without an endpoint, or for one that is not among `endpoints`."""
    query = select(
        delivery.c.id, delivery.c.party, delivery.c.kind, delivery.c.endpoint, delivery.c.dialect
    ).where(
        delivery.c.state == "waiting",
        delivery.c.kind.not_in(("alarm", "subscription")),
        or_(delivery.c.endpoint.is_(None), delivery.c.endpoint.not_in(endpoints)),
    )
    return found(tx, query)


def receipts_missing(tx: Connection, now: datetime, limit: int = 200) -> list[Row]:
    """Sent, and no receipt until the clock had to look for it."""
    query = (
        select(delivery)
        .where(delivery.c.look_at.is_not(None), delivery.c.look_at <= now)
        .order_by(delivery.c.look_at)
        .limit(limit)
    )
    return found(tx, query)


def queue_depth(tx: Connection) -> list[tuple[str | None, str, int, datetime | None]]:
    """(endpoint, state, count, oldest creation) of everything that is not finished."""
    found = []
    for unfinished in ("state IN ('waiting', 'leased')", "state = 'sent' AND expects_receipt = 1"):
        query = (
            select(delivery.c.endpoint, delivery.c.state, func.count(), func.min(delivery.c.created_at))
            .where(text(unfinished))  # as the partial indices have it
            .group_by(delivery.c.state, delivery.c.endpoint)
        )
        found += [(row[0], row[1], row[2], row[3]) for row in tx.execute(query)]
    return found


LATELY = 20_000
"""Attempts, the newest, among which the latest at each endpoint is looked for."""


def last_attempts(tx: Connection) -> dict[str, Row]:
    """The latest attempt at each endpoint, as far as the newest attempts tell."""
    newest = select(func.max(attempt.c.id)).scalar_subquery()
    some = select(attempt.c.id, attempt.c.delivery_id).where(attempt.c.id > newest - LATELY).subquery()
    latest = (
        select(delivery.c.endpoint, func.max(some.c.id).label("id"))
        .join(delivery, delivery.c.id == some.c.delivery_id)
        .group_by(delivery.c.endpoint)
        .subquery()
    )
    query = select(latest.c.endpoint, attempt).join(latest, latest.c.id == attempt.c.id)
    return {row["endpoint"]: row for row in found(tx, query) if row["endpoint"]}


def pauses(tx: Connection) -> dict[str, Row]:
    """Endpoints that somebody has paused."""
    return {row["endpoint"]: row for row in found(tx, select(endpoint_pause))}


def pause(tx: Connection, endpoint: str, now: datetime, by: str | None) -> None:
    """Let an endpoint's messages wait."""
    resume(tx, endpoint)
    tx.execute(insert(endpoint_pause).values(endpoint=endpoint, since=now, by=by))


def resume(tx: Connection, endpoint: str) -> bool:
    """Let them go again; False where it was not paused."""
    return tx.execute(delete(endpoint_pause).where(endpoint_pause.c.endpoint == endpoint)).rowcount > 0
