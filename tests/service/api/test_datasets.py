"""`/v1/datasets` over a real MLflow: streamed, addressed by content, owned, and fetched by a host that has nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.datasets.upload import Upload
from experiments.errors import DataError
from service.store import queries
from service.tracking.datasets import FOLDER, matrices
from tests.service.api.conftest import Served, serve
from tests.service.conftest import MlflowServer

CSV = b"size;kind\n" + b"".join(b"%d,5;%s\n" % (n, (b"cat", b"dog")[n % 2]) for n in range(40))
SPEC = {
    "name": "pets",
    "dataset": {"name": "upload", "id": "pets"},
    "model": {"hidden": [3]},
    "optimizer": {"name": "sgd"},
}


@pytest.fixture
def files(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Served]:
    with serve(tmp_path / "home", mlflow_url=mlflow_server.url) as served:
        yield served


def send(client: Any, content: bytes = CSV, kind: str = "text/csv", **params: str) -> Any:
    query = {"name": "pets", "target": "kind", **params}
    return client.post(
        "/v1/datasets", params=query, content=content, headers={"Content-Type": kind}, timeout=300
    )


def test_a_file_is_kept_once_listed_read_and_removed(files: Served) -> None:
    with files.client() as client:
        answer = send(client)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["id"] == hashlib.sha256(CSV).hexdigest()
        assert (made["rows"], made["kind"], made["target"], made["size_bytes"]) == (
            40,
            "binary",
            "kind",
            len(CSV),
        )
        size, kind = made["columns"]
        assert (size["low"], size["high"], size["mean"], sum(size["bins"])) == (0.5, 39.5, 20.0, 40)
        assert (kind["values"], kind["counts"]) == (["cat", "dog"], [20, 20])
        again = send(client, name="animals")
        assert (again.status_code, again.json()["id"], again.json()["name"]) == (200, made["id"], "animals")
        listed = client.get("/v1/datasets").json()
        assert [(item["name"], item["id"]) for item in listed["items"]] == [("animals", made["id"])]
        assert (
            client.get("/v1/datasets/animals").json() == client.get(f"/v1/datasets/{made['id'][:8]}").json()
        )
        content = client.get("/v1/datasets/animals/content").content
        assert hashlib.sha256(content).hexdigest() == made["matrix_sha256"]
        assert client.delete("/v1/datasets/animals").status_code == 204
        assert client.get("/v1/datasets/animals").status_code == 404
        assert [entry.name for entry in files.settings.datasets.glob("*.npy")] == []


def test_another_host_fetches_it_once_and_checks_it(
    files: Served, tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    with files.client() as client:
        made = send(client).json()
        accepted = client.post("/v1/experiments", json=SPEC)
    assert accepted.status_code == 201, accepted.text
    run = queries.all_runs(files.store, accepted.json()["id"])[0].run_spec()
    assert isinstance(run.dataset, Upload)
    assert run.dataset.id == made["id"]
    other = tmp_path / "another-host"
    data = run.dataset.load(Source(matrix=matrices(other, mlflow_server.url)))
    assert (len(data.x_train), data.x_train.mean()) == (run.data_shape.n_train, pytest.approx(0, abs=1e-6))
    (stored,) = other.glob("*.npy")
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == made["matrix_sha256"] == stored.stem

    stored.write_bytes(b"damaged")
    matrices.cache_clear()
    assert matrices(other, mlflow_server.url)(stored.stem).read_bytes() != b"damaged"  # fetched again

    (mlflow_server.folder / "artifacts" / FOLDER / stored.name).write_bytes(b"exchanged")
    stored.unlink()
    matrices.cache_clear()
    with pytest.raises(DataError, match="holds another file"):
        matrices(other, mlflow_server.url)(stored.stem)


def test_a_file_that_an_experiment_uses_stays(files: Served) -> None:
    with files.client() as client:
        send(client)
        experiment = client.post("/v1/experiments", json=SPEC).json()
        refused = client.delete("/v1/datasets/pets")
        assert (refused.status_code, "'pets'" in refused.json()["detail"]) == (409, True)
        client.delete(f"/v1/experiments/{experiment['id']}")
        assert client.delete("/v1/datasets/pets").status_code == 204


def test_a_bad_file_is_refused_by_row_and_column(files: Served) -> None:
    with files.client() as client:
        refused = send(client, b"size,kind\n1,cat\n2,dog\nx,cat\n4,dog\n5,cat\n")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["path"] == "row 4, column size"
        unknown = send(client, target="kid")
        assert (unknown.status_code, unknown.json()["errors"][0]["path"]) == (422, "target")
        assert "did you mean kind" in unknown.json()["detail"]
        assert send(client, kind="image/png").status_code == 415
        assert client.post("/v1/datasets").status_code == 415
    assert list(files.settings.datasets.glob("incoming*")) == []


def test_a_form_is_read_as_well(files: Served) -> None:
    with files.client() as client:
        answer = client.post(
            "/v1/datasets",
            files={"file": ("my pets.csv", CSV, "text/csv")},
            data={"target": "size", "kind": "regression"},
        )
        assert (answer.status_code, answer.json()["name"], answer.json()["kind"]) == (
            201,
            "my pets",
            "regression",
        )
        wrong = client.post("/v1/datasets", files={"file": ("a.csv", CSV)}, data={"kind": "guess"})
        assert wrong.status_code == 422
        assert client.post("/v1/datasets", data={"target": "size"}).status_code == 415


def test_names_sizes_and_quotas_have_limits(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    limits: dict[str, Any] = {"max_dataset_bytes": 2000, "quota_dataset_bytes": 1024}
    with serve(tmp_path, mlflow_url=mlflow_server.url, **limits) as served, served.client() as client:
        assert send(client).status_code == 201
        taken = send(client, CSV + b"40,5;cat\n")
        assert (taken.status_code, "called 'pets'" in taken.json()["detail"]) == (409, True)
        too_many = send(client, CSV + b"0,5;cat\n" * 70, name="more")
        assert (too_many.status_code, "GRADUS_QUOTA_DATASET_BYTES" in too_many.json()["detail"]) == (
            429,
            True,
        )
        too_large = send(client, CSV * 10, name="large")
        assert (too_large.status_code, "GRADUS_MAX_DATASET_BYTES" in too_large.json()["detail"]) == (
            413,
            True,
        )


def test_a_spec_that_names_no_file_says_which_there_are(files: Served) -> None:
    with files.client() as client:
        send(client)
        wrong = {**SPEC, "dataset": {"name": "upload", "id": "pet"}}
        refused = client.post("/v1/experiments", json=wrong, params={"dry_run": True})
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"path": "dataset.id", "message": "no file is called 'pet'", "allowed": ["pets"]}
        ]
        shown = client.post("/v1/experiments", json=SPEC, params={"dry_run": True}).json()
        assert (shown["networks"][0]["input_shape"], shown["networks"][0]["dataset"]) == ([1], "pets")


def test_where_mlflow_is_away_nothing_is_kept(api: Served) -> None:
    with api.client() as client:
        refused = send(client)
        assert refused.status_code == 503
        assert client.get("/v1/datasets").json()["items"] == []


def test_the_matrix_holds_what_was_sent(files: Served) -> None:
    with files.client() as client:
        made = send(client).json()
        matrix = np.load(files.settings.datasets / f"{made['matrix_sha256']}.npy", allow_pickle=False)
    np.testing.assert_array_equal(matrix[:3], [[0.5, 0], [1.5, 1], [2.5, 0]])
