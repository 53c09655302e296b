"""A class: join with a code, one's own results until they are opened, the wall for the lecturer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service import operations
from tests.service.api.conftest import SPEC, Served, serve

LESSON = "01-perceptron-and"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path, auth_required=True) as served:
        yield served


@pytest.fixture
def lecturer(served: Served) -> dict[str, str]:
    return bearer(operations.create_key(served.store, owner="lecturer", scopes=["admin"])[1])


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def joined(client: Any, code: str, name: str) -> dict[str, str]:
    answer = client.post("/v1/classes/join", json={"code": code, "name": name})
    assert answer.status_code == 201, answer.text
    return bearer(answer.json()["key"])


def test_a_class_from_its_code_to_the_wall(served: Served, lecturer: dict[str, str]) -> None:
    with served.client() as client:
        made = client.post("/v1/classes", json={"name": "nn-101", "count": 2}, headers=lecturer).json()
        assert made["links"]["join"].endswith(f"/join?code={made['code']}")
        ann = joined(client, made["code"], "Ann")
        li = joined(client, f" {made['code'].upper()} ", "李雷")
        taken = client.post("/v1/classes/join", json={"code": made["code"], "name": "Ann"})
        assert (taken.status_code, "'Ann' is taken" in taken.json()["detail"]) == (409, True)
        full = client.post("/v1/classes/join", json={"code": made["code"], "name": "Eve"})
        assert (full.status_code, "2 students" in full.json()["detail"]) == (409, True)
        assert client.post("/v1/classes/join", json={"code": "guessed", "name": "Eve"}).status_code == 404

        experiment = client.post(f"/v1/lessons/{LESSON}", headers=ann).json()["experiment_id"]
        runs = client.get(f"/v1/experiments/{experiment}/runs", headers=ann).json()["items"]
        for run in runs:
            served.finish(run["id"], reason="train_errors", metrics=[("train/accuracy", 1, 1.0)])
        address = f"/v1/experiments/{experiment}"
        assert client.get(address, headers=li).status_code == 404
        assert client.get(address, headers=lecturer).status_code == 200
        wall = f"/v1/classes/nn-101/wall?spec={LESSON}"
        assert client.get(wall, headers=li).status_code == 403

        assert client.post("/v1/classes/nn-101/open", headers=ann).status_code == 403
        assert client.post("/v1/classes/nn-101/open", headers=lecturer).json()["opened_at"] is not None
        assert client.get(address, headers=li).status_code == 200
        answers = {row["owner"]: row for row in client.get(wall, headers=li).json()["items"]}
        assert answers["nn-101-Ann"]["verdict"] == "confirmed"
        assert answers["nn-101-Ann"]["experiment_id"] == experiment
        assert (answers["nn-101-李雷"]["experiment_id"], answers["nn-101-李雷"]["verdict"]) == (None, None)
        assert client.post("/v1/classes/nn-101/close", headers=lecturer).json()["opened_at"] is None
        assert client.get(address, headers=li).status_code == 404

        students = client.get("/v1/classes/nn-101/students", headers=lecturer).json()["items"]
        assert [(row["owner"], row["experiments"], row["lessons"]) for row in students] == [
            ("nn-101-Ann", 1, 1), ("nn-101-李雷", 0, 0),
        ]  # fmt: skip
        assert client.get("/v1/classes/nn-101/students", headers=ann).status_code == 403
        (listed,) = client.get("/v1/classes", headers=lecturer).json()["items"]
        assert (listed["students"], listed["most"], "code" in listed) == (2, 2, False)


def test_a_revoked_student_makes_room(served: Served, lecturer: dict[str, str]) -> None:
    with served.client() as client:
        code = client.post("/v1/classes", json={"name": "small", "count": 1}, headers=lecturer).json()["code"]
        joined(client, code, "Ann")
        (student,) = client.get("/v1/classes/small/students", headers=lecturer).json()["items"]
        client.delete(f"/v1/keys/{student['key_id']}", headers=lecturer)
        joined(client, code, "Ann")


def test_a_class_has_one_name_and_a_name_without_slashes(served: Served, lecturer: dict[str, str]) -> None:
    with served.client() as client:
        body = {"name": "nn-101"}
        assert client.post("/v1/classes", json=body, headers=lecturer).status_code == 201
        assert client.post("/v1/classes", json=body, headers=lecturer).status_code == 409
        assert client.post("/v1/classes", json={"name": "a/b"}, headers=lecturer).status_code == 422
        assert client.post("/v1/classes/none/open", headers=lecturer).status_code == 404


def test_who_has_no_class_sees_the_wall_of_none(served: Served, lecturer: dict[str, str]) -> None:
    bob = bearer(operations.create_key(served.store, owner="bob", scopes=["write"])[1])
    with served.client() as client:
        client.post("/v1/classes", json={"name": "nn-101"}, headers=lecturer)
        client.post("/v1/classes/nn-101/open", headers=lecturer)
        assert client.get("/v1/classes/nn-101/wall?spec=x", headers=bob).status_code == 403
        experiment = client.post("/v1/experiments", json=SPEC, headers=bob).json()["id"]
        assert client.get(f"/v1/experiments/{experiment}", headers=lecturer).status_code == 200
