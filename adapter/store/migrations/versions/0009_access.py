"""Access tokens of machines, and the assertions that they have used."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "access_token",
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "used_assertion",
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
