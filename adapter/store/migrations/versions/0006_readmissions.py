"""Readmissions: which case a case follows."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the two columns; each patient's next message fills them in."""
    op.add_column("discharge_case", sa.Column("readmission_of", ID, nullable=True))
    op.add_column("discharge_case", sa.Column("readmission", sa.Text(), nullable=True))
    op.create_index(
        "case_readmission_of",
        "discharge_case",
        ["readmission_of"],
        sqlite_where=sa.text("readmission_of IS NOT NULL"),
        postgresql_where=sa.text("readmission_of IS NOT NULL"),
    )
