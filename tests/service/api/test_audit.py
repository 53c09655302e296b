"""The audit trail: who changed what, from where, also of things that are gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from service import operations
from service.store import queries
from tests.service.api.conftest import SPEC, Served, serve


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path, auth_required=True) as served:
        yield served


def key(served: Served, owner: str, *scopes: str) -> tuple[str, dict[str, str]]:
    """The id of a new key, and the header with its secret."""
    made, secret = operations.create_key(served.store, owner=owner, scopes=scopes)
    return made.id, {"authorization": f"Bearer {secret}"}


def test_who_deleted_this_is_known_after_it_is_gone(locked: Served) -> None:
    (ann_key, ann), (_, root) = key(locked, "ann", "write"), key(locked, "root", "admin")
    with locked.client() as client:
        id = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
        assert client.delete(f"/v1/experiments/{id}", headers=ann).status_code == 204
        operations.purge_experiment(locked.store, id)
        entries = client.get("/v1/audit", params={"id": id}, headers=root).json()["items"]
        assert [(entry["action"], entry["owner"], entry["key_id"]) for entry in entries] == [
            ("deleted", "ann", ann_key),
            ("submitted", "ann", ann_key),
        ]
        assert entries[0]["details"]["name"] == SPEC["name"]
        assert {entry["address"] for entry in entries} == {"127.0.0.1"}
        assert client.get("/v1/audit", headers=ann).status_code == 403


def test_every_change_is_in_the_trail_with_its_request(locked: Served) -> None:
    (_, ann), (_, root) = key(locked, "ann", "write"), key(locked, "root", "admin")
    with locked.client() as client:
        id = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
        client.patch(f"/v1/experiments/{id}", json={"priority": 3}, headers=ann)
        client.post(f"/v1/experiments/{id}/extend", json={"seeds": 1}, headers=ann)
        answer = client.post(f"/v1/experiments/{id}/cancel", headers=root)
        client.post(f"/v1/experiments/{id}/retry", headers=ann)
        made = client.post("/v1/keys", json={"owner": "bob", "scopes": ["read"]}, headers=root).json()
        client.delete(f"/v1/keys/{made['id']}", headers=root)
        entries = client.get("/v1/audit", headers=root).json()["items"]
    trail = [(entry["action"], entry["kind"], entry["owner"]) for entry in reversed(entries)]
    assert trail == [
        ("submitted", "experiment", "ann"),
        ("changed", "experiment", "ann"),
        ("extended", "experiment", "ann"),
        ("cancelled", "experiment", "root"),
        ("retried", "experiment", "ann"),
        ("created", "key", "root"),
        ("revoked", "key", "root"),
    ]
    cancelled = next(entry for entry in entries if entry["action"] == "cancelled")
    assert cancelled["request_id"] == answer.headers["x-request-id"]


def test_the_actor_is_in_events_and_workers_have_none(locked: Served) -> None:
    _, ann = key(locked, "ann", "write")
    with locked.client() as client:
        id = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
    run = queries.all_runs(locked.store, id)[0]
    locked.finish(run.id)
    with locked.store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT kind, actor FROM events ORDER BY id").all()
    actors = {row.kind: row.actor for row in rows}
    assert '"owner":"ann"' in actors["experiment"]
    assert actors["status"] is None


def test_a_refused_change_leaves_no_entry(locked: Served) -> None:
    (_, ann), (_, bob) = key(locked, "ann", "write"), key(locked, "bob", "write")
    with locked.client() as client:
        id = client.post("/v1/experiments", json=SPEC, headers=ann).json()["id"]
        assert client.delete(f"/v1/experiments/{id}", headers=bob).status_code == 403
        assert client.post("/v1/experiments", json={"name": "x"}, headers=bob).status_code == 422
    assert [entry.owner for entry in queries.audit(locked.store)[0]] == ["ann"]


def test_pages_and_filters(api: Served, client: Any) -> None:
    ids = [client.post("/v1/experiments", json=SPEC).json()["id"] for _ in range(3)]
    first = client.get("/v1/audit", params={"limit": 2}).json()
    rest = client.get(first["next"]).json()
    assert [entry["target_id"] for entry in first["items"] + rest["items"]] == ids[::-1]
    assert client.get("/v1/audit", params={"action": "deleted"}).json()["items"] == []
    assert client.get("/v1/audit", params={"owner": "nobody"}).json()["items"] == []


def test_the_access_log_says_who_asked(locked: Served) -> None:
    ann_key, ann = key(locked, "ann", "read")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as logs, locked.client() as client:
        client.get("/v1/experiments", headers=ann)
    (line,) = [line for line in logs if line["event"] == "request"]
    assert (line["owner"], line["key_id"], line["address"]) == ("ann", ann_key, "127.0.0.1")
