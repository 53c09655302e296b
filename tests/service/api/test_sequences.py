"""Calls in any order give answers that agree: idempotent where they are repeated, and a dry run as the real thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.api.conftest import SPEC, Served, serve


def test_cancelling_what_is_over_changes_nothing_and_it_can_be_extended(
    api: Served, client: httpx.Client
) -> None:
    id = client.post("/v1/experiments", json=SPEC).json()["id"]
    for run in client.get(f"/v1/experiments/{id}/runs").json()["items"]:
        api.finish(run["id"])
    before = client.get(f"/v1/experiments/{id}").json()
    assert client.post(f"/v1/experiments/{id}/cancel").status_code == 202
    after = client.get(f"/v1/experiments/{id}").json()
    assert (after["status"], after["version"]) == (before["status"], before["version"])
    extended = client.post(f"/v1/experiments/{id}/extend", json={"seeds": 1})
    assert extended.status_code == 202, extended.text
    assert extended.json()["n_runs"] > before["n_runs"]


def test_extending_twice_with_one_key_extends_once(client: httpx.Client) -> None:
    id = client.post("/v1/experiments", json=SPEC).json()["id"]
    key = {"Idempotency-Key": "k"}
    path = f"/v1/experiments/{id}/extend"
    first = client.post(path, json={"seeds": 2}, headers=key).json()
    again = client.post(path, json={"seeds": 2}, headers=key)
    assert (again.status_code, again.json()["n_runs"]) == (202, first["n_runs"])
    assert client.post(path, json={"seeds": 3}, headers=key).status_code == 422


TOO_SMALL = {
    "name": "q", "dataset": {"name": "digits"}, "model": {"hidden": [4]}, "optimizer": {"name": "sgd"},
    "sweep": {"activation": ["relu", "tanh"]},
    "compare": {"factor": "activation", "metric": "test/accuracy", "delta": 0.01, "looks": [5], "budget": 3},
}  # fmt: skip


@pytest.mark.parametrize(
    "document", [SPEC, TOO_SMALL, {**SPEC, "name": ""}, {}, {**SPEC, "sweep": {"seeds": 50}}]
)
def test_a_dry_run_refuses_what_submitting_refuses(tmp_path: Path, document: Any) -> None:
    with serve(tmp_path, quota_queued_runs=40) as served, served.client() as client:
        dry = client.post("/v1/experiments?dry_run=true", json=document)
        real = client.post("/v1/experiments", json=document)
        assert (dry.status_code == 200) == (real.status_code == 201), (dry.text, real.text)
        if real.status_code != 201:
            assert (dry.status_code, dry.json()["errors"]) == (real.status_code, real.json()["errors"])


CALLS = ("cancel", "retry", "extend", "finish", "patch")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=7))
def test_any_sequence_of_calls_agrees_with_itself(api: Served, calls: list[str]) -> None:
    """No call fails in a way that its documentation does not name, and the counts always add up."""
    with api.client() as client:
        id = client.post("/v1/experiments", json=SPEC).json()["id"]
        path = f"/v1/experiments/{id}"
        for call in calls:
            if call == "finish":
                waiting = client.get(f"{path}/runs?status=SCHEDULED").json()["items"]
                if waiting:
                    api.finish(waiting[0]["id"])
            elif call == "patch":
                assert client.patch(path, json={"priority": 1}).status_code == 200
            else:
                body = {"seeds": 1} if call == "extend" else None
                answer = client.post(f"{path}/{call}", json=body)
                assert answer.status_code in (202, 409), (call, answer.text)
                if call == "cancel":
                    again = client.post(f"{path}/cancel")
                    assert again.json()["status"] == answer.json()["status"]
            now = client.get(path).json()
            assert sum(now["status"].values()) == now["n_runs"]
            if now["status"]["SCHEDULED"] == now["status"]["RUNNING"] == 0 and "cancel" not in calls:
                assert client.post(f"{path}/extend", json={"seeds": 1}).status_code == 202
