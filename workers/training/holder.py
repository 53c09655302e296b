"""The keeper's side of the database: leases, stop requests, measurements, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service import operations
from service.entities import Measured
from service.store.engine import Store


class StoreHolder:
    """The `Holder` that is the service's own database."""

    def __init__(self, store: Store, lease_seconds: float) -> None:
        self._store = store
        self._lease_seconds = lease_seconds

    def renew(self, claims: Mapping[str, int]) -> set[str]:
        return operations.renew(self._store, claims, self._lease_seconds)

    def stop_requests(self, run_ids: Sequence[str]) -> set[str]:
        return operations.stop_requests(self._store, run_ids)

    def record(self, batch: Mapping[str, Measured]) -> set[str]:
        return operations.record_many(self._store, batch)

    def checkpointed(self, run_id: str, attempt: int, place: Mapping[str, object]) -> bool:
        return operations.checkpointed(self._store, run_id, attempt, place)
