"""Alarms whose end has stood in a mail, and where those are found that nobody has been told of."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0016"
down_revision = "0015"

_UNTOLD = "until IS NULL AND mailed_at IS NULL"
_OVER = "until IS NOT NULL AND mailed_at IS NOT NULL AND end_mailed_at IS NULL"
_UNSEEN = "until IS NULL AND seen_at IS NULL AND escalated_at IS NULL"


def upgrade() -> None:
    """Add what is missing; nothing of it needs the rows that there are."""
    op.add_column("alarm", sa.Column("end_mailed_at", Instant()))
    op.create_index("alarm_about", "alarm", ["kind", "subject"])
    for name, columns, words in (
        ("alarm_untold", ["id"], _UNTOLD),
        ("alarm_over", ["id"], _OVER),
        ("alarm_unseen", ["kind", "since"], _UNSEEN),
    ):
        where = sa.text(words)
        op.create_index(name, "alarm", columns, sqlite_where=where, postgresql_where=where)
