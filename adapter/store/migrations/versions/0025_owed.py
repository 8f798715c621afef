"""The charged days of each case are kept beside it; lists by the latest change walk an index."""

import sqlalchemy as sa
from alembic import op

from adapter.store.tables import Instant

revision = "0025"
down_revision = "0024"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVING = "merged_into IS NULL"


def upgrade() -> None:
    """Columns, tables and indexes; the days of each case are counted by and by, as with new terms."""
    for column in (
        sa.Column("owed_by", sa.Text),
        sa.Column("owed_at", Instant),
        sa.Column("owed_again", Instant),
    ):
        op.add_column("discharge_case", column)
    _index("case_changed", "discharge_case", ["updated_at", "id"], _LIVING)
    _index("case_merged", "discharge_case", ["merged_into"], "merged_into IS NOT NULL")
    _index("case_owed", "discharge_case", ["owed_by", "owed_at"], _LIVING)
    _index("case_owed_again", "discharge_case", ["owed_again"], f"{_LIVING} AND owed_again IS NOT NULL")
    _index("ledger_entry_reverses", "ledger_entry", ["reverses"], "reverses IS NOT NULL")
    op.create_table(
        "owed_day",
        sa.Column("case_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("payee", sa.Text, primary_key=True),
        sa.Column("debtor", sa.Text, nullable=False),
        sa.Column("amount", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index("owed_day_day", "owed_day", ["day"])
    op.create_table(
        "owed_share",
        sa.Column("case_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("agreement", sa.Text, primary_key=True),
        sa.Column("debtor", sa.Text, primary_key=True),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("between", sa.Text, nullable=False),
    )
    op.create_index("owed_share_month", "owed_share", ["month"])


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    said = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=said, postgresql_where=said)
