"""What scripts and people are shown of the store: plain documents, the same for `--json` and for the pages.

Fields may be added, never renamed. A patient is a pseudonym; no document holds a name, an identity number or
a message body. Instants are ISO 8601 in UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from adapter.discharge.answering import with_answers
from adapter.discharge.case import Entry, Fact, fold
from adapter.discharge.changes import changes
from adapter.discharge.notices import Meeting, Notice, NoticeKind, Plan
from adapter.messaging.resting import Condition, Health
from adapter.phrases import unpacked
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import messages as message_rows
from adapter.store.statements import Row

Document = dict[str, Any]


def when(moment: datetime | date | None) -> str | None:
    """ISO 8601, an instant in UTC."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return moment.isoformat() if moment is not None else None


def case_line(row: Row) -> Document:
    """A case in one line: who, where, since when."""
    return {
        "id": row["id"],
        "patient": row["patient"],
        "hospital": row["hospital"],
        "municipality": row["municipality"],
        "state": row["state"],
        "admitted_at": when(row["admitted_at"]),
        "ready_at": when(row["ready_at"]),
        "discharged_at": when(row["discharged_at"]),
        "day_only": row["day_only"].split(",") if row["day_only"] else [],
        "planned_discharge": when(row["planned_discharge"]),
        "readmission_of": row["readmission_of"],
        "readmission": row["readmission"],
        "updated_at": when(row["updated_at"]),
    }


def case(tx: Connection, row: Row, roles: Mapping[str, str] | None = None) -> Document:
    """A case with its placements, notices, deadlines and deliveries.

    `roles` is what kind of party each is: a municipality's free text about a ready notice is shown as its
    answer, which somebody has to classify.
    """
    known = case_rows.facts(tx, row["patient"])
    told = with_answers((fact for _, _, fact in known), roles)
    facts = [fact for (_, case_id, _), fact in zip(known, told, strict=True) if case_id == row["id"]]
    return case_line(row) | {
        "placements": _placements(facts),
        "readmissions": [
            {"case": one["id"], "readmission": one["readmission"], "admitted_at": when(one["admitted_at"])}
            for one in case_rows.readmissions_of(tx, row["id"])
        ],
        "reserved": any(isinstance(fact, Notice) and fact.reserved for fact in facts),
        "notices": _notices(tx, row, facts),
        "deadlines": [deadline(d) for d in case_rows.deadlines(tx, row["id"])],
        "deliveries": deliveries(tx, delivery_rows.listed(tx, case_ids=[row["id"]])),
    }


def _placements(facts: Sequence[Fact]) -> list[Document]:
    """What the case stands placed on, each name once; corrections and cancellations applied."""
    told = [f for f in facts if isinstance(f, Notice) and f.kind is NoticeKind.PLACED]
    standing = [e for case in fold(told, UTC) for e in case.of(NoticeKind.PLACED)] if told else []
    named: dict[str | None, Document] = {}
    for e in standing:
        named.setdefault(e.notice.placement, {"name": e.notice.placement, "at": when(e.at)})
    return list(named.values())


def _notices(tx: Connection, row: Row, facts: Sequence[Fact]) -> list[Document]:
    """The case's notices with the evidence about each, in the order in which they were learned."""
    evidence: dict[tuple[str, str], list[Document]] = {}
    for fact in facts:
        if not isinstance(fact, Notice):
            known = evidence.setdefault((fact.sender, fact.message_id), [])
            known.append(
                {
                    "step": fact.step.value,
                    "party": fact.party,
                    "at": when(fact.at),
                    "source": unpacked(fact.source),
                }
            )
    rows = {m["message_id"]: m["id"] for m in message_rows.of_case(tx, row["id"])}
    stands = {
        (e.notice.sender, e.notice.message_id): e
        for known_case in fold(facts, UTC)
        for e in known_case.entries
    }
    return [
        {
            "kind": fact.kind.value,
            "occurred": when(fact.occurred),
            "sent_at": when(fact.sent_at),
            "way": fact.way,
            "recorded_by": fact.recorded_by,
            "sender": fact.sender,
            "receivers": list(fact.receivers),
            "standing": fact.standing.value,
            "refers_to": fact.refers_to,
            "cancelled": stands[fact.sender, fact.message_id].void,
            "replaced_by": stands[fact.sender, fact.message_id].replaced_by,
            "message_id": fact.message_id,
            "message": rows.get(fact.message_id),
            "ready": when(fact.ready),
            "estimate": fact.estimate,
            "answer": fact.answer.value if fact.answer else None,
            "receive_from": when(fact.receive_from),
            "reserved": fact.reserved,
            "fulfils": fact.fulfils,
            "placement": fact.placement,
            "refused": fact.refused,
            "declined_by": fact.declined_by.value if fact.declined_by else None,
            "contact": fact.contact,
            "meeting": when(fact.meeting.starts) if fact.meeting else None,
            "plan": _plan(fact.plan) if fact.plan else None,
            "changes": _changes(stands, fact),
            "evidence": evidence.get((fact.sender, fact.message_id), []),
        }
        for fact in facts
        if isinstance(fact, Notice)
    ]


def _changes(stands: Mapping[tuple[str, str], Entry], notice: Notice) -> list[Document]:
    """What a correction has changed: each field of a notice with its old and new value."""
    found = changes(tuple(stands.values()), stands[notice.sender, notice.message_id])
    return [{"what": one.name, "old": _value(one.old), "new": _value(one.new)} for one in found]


def _value(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return when(value)
    if isinstance(value, Meeting):
        return when(value.starts)
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _plan(plan: Plan) -> Document:
    """Which plan a notice is a version of; its tasks are shown as deadlines."""
    kind = plan.kind.value if plan.kind else None
    return {"id": plan.id, "kind": kind, "status": plan.status, "tasks": len(plan.tasks)}


def deadline(row: Row) -> Document:
    """One deadline."""
    return {
        "id": row["id"],
        "case": row["case_id"],
        "kind": row["kind"],
        "actor": row["actor"],
        "party": row["party"],
        "since": when(row["since"]),
        "due_at": when(row["due_at"]),
        "state": row["state"],
        "basis": row["basis"],
        "reason": row["reason"] or None,
        "about": row["about"],
        "settled_at": when(row["settled_at"]),
        "reminded_at": when(row["reminded_at"]),
        "noted_at": when(row["noted_at"]),
    }


def deliveries(tx: Connection, rows: Sequence[Row]) -> list[Document]:
    """Deliveries with their attempts."""
    tries: dict[int, list[Document]] = {}
    for t in delivery_rows.attempts(tx, [row["id"] for row in rows]) if rows else ():
        tries.setdefault(t["delivery_id"], []).append(
            {
                "at": when(t["at"]),
                "trigger": t["trigger"],
                "status": t["status"],
                "outcome": t["outcome"],
                "ms": t["ms"],
                "error": t["error"],
                "sending": t["sending"],
                "sha256": t["content_hash"].hex() if t["content_hash"] is not None else None,
            }
        )
    notices = {row["message_row"] for row in rows if row["kind"] not in _NO_NOTICE and row["message_row"]}
    standings = message_rows.standings(tx, notices) if notices else {}
    return [
        _delivery(row, tries.get(row["id"], []))
        | {"standing": standings.get(row["message_row"]) if row["kind"] not in _NO_NOTICE else None}
        for row in rows
    ]


_NO_NOTICE = frozenset(("receipt", "alarm", "subscription"))


def _delivery(row: Row, tries: Iterable[Document]) -> Document:
    return {
        "id": row["id"],
        "case": row["case_id"],
        "kind": row["kind"],
        "party": row["party"],
        "endpoint": row["endpoint"],
        "dialect": row["dialect"],
        "message_id": row["message_id"],
        "message": row["message_row"],
        "state": row["state"],
        "sending": row["sending"],
        "created_at": when(row["created_at"]),
        "next_attempt_at": when(row["next_attempt_at"]),
        "sent_at": when(row["sent_at"]),
        "delivered_at": when(row["delivered_at"]),
        "accepted_at": when(row["accepted_at"]),
        "expects_receipt": bool(row["expects_receipt"]),
        "receipt_due_at": when(row["receipt_due_at"]),
        "error": row["error"],
        "reissue_of": row["original"],
        "superseded_by": row["superseded_by"],
        "attempts": list(tries),
    }


def held(row: Row) -> Document:
    """A message in quarantine, or refused."""
    return {
        "id": row["id"],
        "outcome": row["outcome"],
        "code": row["code"],
        "reason": row["reason"],
        "received_at": when(row["received_at"]),
        "channel": row["channel"],
        "partner": row["partner"],
        "sender": row["sender"],
        "dialect": row["dialect"],
        "type": row["type"],
        "standing": row["standing"],
        "message_id": row["message_id"],
        "size": row["size"],
        "sha256": (row["sha256"] or row["payload"] or b"").hex() or None,
        "sha256_of": "head" if row["code"] == "too-long" and row["sha256"] is None else "whole",
        "releasable": row["outcome"] == "quarantined",
    }


def not_relevant(row: Row) -> Document:
    """How many messages of a sender nobody could keep, of one type."""
    return {
        "sender": row["sender"],
        "type": row["type"],
        "count": row["count"],
        "again": int(row["again"]),
        "last": when(row["last"]),
    }


def alarm(row: Row) -> Document:
    """An alarm."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "subject": row["subject"],
        "text": row["text"],
        "since": when(row["since"]),
        "until": when(row["until"]),
        "seen_by": row["seen_by"],
        "seen_at": when(row["seen_at"]),
        "closed_by": row["closed_by"],
        "why": row["why"],
        "case": row["case_id"],
    }


def duty(row: Row, now: datetime) -> Document:
    """A duty and the process that has it."""
    return {
        "name": row["name"],
        "holder": row["holder"],
        "fence": row["fence"],
        "until": when(row["until"]),
        "held": now < row["until"],
    }


def endpoint(
    name: str,
    address: str,
    dialect: str,
    *,
    depth: Mapping[str, int],
    oldest: datetime | None,
    last: Row | None,
    paused: Row | None,
    ailing: Health | None,
    now: datetime,
) -> Document:
    """An endpoint and its health: what waits, what came of the last attempt, if it rests or is paused."""
    failing = last is not None and last["outcome"] != "sent"
    said = "failing" if failing else "ok" if last else "unused"
    if ailing is not None and (condition := ailing.condition(now)) is not Condition.FAILING:
        said = condition.value
    return {
        "name": name,
        "address": address,
        "dialect": dialect,
        "health": "paused" if paused else said,
        "paused_since": when(paused["since"]) if paused else None,
        "failures": ailing.failures if ailing else 0,
        "resting_since": when(ailing.resting_since) if ailing else None,
        "next_probe": when(ailing.probe_at) if ailing else None,
        "waiting": depth.get("waiting", 0),
        "leased": depth.get("leased", 0),
        "unreceipted": depth.get("sent", 0),
        "oldest": when(oldest),
        "last_attempt": when(last["at"]) if last else None,
        "last_outcome": last["outcome"] if last else None,
        "last_error": last["error"] if last else None,
    }


def message_of(tx: Connection, row_id: int) -> Document | None:
    """A message as the log shows it, without its body."""
    row = message_rows.get(tx, row_id)
    if row is None:
        return None
    return held(row) | {
        "case": row["case_id"],
        "duplicates": row["duplicates"],
        "same_as": row["same_as"],
        "sent_at": when(row["sent_at"]),
    }
