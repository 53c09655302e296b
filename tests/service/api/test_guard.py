"""Hosts, origins, keys: who may ask at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import operations
from tests.service.api.conftest import SPEC, Served, serve


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_only_resolves_here_is_refused(client: httpx.Client, host: Any) -> None:
    answer = client.get("/v1/experiments", headers={"host": host})
    assert answer.status_code in (400, 421)
    if host:
        assert answer.headers["content-type"] == "application/problem+json"


def test_another_site_may_not_change_anything(client: httpx.Client, api: Served) -> None:
    id = api.submit().id
    path = f"/v1/experiments/{id}/cancel"
    assert client.post(path, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get(f"/v1/experiments/{id}").json()["status"]["KILLED"] == 0
    for origin in ("null", "http://[", "http://[::1", ""):
        assert client.post(path, headers={"origin": origin}).status_code == 403
    assert client.post(path, headers={"origin": api.url}).status_code == 202


@pytest.mark.parametrize(
    "told", ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip"]
)
def test_without_keys_nothing_is_answered_through_a_proxy(
    api: Served, client: httpx.Client, told: Any
) -> None:
    proxied = {told: "203.0.113.9", "host": "localhost"}
    body = {"owner": "mallory", "scopes": ["admin"]}
    answer = client.post("/v1/keys", json=body, headers=proxied)
    assert answer.status_code == 403
    assert "GRADUS_AUTH_REQUIRED=true" in answer.json()["detail"]
    assert "gradus keys create" in answer.json()["detail"]
    assert client.get("/", headers=proxied).status_code == 403
    assert client.post("/new", files={"text": (None, "{}")}, headers=proxied).status_code == 403
    assert client.get("/livez", headers=proxied).status_code == 200
    assert operations.list_keys(api.store) == []
    with_key = {**proxied, **key(api, "ann", "read")}
    assert client.get("/v1/experiments", headers=with_key).status_code == 200


def test_answers_carry_safe_headers(client: httpx.Client) -> None:
    headers = client.get("/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-request-id"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Any]:
    with serve(tmp_path, auth_required=True) as served:
        yield served


def key(served: Any, owner: Any, *scopes: Any, quota: Any = None) -> Any:
    _, secret = operations.create_key(served.store, owner=owner, scopes=scopes, quota=quota)
    return {"authorization": f"Bearer {secret}"}


def test_without_a_key_there_is_nothing_but_life(locked: Any) -> None:
    with locked.client() as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        for method, path in (("GET", "/v1/experiments"), ("POST", "/v1/experiments"), ("GET", "/metrics")):
            answer = client.request(method, path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
        wrong = client.get("/v1/experiments", headers={"x-api-key": "gradus_wrong"})
        assert wrong.status_code == 401


def test_scopes(locked: Any) -> None:
    read, write, admin = (key(locked, "ann", scope) for scope in ("read", "write", "admin"))
    with locked.client() as client:
        assert client.get("/v1/experiments", headers=read).status_code == 200
        assert client.post("/v1/experiments", json=SPEC, headers=read).status_code == 403
        made = client.post("/v1/experiments", json=SPEC, headers=write)
        assert made.status_code == 201
        assert made.json()["owner"] == "ann"
        assert client.get("/v1/keys", headers=write).status_code == 403
        assert client.get("/v1/keys", headers=admin).status_code == 200
        bare = {"x-api-key": read["authorization"].removeprefix("Bearer ")}
        assert client.get("/v1/experiments", headers=bare).status_code == 200


def test_only_the_owner_and_an_admin_change_an_experiment(locked: Any) -> None:
    ann, bob, admin = key(locked, "ann", "write"), key(locked, "bob", "write"), key(locked, "root", "admin")
    with locked.client() as client:
        id = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
        run = client.get(f"/v1/experiments/{id}/runs", headers=bob).json()["items"][0]["id"]
        for method, path in (
            ("POST", f"/v1/experiments/{id}/cancel"),
            ("POST", f"/v1/experiments/{id}/retry"),
            ("POST", f"/v1/runs/{run}/cancel"),
            ("DELETE", f"/v1/experiments/{id}"),
        ):
            assert client.request(method, path, headers=bob).status_code == 403
        assert client.patch(f"/v1/experiments/{id}", json={"priority": 1}, headers=bob).status_code == 403
        assert client.post(f"/v1/runs/{run}/cancel", headers=ann).status_code == 202
        assert client.delete(f"/v1/experiments/{id}", headers=admin).status_code == 204


def test_a_quota_counts_what_waits(locked: Any) -> None:
    ann = key(locked, "ann", "write", quota=6)
    with locked.client() as client:
        first = client.post("/v1/experiments", json=SPEC, headers=ann)
        assert first.status_code == 201
        second = client.post("/v1/experiments", json=SPEC, headers=ann)
        assert second.status_code == 429
        assert second.headers["retry-after"]
        id = first.json()["id"]
        assert client.post(f"/v1/experiments/{id}/extend", json={"seeds": 2}, headers=ann).status_code == 429
        client.post(f"/v1/experiments/{id}/cancel", headers=ann)
        assert client.post("/v1/experiments", json=SPEC, headers=ann).status_code == 201


def test_a_key_is_told_once_and_can_be_revoked(locked: Any) -> None:
    admin = key(locked, "root", "admin")
    with locked.client() as client:
        made = client.post("/v1/keys", json={"owner": "ann", "scopes": ["read"]}, headers=admin).json()
        listed = client.get("/v1/keys", headers=admin).text
        assert made["key"] not in listed
        ann = {"x-api-key": made["key"]}
        assert client.get("/v1/experiments", headers=ann).status_code == 200
        assert client.delete(f"/v1/keys/{made['id']}", headers=admin).status_code == 204
        assert client.get("/v1/experiments", headers=ann).status_code == 401
        assert (
            client.post("/v1/keys", json={"owner": "a", "scopes": ["root"]}, headers=admin).status_code == 422
        )


def test_a_wrong_key_is_refused_also_where_none_is_needed(api: Served) -> None:
    with httpx.Client(base_url=api.url, headers={"x-api-key": "nonsense"}, trust_env=False) as client:
        assert client.get("/v1/experiments").status_code == 401
