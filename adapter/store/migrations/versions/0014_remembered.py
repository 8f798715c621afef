"""What transports remember under keys of their own, as under which id a message server has a message."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table; nothing has been posted yet."""
    op.create_table(
        "remembered",
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("place", "key"),
    )
    op.create_index("remembered_at", "remembered", ["at"])
