"""A run's page: curves, certificate, diagnoses, pictures from MLflow, and its network to be tried."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from experiments.datasets.reading import read_file
from experiments.spec import ExperimentSpec
from service import operations
from service.entities import Shipped
from service.report.charts import style
from service.settings import load_settings
from service.store import queries
from service.tracking.pictures import picture_names
from service.web import spec_text
from service.web.run_figures import History, run_figures
from service.web.tried import tried, tried_by
from service.words import Words
from tests.service.scored_runs import World

PLAIN = (
    "name: plain\ndataset: {name: digits}\nmodel: {hidden: [2]}\ntraining: {epochs: 3}\nsweep: {seeds: 2}\n"
)


FAR = "age lies outside [3, 90], which the file holds, in 1 of 4 rows: the network never saw such values"


def runs_of(world: World, **work: Any) -> list[Any]:
    experiment = world.submit(PLAIN)
    world.work(experiment.id, **work)
    return queries.all_runs(world.store, experiment.id)


def test_a_finished_run_shows_curves_and_can_be_tried(world: World, client: httpx.Client) -> None:
    run = runs_of(world)[0]
    page = client.get(f"/runs/{run.id[:12]}").text
    assert "loss while it trained" in page
    assert "At the end: training " in page
    assert 'data-kind="image" data-shape="8,8,1"' in page
    assert "certified" in page
    assert "data-live" not in page
    assert client.get("/runs/none").status_code == 404
    assert client.get(f"/runs/{run.id}/pictures/a.png").status_code == 404


def test_a_diverged_run_is_shown_as_diverged(world: World, client: httpx.Client) -> None:
    run = runs_of(world, score=lambda run: None)[0]
    page = client.get(f"/runs/{run.id}").text
    assert 'class="dot diverged"' in page
    assert 'class="dot finished"' not in page
    assert "not a number" in page


def test_one_colour_for_each_part_in_every_figure() -> None:
    history: History = {
        "train/loss": [(1, 90.0), (2, 1.0), (3, 0.5)],
        "val/loss": [(0, 2.0), (1, 1.5), (2, None)],
        "val/accuracy": [(0, 0.1), (1, 0.6), (2, 0.7)],
    }
    loss, accuracy = run_figures(history, Words("en"))
    keys = {name: key for figure in (loss, accuracy) for name, key in figure.legend}
    assert dict(accuracy.legend) == {"validation": keys["validation"]}
    assert len(set(keys.values())) == 2
    assert "1 value is not a number" in loss.text
    assert "10" in loss.svg, "a first epoch far off is drawn on a logarithmic axis"


def test_what_is_measured_while_a_run_trains_is_no_end() -> None:
    history: History = {"val/loss": [(0, 2.0)]}
    (loss,) = run_figures(history, Words("en"), running=True)
    assert "So far: validation 2." in loss.text
    assert ">0<" in loss.svg
    assert ">−1<" not in loss.svg, "there is no epoch before the first one"
    assert "At the end: validation 2." in run_figures(history, Words("en"))[0].text


def test_layers_have_colours_of_their_own() -> None:
    """Twelve layers, each with another key, and none in the colour of training, validation or test."""
    layers = {f"layers/{n}-dense/grad_norm": [(0, 0.1), (1, 0.2 if n else 0.0)] for n in range(12)}
    history: History = {**layers, "train/loss": [(1, 1.0)], "val/loss": [(1, 1.0)], "test/loss": [(1, 1.0)]}
    loss, gradients = run_figures(history, Words("en"))
    parts = {str(style(index)[0]) for index in range(len(loss.legend))}
    keys = [key for _, key in gradients.legend]
    assert len(set(keys)) == 12
    assert not any(colour in key for colour in parts for key in keys)
    assert "0-dense is exactly 0" in gradients.text


def test_a_prediction_is_asked_for_and_answered(world: World, client: httpx.Client) -> None:
    run = runs_of(world)[0]
    image = [[[0.5]] * 8] * 8

    def work() -> None:
        while not (due := list(operations.take_due_requests(world.store, resend_seconds=60))):
            pass
        taken = operations.claim_request(world.store, due[0].id, worker="w", lease_seconds=60)
        assert taken is not None
        assert taken.payload == {"inputs": [image]}
        operations.finish_request(
            world.store, taken.id, taken.attempt, result={"outputs": [[0.25]], "warnings": [FAR]}, error=None
        )

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.post(f"/runs/{run.id}/predict", params={"lang": "zh"}, json={"inputs": [image]})
    worker.join()
    assert answer.json() == {
        "outputs": [[0.25]],
        "warnings": ["4 行中有 1 行的 age 超出文件中的范围 [3, 90]：网络从没见过这样的值"],
    }
    refused = client.post(f"/runs/{run.id}/predict", json={"inputs": [[1.0]]})
    assert refused.status_code == 422


def test_a_drawing_is_asked_for_once(world: World, client: httpx.Client) -> None:
    run = runs_of(world)[0]
    asked = client.post(f"/runs/{run.id}/draw")
    assert asked.status_code == 303
    page = client.get(asked.headers["location"]).text
    assert "A worker draws them" in page
    assert ">Draw the pictures</button>" not in page


def test_cancel_and_retry(world: World, client: httpx.Client) -> None:
    run = queries.all_runs(world.store, world.submit(PLAIN).id)[0]
    client.post(f"/runs/{run.id}/cancel")
    assert queries.get_run(world.store, run.id).status == "KILLED"
    assert "cancelled" in client.get(f"/runs/{run.id}").text
    client.post(f"/runs/{run.id}/retry")
    assert queries.get_run(world.store, run.id).status == "SCHEDULED"


@pytest.mark.parametrize(
    ("shape", "kind"), [((28, 28, 1), "image"), ((8, 8, 3), ""), ((1,), "numbers"), ((784,), "")]
)
def test_inputs_are_drawn_or_set(shape: tuple[int, ...], kind: str) -> None:
    assert tried_by(shape) == kind


class _Mlflow(BaseHTTPRequestHandler):
    """The two addresses of MLflow's artifacts that the page asks."""

    def do_GET(self) -> None:
        if self.path.startswith("/api/2.0/mlflow/artifacts/list?run_id=abc&path=plots"):
            files = [{"path": "plots/loss_curves.png"}, {"path": "plots/readme.txt"}]
            body, kind = json.dumps({"files": files}).encode(), "application/json"
        elif self.path == "/get-artifact?run_uuid=abc&path=plots%2Floss_curves.png":
            body, kind = b"\x89PNG", "image/png"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mlflow() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Mlflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pictures_come_from_mlflow(world: World, serve: Any, mlflow: str) -> None:
    run = runs_of(world)[0]
    shipped = queries.get_run(world.store, run.id)
    operations.note_shipped(world.store, {run.id: Shipped(change=shipped.change, mlflow_run_id="abc")})
    with httpx.Client(base_url=serve(mlflow_url=mlflow), trust_env=False, timeout=30) as client:
        page = client.get(f"/runs/{run.id}").text
        assert f"/runs/{run.id}/pictures/loss_curves.png" in page
        assert "readme" not in page
        picture = client.get(f"/runs/{run.id}/pictures/loss_curves.png")
        assert (picture.headers["content-type"], picture.content) == ("image/png", b"\x89PNG")
        assert client.get(f"/runs/{run.id}/pictures/other.png").status_code == 404
        assert client.get(f"/runs/{run.id}/pictures/spec.yaml").status_code == 404


def test_without_mlflow_the_page_has_no_pictures(world: World) -> None:
    run = replace(runs_of(world)[0], mlflow_run_id="abc")
    assert picture_names(load_settings(mlflow_url="http://127.0.0.1:9"), run.mlflow_run_id) == []


def test_a_diagnosis_is_named_once(world: World, client: httpx.Client) -> None:
    told = {
        "gradus.diagnosis.saturation": "Saturation: in layer 1-dense, 90% of the activations sit on the flat ends.",
        "gradus.diagnosis.step_size": "The steps are too large: one update changes a layer's weights by a share of 1.3.",
    }
    page = client.get(f"/runs/{runs_of(world, tags=lambda run: told)[0].id}").text
    assert "<li>Saturation: in layer" in page
    assert "<li><strong>step size</strong>: The steps are too large" in page


FILE = "weight,colour,kind\n" + "".join(
    f"{10 + i},{'red' if i % 3 else 'blue'},{'cat' if i % 2 else 'dog'}\n" for i in range(40)
)


def test_columns_of_a_file_are_set_in_their_own_units(tmp_path: Path) -> None:
    """Numbers from the least to the largest of the file, texts among those that it holds, and answers by their names."""
    (tmp_path / "pets.csv").write_text(FILE)
    table = read_file(tmp_path / "pets.csv", tmp_path / "pets.npy", "pets").table
    dataset = {"name": "upload", "id": "pets", "target": "kind", "table": table.model_dump(mode="json")}
    (point,) = ExperimentSpec.parse({"name": "x", "dataset": dataset, "model": {"hidden": [2]}}).expand()
    shown = tried(point.spec, Words("en"))
    weight, colour = shown.entries
    assert (weight.name, weight.low, weight.high, weight.start) == ("weight", 10, 49, 29.5)
    assert (colour.name, list(colour.choices)) == ("colour", ["blue", "red"])
    assert (shown.kind, list(shown.labels)) == ("numbers", ["cat", "dog"])
    given = point.spec.dataset.read_rows([[weight.start, colour.choices[0]]])
    assert given is not None, "a prediction takes what the page sends"


def test_tokens_are_set_one_by_one() -> None:
    text = "name: x\ndataset: {name: recall, length: 3, vocabulary: 4}\nmodel: {layers: [{type: embedding, output_dim: 2}, {type: flatten}, {type: dense, units: 1, activation: sigmoid}]}\n"
    (point,) = ExperimentSpec.parse(spec_text.read(text)).expand()
    entries = tried(point.spec, Words("zh")).entries
    assert [(entry.name, entry.low, entry.high, entry.step) for entry in entries] == [
        (f"输入 {n}", 0, 7, 1) for n in (1, 2, 3)
    ]
