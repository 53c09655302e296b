"""`/v1/…/figures/NAME.svg`: every figure of report and page as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from experiments.errors import SpecError
from experiments.messages import unknown
from service.analysis.comparison import compare
from service.http.auth import Reader
from service.http.dependencies import ExperimentId, RunId, StoreDep
from service.http.problems import documented
from service.report.figure import Figure
from service.report.figures import drawn
from service.store import queries
from service.web.run_figures import run_figures
from service.words import Words

router = APIRouter(prefix="/v1", tags=["figures"])
SVG: dict[int | str, dict[str, Any]] = {200: {"description": "the figure", "content": {"image/svg+xml": {}}}}


@router.get(
    "/experiments/{id}/runs/figures/{name}.svg", response_class=Response, responses={**SVG, **documented(404)}
)
def experiment_figure(
    id: ExperimentId,
    name: str,
    who: Reader,
    store: StoreDep,
    factor: str | None = None,
    metric: str | None = None,
) -> Response:
    """A figure of the report, as the runs stand now: `effects`, `test-accuracy`, `gradients`, …"""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    comparison = compare(store, experiment.id, factor=factor, metric=metric)
    return _answer(drawn(partial(queries.metric_values, store), comparison, Words("en")), name)


@router.get("/runs/{id}/figures/{name}.svg", response_class=Response, responses={**SVG, **documented(404)})
def run_figure(id: RunId, name: str, who: Reader, store: StoreDep) -> Response:
    """A figure of a run's page: `loss`, `accuracy`, `gradients`, …"""
    run = queries.get_run(store, id, owner=who.sees)
    history = queries.metric_values(store, [run.id], list(run.metrics)).get(run.id, {})
    return _answer(run_figures(history, Words("en")), name)


def _answer(figures: Sequence[Figure], name: str) -> Response:
    """The figure of that name. Raises SpecError where nothing is drawn under it."""
    names = [figure.id for figure in figures]
    if name not in names:
        raise SpecError.one("path.name", unknown("figure", name, names), names)
    return Response(figures[names.index(name)].svg, media_type="image/svg+xml")
