"""People's own files: keep, find, remove. The numbers lie in MLflow's store; here is what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.entities import Json, StoredDataset
from service.errors import AmbiguousId, Conflict, DatasetQuotaExceeded, NotFound
from service.store import Connection, audit_rows, dataset_rows, mapper
from service.store.engine import Store


def list_datasets(store: Store, owner: str | None = None) -> list[StoredDataset]:
    """All files, or those of an owner, the newest first."""
    return store.read(
        lambda connection: [mapper.to_dataset(row) for row in dataset_rows.dataset_rows(connection, owner)]
    )


def get_dataset(store: Store, key: str, *, owner: str | None, prefer: str = "") -> StoredDataset:
    """A file by its name or digest, which may be shortened while it is unique.

    Args:
        owner: whose files are looked at; None: everybody's.
        prefer: whose file is meant where several owners have one of that name.

    Raises:
        NotFound, AmbiguousId: none, or several have it.
    """
    rows = store.read(lambda connection: dataset_rows.find_datasets(connection, key, owner))
    datasets = [mapper.to_dataset(row) for row in rows]
    for chosen in (
        [dataset for dataset in datasets if dataset.owner == prefer and key in (dataset.name, dataset.id)],
        [dataset for dataset in datasets if key in (dataset.name, dataset.id)],
        datasets,
    ):
        if len({dataset.id for dataset in chosen}) == 1:
            return chosen[0]
        if chosen:
            raise AmbiguousId("dataset", key)
    raise NotFound("dataset", key)


def owned_bytes(store: Store, owner: str) -> int:
    """Bytes of all files of an owner."""
    return store.read(lambda connection: dataset_rows.bytes_of(connection, owner))


def put_dataset(
    store: Store,
    *,
    id: str,
    owner: str,
    name: str,
    target: str | None,
    kind: str | None,
    size_bytes: int,
    found: Json,
    quota_bytes: int,
) -> tuple[StoredDataset, bool]:
    """Keep what is known of a file. The same bytes again change its name and what it is for.

    Returns:
        The file, and whether it is new.

    Raises:
        Conflict: another file of this owner has the name.
        DatasetQuotaExceeded: the owner would have more bytes than allowed.
    """
    values: dict[str, Any] = {"name": name, "target": target, "kind": kind}

    def work(connection: Connection) -> tuple[StoredDataset, bool]:
        own = dataset_rows.dataset_rows(connection, owner)
        if any(row.name == name and row.id != id for row in own):
            raise Conflict(
                f"another file of yours is called {name!r}; give this one another name, or remove that one"
            )
        new = all(row.id != id for row in own)
        if new:
            held = dataset_rows.bytes_of(connection, owner)
            if held + size_bytes > quota_bytes:
                raise DatasetQuotaExceeded(owner, held, size_bytes, quota_bytes)
            row = {**values, "id": id, "owner": owner, "size_bytes": size_bytes, "found": found}
            dataset_rows.insert_dataset(connection, row)
        else:
            dataset_rows.change_dataset(connection, id, owner, {**values, "found": found})
        audit_rows.record_audit(connection, "uploaded", "dataset", id, name=name, bytes=size_bytes)
        rows = dataset_rows.dataset_rows(connection, owner)
        return next(mapper.to_dataset(row) for row in rows if row.id == id), new

    return store.write(work, lock_name=f"datasets:{owner}")


def delete_dataset(store: Store, dataset: StoredDataset) -> bool:
    """Forget a file.

    Returns:
        Whether no other file has the same matrix, so that it can go as well.

    Raises:
        Conflict: experiments use it.
    """

    def work(connection: Connection) -> bool:
        names: Sequence[str] = dataset_rows.experiments_with(connection, dataset.id)
        if names:
            listed = ", ".join(repr(name) for name in names)
            raise Conflict(f"experiments use this file ({listed}); delete them first")
        dataset_rows.delete_dataset(connection, dataset.id, dataset.owner)
        audit_rows.record_audit(connection, "deleted", "dataset", dataset.id, name=dataset.name)
        return not dataset_rows.matrix_needed(connection, dataset.table["sha256"])

    return store.write(work)
