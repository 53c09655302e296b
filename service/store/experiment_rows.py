"""SQL on the experiments table, and the insertion of its runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from service.store.clock import db_now
from service.store.engine import EncodedJson
from service.store.queries import not_done
from service.store.tables import experiments, idempotency, runs


def insert_experiment(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(experiments).values(created_at=db_now(), updated_at=db_now(), **values))


_RUN_JSON = [column.name for column in runs.c if isinstance(column.type, JSON)]


def encoded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `runs` whose JSON is text already. Done before a transaction, it halves the time for which ten thousand
    new runs hold SQLite's one write lock."""
    return {**row, **{name: EncodedJson.of(row[name]) for name in _RUN_JSON if name in row}}


def insert_runs(connection: Connection, rows: Sequence[Mapping[str, Any]], **same: Any) -> None:
    """Insert runs of one experiment. same: columns that are the same for all, expressions allowed."""
    if not rows:
        return
    own = {name: bindparam(name, type_=runs.c[name].type) for name in rows[0]}
    statement = insert(runs).values(created_at=db_now(), **same, **own)
    connection.execute(statement, list(rows))


def lock_experiment(connection: Connection, id: str) -> Row[Any] | None:
    """Lock the row of an experiment that is not deleted. Callers lock it before any of its runs, so that no two
    deadlock."""
    return _locked(connection, experiments.c.id == id)


def lock_experiment_of(connection: Connection, run_id: str) -> Row[Any] | None:
    """`lock_experiment` for the experiment of a run."""
    of_run = select(runs.c.experiment_id).where(runs.c.id == run_id).scalar_subquery()
    return _locked(connection, experiments.c.id == of_run)


def _locked(connection: Connection, which: ColumnElement[bool]) -> Row[Any] | None:
    # FOR NO KEY UPDATE: inserting an event or a metric needs KEY SHARE on the experiment, for the foreign key.
    statement = select(experiments).where(which, experiments.c.deleted_at.is_(None))
    return connection.execute(statement.with_for_update(key_share=True)).first()


def change_experiment(
    connection: Connection, id: str, values: Mapping[str, Any], *, version: bool = True
) -> None:
    """Change columns of an experiment and mark the change as one to be shipped to MLflow."""
    raised = {"version": experiments.c.version + 1} if version else {}
    connection.execute(
        update(experiments)
        .where(experiments.c.id == id)
        .values(**values, **raised, updated_at=db_now(), change=experiments.c.change + 1)
    )


def ship_experiment(
    connection: Connection, id: str, *, change: int, mlflow_experiment_id: str | None
) -> None:
    """Note what MLflow knows of an experiment."""
    values: dict[str, Any] = {"shipped_change": change}
    if mlflow_experiment_id is not None:
        values["mlflow_experiment_id"] = mlflow_experiment_id
    newer = (experiments.c.id == id) & (experiments.c.shipped_change <= change)
    connection.execute(update(experiments).where(newer).values(**values))


def by_fingerprint(connection: Connection, id: str, fingerprints: Iterable[str]) -> dict[str, str]:
    """Fingerprint -> id of the experiment's first run with it."""
    wanted = list(set(fingerprints))
    known: dict[str, str] = {}
    for start in range(0, len(wanted), 1000):
        rows = connection.execute(
            select(runs.c.fingerprint, runs.c.id)
            .where(runs.c.experiment_id == id, runs.c.fingerprint.in_(wanted[start : start + 1000]))
            .order_by(runs.c.index)
        )
        for row in rows:
            known.setdefault(row.fingerprint, row.id)
    return known


def finished_in(
    connection: Connection, ids: Sequence[str], fingerprints: Iterable[str]
) -> dict[str, Row[Any]]:
    """Fingerprint -> a run of these experiments that was trained to its end. The first experiment that has one counts.

    A run that halving ended early has the fingerprint of the whole training, and is left out. So is one that waits, or
    that failed.
    """
    wanted = list(set(fingerprints))
    whole = (runs.c.status == "FINISHED") & (runs.c.reason != "halved") & runs.c.outcome.is_not(None)
    columns = [runs.c[name] for name in _TAKEN]
    known: dict[str, Row[Any]] = {}
    for id in ids:
        for start in range(0, len(wanted), 1000):
            of_these = runs.c.fingerprint.in_(wanted[start : start + 1000])
            rows = select(*columns).where(runs.c.experiment_id == id, of_these, whole).order_by(runs.c.index)
            for row in connection.execute(rows):
                known.setdefault(row.fingerprint, row)
    return known


_TAKEN = (
    "id", "fingerprint", "reason", "attempt", "width", "started_at", "outcome", "metrics", "tags", "mlflow_run_id",
)  # fmt: skip
"""Columns of a run whose results another one takes over."""


def owner_of(connection: Connection, run_id: str) -> str:
    """The owner of a run's experiment; empty where nobody owns it."""
    statement = select(experiments.c.owner).join(runs, runs.c.experiment_id == experiments.c.id)
    return str(connection.scalar(statement.where(runs.c.id == run_id)) or "")


def waiting_of(connection: Connection, owner: str) -> int:
    """How many of an owner's runs are SCHEDULED."""
    statement = (
        select(func.count())
        .select_from(runs.join(experiments))
        .where(experiments.c.owner == owner, runs.c.status == "SCHEDULED")
    )
    return int(connection.scalar(statement) or 0)


def purge(connection: Connection, id: str) -> bool:
    """Delete a deleted experiment's rows and everything that refers to them. False where one of its runs is not over."""
    not_over = exists().where(runs.c.experiment_id == id, not_done())
    deleted = connection.execute(
        delete(experiments).where(experiments.c.id == id, experiments.c.deleted_at.is_not(None), ~not_over)
    ).rowcount
    if deleted:
        connection.execute(delete(idempotency).where(idempotency.c.experiment_id == id))
    return bool(deleted)


def final_artifacts_due(connection: Connection, run_ids: Collection[str]) -> None:
    """Mark the experiments of runs that are about to finish: their best run may change, so final artifacts are due.

    Locks the experiments, so it comes before the runs are locked.
    """
    finishing = (runs.c.status == "RUNNING") & (runs.c.outcome["status"].as_string() == "FINISHED")
    of_finishing = select(runs.c.experiment_id).where(runs.c.id.in_(list(run_ids)), finishing)
    due = experiments.c.id.in_(of_finishing) & ~experiments.c.final_artifacts_due
    chosen = select(experiments.c.id).where(due).order_by(experiments.c.id).with_for_update(key_share=True)
    if ids := list(connection.scalars(chosen)):
        connection.execute(
            update(experiments).where(experiments.c.id.in_(ids)).values(final_artifacts_due=True)
        )


def final_artifacts_requested(connection: Connection, id: str, finished: int) -> None:
    """Final artifacts were requested when so many runs had finished. Where more have finished since, they stay due."""
    number = select(func.count()).where(runs.c.experiment_id == id, runs.c.status == "FINISHED")
    same = (experiments.c.id == id) & (number.scalar_subquery() == finished)
    # The change makes the shipper carry the experiment's note, which holds the answer.
    values = {"final_artifacts_due": False, "change": experiments.c.change + 1}
    connection.execute(update(experiments).where(same).values(**values))
