"""The delivery log is found by words; those that are there are read in by and by."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FOUND = {
    "sqlite": (
        "CREATE VIRTUAL TABLE delivery_found USING fts5(words, content='delivery_words', content_rowid='id', "
        "detail='none', columnsize=0, prefix='2 3', tokenize='unicode61 remove_diacritics 0')",
        "CREATE TRIGGER delivery_words_in AFTER INSERT ON delivery_words BEGIN "
        "INSERT INTO delivery_found (rowid, words) VALUES (new.id, new.words); END",
        "CREATE TRIGGER delivery_words_out AFTER DELETE ON delivery_words BEGIN "
        "INSERT INTO delivery_found (delivery_found, rowid, words) VALUES ('delete', old.id, old.words); END",
        "CREATE TRIGGER delivery_words_anew AFTER UPDATE ON delivery_words BEGIN "
        "INSERT INTO delivery_found (delivery_found, rowid, words) VALUES ('delete', old.id, old.words); "
        "INSERT INTO delivery_found (rowid, words) VALUES (new.id, new.words); END",
    ),
    "postgresql": (
        "CREATE INDEX delivery_found ON delivery_words USING gin "
        "(array_to_tsvector(string_to_array(words, ' ')))",
    ),
}


def upgrade() -> None:
    """Create the tables and what finds in them; whoever watches the clock fills them."""
    op.create_table(
        "delivery_words",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_table("delivery_unindexed", sa.Column("id", _ID, primary_key=True, autoincrement=False))
    for statement in _FOUND[op.get_bind().dialect.name]:
        op.execute(statement)
    failed = sa.text("state IN ('refused', 'given-up', 'cancelled')")
    op.create_index(
        "delivery_failed", "delivery", ["state", "id"], sqlite_where=failed, postgresql_where=failed
    )
