"""Who has looked is found by person, and by emergency; the name and the page stand beside."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the columns, and what they are found by."""
    op.add_column("fhir_access", sa.Column("name", sa.Text))
    op.add_column("fhir_access", sa.Column("page", sa.Text))
    some = sa.text("person IS NOT NULL")
    op.create_index(
        "fhir_access_person", "fhir_access", ["person", "id"], sqlite_where=some, postgresql_where=some
    )
    why = sa.text("why IS NOT NULL")
    op.create_index("fhir_access_why", "fhir_access", ["id"], sqlite_where=why, postgresql_where=why)
