"""People's own files over HTTP: receiving one without holding it in memory, and the specs that name one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from experiments.datasets.base import Kind
from experiments.datasets.table import Table, uploads_in
from experiments.datasets.upload import Upload
from experiments.errors import Problem, SpecError
from experiments.fields import ShortText
from service import operations
from service.entities import Json, StoredDataset
from service.errors import DatasetQuotaExceeded, NotFound
from service.http.auth import Principal
from service.http.problems import FilesAway
from service.settings import Settings, child_environment
from service.store import Store

_reading = threading.Semaphore(2)
"""Files that are read at once: each takes a core."""
READING_SECONDS = 600
CHUNK = 1024 * 1024
_NAME: TypeAdapter[str] = TypeAdapter(ShortText)
_KIND: TypeAdapter[Kind | None] = TypeAdapter(Kind | None)


@dataclass(frozen=True)
class Received:
    """A file as it came in: where it lies for now, the SHA-256 of its bytes, their number."""

    path: Path
    sha256: str
    size: int


async def receive(chunks: AsyncIterator[bytes], settings: Settings) -> Received:
    """Write a body to the disk as it comes."""
    folder = settings.datasets
    folder.mkdir(parents=True, exist_ok=True)
    path, digest, size = folder / f"incoming-{uuid.uuid4().hex}", hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            async for chunk in chunks:
                digest.update(chunk)
                size += file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Received(path, digest.hexdigest(), size)


async def chunks_of(file: UploadFile) -> AsyncIterator[bytes]:
    """A file of a form, a mebibyte at a time."""
    while chunk := await file.read(CHUNK):
        yield chunk


def text(value: object) -> str | None:
    """A form's entry as text; None where it is empty or a file."""
    return value.strip() or None if isinstance(value, str) else None


def as_kind(value: str | None) -> Kind | None:
    """Raises SpecError where it is none of the three."""
    try:
        return _KIND.validate_python(value)
    except ValidationError:
        raise SpecError.one(
            "kind", f"there is no kind {value!r}", ["classification", "binary", "regression"]
        ) from None


def keep(
    store: Store,
    settings: Settings,
    who: Principal,
    file: Received,
    *,
    name: str,
    target: str | None,
    kind: Kind | None,
) -> tuple[StoredDataset, bool]:
    """Read a received file, store its numbers and keep what is known of it.

    Args:
        name: what the person calls it; empty: the beginning of its digest.
        target: the column to predict, where it is known already.
        kind: classification, binary or regression, likewise.

    Returns:
        The file, and whether it is new.

    Raises:
        SpecError: the file, the target or the kind cannot be used.
        Conflict, DatasetQuotaExceeded: as `operations.put_dataset`.
        FilesAway: MLflow's store does not answer.
    """
    try:
        title = named(name) or file.sha256[:12]
        known = [data for data in operations.list_datasets(store, who.owner) if data.id == file.sha256]
        if known:
            found = {name: getattr(known[0], name) for name in ("table", "profiles", "preview", "warnings")}
        else:
            held = operations.owned_bytes(store, who.owner)
            if (
                held + file.size > settings.quota_dataset_bytes
            ):  # before the work; the transaction looks again
                raise DatasetQuotaExceeded(who.owner, held, file.size, settings.quota_dataset_bytes)
            with _reading:
                found = read(settings, file.path, title)
        found["table"] = {**found["table"], "title": title}
        if target is not None or kind is not None:
            check(found["table"], target, kind)
        return operations.put_dataset(
            store, id=file.sha256, owner=who.owner, name=title, target=target, kind=kind, size_bytes=file.size,
            found=found, quota_bytes=settings.quota_dataset_bytes,
        )  # fmt: skip
    finally:
        file.path.unlink(missing_ok=True)


def named(name: str) -> str:
    """A file's name as it is kept; empty where there is none. Raises SpecError: too long, or with hidden characters."""
    if not name.strip():
        return ""
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise SpecError.one(
            "name", error.errors()[0]["msg"], "a line of at most 200 shown characters"
        ) from None


def check(table: Json, target: str | None, kind: Kind | None) -> None:
    """Raises SpecError where a file has no such column, or the column cannot be predicted as that."""
    Upload(id="file", target=target, kind=kind, table=Table.model_validate(table)).shape()


def read(settings: Settings, path: Path, title: str) -> Json:
    """What a process of its own finds in a file. Raises SpecError, FilesAway."""
    command = [sys.executable, "-m", "service.tracking.datasets"]
    done = subprocess.run(
        [*command, str(path), str(settings.datasets), title, settings.mlflow_url],
        env=child_environment(settings, {}), capture_output=True, timeout=READING_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SpecError.one("file", f"cannot be read: {''.join(last)[:200]}", "a CSV, NPZ or Parquet file")
    answer: Json = json.loads(done.stdout)
    if "problems" in answer:
        raise SpecError(Problem(*problem) for problem in answer["problems"])
    if "away" in answer:
        raise FilesAway(f"the file cannot be stored now: {answer['away']}; send it again in a moment")
    return answer


def matrix_of(dataset: StoredDataset, settings: Settings) -> Path:
    """The file's numbers on this host, fetched from MLflow where they are not here. Raises DataError."""
    from service.tracking.datasets import matrices

    return matrices(settings.datasets, settings.mlflow_url)(dataset.table["sha256"])


def remove(store: Store, settings: Settings, dataset: StoredDataset) -> None:
    """Remove a file, and its numbers where nobody else has sent the same.

    Raises:
        Conflict: experiments use it.
        FilesAway: MLflow's store does not answer; the file is forgotten, its numbers stay there.
    """
    from service.tracking.datasets import remove as remove_matrix
    from service.tracking.records import TrackingUnavailable

    if operations.delete_dataset(store, dataset):
        try:
            remove_matrix(settings.mlflow_url, settings.datasets, dataset.table["sha256"])
        except TrackingUnavailable as error:
            raise FilesAway(
                f"the file is forgotten; its numbers stay in MLflow, which is away: {error}"
            ) from error


def with_tables(document: Any, store: Store, who: Principal) -> Any:
    """A spec with what is known of the files that it names; everything else as it is.

    Raises:
        SpecError: there is no such file.
    """
    if not isinstance(document, dict) or not any(uploads_in(document)):
        return document
    document = json.loads(json.dumps(document))
    for path, dataset in uploads_in(document):
        key = dataset.get("id")
        if not isinstance(key, str):
            continue  # the spec's own checks say what is wrong
        try:
            stored = operations.get_dataset(store, key, owner=who.sees, prefer=who.owner)
        except NotFound:
            known = [data.name for data in operations.list_datasets(store, who.sees)][:50]
            allowed: Any = known or "a file that was uploaded: gradus data upload FILE"
            raise SpecError.one(f"{path}.id", f"no file is called {key!r}", allowed) from None
        dataset["id"] = stored.id
        for name in ("target", "kind"):
            if dataset.get(name) is None and getattr(stored, name) is not None:
                dataset[name] = getattr(stored, name)
        target = dataset.get("target")
        table = Table.model_validate(stored.table).slim(target if isinstance(target, str) else None)
        dataset["table"] = table.model_dump(mode="json", exclude_defaults=True)
    return document
