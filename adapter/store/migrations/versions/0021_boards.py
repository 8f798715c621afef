"""What a stay is to each of its parties, and the names of patients, for lists; what of it is overdue."""

from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0021"
down_revision = "0020"

_AT_ONCE = 2_000


def upgrade() -> None:
    """Columns, filled in from the case rows as far as these tell; a case's next news says it exactly."""
    told = (
        sa.Column("concern", sa.Text, nullable=False, server_default="current"),
        sa.Column("state", sa.Text, nullable=False, server_default="admitted"),
        sa.Column("stage", sa.Integer, nullable=False, server_default="1"),
        sa.Column("admitted_at", Instant),
        sa.Column("ready_at", Instant),
        sa.Column("discharged_at", Instant),
        sa.Column("coming", sa.Date),
        sa.Column("answer", sa.Text),
        sa.Column("contact", sa.Integer, nullable=False, server_default="0"),
        sa.Column("open_care", sa.Integer),
    )
    for column in told:
        op.add_column("case_party", column)
    for column in (sa.Column("label", sa.Text), sa.Column("sorted_as", sa.Text), sa.Column("born", sa.Date)):
        op.add_column("resource_version", column)
    _fill(op.get_bind())
    op.create_index("case_party_concern", "case_party", ["party", "concern", "discharged_at"])
    standing = sa.text("state IN ('open', 'missed')")
    op.create_index(
        "deadline_standing",
        "deadline",
        ["party", "due_at"],
        sqlite_where=standing,
        postgresql_where=standing,
    )


def _fill(bind: sa.Connection) -> None:
    bind.execute(sa.text(_FROM_THE_CASE))
    last = 0
    facts = sa.text(
        "SELECT id, case_id, body FROM fact WHERE kind = 'answer' AND id > :last ORDER BY id LIMIT :most"
    )
    while True:
        told = bind.execute(facts, {"last": last, "most": _AT_ONCE}).all()
        if not told:
            return
        last = told[-1].id
        answered = [_answer(row) for row in told]
        bind.execute(sa.text(_ANSWERED), answered)


def _answer(row: Any) -> dict[str, Any]:
    return {"case": row.case_id, "answer": orjson.loads(row.body).get("answer")}


_FROM_THE_CASE = """
UPDATE case_party SET
    state = (SELECT c.state FROM discharge_case c WHERE c.id = case_party.case_id),
    admitted_at = (SELECT c.admitted_at FROM discharge_case c WHERE c.id = case_party.case_id),
    ready_at = (SELECT c.ready_at FROM discharge_case c WHERE c.id = case_party.case_id),
    discharged_at = (SELECT c.discharged_at FROM discharge_case c WHERE c.id = case_party.case_id),
    coming = (SELECT c.planned_discharge FROM discharge_case c WHERE c.id = case_party.case_id),
    concern = (
        SELECT CASE
            WHEN c.state IN ('deceased', 'cancelled') THEN 'over'
            WHEN c.state = 'discharged' THEN 'left'
            ELSE 'current' END
        FROM discharge_case c WHERE c.id = case_party.case_id),
    contact = (
        SELECT CASE WHEN EXISTS (
            SELECT 1 FROM fact f WHERE f.patient = c.patient AND f.case_id = c.id
            AND f.kind = 'fixed-contact-named') THEN 1 ELSE 0 END
        FROM discharge_case c WHERE c.id = case_party.case_id),
    stage = (
        SELECT CASE
            WHEN c.state = 'discharged' THEN 6
            WHEN c.ready_at IS NOT NULL THEN 3
            WHEN EXISTS (SELECT 1 FROM fact f WHERE f.patient = c.patient AND f.case_id = c.id
                         AND f.kind = 'care-needs') THEN 2
            ELSE 1 END
        FROM discharge_case c WHERE c.id = case_party.case_id)
WHERE EXISTS (SELECT 1 FROM discharge_case c WHERE c.id = case_party.case_id)
"""
_ANSWERED = """
UPDATE case_party SET answer = :answer, stage = CASE WHEN stage < 4 THEN 4 ELSE stage END
WHERE case_id = :case AND ready_at IS NOT NULL
"""
