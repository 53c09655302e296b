"""`/v1/datasets`: people's own files: upload, list, read, delete."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile

from experiments.datasets.base import Kind
from gradus.wire import DatasetOut, Page
from service import operations
from service.http.auth import Reader, Writer
from service.http.bodies import content_type, not_accepted
from service.http.datasets import Received, as_kind, chunks_of, keep, matrix_of, receive, remove, text
from service.http.dependencies import SettingsDep, StoreDep, UrlsDep
from service.http.problems import documented
from service.http.schemas import dataset_out

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
FORM = "multipart/form-data"
FILE_TYPES = (
    "text/csv",
    "text/plain",
    "text/tab-separated-values",
    "application/csv",
    "application/vnd.ms-excel",  # what browsers on Windows call a CSV file
    "application/x-npz",
    "application/zip",
    "application/x-zip-compressed",
    "application/vnd.apache.parquet",
    "application/octet-stream",
)
"""Types that are read. Which of CSV, NPZ and Parquet a file is, its own beginning says."""
Key = Annotated[str, Path(alias="id", description="name or digest of a file; a digest may be shortened")]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"the file: CSV, NPZ or Parquet, as any of {', '.join(FILE_TYPES)}",
        "content": {
            FILE_TYPES[-1]: {"schema": {"type": "string", "format": "binary"}},
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        **{name: {"type": "string"} for name in ("name", "target", "kind")},
                    },
                    "required": ["file"],
                }
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=DatasetOut,
    responses={
        200: {"model": DatasetOut, "description": "the same bytes were sent before"},
        **documented(409, 415, 429),
    },
    openapi_extra=BODY,
)
async def upload(
    request: Request,
    who: Writer,
    store: StoreDep,
    settings: SettingsDep,
    urls: UrlsDep,
    response: Response,
    name: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="what specs call it; default: the file's own"),
    ] = None,
    target: Annotated[str | None, Query(max_length=200, description="the column to predict")] = None,
    kind: Annotated[
        Kind | None, Query(description="what the target is; default: as its values suggest")
    ] = None,
) -> DatasetOut:
    """Upload a file. It is written to the disk as it comes; the same bytes again have the same id, and may change name,
    target and kind."""
    sent = content_type(request.headers.get("content-type", ""))
    if sent == FORM:
        async with request.form(max_files=1) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise not_accepted("a form without `file`", *FILE_TYPES)
            name = name or text(form.get("name")) or PurePath(file.filename or "").stem
            target, kind = target or text(form.get("target")), kind or as_kind(text(form.get("kind")))
            received = await receive(chunks_of(file), settings)
    elif sent in FILE_TYPES:
        received = await receive(request.stream(), settings)
    else:
        raise not_accepted(sent, *FILE_TYPES, FORM)

    def work(received: Received = received) -> Any:
        return keep(store, settings, who, received, name=name or "", target=target, kind=kind)

    dataset, new = await run_sync(work)
    response.status_code = 201 if new else 200
    response.headers["Location"] = urls.at(f"/v1/datasets/{dataset.id}")
    return dataset_out(dataset, urls)


@router.get("", response_model=Page[DatasetOut], responses=documented())
def list_datasets(who: Reader, store: StoreDep, urls: UrlsDep) -> Page[DatasetOut]:
    """All files, the newest first."""
    items = [dataset_out(dataset, urls) for dataset in operations.list_datasets(store, who.sees)]
    return Page[DatasetOut](items=items, next=None)


@router.get("/{id}", response_model=DatasetOut, responses=documented(404))
def read(id: Key, who: Reader, store: StoreDep, urls: UrlsDep) -> DatasetOut:
    """One file: its columns with range, mean and distribution, its first rows, and what is odd about it."""
    return dataset_out(operations.get_dataset(store, id, owner=who.sees, prefer=who.owner), urls)


@router.get(
    "/{id}/content",
    response_class=FileResponse,
    responses={
        200: {
            "description": "the numbers as a NumPy matrix, checked against `matrix_sha256`",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **documented(404),
    },
)
def content(id: Key, who: Reader, store: StoreDep, settings: SettingsDep) -> FileResponse:
    """The numbers of a file as `.npy`: a row for each row, a text as the position of its value in the column's values."""
    dataset = operations.get_dataset(store, id, owner=who.sees, prefer=who.owner)
    return FileResponse(matrix_of(dataset, settings), filename=f"{dataset.id[:12]}.npy")


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete(id: Key, who: Writer, store: StoreDep, settings: SettingsDep) -> None:
    """Remove a file that no experiment uses."""
    dataset = operations.get_dataset(store, id, owner=who.sees, prefer=who.owner)
    who.check_owns(dataset.owner)
    remove(store, settings, dataset)
