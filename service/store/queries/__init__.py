"""Everything that is read. Functions named `read_…` take a connection and belong to a larger transaction; the others take
the store."""

from service.store.queries.audit import audit
from service.store.queries.certificates import get_certificate
from service.store.queries.experiments import (
    Sort,
    get_experiment,
    list_experiments,
    read_counts,
    read_experiment,
    resolve,
)
from service.store.queries.filters import Filters
from service.store.queries.histories import (
    events_after,
    metric_history,
    metric_values,
    metrics_after,
    newest_status_event,
    run_durations,
    status_events_after,
)
from service.store.queries.marks import latest_event, latest_events, run_marks, state_counts
from service.store.queries.pending import (
    SHIP_ORDER,
    experiments_due_final_artifacts,
    experiments_ended_before,
    experiments_to_purge,
    experiments_to_ship,
    not_done,
    shippable,
    staged_experiments,
    to_ship,
    unshipped,
)
from service.store.queries.requests import get_request
from service.store.queries.runs import (
    all_runs,
    explained,
    get_run,
    get_runs,
    is_anything_accepted,
    list_runs,
    read_cancelled,
    read_run,
    read_runs,
)
from service.store.queries.snapshots import Snapshot, snapshot
from service.store.queries.workers import ALIVE_SECONDS, ping, read_workers, workers

__all__ = [
    "ALIVE_SECONDS",
    "SHIP_ORDER",
    "Filters",
    "Snapshot",
    "Sort",
    "all_runs",
    "audit",
    "events_after",
    "experiments_due_final_artifacts",
    "experiments_ended_before",
    "experiments_to_purge",
    "experiments_to_ship",
    "explained",
    "get_certificate",
    "get_experiment",
    "get_request",
    "get_run",
    "get_runs",
    "is_anything_accepted",
    "latest_event",
    "latest_events",
    "list_experiments",
    "list_runs",
    "metric_history",
    "metric_values",
    "metrics_after",
    "newest_status_event",
    "not_done",
    "ping",
    "read_cancelled",
    "read_counts",
    "read_experiment",
    "read_run",
    "read_runs",
    "read_workers",
    "resolve",
    "run_durations",
    "run_marks",
    "shippable",
    "snapshot",
    "staged_experiments",
    "state_counts",
    "status_events_after",
    "to_ship",
    "unshipped",
    "workers",
]
