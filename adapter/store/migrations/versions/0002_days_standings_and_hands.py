"""What people asked for: days without a time of day, standings in lists, and who has dealt with an alarm."""

import orjson
import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; a case that was stored before tells its days after its next news."""
    op.add_column("discharge_case", sa.Column("day_only", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("standing", sa.Text(), nullable=True))
    op.add_column("alarm", sa.Column("seen_at", Instant(), nullable=True))
    op.add_column("alarm", sa.Column("closed_by", sa.Text(), nullable=True))
    op.add_column("alarm", sa.Column("why", sa.Text(), nullable=True))
    op.add_column("deadline", sa.Column("noted_at", Instant(), nullable=True))
    _tell_standings(op.get_bind())


def _tell_standings(connection: sa.Connection) -> None:
    """Messages stored before: what their notices say they are."""
    told = connection.execute(
        sa.text("SELECT message_row, body FROM fact WHERE body LIKE :any"), {"any": '%"standing":"c%'}
    ).all()
    known = [
        {"row": row, "standing": orjson.loads(body)["standing"]} for row, body in told if row is not None
    ]
    if known:
        connection.execute(sa.text("UPDATE message SET standing = :standing WHERE id = :row"), known)
