"""What a scrape counts: requests by route, changes of runs by name, durations; and gauges that stay at 0."""

from __future__ import annotations

import httpx

from service import operations
from service.store import queries
from tests.service.api.conftest import Served


def numbers(client: httpx.Client) -> dict[str, float]:
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in client.get("/metrics").text.splitlines()
        if line and not line.startswith("#")
    }


def test_changes_and_durations_of_runs_are_counted_once(client: httpx.Client, api: Served) -> None:
    runs = [run.id for run in queries.all_runs(api.store, api.submit().id)]
    api.finish(runs[0])
    before = numbers(client)
    assert before['gradus_run_changes_total{edge="finished"}'] == 0, "counted from the first scrape on"
    api.finish(runs[1])
    operations.cancel_run(api.store, runs[2])
    for _ in range(2):
        after = numbers(client)
    assert after['gradus_run_changes_total{edge="claimed"}'] == 1
    assert after['gradus_run_changes_total{edge="finished"}'] == 1
    assert after['gradus_run_changes_total{edge="killed"}'] == 1
    assert after['gradus_run_changes_total{edge="worker_lost"}'] == 0
    assert after["gradus_claim_to_commit_seconds_count"] == 1
    assert after["gradus_commit_to_mlflow_seconds_count"] == 1
    assert after['gradus_claim_to_commit_seconds_bucket{le="10.0"}'] == 1


def test_requests_are_counted_by_route_and_not_by_id(client: httpx.Client, api: Served) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0].id
    for id in (run, run[:8], "0" * 20):
        client.get(f"/v1/runs/{id}")
    measures = numbers(client)
    name = 'gradus_http_request_seconds_count{code="%s",method="GET",route="/v1/runs/{id}"}'
    assert (measures[name % 200], measures[name % 404]) == (2, 1)
    assert not any(run in line for line in measures)


def test_gauges_do_not_vanish_at_zero_and_the_version_is_told(client: httpx.Client) -> None:
    measures = numbers(client)
    assert measures['gradus_queued_runs{device="auto",priority="0"}'] == 0
    assert measures['gradus_workers{device="cpu",kind="train",state="idle"}'] == 0
    assert measures["gradus_unshipped_runs"] == 0
    assert any(line.startswith("gradus_build_info{version=") for line in measures)
