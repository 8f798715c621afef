"""What a person sends again is found also among much that waits for an endpoint that rests."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the index; hardly ever does it hold a row."""
    condition = sa.text("state = 'waiting' AND \"trigger\" = 'person'")
    op.create_index(
        "delivery_by_hand",
        "delivery",
        ["endpoint"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
