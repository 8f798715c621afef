"""Messages of which nothing was kept are counted by day, however many others there are."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the index by which they are found."""
    some = sa.text("outcome = 'not-relevant'")
    op.create_index(
        "message_not_relevant", "message", ["received_at"], sqlite_where=some, postgresql_where=some
    )
