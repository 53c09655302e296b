"""Change an experiment's name, description or priority."""

from __future__ import annotations

from service.entities import Experiment
from service.errors import NotFound, StaleVersion
from service.store import Connection, audit_rows, event_rows, experiment_rows, queries
from service.store.engine import Store


def change_experiment(
    store: Store,
    experiment_id: str,
    *,
    if_match: int | None = None,
    name: str | None = None,
    description: str | None = None,
    priority: int | None = None,
) -> Experiment:
    """Change what is given; None leaves a field. A new priority holds for every run that no worker has taken.

    Args:
        if_match: version that the caller saw; None: any.
        priority: -10 to 10, higher first.

    Raises:
        NotFound: there is no such experiment.
        StaleVersion: the experiment is not at version `if_match`.
    """
    given = {"name": name, "description": description, "priority": priority}
    values = {key: value for key, value in given.items() if value is not None}

    def work(connection: Connection) -> Experiment:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if if_match is not None and if_match != row.version:
            raise StaleVersion(experiment_id, row.version, if_match)
        if any(getattr(row, key) != value for key, value in values.items()):
            experiment_rows.change_experiment(connection, experiment_id, values)
            event_rows.record_experiment_event(connection, experiment_id, "changed", **values)
            audit_rows.record_audit(connection, "changed", "experiment", experiment_id, **values)
        return queries.read_experiment(connection, experiment_id)

    return store.write(work)
