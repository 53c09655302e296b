"""Columns named after what they hold, as the code and the documents name it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RENAMED = {
    ("runs", "losses"): "lease_expirations",
    ("runs", "alone"): "single_lane",
    ("experiments", "plan"): "design",
    ("experiments", "keepsakes_due"): "final_artifacts_due",
}


def upgrade() -> None:
    for (table, old), new in RENAMED.items():
        rename(table, old, new)


def downgrade() -> None:
    for (table, old), new in RENAMED.items():
        rename(table, new, old)


def rename(table: str, old: str, new: str) -> None:
    """Both databases rename a column in place. Alembic's batch mode would copy the table on SQLite, and dropping the
    old copy deletes the metrics and events that refer to it.
    """
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
