"""A spec that asks for a GPU where none is: accepted, waits, and says for what; a made-up GPU worker ends the wait."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service import operations
from service.entities import Worker
from tests.service.api.conftest import Served


def fleet(api: Served, device: Any) -> None:
    queues = (f"gradus.{device}", "gradus.any")
    operations.beat(api.store, Worker(f"{device}-1", device=device, queues=queues, state="idle"))


@pytest.mark.parametrize("workers", [(), ("cpu",)])
def test_it_waits_and_says_for_what(api: Served, client: httpx.Client, spec: Any, workers: Any) -> None:
    for device in workers:
        fleet(api, device)
    answer = client.post("/v1/experiments", json={**spec, "device": "gpu"})
    assert answer.status_code == 201
    path = f"/v1/experiments/{answer.json()['id']}"
    runs = client.get(f"{path}/runs").json()["items"]
    assert {(run["status"], run["reason"]) for run in runs} == {
        ("SCHEDULED", "waits for a gpu worker: none is up")
    }
    assert client.get(f"/v1/runs/{runs[0]['id']}").json()["reason"] == "waits for a gpu worker: none is up"
    fleet(api, "gpu")
    assert {run["reason"] for run in client.get(f"{path}/runs").json()["items"]} == {""}


def test_the_fleet_shows_what_each_worker_trains_on(api: Served, client: httpx.Client) -> None:
    fleet(api, "gpu")
    fleet(api, "cpu")
    shown = {worker["name"]: worker["device"] for worker in client.get("/v1/workers").json()["items"]}
    assert shown == {"gpu-1": "gpu", "cpu-1": "cpu"}
