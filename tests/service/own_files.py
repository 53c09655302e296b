"""A file that is known to a service already, so that no MLflow is needed to look at it or to send it again."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from experiments.datasets.reading import read_file
from service import operations
from service.entities import StoredDataset
from service.store import Store

CSV = b"size,kind\n" + b"".join(b"%d,%s\n" % (n * 7 % 40, (b"cat", b"dog")[n % 2]) for n in range(40))


def known(store: Store, folder: Path, *, name: str = "pets", target: str | None = "kind") -> StoredDataset:
    """The file CSV, as `POST /v1/datasets` keeps it; its matrix is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sent").write_bytes(CSV)
    file = read_file(folder / "sent", folder / "matrix.npy", name)
    (folder / "matrix.npy").rename(folder / f"{file.table.sha256}.npy")
    return operations.put_dataset(
        store,
        id=hashlib.sha256(CSV).hexdigest(),
        owner="",
        name=name,
        target=target,
        kind=None,
        size_bytes=len(CSV),
        found={
            "table": file.table.model_dump(mode="json", exclude_defaults=True),
            "profiles": {column: asdict(profile) for column, profile in file.profiles.items()},
            "preview": file.preview,
            "warnings": file.warnings,
        },
        quota_bytes=10**9,
    )[0]
