"""What is told of refusals, faults, alarms and history is kept as a sentence and what stands in its places.

Nothing is changed but the number: a process of the version before would show such rows as they are stored.
"""

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Nothing: rows of before stay as they are, and are shown as the English that they hold."""
