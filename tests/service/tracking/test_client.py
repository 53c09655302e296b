"""Tracking against a real MLflow server, read back through MLflow's own client."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from service.tracking.client import Tracking
from service.tracking.records import (
    DatasetCard,
    ExperimentCard,
    MetricValue,
    RunCard,
    TrackingRefused,
    TrackingUnavailable,
)
from tests.service.conftest import MlflowServer

NOW = 1_790_000_000_000


@pytest.fixture
def tracking(mlflow_server: MlflowServer) -> Any:
    return Tracking(mlflow_server.url)


@pytest.fixture
def client(mlflow_server: MlflowServer) -> Any:
    return MlflowClient(mlflow_server.url)


@pytest.fixture
def card() -> Any:
    name = uuid.uuid4().hex
    return ExperimentCard(name, f"activations #{name[:6]}", "activations", "what for", {"course": "nn-101"})


@pytest.fixture
def experiment(tracking: Tracking, card: Any) -> Any:
    return tracking.ensure_experiment(card)


def make_run(tracking: Tracking, experiment: Any, **tags: Any) -> Any:
    return tracking.create_run(experiment, RunCard(uuid.uuid4().hex, "relu seed 0", NOW, tags))


def test_an_experiment_is_made_once_with_its_tags(
    tracking: Tracking, client: Any, card: Any, experiment: Any
) -> None:
    assert tracking.ensure_experiment(card) == experiment
    stored = client.get_experiment(experiment)
    assert stored.name == card.name
    assert stored.tags["gradus.name"] == "activations"
    assert stored.tags["gradus.experiment_id"] == card.id
    assert stored.tags["mlflow.note.content"] == "what for"
    assert stored.tags["course"] == "nn-101"


def test_a_deleted_experiment_is_brought_back_and_a_foreign_one_is_refused(
    tracking: Tracking, client: Any, card: Any, experiment: Any
) -> None:
    tracking.delete_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    tracking.delete_experiment(experiment)
    assert tracking.ensure_experiment(card) == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"
    with pytest.raises(TrackingRefused, match="belongs to something else"):
        tracking.ensure_experiment(ExperimentCard("other", card.name, "x"))


def test_name_and_description_follow(tracking: Tracking, client: Any, card: Any, experiment: Any) -> None:
    changed = ExperimentCard(card.id, f"new {card.name}", "new", "", card.tags)
    tracking.describe_experiment(experiment, changed)
    stored = client.get_experiment(experiment)
    assert stored.name == changed.name
    assert stored.tags["gradus.name"] == "new"
    assert stored.tags["mlflow.note.content"] == ""


def test_a_run_whose_creation_answer_was_lost_is_found(tracking: Tracking, experiment: Any) -> None:
    run_id = uuid.uuid4().hex
    assert tracking.find_run(experiment, run_id) is None
    made = tracking.create_run(experiment, RunCard(run_id, "n", NOW, {}))
    assert tracking.find_run(experiment, run_id) == made
    assert tracking.runs(experiment) == {run_id: made}
    assert tracking.get_run(made.id) == made


def test_of_two_with_one_tag_the_older_counts(tracking: Tracking, experiment: Any) -> None:
    first = tracking.create_run(experiment, RunCard("twice", "n", NOW, {}))
    tracking.create_run(experiment, RunCard("twice", "n", NOW + 1000, {}))
    assert tracking.runs(experiment) == {"twice": first}
    assert tracking.find_run(experiment, "twice") == first


def test_a_run_logged_twice_has_each_point_once(
    tracking: Tracking, client: Any, experiment: Any, mlflow_server: MlflowServer
) -> None:
    run = make_run(tracking, experiment, **{"gradus.fingerprint": "abc"})
    points = [
        MetricValue(f"layers/{k}-dense/grad_norm", s, s / 7, NOW + s) for k in range(30) for s in range(80)
    ]
    points.append(MetricValue("val/loss", 3, None, NOW))
    params = {f"p{i}": i for i in range(130)}
    tags = {f"t{i}": "x" * 9000 for i in range(3)}
    for _ in range(2):
        tracking.log(run.id, points, params, tags)
    tracked = client.get_run(run.id)
    assert math.isnan(tracked.data.metrics["val/loss"])
    assert len(tracked.data.params) == 130
    assert len(tracked.data.tags["t0"]) == 8000
    assert tracked.data.tags["gradus.fingerprint"] == "abc"
    assert tracked.data.tags["mlflow.source.name"] == "gradus"
    assert tracked.info.start_time == NOW
    history = client.get_metric_history(run.id, "layers/7-dense/grad_norm")
    assert [(m.step, m.value, m.timestamp) for m in history] == [(s, s / 7, NOW + s) for s in range(80)]
    with sqlite3.connect(mlflow_server.folder / "mlflow.db") as db:
        (stored,) = db.execute("select count(*) from metrics where run_uuid = ?", [run.id]).fetchone()
    assert stored == 30 * 80 + 1


def test_the_data_set_is_an_input_once(tracking: Tracking, client: Any, experiment: Any) -> None:
    run = make_run(tracking, experiment)
    for _ in range(2):
        tracking.log_dataset(run.id, DatasetCard("mnist", "sha256:" + "ab" * 32, "mnist.npz", '{"x": 1}'))
    (given,) = client.get_run(run.id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("mnist", ("sha256:" + "ab" * 32)[:36])


def test_artifacts_keep_their_paths(tracking: Tracking, client: Any, experiment: Any, tmp_path: Path) -> None:
    run = make_run(tracking, experiment)
    files = []
    for path in ("spec.yaml", "plots/loss_curves.png", "weights/model.weights.h5"):
        local = tmp_path / path
        local.parent.mkdir(exist_ok=True)
        local.write_bytes(path.encode() * 1000)
        files.append((local, path))
    with ThreadPoolExecutor(3) as pool:
        tracking.upload(run, files, pool)
        tracking.upload(run, files, pool)
    assert {f.path for f in client.list_artifacts(run.id)} == {"spec.yaml", "plots", "weights"}
    assert (
        tracking.download(run, "plots/loss_curves.png", tmp_path / "down").read_bytes()
        == files[1][0].read_bytes()
    )
    with pytest.raises(TrackingRefused):
        tracking.download(run, "plots/nothing.png", tmp_path / "down")


@pytest.mark.parametrize("status", ["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"])
def test_every_status_and_back(tracking: Tracking, client: Any, experiment: Any, status: Any) -> None:
    run = make_run(tracking, experiment)
    tracking.set_status(run.id, status, NOW + 5)
    info = client.get_run(run.id).info
    assert info.status == status
    assert info.end_time == (NOW + 5 if status in ("FINISHED", "FAILED", "KILLED") else None)
    tracking.set_status(run.id, "SCHEDULED")
    assert client.get_run(run.id).info.status == "SCHEDULED"


def test_errors_are_typed_and_quick(tracking: Tracking) -> None:
    with pytest.raises(TrackingRefused) as refused:
        tracking.set_status("0" * 32, "RUNNING")
    assert refused.value.code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(TrackingRefused):
        tracking.log("0" * 32, params={"a": 1})
    with pytest.raises(TrackingUnavailable):
        Tracking("http://127.0.0.1:9").get_run("x")


def test_no_global_state_is_touched(tracking: Tracking, experiment: Any) -> None:
    import mlflow

    make_run(tracking, experiment)
    assert mlflow.active_run() is None
    assert tracking.url not in mlflow.get_tracking_uri()


MODEL = """
import sys, pathlib, json
import keras
import numpy as np
from service.tracking.records import RunCard
from service.tracking.client import Tracking, log_model, save_keras_model
url, experiment, folder = sys.argv[1:]
dense = keras.layers.Dense
model = keras.Sequential([keras.Input((784,)), dense(3, "relu"), dense(2, "softmax")])
local = pathlib.Path(folder)
save_keras_model(model, local, input_shape=(784,), output_shape=(2,), requirements=["keras==3.15.1"])
tracking = Tracking(url)
run = tracking.create_run(experiment, RunCard("m", "m", 1790000000000, {}))
ids = [log_model(tracking, experiment, run, local, name="model", step=2, params={"a": 1}) for _ in (1, 2)]
import mlflow
mlflow.set_tracking_uri(url)
x = np.linspace(0, 1, 784, dtype="float32")[None]
again = mlflow.keras.load_model(f"models:/{ids[0]}")
served = mlflow.pyfunc.load_model(f"models:/{ids[0]}")
print(json.dumps({"ids": ids, "run": run.id, "same": bool(np.array_equal(model(x), again(x))),
 "served": bool(np.allclose(served.predict(x), model(x))),
 "requirements": pathlib.Path(folder, "requirements.txt").read_text(), "signature": str(again is not None)}))
"""


def test_a_logged_model_loads_with_pickle_forbidden(
    client: Any, experiment: Any, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    import json

    environment = {
        **os.environ,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    command = [sys.executable, "-c", MODEL, mlflow_server.url, experiment, str(tmp_path / "model")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["ids"][0] == answer["ids"][1]
    assert answer["same"]
    assert answer["served"]
    assert answer["requirements"].splitlines() == ["mlflow==3.17.2", "keras==3.15.1"]
    run = client.get_run(answer["run"])
    assert [o.model_id for o in run.outputs.model_outputs] == [answer["ids"][0]]
    assert str(client.get_logged_model(answer["ids"][0]).status) == "READY"
