"""Columns named as the code and the documents name them; events.actor and the audit table; sessions of browsers; a
backend for runs and workers; classes and the keys that belong to one."""

from __future__ import annotations

import sqlalchemy as sa
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
    for table in ("runs", "workers"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN backend VARCHAR(16) NOT NULL DEFAULT 'tensorflow'")
    op.add_column("events", sa.Column("actor", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_target_id", "audit", ["target_id"])
    op.create_index("ix_audit_at", "audit", ["at"])
    is_status = sa.text("kind = 'status'")
    op.create_index(
        "ix_events_status",
        "events",
        ["transaction", "id"],
        sqlite_where=is_status,
        postgresql_where=is_status,
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(32), sa.ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "classes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("code_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("most", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=True),
    )
    op.add_column("api_keys", sa.Column("class_name", sa.Text, nullable=True))
    op.create_index("ix_api_keys_class_name", "api_keys", ["class_name"])


def downgrade() -> None:
    op.drop_index("ix_api_keys_class_name", "api_keys")
    op.execute("ALTER TABLE api_keys DROP COLUMN class_name")
    op.drop_table("classes")
    op.drop_table("sessions")
    op.drop_table("audit")
    op.drop_index("ix_events_status", "events")
    op.execute("ALTER TABLE events DROP COLUMN actor")
    for table in ("runs", "workers"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN backend")
    for (table, old), new in RENAMED.items():
        rename(table, new, old)


def rename(table: str, old: str, new: str) -> None:
    """Both databases rename a column in place. Alembic's batch mode would copy the table on SQLite, and dropping the
    old copy deletes the metrics and events that refer to it.
    """
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
