"""Messages that say the same to two receivers under two ids; when to look again for a receipt."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; what is awaited already is looked at when it is due."""
    op.add_column("message", sa.Column("likeness", sa.LargeBinary(32), nullable=True))
    op.add_column("message", sa.Column("same_as", ID, nullable=True))
    for name in ("likeness", "same_as"):
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"message_{name}", "message", [name], sqlite_where=there, postgresql_where=there)
    op.add_column("delivery", sa.Column("look_at", Instant(), nullable=True))
    op.execute("UPDATE delivery SET look_at = receipt_due_at WHERE receipt_due_at IS NOT NULL")
    there = sa.text("look_at IS NOT NULL")
    op.create_index("delivery_look", "delivery", ["look_at"], sqlite_where=there, postgresql_where=there)
