"""What has been put on the partners' FHIR servers, under which ids and ETags of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; nothing has been put anywhere yet."""
    op.create_table(
        "pushed",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fhir_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("their_id", sa.Text(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("hash", sa.LargeBinary(32), nullable=True),
        sa.Column("trying", sa.LargeBinary(32), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("conflict", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("pushed_name", "pushed", ["endpoint", "fhir_id", "type"], unique=True)
    op.create_index("pushed_plan", "pushed", ["endpoint", "plan"])
