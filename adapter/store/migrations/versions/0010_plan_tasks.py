"""Deadlines of plans: which task of which plan one is about."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; what is there already is about nothing but its kind."""
    op.add_column("deadline", sa.Column("about", sa.Text(), nullable=True))
