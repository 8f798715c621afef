"""What the address register has answered, so that it is known after a restart and while it is down."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table; nothing has been asked yet."""
    op.create_table(
        "address_answer",
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("her_id", sa.Text(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("register", "her_id"),
    )
