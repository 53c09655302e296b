"""`/runs/ID`: how one run went, what it learned, whether its gradient is right; and its network to be tried."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from experiments import film
from experiments.errors import GradusError
from experiments.gradient_check.certificates import GradientReport, certificate_key
from experiments.recording import MOST_SMALL_WEIGHTS
from experiments.sections import DEFAULT_BACKEND
from experiments.spec.written import as_yaml
from service import operations
from service.analysis.result import CERTIFICATE, DIAGNOSIS
from service.entities import Request, Run, shown_state
from service.errors import NoPicture, NotFound
from service.http.bodies import json_of
from service.http.dependencies import RunId
from service.http.problems import status_of
from service.http.requests import Inputs, ask_pictures, ask_prediction, settled
from service.lifecycle import RunStatus
from service.reasons import explain
from service.report.pictures import captioned
from service.store import queries
from service.tracking.pictures import artifact, picture_content, picture_names
from service.web import live
from service.web.run_figures import run_figures
from service.web.tried import tried
from service.web.view import PageRoute, Visit, VisitDep
from service.web.weights import drawing, learned_weights, tables

router = APIRouter(prefix="/runs/{id}", include_in_schema=False, route_class=PageRoute)
streams = APIRouter(prefix="/runs/{id}", include_in_schema=False)
PATIENCE = 20.0
"""Seconds that a page waits for a prediction."""


def readable(visit: Visit, id: str) -> Run:
    """The run, if the visitor may see it. Raises Unauthenticated, NotFound."""
    return queries.get_run(visit.store, id, owner=visit.person.sees)


@router.get("")
def run_page(id: RunId, visit: VisitDep, request: str = "") -> Response:
    """The page. `request` is a drawing that somebody asked for."""
    run = readable(visit, id)
    experiment = queries.get_experiment(visit.store, run.experiment_id)
    spec = run.run_spec()
    names = picture_names(visit.settings, run.mlflow_run_id) if run.is_terminal else []
    small = run.status == RunStatus.FINISHED and spec.forecast.parameters <= MOST_SMALL_WEIGHTS
    tensors = learned_weights(visit.settings, run) if small and names else {}
    return visit.page(
        "run.html",
        run=run,
        experiment=experiment,
        state=state_part(visit, run.id),
        curves=curves_part(visit, run.id),
        live=not run.is_terminal,
        pictures=[captioned(name, f"/runs/{run.id}/pictures/{name}", visit.words) for name in names],
        filmed=spec.diagnostics.film,
        tables=tables(tensors),
        network=""
        if spec.model.inputs
        else drawing(tensors, visit.words),  # a line for every weight shows no shortcut
        drawing=_drawing(visit, run, request),
        certificate=certificate(visit, run),
        spec=as_yaml(run.spec),
        tried=tried(spec, visit.words),
        may_change=visit.person.changes(experiment.owner),
        mlflow=visit.mlflow.run(run.mlflow_experiment_id, run.mlflow_run_id)
        if visit.mlflow and run.mlflow_experiment_id and run.mlflow_run_id
        else None,
    )


@streams.get("/live", response_class=EventSourceResponse)
async def watch(id: RunId, visit: VisitDep) -> AsyncIterator[ServerSentEvent]:
    """The parts of the page as they change."""
    run = await run_sync(readable, visit, id)
    builds: dict[live.Key, live.Build] = {
        ("run", run.id, visit.words.language, name): partial(build, visit, run.id)
        for name, build in (("state", state_part), ("curves", curves_part))
    }
    mark = partial(queries.latest_event, visit.store, run_id=run.id)

    def over() -> bool:
        return queries.get_run(visit.store, run.id).is_terminal

    async for event in live.stream(visit.store, builds, mark, over):
        yield event


def state_part(visit: Visit, id: str) -> str:
    """Status, latest values and diagnoses of a run."""
    run = queries.get_run(visit.store, id)
    diagnoses = {
        tag.removeprefix(DIAGNOSIS): text
        for tag, text in sorted(run.tags.items())
        if tag.startswith(DIAGNOSIS)
    }
    committed, verdict = run.committed_at is not None, run.tags.get(CERTIFICATE, "")
    reason = "diverged" if "diverged" in diagnoses else run.reason
    look = shown_state(run.status, reason, committed=committed, certificate=verdict)
    why = explain(run.status, run.reason, run.tags)
    return visit.render("run_state.html", run=run, look=look, diagnoses=diagnoses, why=why)


def curves_part(visit: Visit, id: str) -> str:
    """The curves of a run as far as it has trained."""
    run = queries.get_run(visit.store, id)
    history = queries.metric_values(visit.store, [id], list(run.metrics)).get(id, {})
    return visit.render(
        "figures.html",
        figures=run_figures(history, visit.words, running=not run.is_terminal),
        over=run.is_terminal,
    )


def certificate(visit: Visit, run: Run) -> dict[str, Any] | None:
    """The gradient check of a run's program, with the coordinate that differs most; None where there is none."""
    verdict = run.tags.get(CERTIFICATE)
    if verdict is None:
        return None
    shown: dict[str, Any] = {
        "verdict": verdict, "reason": run.tags.get(f"{CERTIFICATE}.reason", ""), "worst": None, "report": None,
    }  # fmt: skip
    device, backend = run.tags.get("gradus.device", "cpu"), run.tags.get("gradus.backend", DEFAULT_BACKEND)
    key = run.tags.get("gradus.certificate.key") or certificate_key(run.run_spec(), device, backend)
    stored = queries.get_certificate(visit.store, key)
    if stored is None:
        return shown
    report = GradientReport.model_validate(stored.report)
    tensors = [tensor for state in report.states for tensor in state.tensors if tensor.worst is not None]
    worst = max(tensors, key=lambda tensor: tensor.worst.error if tensor.worst else 0.0, default=None)
    return {**shown, "worst": worst, "report": report}


@router.get("/pictures/{name}")
def picture(id: RunId, name: str, visit: VisitDep) -> Response:
    """One picture of a run, as MLflow has it."""
    run = readable(visit, id)
    content = picture_content(visit.settings, run.mlflow_run_id, name)
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/film")
def film_frames(id: RunId, visit: VisitDep) -> Response:
    """The film of a run as far as it has been recorded, for the player of the page; 204 where nothing is yet."""
    run = readable(visit, id)
    try:
        content = artifact(visit.settings, run.mlflow_run_id, film.FILM)
    except NoPicture:
        return Response(status_code=204)
    stored = film.load(content)
    scene, outputs = stored.scene, np.stack([outputs for _, outputs, _ in stored.frames])
    low, high = float(outputs.min()), float(outputs.max())
    values = np.round(255 * (outputs - low) / ((high - low) or 1.0)).astype(np.uint8)
    return JSONResponse(
        {
            "unit": scene.unit,
            "axes": scene.axes,
            "size": scene.size,
            "bound": scene.bound,
            "classes": scene.classes,
            "low": low,
            "high": high,
            "names": scene.names,
            "positions": [position for position, _, _ in stored.frames],
            "outputs": base64.b64encode(values.tobytes()).decode(),
            "weights": [[round(float(w), 5) for w in weights] for _, _, weights in stored.frames]
            if len(scene.names) <= MOST_SMALL_WEIGHTS
            else [],
            "points": scene.points.tolist(),
            "targets": scene.targets.tolist(),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.post("/draw")
def draw(id: RunId, visit: VisitDep) -> Response:
    """Ask a worker for the run's pictures."""
    work = ask_pictures(visit.store, visit.settings, visit.writer, id)
    return RedirectResponse(f"/runs/{work.run_id}?request={work.id}#pictures", 303)


@router.post("/predict")
async def predict(
    id: RunId, visit: VisitDep, body: Annotated[Inputs, Depends(json_of(Inputs))]
) -> JSONResponse:
    """The network's outputs for the inputs that somebody drew or set."""
    try:
        work = await run_sync(partial(ask_prediction, visit.store, visit.settings, visit.writer, id, body))
        done = await settled(visit.store, work, PATIENCE)
    except GradusError as error:
        said = visit.words.listed(problem.message for problem in visit.problems(error))
        return JSONResponse({"problem": said}, status_of(error))
    if done.result is None:
        return JSONResponse({"problem": visit.words("run.predict_busy")}, 202)
    warnings = [visit.words.problem(warning) for warning in done.result.get("warnings", ())]
    return JSONResponse({**done.result, "warnings": warnings})


@router.post("/cancel")
def cancel(id: RunId, visit: VisitDep) -> Response:
    """Cancel the run."""
    run = owned(visit, id)
    operations.cancel_run(visit.store, run.id)
    return RedirectResponse(f"/runs/{run.id}", 303)


@router.post("/retry")
def retry(id: RunId, visit: VisitDep) -> Response:
    """Queue the failed or cancelled run again."""
    run = owned(visit, id)
    operations.retry_run(visit.store, run.id, quota=visit.writer.quota)
    return RedirectResponse(f"/runs/{run.id}", 303)


def owned(visit: Visit, id: str) -> Run:
    """The run, if the visitor may change it. Raises Unauthenticated, Forbidden, NotFound."""
    run = readable(visit, id)
    visit.writer.check_owns(queries.get_experiment(visit.store, run.experiment_id).owner)
    return run


def _drawing(visit: Visit, run: Run, request: str) -> Request | None:
    if not request:
        return None
    try:
        work = queries.get_request(visit.store, request)
    except NotFound:
        return None
    return work if work.run_id == run.id else None
