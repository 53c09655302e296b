"""Whether accepted work moves: each thing that it needs is asked for what it is needed for, not for a pulse.

The database must take a write, the broker a key, MLflow a search through its API; maintenance and a training worker must
have reported lately, committed outcomes must reach MLflow, and the disk must have room.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from experiments.errors import GradusError
from service.settings import Settings
from service.store import Store, queries

PATIENCE = 1.5  # seconds for each thing that is asked
SHIPPING_LATE = 300.0  # age in seconds of an outcome that MLflow should have by now
PROBE_KEY = "gradus.health"


class Unhealthy(GradusError):
    """Something that accepted work needs is away; the message is for people and holds no secret."""


@dataclass(frozen=True)
class Finding:
    """What was found about one thing, and what to do where it is away."""

    ok: bool
    detail: str
    remedy: str


def examine(store: Store, settings: Settings) -> dict[str, Finding]:
    """Ask everything at once. A failure of any kind is a finding, never an error.

    Returns:
        database, disk, broker, mlflow, maintenance, workers and shipping. Without the database no experiment is
        accepted; without any other, accepted work waits.
    """
    probes: dict[str, tuple[Callable[[], str], str]] = {
        "database": (
            lambda: database(store),
            "start the database, or correct GRADUS_DATABASE_URL",
        ),
        "disk": (lambda: disk(settings), "free some space, or lower GRADUS_MIN_FREE_BYTES"),
        "broker": (
            lambda: broker(settings),
            "start the broker, give it memory, or correct GRADUS_BROKER_URL; runs wait meanwhile",
        ),
        "mlflow": (
            lambda: mlflow(settings),
            "start MLflow, or correct GRADUS_MLFLOW_URL or its MLFLOW_ALLOWED_HOSTS; results wait in the database",
        ),
        "maintenance": (
            lambda: maintenance(store),
            "start `python -m workers.maintenance`, or end one that hangs; no work is sent meanwhile",
        ),
        "workers": (
            lambda: training_workers(store),
            "start a worker: `gradus up --workers N`; runs wait meanwhile",
        ),
        "shipping": (
            lambda: shipping(store),
            "see the log of maintenance for `shipping`; results wait in the database and the spool",
        ),
    }
    with ThreadPoolExecutor(len(probes)) as pool:
        asked = {name: (pool.submit(_ask, probe), remedy) for name, (probe, remedy) in probes.items()}
        answers = {name: (future.result(), remedy) for name, (future, remedy) in asked.items()}
    return {
        name: Finding(ok, detail, "" if ok else remedy) for name, ((ok, detail), remedy) in answers.items()
    }


def _ask(probe: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, probe()
    except Unhealthy as error:
        return False, str(error)
    except Exception as error:  # noqa: BLE001  (whatever a driver raises; its text may hold a password)
        return False, type(error).__name__


def database(store: Store) -> str:
    """The database takes a write, and not only answers."""
    if not store.takes_writes(PATIENCE):
        raise Unhealthy("answers, but takes no write: another process holds its lock, or it is read-only")
    return "SQLite" if store.is_sqlite else "PostgreSQL"


def disk(settings: Settings) -> str:
    """The disks of the home and the spool have room."""
    folders = [folder for folder in (settings.home, settings.spool) if folder.is_dir()] or [Path.cwd()]
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders)
    if free < settings.min_free_bytes:
        raise Unhealthy(
            f"{free / 1024**2:,.0f} MB are free in {folder}, {settings.min_free_bytes / 1024**2:,.0f} MB are needed"
        )
    return f"{free / 1024**3:,.1f} GB free"


def broker(settings: Settings) -> str:
    """The broker stores a key; one that is out of memory still answers PING."""
    if settings.broker_url is None:
        raise Unhealthy("GRADUS_BROKER_URL is not set")
    import redis

    with redis.Redis.from_url(
        settings.broker_url.get_secret_value(), socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
    ) as client:
        try:
            client.set(PROBE_KEY, "x", ex=60)
        except redis.ResponseError as error:
            raise Unhealthy(f"answers, but stores nothing: {str(error)[:200]}") from error
    return "stores messages"


def mlflow(settings: Settings) -> str:
    """MLflow's API answers; `/health` also does so to a host name that the API refuses."""
    address = settings.public_mlflow_url
    try:
        answer = httpx.post(
            f"{settings.mlflow_url.rstrip('/')}/api/2.0/mlflow/experiments/search",
            json={"max_results": 1},
            timeout=PATIENCE,
        )
    except httpx.HTTPError as error:
        raise Unhealthy(f"{type(error).__name__} at {address}") from error
    if answer.status_code != 200:
        raise Unhealthy(f"its API answers with status {answer.status_code} at {address}")
    return address


def maintenance(store: Store) -> str:
    """A maintenance process reported lately. Its report is one of its chores, so it stops where any chore hangs."""
    processes = [worker for worker in queries.workers(store) if worker.kind == "maintenance"]
    if not any(worker.alive for worker in processes):
        last = min((worker.age for worker in processes), default=None)
        raise Unhealthy("none is up" if last is None else f"the last report is {last:.0f} s old")
    return f"reported {min(worker.age for worker in processes):.0f} s ago"


def training_workers(store: Store) -> str:
    """A training worker reported lately."""
    training = [worker for worker in queries.workers(store) if worker.alive and worker.kind == "train"]
    if not training:
        raise Unhealthy("no training worker is alive")
    busy = sum(worker.state == "busy" for worker in training)
    return f"{len(training)} alive, {busy} at work"


def shipping(store: Store) -> str:
    """Committed outcomes reach MLflow."""
    number, age = queries.unshipped(store)
    if age > SHIPPING_LATE:
        raise Unhealthy(f"{number} trained runs wait for MLflow, the oldest for {age:.0f} s")
    return f"{number} trained runs wait for MLflow"
