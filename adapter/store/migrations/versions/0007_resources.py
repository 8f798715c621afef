"""The resources that can be read at /fhir, whose they are, and who has read them."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNSHELVED = "shelved = 0 AND outcome IN ('accepted', 'released')"


def upgrade() -> None:
    """Create the tables; what has come before is put on the shelves when somebody asks."""
    op.add_column("message", sa.Column("shelved", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("message", sa.Column("shelved_as", sa.Text(), nullable=True))
    op.create_index(
        "message_unshelved",
        "message",
        ["id"],
        sqlite_where=sa.text(UNSHELVED),
        postgresql_where=sa.text(UNSHELVED),
    )
    op.create_table(
        "resource",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fhir_id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("version", ID, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("resource_name", "resource", ["fhir_id", "type"], unique=True)
    op.create_index("resource_patient", "resource", ["patient"])
    op.create_table(
        "resource_version",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("resource", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("message_row", ID, nullable=False),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("made", sa.Text(), nullable=True),
        sa.Column("case_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("resource_version_number", "resource_version", ["resource", "number"], unique=True)
    op.create_index("resource_version_message", "resource_version", ["message_row"])
    op.create_table(
        "shelf",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("resource", ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("shared", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("party", "role", "resource"),
    )
    op.create_index("shelf_time", "shelf", ["party", "type", "at", "resource", "version"])
    op.create_index("shelf_patient", "shelf", ["patient", "type", "party", "at", "resource"])
    op.create_index("shelf_resource", "shelf", ["resource"])
    op.create_table(
        "resource_token",
        sa.Column("version", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", "name", "value"),
    )
    op.create_index("resource_token_value", "resource_token", ["value", "name"])
    op.create_table(
        "fhir_access",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fhir_id", sa.Text(), nullable=True),
        sa.Column("patient", sa.Text(), nullable=True),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("fhir_access_at", "fhir_access", ["at"])
    op.create_index("fhir_access_patient", "fhir_access", ["patient"])
