"""A delivery has sendings, with bytes of their own where the standard wants it; a newer receipt may count."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the columns; what was sent before was sent once, or again in the same bytes."""
    for table in ("delivery", "attempt"):
        op.add_column(table, sa.Column("sending", sa.Integer, nullable=False, server_default="1"))
    op.add_column("delivery", sa.Column("receipt_at", Instant))
