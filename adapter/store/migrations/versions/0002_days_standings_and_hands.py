"""What people asked for: days without a time of day, standings in lists, and who has dealt with an alarm."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; a case that was stored before tells its days after its next news."""
    op.add_column("discharge_case", sa.Column("day_only", sa.Text(), nullable=True))
