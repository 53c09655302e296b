"""Every way in has an owner, a quota and a rate; with GRADUS_PRIVATE reading has an owner too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service import operations
from service.http.rate import Rates
from tests.service.api.conftest import SPEC, serve


def key(served: Any, owner: str, *scopes: str) -> dict[str, str]:
    _, secret = operations.create_key(served.store, owner=owner, scopes=scopes)
    return {"authorization": f"Bearer {secret}"}


READS = (
    "/v1/experiments/{e}", "/v1/experiments/{e}/runs", "/v1/experiments/{e}/events", "/v1/experiments/{e}/comparison",
    "/v1/experiments/{e}/report", "/v1/runs/{r}", "/v1/runs/{r}/metrics", "/v1/runs/{r}/events", "/v1/requests/{q}",
)  # fmt: skip
CHANGES = (
    "/v1/experiments/{e}/cancel", "/v1/experiments/{e}/retry", "/v1/experiments/{e}/extend",
    "/v1/runs/{r}/cancel", "/v1/runs/{r}/retry", "/v1/runs/{r}/plot", "/v1/runs/{r}/predict",
)  # fmt: skip


@pytest.mark.parametrize("private", [False, True])
def test_reading_and_changing_anothers(tmp_path: Path, private: bool) -> None:
    with serve(tmp_path, auth_required=True, private=private) as served, served.client() as client:
        ann, bob, root = (
            key(served, "ann", "write"),
            key(served, "bob", "write"),
            key(served, "root", "admin"),
        )
        experiment = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
        runs = client.get(f"/v1/experiments/{experiment}/runs", headers=ann).json()["items"]
        for run in runs:
            served.finish(run["id"], metrics=[("test/accuracy", 1, 0.5)])
        work = operations.create_request(served.store, runs[0]["id"], kind="plot", payload={})
        ids = {"e": experiment, "r": runs[0]["id"], "q": work.id}
        for address in (template.format(**ids) for template in READS):
            assert client.get(address, headers=ann).status_code == 200, address
            assert client.get(address, headers=root).status_code == 200, address
            assert client.get(address, headers=bob).status_code == (404 if private else 200), address
        for address in (template.format(**ids) for template in CHANGES):
            body = {"inputs": [[0.0] * 64]} if address.endswith("predict") else None
            assert client.post(address, json=body, headers=bob).status_code == (404 if private else 403), (
                address
            )
        seen = [len(client.get("/v1/experiments", headers=who).json()["items"]) for who in (ann, bob, root)]
        assert seen == [1, 0 if private else 1, 1]


def test_an_owner_has_so_many_requests_open(tmp_path: Path) -> None:
    with serve(tmp_path, auth_required=True, quota_open_requests=2) as served, served.client() as client:
        ann, bob = key(served, "ann", "write"), key(served, "bob", "write")
        addresses = {}
        for owner, headers in (("ann", ann), ("bob", bob)):
            experiment = client.post("/v1/experiments", json=SPEC, headers=headers).json()["id"]
            run = client.get(f"/v1/experiments/{experiment}/runs", headers=headers).json()["items"][0]["id"]
            served.finish(run)
            addresses[owner] = f"/v1/runs/{run}/plot?wait=0"
        answers = [client.post(addresses["ann"], headers=ann) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[-1].headers["retry-after"]
        assert "GRADUS_QUOTA_OPEN_REQUESTS" in answers[-1].json()["detail"]
        assert client.post(addresses["bob"], headers=bob).status_code == 202


def test_a_key_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with (
        serve(tmp_path, auth_required=True, rate_per_second=0.1, rate_burst=3) as served,
        served.client() as client,
    ):
        ann, bob = key(served, "ann", "read"), key(served, "bob", "read")
        answers = [client.get("/v1/experiments", headers=ann) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        assert client.get("/v1/experiments", headers=bob).status_code == 200
        assert client.get("/livez").status_code == 200


def test_a_bucket_fills_with_time() -> None:
    now = 0.0
    rates = Rates(2.0, 2, clock=lambda: now)
    assert [rates.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    now = 0.5
    assert [rates.take("a"), rates.take("a")] == [0.0, 0.5]
    now = 100.0
    assert [rates.take("a") for _ in range(3)] == [0.0, 0.0, 0.5], "no more than the burst is saved up"
