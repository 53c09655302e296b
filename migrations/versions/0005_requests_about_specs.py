"""Requests about a spec that was not submitted: they belong to an owner and to no run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATUSES = sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="ck_requests_status")


def upgrade() -> None:
    _alter(nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM requests WHERE run_id IS NULL")
    _alter(nullable=False)


def _alter(*, nullable: bool) -> None:
    """SQLite changes a column by copying the table. Nothing refers to this one."""
    with op.batch_alter_table("requests", table_args=(STATUSES,)) as table:
        table.alter_column("run_id", existing_type=sa.String(32), nullable=nullable)
        if nullable:
            table.add_column(sa.Column("owner", sa.Text(), nullable=True))
        else:
            table.drop_column("owner")
