"""The tables. Times are seconds since 1970 by the database's clock (`clock.db_now`), never a client's.

`runs.change` counts the changes of a run that MLflow should know, `shipped_change` those that it does know. `dirty`
says whether they differ, because a flag can be indexed. NaN and infinite metric values are NULL, as SQLite has no NaN and JSON neither.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from service.lifecycle import RunStatus

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(32)
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in an INTEGER key


def _json() -> JSON:
    return JSON(none_as_null=True)


experiments = Table(
    "experiments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("tags", _json(), nullable=False),
    Column("spec", _json(), nullable=False),
    Column("owner", Text, nullable=False, server_default=""),
    Column("stage", Text, nullable=False),
    Column("design", _json()),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("n_runs", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("cancel_requested_at", Double),
    Column("deleted_at", Double),
    Column("mlflow_experiment_id", Text),
    Column("final_artifacts_due", Boolean, nullable=False, server_default=text("false")),
    Column("change", Integer, nullable=False, server_default="1"),
    Column("shipped_change", Integer, nullable=False, server_default="0"),
    Index("ix_experiments_created_at", "created_at", "id"),
)

_statuses = ", ".join(f"'{status}'" for status in RunStatus)
runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("experiment_id", Id, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("spec", _json(), nullable=False),
    Column("params", _json(), nullable=False),
    Column("levels", _json(), nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("stage", Text, nullable=False),
    # What the planner groups by.
    Column("program", Text, nullable=False),
    Column("max_width", Integer, nullable=False),
    Column("device", String(8), nullable=False),
    Column("backend", String(16), nullable=False, server_default="tensorflow"),
    Column("seed", BigInteger, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("resume_key", Text),  # lanes of one checkpoint: tile, epoch, width
    Column("single_lane", Boolean, nullable=False, server_default=text("false")),
    Column("tile", Id),
    Column("width", Integer),
    Column("queue", Text),
    Column("dispatched_at", Double),
    # The state.
    Column("status", String(9), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_expirations", Integer, nullable=False, server_default="0"),
    Column("worker", Text),
    Column("spool", Text),
    Column("lease_expires_at", Double),
    Column("cancel_requested_at", Double),
    Column("committed_at", Double),
    Column("outcome", _json()),
    Column("checkpoint", _json()),
    Column("metrics", _json(), nullable=False),  # name -> [step, value], the latest of each
    Column("tags", _json(), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    # What MLflow knows.
    Column("mlflow_run_id", Text),
    Column("mlflow_status", String(9)),
    Column("shipped_metric_id", BigInteger, nullable=False, server_default="0"),
    Column("change", Integer, nullable=False, server_default="1"),
    Column("shipped_change", Integer, nullable=False, server_default="0"),
    Column("dirty", Boolean, nullable=False, server_default=text("true")),
    Column("shipper", Text),
    Column("ship_lease_expires_at", Double),
    CheckConstraint(f"status IN ({_statuses})", name="status"),
    UniqueConstraint("experiment_id", "index"),
    Index("ix_runs_experiment_id_status", "experiment_id", "status"),
    Index("ix_runs_experiment_id_fingerprint", "experiment_id", "fingerprint"),
    postgresql_with={"fillfactor": 80},
)
_waiting = (runs.c.status == "SCHEDULED") & runs.c.dispatched_at.is_(None)
_sent = (runs.c.status == "SCHEDULED") & runs.c.dispatched_at.is_not(None)
_begun = _waiting & (runs.c.attempt > 0)
_held = runs.c.status == "RUNNING"
Index("ix_runs_waiting", runs.c.experiment_id, runs.c.index, sqlite_where=_waiting, postgresql_where=_waiting)
Index("ix_runs_begun", runs.c.experiment_id, runs.c.index, sqlite_where=_begun, postgresql_where=_begun)
Index("ix_runs_sent", runs.c.queue, runs.c.dispatched_at, sqlite_where=_sent, postgresql_where=_sent)
Index("ix_runs_held", runs.c.lease_expires_at, sqlite_where=_held, postgresql_where=_held)
_over = runs.c.ended_at.is_not(None)
Index("ix_runs_ended", runs.c.ended_at, sqlite_where=_over, postgresql_where=_over)
Index("ix_runs_dirty", runs.c.spool, sqlite_where=text("dirty = 1"), postgresql_where=text("dirty"))

metrics = Table(
    "metrics",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("value", Double),
    Column("at", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    UniqueConstraint("run_id", "key", "step"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    # An id is drawn before the commit, so a higher id can appear first. Read in the order of (transaction, id) and only
    # up to the oldest open transaction, no event appears behind a reader.
    Column("transaction", BigInteger, nullable=False),
    Column("experiment_id", Id, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Id),
    Column("kind", Text, nullable=False),
    Column("data", _json(), nullable=False),
    Column("actor", _json()),  # who asked for it; NULL: nobody, the service itself
    Column("at", Double, nullable=False),
    Index("ix_events_experiment", "experiment_id", "transaction", "id"),
    Index("ix_events_run", "run_id", "transaction", "id"),
    Index(
        "ix_events_status",
        "transaction",
        "id",
        sqlite_where=text("kind = 'status'"),
        postgresql_where=text("kind = 'status'"),
    ),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("action", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("details", _json(), nullable=False),
    Index("ix_audit_target_id", "target_id"),
    Index("ix_audit_at", "at"),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("experiment_id", Id, nullable=False),
    Column("created_at", Double, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", String(8), nullable=False),
    Column("backend", String(16), nullable=False, server_default="tensorflow"),
    Column("device_name", Text, nullable=False),
    Column("queues", _json(), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("spool", Text),
    Column("versions", _json(), nullable=False),
    Column("state", Text, nullable=False),
    Column("run_ids", _json(), nullable=False),
    Column("width", Integer),
    Column("memory_bytes", BigInteger),
    Column("started_at", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("at", Double, nullable=False),  # when a worker last claimed or committed a run of this owner
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the file as it was sent
    Column("owner", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("target", Text),
    Column("kind", Text),
    Column("size_bytes", BigInteger, nullable=False),
    Column("found", _json(), nullable=False),  # columns, profiles, preview, warnings
    Column("created_at", Double, nullable=False),
    UniqueConstraint("owner", "name"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("key", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("report", _json(), nullable=False),
    Column("created_at", Double, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), index=True),
    Column("owner", Text),  # who asked, where it is about a spec and no run
    Column("kind", Text, nullable=False),
    Column("payload", _json(), nullable=False),
    Column("status", String(9), nullable=False),
    Column("result", _json()),
    Column("error", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("worker", Text),
    Column("lease_expires_at", Double),
    Column("dispatched_at", Double),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
)
_open = requests.c.status.in_(["queued", "running"])
Index("ix_requests_open", requests.c.created_at, sqlite_where=_open, postgresql_where=_open)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("scopes", _json(), nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("quota", Integer),
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
    Column("class_name", Text),
    Index("ix_api_keys_class_name", "class_name"),
)

classes = Table(
    "classes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("code_hash", String(64), nullable=False, unique=True),
    Column("most", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("opened_at", Double),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("key_id", Id, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("ix_sessions_expires_at", "expires_at"),
)
