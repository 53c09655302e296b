"""The buttons of an experiment: the same operations as under `/v1`, for a browser with a session."""

from __future__ import annotations

import csv
import io
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from experiments.fields import LongText, ShortText
from service import operations
from service.analysis import extension
from service.entities import Experiment
from service.http.dependencies import ExperimentId
from service.report import page as report
from service.store import queries
from service.web.view import PageRoute, Visit, VisitDep

router = APIRouter(prefix="/experiments/{id}", include_in_schema=False, route_class=PageRoute)


def owned(visit: Visit, id: str) -> Experiment:
    """The experiment, if the visitor may change it.

    Raises:
        Unauthenticated, Forbidden, NotFound.
    """
    experiment = queries.get_experiment(visit.store, id, owner=visit.person.sees)
    visit.writer.check_owns(experiment.owner)
    return experiment


def back(experiment: Experiment) -> RedirectResponse:
    return RedirectResponse(f"/experiments/{experiment.id}", 303)


@router.post("/cancel")
def cancel(id: ExperimentId, visit: VisitDep) -> Response:
    """Cancel every run that is not over."""
    experiment = owned(visit, id)
    operations.cancel_experiment(visit.store, experiment.id)
    return back(experiment)


@router.post("/retry")
def retry(id: ExperimentId, visit: VisitDep) -> Response:
    """Queue the failed and killed runs again."""
    experiment = owned(visit, id)
    operations.retry_experiment(visit.store, experiment.id, quota=visit.writer.quota)
    return back(experiment)


@router.post("/extend")
def extend(
    id: ExperimentId, visit: VisitDep, seeds: Annotated[int | None, Form(ge=1, le=10_000)] = None
) -> Response:
    """Queue what the question needs to go on, or further seeds where none is fixed."""
    experiment = owned(visit, id)
    wanted = (experiment.design.get("advice") or {}) if experiment.design else {"seeds": seeds}
    extension.extend(
        visit.store,
        experiment.id,
        **wanted,
        quota=visit.writer.quota,
        max_runs=visit.settings.max_runs,
    )
    return back(experiment)


@router.post("/about")
def change(
    id: ExperimentId,
    visit: VisitDep,
    name: Annotated[ShortText, Form()],
    description: Annotated[LongText, Form()] = "",
) -> Response:
    """Give the experiment another name and description."""
    experiment = owned(visit, id)
    text = description.replace("\r\n", "\n")
    operations.change_experiment(visit.store, experiment.id, name=name, description=text)
    return back(experiment)


@router.post("/delete")
def delete(id: ExperimentId, visit: VisitDep) -> Response:
    """Cancel what runs, then remove the experiment, here and in MLflow."""
    operations.delete_experiment(visit.store, owned(visit, id).id)
    return RedirectResponse("/", 303)


@router.get("/report")
def read_report(id: ExperimentId, visit: VisitDep) -> Response:
    """The report: the same page as under `/v1`, with a session instead of a key."""
    experiment = queries.get_experiment(visit.store, id, owner=visit.person.sees)
    return HTMLResponse(report.render(visit.store, experiment.id, visit.settings, visit.words))


@router.get("/runs.csv")
def runs_csv(id: ExperimentId, visit: VisitDep) -> Response:
    """Every run as a line: its levels, parameters and latest metrics."""
    experiment = queries.get_experiment(visit.store, id, owner=visit.person.sees)
    runs = queries.all_runs(visit.store, experiment.id)
    own = ("id", "index", "stage", "status", "reason", "attempt")
    params = sorted({name for run in runs for name in (*run.levels, *run.params)})
    metrics = sorted({name for run in runs for name in run.metrics})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*own, *params, *metrics])
    for run in runs:
        values = [getattr(run, name) for name in own]
        values += [run.params.get(name, run.levels.get(name)) for name in params]
        writer.writerow([cell(value) for value in (*values, *(run.metrics.get(name) for name in metrics))])
    name = f"gradus-{experiment.id[:8]}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def cell(value: object) -> object:
    """A value as a spreadsheet may read it: text that it would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
