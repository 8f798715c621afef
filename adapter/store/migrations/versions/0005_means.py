"""Lines of the ledger that belong to no single case: what the mean of a month comes to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Let a line be without a case; SQLite copies the table for that."""
    with op.batch_alter_table("ledger_entry") as entries:
        entries.alter_column("case_id", existing_type=ID, nullable=True)
        entries.add_column(sa.Column("agreement", sa.Text(), nullable=True))
        entries.add_column(sa.Column("days_over", sa.Text(), nullable=True))
