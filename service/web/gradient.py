"""`/gradient-check`: is the gradient right? Three ways to it side by side, a step to drag, a fault to put in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from experiments.gradient_check.certificates import GradientReport, band
from experiments.gradient_check.faults import SENTENCES
from service import operations
from service.entities import Experiment, Request, Run
from service.errors import NotFound
from service.report import charts
from service.store import Store, queries
from service.web.view import PageRoute, Visit, VisitDep
from service.words import Words

router = APIRouter(prefix="/gradient-check", include_in_schema=False, route_class=PageRoute)
RECENT = 20
"""Experiments to choose from."""
SMALLEST, LARGEST, USUAL = -9.0, -1.0, -4.0
"""log10 of the step h: as the slider goes, and where it stands at first."""
PENDING = ("queued", "running")


@router.get("")
def gradient_page(visit: VisitDep, run: str = "", request: str = "") -> Response:
    """The page. `run`: whose program is checked; `request`: a check that somebody asked for."""
    who = visit.person
    checked = queries.get_run(visit.store, run, owner=who.sees) if run else None
    work = _work(visit.store, checked, request)
    payload = work.payload if work else {}
    step = float(payload.get("step", 10**USUAL))
    return visit.page(
        "gradient.html",
        run=checked,
        programs=[] if checked else _programs(visit),
        may_ask=checked is not None
        and who.changes(queries.get_experiment(visit.store, checked.experiment_id).owner),
        faults=SENTENCES,
        fault=payload.get("fault") or "",
        h=math.log10(step),
        low=SMALLEST,
        high=LARGEST,
        work=work,
        pending=work is not None and work.status in PENDING,
        shown=_shown(work.result, step, visit.words) if work and work.result else None,
    )


@router.post("")
def ask(
    visit: VisitDep,
    run: Annotated[str, Form(max_length=64, pattern="^[0-9a-f]+$")],
    h: Annotated[float, Form(ge=SMALLEST, le=LARGEST)] = USUAL,
    fault: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Ask a worker to check the gradient of a run's program."""
    checked = queries.get_run(visit.store, run, owner=visit.person.sees)
    visit.writer.check_owns(queries.get_experiment(visit.store, checked.experiment_id).owner)
    payload = {"step": 10**h, "fault": fault if fault in SENTENCES else None}
    work = operations.create_request(
        visit.store, checked.id, kind="gradient", payload=payload, quota=visit.settings.quota_open_requests
    )
    return RedirectResponse(f"/gradient-check?run={checked.id}&request={work.id}", 303)


def _programs(visit: Visit) -> list[tuple[Experiment, Run]]:
    """Recent experiments, each with its first run."""
    recent, _ = queries.list_experiments(visit.store, limit=RECENT, owner=visit.person.sees)
    firsts = (
        (experiment, queries.list_runs(visit.store, experiment.id, limit=1)[0]) for experiment in recent
    )
    return [(experiment, runs[0]) for experiment, runs in firsts if runs]


def _work(store: Store, run: Run | None, request: str) -> Request | None:
    if run is None or not request:
        return None
    try:
        work = queries.get_request(store, request)
    except NotFound:
        return None
    return work if work.run_id == run.id and work.kind == "gradient" else None


def _shown(result: Mapping[str, Any], step: float, say: Words) -> dict[str, Any]:
    """What a check found, as the page shows it: report, table, curve, and the numbers that the slider moves."""
    report = GradientReport.model_validate(result["report"])
    steps: Sequence[float] = result["steps"]
    at = min(range(len(steps)), key=lambda i: abs(math.log10(steps[i] / step)), default=0)
    return {
        "report": report,
        "rows": result["rows"],
        "at": at,
        "steps": steps,
        "error": _error,
        "band": band,
        "curve": error_curve(steps, result["curve"], at, say) if steps else "",
        "legend": [(name, charts.key(index)) for index, name in enumerate(result["curve"])],
        "data": json.dumps(
            {"steps": steps, "rows": [[row["autodiff"], row["quotients"]] for row in result["rows"]]}
        ),
    }


def _error(autodiff: float, quotient: float | None) -> float | None:
    """|a − n| / (|a| + |n|); 0 where both are 0, None where there is no quotient."""
    if quotient is None:
        return None
    total = abs(autodiff) + abs(quotient)
    return abs(autodiff - quotient) / total if total else 0.0


def error_curve(steps: Sequence[float], curves: Mapping[str, Sequence[float]], at: int, say: Words) -> str:
    """The quotient's error over its step, a line per precision, with the chosen step marked."""
    lines = [
        charts.Line(
            name, [(h, max(error, 1e-17)) for h, error in zip(steps, errors, strict=True)], colour=index
        )
        for index, (name, errors) in enumerate(curves.items())
    ]
    return charts.chart(
        lines, title=say("figure.check_title"), text=say("figure.check_text"), x_label=say("figure.check_step"),
        y_label=say("figure.check_error"), x_log=True, y_log=True, height=340, marks=steps, marked=at,
    )  # fmt: skip
