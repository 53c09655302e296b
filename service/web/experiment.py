"""`/experiments/ID`: what is asked, how far it is, what the runs show, and what can be done. It moves while runs train."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.analysis.comparison import compare_runs
from service.analysis.design_document import live_document
from service.analysis.search_document import live_search
from service.entities import RunMark
from service.http.dependencies import ExperimentId
from service.lifecycle import RunStatus
from service.reasons import explain
from service.report.borders import border_figure
from service.report.figures import drawn
from service.store import queries
from service.web import live
from service.web.dots import COLOURS, METRIC, STATUS, Colour, shaded
from service.web.view import PageRoute, Visit, VisitDep

router = APIRouter(prefix="/experiments/{id}", include_in_schema=False, route_class=PageRoute)
streams = APIRouter(prefix="/experiments/{id}", include_in_schema=False)
MOST_DRAWN_AT_ONCE = 150
"""Runs up to which the figures are drawn before the page is sent; beyond, they follow."""
MOST_MARKS = 10_000
MOST_REASONS = 3


@router.get("")
def experiment_page(id: ExperimentId, visit: VisitDep, colour: Colour = STATUS) -> Response:
    """The page."""
    experiment = queries.get_experiment(visit.store, id, owner=visit.person.sees)
    mark = queries.latest_event(visit.store, experiment_id=experiment.id)
    shown = live.kept(visit.store, _key(visit, experiment.id, "figures"), mark)
    if shown is None and experiment.n_runs <= MOST_DRAWN_AT_ONCE:
        shown = figures_part(visit, experiment.id)
    return visit.page(
        "experiment.html",
        experiment=experiment,
        state=state_part(visit, experiment.id, colour),
        colour=colour,
        figures=shown,
        live=not experiment.is_settled or shown is None,
    )


@streams.get("/live", response_class=EventSourceResponse)
async def watch(id: ExperimentId, visit: VisitDep, colour: Colour = STATUS) -> AsyncIterator[ServerSentEvent]:
    """The parts of the page as they change."""
    who = visit.person
    experiment = await run_sync(partial(queries.get_experiment, visit.store, id, owner=who.sees))
    builds = {
        _key(visit, experiment.id, colour, "state"): partial(state_part, visit, experiment.id, colour),
        _key(visit, experiment.id, "figures"): partial(figures_part, visit, experiment.id),
    }
    mark = partial(queries.latest_event, visit.store, experiment_id=experiment.id)

    def over() -> bool:
        return queries.get_experiment(visit.store, experiment.id).is_settled

    async for event in live.stream(visit.store, builds, mark, over):
        yield event


def _key(visit: Visit, id: str, *part: str) -> live.Key:
    return ("experiment", id, visit.words.language, *part)


def state_part(visit: Visit, id: str, colour: Colour = STATUS) -> str:
    """The present answer, the stages, and a dot for every run."""
    experiment = queries.get_experiment(visit.store, id)
    marks = queries.run_marks(visit.store, [id], most=MOST_MARKS, metrics=colour == METRIC).get(id, [])
    document, search = live_document(experiment), live_search(experiment)
    answer = str((document or search or {}).get("answer", ""))
    return visit.render(
        "experiment_state.html",
        experiment=experiment,
        design=document,
        search=search,
        answers=visit.words.sentences(answer) if answer else [],
        marks=marks,
        shaded=shaded(experiment, marks, colour),
        other_colour=next(name for name in COLOURS if name != colour),
        counts=queries.state_counts(visit.store, [id]).get(id, {}),
        why=_why(visit, id, marks),
        stopped=_stopped(document),
        left_out=experiment.n_runs - len(marks),
    )


def _stopped(design: dict[str, Any] | None) -> str | None:
    """The stage that a failed or cancelled run keeps from its end; None where none does."""
    if design is None or design["wait"] != "incomplete":
        return None
    return next((stage["name"] for stage in reversed(design["stages"]) if stage["state"] == "done"), None)


def _why(visit: Visit, id: str, marks: Sequence[RunMark]) -> list[tuple[int, str]]:
    """Why runs failed, and why runs wait where none is trained: how many of them, and the reason in a sentence."""
    failed = Counter(mark.reason for mark in marks if mark.status == RunStatus.FAILED)
    why = [(number, explain(RunStatus.FAILED, reason)) for reason, number in failed.most_common(MOST_REASONS)]
    waiting = sum(mark.status == RunStatus.SCHEDULED for mark in marks)
    if waiting and not any(mark.status == RunStatus.RUNNING for mark in marks):
        for run in queries.list_runs(visit.store, id, filters={"status": [RunStatus.SCHEDULED]}, limit=1)[0]:
            if run.reason:
                why.append((waiting, explain(run.status, run.reason)))
    return why


def figures_part(visit: Visit, id: str) -> str:
    """The figures of the report, as the runs stand now; above them what they show, where nothing was asked."""
    experiment = queries.get_experiment(visit.store, id)
    snapshot = queries.snapshot(visit.store, experiment.id)
    runs = snapshot.runs()
    if not any(run.metrics for run in runs):
        return visit.render("figures.html", figures=(), over=experiment.is_over)
    comparison = compare_runs(experiment, runs)
    seen = None if comparison.design else comparison.answer
    shown = drawn(snapshot.curves, comparison, visit.words)
    if border := border_figure(comparison, visit.settings, visit.words):
        shown.insert(1, border)
    return visit.render("figures.html", figures=shown, answer=seen, over=experiment.is_over)
