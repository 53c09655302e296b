"""`/gradient-check`: is the gradient right? Three ways to it side by side, a step to drag, a fault to put in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from experiments.errors import Problem, SpecError
from experiments.gradient_check.certificates import GradientReport, band
from experiments.gradient_check.faults import SENTENCES
from experiments.runs import RunSpec
from experiments.spec.examples import examples
from service import operations
from service.entities import Experiment, Request, Run
from service.errors import NotFound
from service.http.bounded import within
from service.http.submission import prepare
from service.report import charts
from service.store import queries
from service.web import spec_text
from service.web.builder import START, lessons
from service.web.view import PageRoute, Visit, VisitDep
from service.words import Words

router = APIRouter(prefix="/gradient-check", include_in_schema=False, route_class=PageRoute)
RECENT = 20
"""Experiments to choose from."""
SMALLEST, LARGEST, USUAL = -9.0, -1.0, -4.0
"""log10 of the step h: as the slider goes, and where it stands at first."""
PENDING = ("queued", "running")


@router.get("")
def gradient_page(
    visit: VisitDep, run: str = "", spec: str = "", example: str = "", request: str = ""
) -> Response:
    """The page.

    Args:
        run: whose program is checked.
        spec: a spec as the builder packs it into an address: that of its first run is checked.
        example: the name of an example, in place of `spec`.
        request: a check that somebody asked for.
    """
    who = visit.person
    checked = queries.get_run(visit.store, run, owner=who.sees) if run else None
    text, program, problems = "", None, []
    if checked is None and (spec or example):
        try:
            text = spec_text.from_address(spec) if spec else examples().get(example, "")
            program = _first_run(visit, text)
        except SpecError as error:
            problems = visit.problems(error)
    return _show(visit, checked, text, program, problems, _work(visit, checked, request))


def _show(
    visit: Visit,
    checked: Run | None,
    text: str,
    program: RunSpec | None,
    problems: Sequence[Problem],
    work: Request | None,
    status: int = 200,
) -> Response:
    """The page of a run's program, of a spec's, or without either to choose one."""
    who = visit.person
    payload = work.payload if work else {}
    step = float(payload.get("step", 10**USUAL))
    may_ask = who.may("write") and (
        checked is None or who.changes(queries.get_experiment(visit.store, checked.experiment_id).owner)
    )
    return visit.page(
        "gradient.html",
        status,
        run=checked,
        program=program,
        text=text or START,
        problems=problems,
        programs=[] if checked or program else _programs(visit),
        examples=lessons(),
        may_ask=may_ask,
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
    run: Annotated[str, Form(max_length=64, pattern="^[0-9a-f]*$")] = "",
    text: Annotated[str, Form()] = "",
    h: Annotated[float, Form(ge=SMALLEST, le=LARGEST)] = USUAL,
    fault: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Ask a worker to check the gradient of a run's program, or of the first run of a spec."""
    if not run:
        return _ask_about(visit, text, h, fault)
    checked = queries.get_run(visit.store, run, owner=visit.person.sees)
    visit.writer.check_owns(queries.get_experiment(visit.store, checked.experiment_id).owner)
    payload = {"step": 10**h, "fault": fault if fault in SENTENCES else None}
    work = operations.create_request(
        visit.store, checked.id, kind="gradient", payload=payload, quota=visit.settings.quota_open_requests
    )
    return RedirectResponse(f"/gradient-check?run={checked.id}&request={work.id}", 303)


def _ask_about(visit: Visit, text: str, h: float, fault: str) -> Response:
    """Ask about a spec. One that cannot be run is shown with what is wrong."""
    who = visit.writer
    try:
        program = _first_run(visit, text)
        address = spec_text.to_address(text)
        if address is None:
            raise SpecError.one("", visit.words("gradient.too_long"))
    except SpecError as error:
        return _show(visit, None, text, None, visit.problems(error), None, 422)
    payload = {
        "spec": program.model_dump(mode="json"),
        "step": 10**h,
        "fault": fault if fault in SENTENCES else None,
    }
    work = operations.create_spec_request(
        visit.store, who.owner, kind="gradient", payload=payload, quota=visit.settings.quota_open_requests
    )
    return RedirectResponse(f"/gradient-check?spec={address}&request={work.id}", 303)


def _first_run(visit: Visit, text: str) -> RunSpec:
    """The first run of a spec. Raises SpecError where the spec cannot be run."""
    document = within(visit.settings.spec_seconds, spec_text.read, text)
    return prepare(document, visit.settings, visit.store, visit.person).points[0].spec


def _programs(visit: Visit) -> list[tuple[Experiment, Run]]:
    """Recent experiments, each with its first run."""
    recent, _ = queries.list_experiments(visit.store, limit=RECENT, owner=visit.person.sees)
    firsts = (
        (experiment, queries.list_runs(visit.store, experiment.id, limit=1)[0]) for experiment in recent
    )
    return [(experiment, runs[0]) for experiment, runs in firsts if runs]


def _work(visit: Visit, run: Run | None, request: str) -> Request | None:
    """The check that was asked for, of this run, or by this person of a spec."""
    if not request:
        return None
    try:
        work = queries.get_request(visit.store, request)
    except NotFound:
        return None
    if run is not None:
        own = work.run_id == run.id
    else:
        own = work.run_id is None and visit.person.sees in (None, work.owner)
    return work if own and work.kind == "gradient" else None


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
