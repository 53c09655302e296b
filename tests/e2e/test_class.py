"""A class that submits at once while somebody's sweep is in training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Embedded, Json, Service, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CLAIMING = timedelta(seconds=1)  # a worker that chose its tile before a student came may claim it after


def class_keys(stack: Embedded) -> list[str]:
    """Thirty keys, as `gradus keys create --class` makes them."""
    command = [sys.executable, "-m", "gradus.cli.main", "keys", "create", "--class", "nn", "--json"]
    variables = {"GRADUS_URL": stack.url, "GRADUS_API_KEY": str(stack.key)}
    done = subprocess.run(
        command, env={**os.environ, **variables}, cwd=stack.home, capture_output=True, text=True, check=True
    )
    return [key["key"] for key in json.loads(done.stdout)]


def test_thirty_students_at_once_wait_for_the_tiles_in_training_only(
    start_embedded: Any, service_of: Any, small: Any, lasting: Any
) -> None:
    """From a student's submission to the start of the run, no worker begins a tile of the sweep, of which two messages
    for each worker were sent before."""
    stack = start_embedded("--workers", "2", "--host", "0.0.0.0")
    stack.key = (stack.home / "up.log").read_text().partition("shown once: ")[2].split()[0]
    service: Service = service_of(stack)
    polynomial = {"name": "polynomial", "samples": 20_000}
    sweep = service.submit(lasting(runs=384, epochs=8, dataset=polynomial, gradient_check={"mode": "off"}))
    wait_until(lambda: service.get(f"/v1/experiments/{sweep}")["status"].get("RUNNING", 0) > 32, within=120)

    def ask(number: int, key: str) -> str:
        headers = {"Authorization": f"Bearer {key}"}
        spec = small(name=f"student {number}", runs=1)
        answer = httpx.post(f"{stack.url}/v1/experiments", json=spec, headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(30) as class_:
        experiments = list(class_.map(ask, range(30), class_keys(stack)))
    students: list[Json] = []

    def all_started() -> bool:
        students[:] = [run for experiment in experiments for run in service.runs(experiment)]
        return all(run["started_at"] for run in students)

    wait_until(all_started, within=200)
    begun: list[datetime] = []
    path = f"/v1/experiments/{sweep}/runs?limit=200"
    while path:
        page = service.http.get(path).json()
        begun += [datetime.fromisoformat(run["started_at"]) for run in page["items"] if run["started_at"]]
        path = page["next"]
    waited = []
    for run in students:
        came, started = (datetime.fromisoformat(run[name]) for name in ("created_at", "started_at"))
        waited.append((started - came).total_seconds())
        assert not [at for at in begun if came + CLAIMING < at < started]
    print(f"a student waited {min(waited):.1f} to {max(waited):.1f} s")
    last = max(datetime.fromisoformat(run["started_at"]) for run in students)
    assert len(begun) < 384 or max(begun) > last, (
        "the sweep was over before the last student came to be trained"
    )
