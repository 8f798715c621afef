"""Sizes of more than 2 GiB: what a message over the limit says of itself may be anything.

SQLite's integers have been wide enough all along.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Widen `message.size` where the engine tells widths apart."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("message", "size", existing_type=sa.Integer(), type_=sa.BigInteger())
