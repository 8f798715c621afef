"""The payment ledger: closed months, and what was booked in them."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "ledger_month",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=False),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("month"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("debtor", sa.Text(), nullable=False),
        sa.Column("payee", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reverses", ID, nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ledger_entry_month", "ledger_entry", ["month"])
    op.create_index("ledger_entry_case", "ledger_entry", ["case_id"])
