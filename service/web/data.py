"""`/data`: files of one's own: upload one, see its columns, and train on it."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from experiments.catalog import catalog
from experiments.datasets.table import Table
from experiments.datasets.upload import Upload
from experiments.errors import GradusError, Problem, SpecError
from service import operations
from service.entities import StoredDataset
from service.http.datasets import as_kind, chunks_of, keep, receive, remove, text
from service.report.charts import distribution
from service.web import spec_text
from service.web.data_picture import picture
from service.web.view import PageRoute, Visit, VisitDep

router = APIRouter(prefix="/data", include_in_schema=False, route_class=PageRoute)
SHOWN_COLUMNS = 60
WRITTEN = ("inline", "upload")
"""Data sets whose rows a person gives."""


@router.get("")
def page(visit: VisitDep, name: str = "") -> Response:
    """The page; the file `name`, which was just uploaded, is open."""
    return show(visit, opened=name)


@router.post("")
async def upload(request: Request, visit: VisitDep) -> Response:
    """Upload the file of the form."""
    who = visit.writer
    async with request.form(max_files=1) as form:
        file = form.get("file")
        written = {name: text(form.get(name)) or "" for name in ("name", "target", "kind")}
        try:
            if not isinstance(file, UploadFile) or not file.filename:
                raise SpecError.one("file", visit.words("data.no_file"))
            kind, name = as_kind(written["kind"] or None), written["name"] or PurePath(file.filename).stem
            received = await receive(chunks_of(file), visit.settings)

            def work() -> StoredDataset:
                target = written["target"] or None
                return keep(visit.store, visit.settings, who, received, name=name, target=target, kind=kind)[
                    0
                ]

            dataset = await run_sync(work)
        except GradusError as error:
            return await run_sync(partial(show, visit, error=error, written=written))
    return RedirectResponse(f"/data?name={dataset.id[:12]}#file-{dataset.id[:12]}", 303)


@router.post("/{id}/delete")
def delete(id: str, visit: VisitDep) -> Response:
    """Remove a file that no experiment uses."""
    who = visit.writer
    try:
        dataset = operations.get_dataset(visit.store, id, owner=who.sees, prefer=who.owner)
        who.check_owns(dataset.owner)
        remove(visit.store, visit.settings, dataset)
    except GradusError as error:
        return show(visit, error=error)
    return RedirectResponse("/data", 303)


def show(
    visit: Visit, *, opened: str = "", error: GradusError | None = None, written: dict[str, str] | None = None
) -> Response:
    """The page, with what was refused and what had been written into the form."""
    files = operations.list_datasets(visit.store, visit.person.sees)
    return visit.page(
        "data.html",
        422 if error else 200,
        files=[described(file) for file in files],
        known=known(visit),
        opened=opened or (files[0].id[:12] if len(files) == 1 else ""),
        problems=visit.problems(error) if error else [],
        written=written or {"name": "", "target": "", "kind": ""},
        most_mb=visit.settings.max_dataset_bytes // 1_000_000,
    )


def known(visit: Visit) -> list[dict[str, str]]:
    """The data sets that need no upload, with what is said about them and a picture where one is to be had at once."""
    entries = []
    for entry in catalog()["datasets"]:
        if entry["name"] not in WRITTEN:
            drawn, text = picture(entry["name"], visit.settings.data_dir, visit.words)
            entries.append(
                {"name": entry["name"], "about": entry["description"], "picture": drawn, "text": text}
            )
    return entries


def described(file: StoredDataset) -> dict[str, Any]:
    """A file as the page shows it: its columns with pictures, and the spec that trains on it."""
    table = Table.model_validate(file.table)
    asked = Upload(id=file.id, target=file.target, kind=file.kind, table=table)
    parts, odd = None, tuple[Problem, ...]()
    if file.target is not None:
        try:
            parts = asked.shape()
        except SpecError as error:  # a spec may name other columns
            odd = error.problems
    columns = [
        {
            "column": column,
            "picture": distribution(
                column.counts or () if column.text else file.profiles.get(column.name, {}).get("bins", ()),
                title=column.name,
            ),
            "texts": list(column.values or ())[:4] if column.text else [],
        }
        for column in table.columns[:SHOWN_COLUMNS]
    ]
    target = file.target or next(column.name for column in reversed(table.columns) if column.usable)
    quoted = {name: spec_text.scalar(value) for name, value in (("id", file.name), ("target", target))}
    spec = (
        f"name: {spec_text.scalar(f'first-network-on-{file.name}'[:200])}\n"
        f"dataset: {{name: upload, id: {quoted['id']}, target: {quoted['target']}}}\n"
        "model: {hidden: [32], activation: relu}\ntraining: {epochs: 10}\n"
    )
    return {
        "file": file,
        "rows": table.rows,
        "columns": columns,
        "more": len(table.columns) - len(columns),
        "parts": parts,
        "odd": odd,
        "spec": spec,
        "builder": f"/new?spec={spec_text.to_address(spec)}",
    }
