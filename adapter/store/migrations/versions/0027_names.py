"""Lists sort names as the region's language does, and have those from before the boards too."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """The column, and which Patients are to be read in once the adapter runs."""
    op.add_column("resource_version", sa.Column("sort_key", sa.Text))
    op.create_table("patient_unlisted", sa.Column("version", _ID, primary_key=True, autoincrement=False))
    op.execute(
        "INSERT INTO patient_unlisted (version) SELECT DISTINCT version FROM shelf WHERE type = 'Patient'"
    )
