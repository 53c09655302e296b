"""Queue failed and killed runs again."""

from __future__ import annotations

from service.entities import Experiment, Run
from service.errors import IllegalTransition, NotFound
from service.lifecycle import Edge, RunStatus
from service.operations.columns import AFRESH
from service.operations.quota import check_quota
from service.store import Connection, audit_rows, experiment_rows, queries, run_rows
from service.store.engine import Store
from service.store.run_rows import Locked

RUNS_AT_ONCE = 500


def retry_run(store: Store, run_id: str, *, quota: int | None = None) -> Run:
    """Queue a FAILED or KILLED run again; it starts from its last checkpoint or from the beginning. Idempotent: a run
    that waits or runs stays as it is.

    Args:
        quota: how many runs the owner may have waiting, this one included; None: any number.

    Raises:
        NotFound: there is no such run.
        IllegalTransition: it is FINISHED, or it runs and was cancelled.
        QuotaExceeded: too many runs would wait.
    """

    def work(connection: Connection) -> Run:
        experiment = experiment_rows.lock_experiment_of(connection, run_id)
        if experiment is None:
            raise NotFound("run", run_id)
        rows = run_rows.lock(connection, run_rows.of([run_id]))
        for row in rows:
            if row.status == RunStatus.FINISHED or (row.status == RunStatus.RUNNING and row.cancelled):
                raise IllegalTransition(run_id, row.status, Edge.RETRIED.value)
        over = [row for row in rows if row.status in (RunStatus.FAILED, RunStatus.KILLED)]
        check_quota(connection, experiment.owner, len(over), quota)
        _queue_again(connection, over)
        audit_rows.record_audit(connection, "retried", "run", run_id)
        return queries.read_run(connection, run_id)

    return store.write(work)


def retry_experiment(store: Store, experiment_id: str, *, quota: int | None = None) -> Experiment:
    """Queue every FAILED and KILLED run of an experiment again, some at a time. Idempotent.

    Args:
        quota: how many runs the owner may have waiting, these included; None: any number.

    Raises:
        NotFound: there is no such experiment.
        QuotaExceeded: too many runs would wait.
    """
    over = run_rows.in_status(RunStatus.FAILED, RunStatus.KILLED)
    within = run_rows.within(experiment_id)

    def begin(connection: Connection) -> None:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        check_quota(connection, row.owner, run_rows.count(connection, within, over), quota)
        if row.cancel_requested_at is not None:
            values = {"cancel_requested_at": None}
            experiment_rows.change_experiment(connection, experiment_id, values, version=False)
        audit_rows.record_audit(connection, "retried", "experiment", experiment_id, name=row.name)

    def some(connection: Connection) -> int:
        rows = run_rows.lock(connection, within, over, limit=RUNS_AT_ONCE)
        _queue_again(connection, rows)
        return len(rows)

    store.write(begin)
    while store.write(some) == RUNS_AT_ONCE:
        pass
    return store.read(lambda connection: queries.read_experiment(connection, experiment_id))


def _queue_again(connection: Connection, rows: list[Locked]) -> None:
    for status in (RunStatus.FAILED, RunStatus.KILLED):
        run_rows.move(connection, [row for row in rows if row.status == status], Edge.RETRIED, AFRESH)
