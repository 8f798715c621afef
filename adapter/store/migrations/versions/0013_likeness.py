"""Messages that say the same to two receivers under two ids, and which of the two was first."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; of what is there already nobody asks."""
    op.add_column("message", sa.Column("likeness", sa.LargeBinary(32), nullable=True))
    op.add_column("message", sa.Column("same_as", ID, nullable=True))
    for name in ("likeness", "same_as"):
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"message_{name}", "message", [name], sqlite_where=there, postgresql_where=there)
