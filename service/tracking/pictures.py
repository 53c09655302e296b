"""A run's pictures and other files as MLflow keeps them, over its HTTP interface: no page and no report loads MLflow's client."""

from __future__ import annotations

import json

import httpx

from service.errors import NoPicture
from service.settings import Settings

PATIENCE = 3.0
"""Seconds that a page waits for MLflow; without an answer it has no pictures."""
FOLDER = "plots"


def picture_names(settings: Settings, mlflow_run_id: str | None) -> list[str]:
    """The names of a run's pictures; none where MLflow does not answer, or does not have the run yet."""
    if mlflow_run_id is None:
        return []
    address = f"{settings.mlflow_url.rstrip('/')}/api/2.0/mlflow/artifacts/list"
    try:
        answer = httpx.get(
            address, params={"run_id": mlflow_run_id, "path": FOLDER}, timeout=PATIENCE, trust_env=False
        )
        files = answer.json().get("files", []) if answer.status_code == 200 else []
    except (httpx.HTTPError, json.JSONDecodeError):
        return []
    names = (str(file["path"]).removeprefix(f"{FOLDER}/") for file in files)
    return sorted(name for name in names if name.endswith(".png") and "/" not in name)


def picture_content(settings: Settings, mlflow_run_id: str | None, name: str) -> bytes:
    """One picture of a run, as PNG.

    Raises:
        NoPicture: MLflow does not answer, or has no such picture.
    """
    if not name.endswith(".png") or "/" in name:
        raise NoPicture(f"there is no picture {name!r}")
    return artifact(settings, mlflow_run_id, f"{FOLDER}/{name}")


def artifact(settings: Settings, mlflow_run_id: str | None, path: str) -> bytes:
    """A file of a run.

    Raises:
        NoPicture: MLflow does not answer, does not have the run yet, or has no such file.
    """
    if mlflow_run_id is None:
        raise NoPicture("the run is not in MLflow yet")
    address = f"{settings.mlflow_url.rstrip('/')}/get-artifact"
    parameters = {"run_uuid": mlflow_run_id, "path": path}
    try:
        answer = httpx.get(address, params=parameters, timeout=10 * PATIENCE, trust_env=False)
    except httpx.HTTPError as error:
        raise NoPicture(f"MLflow does not answer ({type(error).__name__})") from error
    if answer.status_code != 200:
        raise NoPicture(f"MLflow has no {path!r} of this run")
    return answer.content
