"""Whose identity is protected stands until a person lifts it, and not only as long as messages say so."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0026"
down_revision = "0025"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the table, with those who are known to be protected.

    That stays among search values too: a process of the older version, which goes on, finds it there.
    """
    op.create_table(
        "protection",
        sa.Column("patient", sa.Text, primary_key=True),
        sa.Column("since", Instant, nullable=False),
        sa.Column("told_by", sa.Text, nullable=False),
        sa.Column("message_row", _ID),
        sa.Column("lifted_at", Instant),
        sa.Column("lifted_by", sa.Text),
        sa.Column("why", sa.Text),
    )
    op.execute(_KNOWN)


_KNOWN = """
INSERT INTO protection (patient, since, told_by, message_row)
SELECT r.patient, v.at, v.by, v.message_row
FROM resource r JOIN resource_version v ON v.id = (
    SELECT min(t.version) FROM resource_token t JOIN resource_version o ON o.id = t.version
    WHERE o.resource = r.id AND t.name = '_protected')
WHERE r.type = 'Patient'
"""
