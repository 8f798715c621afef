"""People sign in, and which parties take part in a case is known without folding it."""

from collections.abc import Iterator

import orjson
import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0019"
down_revision = "0018"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_AT_ONCE = 5_000


def upgrade() -> None:
    """Create the tables, and fill in who takes part from the facts that there are."""
    op.create_table(
        "case_party",
        sa.Column("party", sa.Text, primary_key=True),
        sa.Column("case_id", _ID, primary_key=True),
    )
    op.create_table(
        "session",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
    )
    op.create_index("session_person", "session", ["person"])
    op.create_index("session_expires", "session", ["expires_at"])
    op.create_table(
        "emergency",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("patient", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("until", Instant, nullable=False),
        sa.Column("reviewed_by", sa.Text),
        sa.Column("reviewed_at", Instant),
        sa.Column("verdict", sa.Text),
    )
    op.create_index("emergency_person", "emergency", ["person", "patient", "until"])
    for name in ("person", "role", "why"):
        op.add_column("fhir_access", sa.Column(name, sa.Text))
    _who_takes_part(op.get_bind())
    op.create_index("case_party_case", "case_party", ["case_id"])


def _who_takes_part(bind: sa.Connection) -> None:
    rows = sa.table("case_party", sa.column("party", sa.Text), sa.column("case_id", _ID))
    last, known = 0, set[tuple[str, int]]()
    facts = sa.text("SELECT id, case_id, body FROM fact WHERE id > :last ORDER BY id LIMIT :most")
    while True:
        told = bind.execute(facts, {"last": last, "most": _AT_ONCE}).all()
        if not told:
            return
        last = told[-1].id
        new = {(party, row.case_id) for row in told for party in _parties(row.body)} - known
        known |= new
        if new:
            bind.execute(sa.insert(rows), [{"party": p, "case_id": c} for p, c in sorted(new)])


def _parties(body: str) -> Iterator[str]:
    """Of a notice; a piece of evidence has `s` for its sender, and adds nobody."""
    told = orjson.loads(body)
    if "sender" in told:
        yield from {told["sender"], *told.get("receivers", ())}
