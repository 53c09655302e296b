"""A worker reports that it is alive, and that it has ended."""

from __future__ import annotations

from service.entities import Worker
from service.store import worker_rows
from service.store.engine import Store


def beat(store: Store, worker: Worker) -> None:
    """Store what a worker says of itself, and that it is alive. Called every few seconds, idle or not."""
    store.write(lambda connection: worker_rows.save_worker(connection, worker))


def retire(store: Store, worker: str) -> None:
    """Take an ended worker off the list. When its spool was last served is kept."""
    store.write(lambda connection: worker_rows.retire_worker(connection, worker))
