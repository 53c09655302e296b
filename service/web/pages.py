"""The start page: experiments with their progress and answers, and a form to submit a spec. For people, not
programs.

Where the service asks for a key, a browser gives it once; it is then kept in a cookie that scripts cannot
read and that other sites cannot send.
"""

from __future__ import annotations

import hashlib
import uuid
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from experiments.errors import GradusError, SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.examples import examples
from experiments.spec.preview import preview
from service import operations
from service.analysis import design
from service.analysis.design_document import live_document
from service.entities import Experiment
from service.html import templates
from service.http.auth import Principal, holder, person_here
from service.http.dependencies import ExperimentId, SettingsDep, StoreDep
from service.http.submission import submit_spec
from service.report import page
from service.settings import Settings
from service.store import Store, queries
from service.tracking.urls import MlflowPages

router = APIRouter(include_in_schema=False)
COOKIE = "gradus_key"
SHOWN = 50
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
STATUSES = ("FINISHED", "RUNNING", "SCHEDULED", "FAILED", "KILLED")


def visitor(request: Request, settings: SettingsDep, store: StoreDep) -> Principal | None:
    """Who looks at the page; None where a key is needed and none, or a wrong one, was given.

    Raises:
        Forbidden: no key is needed, and a proxy handed the request on.
    """
    if not settings.needs_key:
        return person_here(request, settings)
    return holder(store, settings, request.app.state.rates, request.cookies.get(COOKIE, ""))


Visitor = Annotated[Principal | None, Depends(visitor)]
SpecText = Annotated[str, Form(max_length=1_000_000)]


@router.get("/")
def start(who: Visitor, store: StoreDep, settings: SettingsDep) -> HTMLResponse:
    """The page."""
    return _page(who, store, settings)


@router.get("/start/experiments")
def listed(who: Visitor, store: StoreDep, settings: SettingsDep) -> HTMLResponse:
    """The list alone: what the page's script puts in place every few seconds."""
    if who is None:
        return HTMLResponse("", 401)
    return _html("list.html", 200, experiments=_experiments(store, settings, who.sees))


@router.post("/start/preview")
def previewed(who: Visitor, settings: SettingsDep, spec: SpecText) -> HTMLResponse:
    """What a spec would do, or what is wrong with it."""
    if who is None:
        return HTMLResponse("", 401)
    return _html("preview.html", 200, **_preview(spec, settings))


@router.post("/start/submit")
def submitted(
    who: Visitor,
    store: StoreDep,
    settings: SettingsDep,
    spec: SpecText,
    action: Annotated[str, Form()] = "submit",
    form: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Submit a pasted spec, or (without the script) show what it would do."""
    if who is None:
        return _page(None, store, settings, status=401)
    found = _preview(spec, settings)
    if action == "preview" or found["problems"]:
        return _page(who, store, settings, spec=spec, found=found, status=422 if found["problems"] else 200)
    if not who.may("write"):
        found["problems"] = [
            {"path": "", "message": "your key may only read", "allowed": "a key with scope write"}
        ]
        return _page(who, store, settings, spec=spec, found=found, status=403)
    try:
        body = spec.encode()
        key = f"form:{form}:{hashlib.sha256(body).hexdigest()}" if form else None
        experiment = submit_spec(store, settings, who, spec, idempotency_key=key, body=body)
    except GradusError as error:
        found["problems"] = _problems(error)
        return _page(who, store, settings, spec=spec, found=found, status=422)
    return RedirectResponse(f"/#{experiment.id}", 303)


@router.post("/start/key")
def key_given(store: StoreDep, request: Request, key: Annotated[str, Form(max_length=500)]) -> Response:
    """Keep a key in the browser."""
    answer = RedirectResponse("/", 303)
    if operations.authenticate(store, key.strip()) is not None:
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, key.strip(), httponly=True, samesite="strict", secure=secure, max_age=30 * 86400
        )
    return answer


@router.get("/experiments/{id}/report")
def read_report(id: ExperimentId, who: Visitor, store: StoreDep, settings: SettingsDep) -> Response:
    """The report for a browser: the same page as under `/v1`, with the cookie instead of a header."""
    if who is None:
        return RedirectResponse("/", 303)
    experiment = queries.get_experiment(store, id, owner=who.sees)
    return HTMLResponse(page.render(store, experiment.id, settings))


@router.get("/start/{name}.{kind}")
def asset(name: str, kind: str) -> Response:
    """The style, the script and the sign of the page."""
    if kind not in KINDS or name != "start":
        return Response("no such file\n", 404, media_type="text/plain")
    source = templates("service.web").get_template(f"{name}.{kind}").render()
    return Response(source, media_type=KINDS[kind], headers={"Cache-Control": "no-cache"})


def _page(
    who: Principal | None,
    store: Store,
    settings: Settings,
    *,
    spec: str = "",
    found: dict[str, Any] | None = None,
    status: int = 200,
) -> HTMLResponse:
    return _html(
        "start.html",
        status,
        locked=who is None,
        experiments=_experiments(store, settings, who.sees) if who is not None else [],
        examples=_examples(),
        form=uuid.uuid4().hex,
        spec=spec,
        found=found,
        mlflow=settings.public_mlflow_url,
    )


def _html(template: str, status: int, **names: object) -> HTMLResponse:
    body = templates("service.web").get_template(template).render(**names)
    return HTMLResponse(body, status, headers={"Content-Security-Policy": CSP, "Cache-Control": "no-store"})


def _experiments(store: Store, settings: Settings, owner: str | None) -> list[dict[str, Any]]:
    experiments, _ = queries.list_experiments(store, limit=SHOWN, owner=owner)
    return [_entry(experiment, settings) for experiment in experiments]


def _entry(experiment: Experiment, settings: Settings) -> dict[str, Any]:
    total = max(1, experiment.n_runs)
    over = sum(experiment.counts.get(status, 0) for status in ("FINISHED", "FAILED", "KILLED"))
    pages, there = MlflowPages(settings.public_mlflow_url), experiment.mlflow_experiment_id
    plan = live_document(experiment) or {}
    return {
        "id": experiment.id,
        "name": experiment.name,
        "created": experiment.created_at.strftime("%Y-%m-%d %H:%M"),
        "stage": experiment.stage if plan else "",
        "asks": f"{plan['factor']} by {plan['metric']}" if plan else "",
        "answer": str(plan.get("answer", "")),
        "total": experiment.n_runs,
        "over": over,
        "percent": 100 * over // total,
        "counts": [(status.lower(), experiment.counts.get(status, 0)) for status in STATUSES],
        "mlflow": pages.experiment(there) if there else None,
        "compare": pages.compare(there) if there else None,
    }


def _preview(text: str, settings: Settings) -> dict[str, Any]:
    try:
        spec = ExperimentSpec.parse(text, settings.limits())
        points, stage, _ = design.initial_points(spec)
    except SpecError as error:
        return {"problems": _problems(error), "preview": None, "first": 0, "stage": ""}
    found = preview(spec)
    found["networks"] = list(
        {(one["architecture"], one["parameters"]): one for one in found["networks"]}.values()
    )
    return {"problems": [], "preview": found, "first": len(points), "stage": stage}


def _problems(error: GradusError) -> list[dict[str, Any]]:
    if not isinstance(error, SpecError):
        return [{"path": "", "message": str(error), "allowed": None}]
    found = []
    for one in error.problems:
        allowed = ", ".join(one.allowed) if isinstance(one.allowed, list) else one.allowed
        found.append({"path": one.path, "message": one.message, "allowed": allowed})
    return found


@cache
def _examples() -> tuple[tuple[str, str], ...]:
    """(name, text) of the examples that can be submitted."""
    return tuple((name, text) for name, text in examples().items() if not name.startswith("refused/"))
