"""The Python client against a real API."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import Client, Experiment, Run
from gradus.errors import Conflict, Invalid, NotAllowed, NotFound, Unreachable, UsageError
from service import operations
from service.store import queries
from tests.gradus.conftest import Answering
from tests.service.api.conftest import SPEC, Served, serve

QUESTION = {**SPEC, "sweep": {"activation": ["relu", "tanh"]}}


def finished(api: Served, experiment: Experiment) -> Experiment:
    """Every run over: relu with 0.9 and 0.91, tanh with 0.5 and 0.51."""
    for run in queries.all_runs(api.store, experiment.id):
        value = (0.9 if run.levels["activation"] == "relu" else 0.5) + 0.01 * int(run.levels["seed"])
        api.finish(run.id, metrics=[("val/loss", 0, 2.0), ("val/loss", 1, 1.5), ("test/accuracy", 1, value)])
    return experiment.refresh()


@pytest.mark.parametrize("form", ["path", "text of a path", "YAML", "mapping"])
def test_a_spec_may_be_a_path_text_or_a_mapping(
    api: Served, client: Client, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(SPEC, indent=1))
    spec: Any = {"path": file, "text of a path": str(file), "YAML": file.read_text(), "mapping": SPEC}[form]
    experiment = client.submit(spec, changes=["training.epochs=2"])
    assert experiment.n_runs == 4
    assert experiment.spec["training"]["epochs"] == 2
    assert [e.id for e in client.experiments()] == [experiment.id]
    assert client.experiment(experiment.id[:6]).id == experiment.id


def test_what_the_service_says_is_what_to_json_gives(api: Served, client: Client) -> None:
    experiment = finished(api, client.submit(SPEC))
    path = f"/v1/experiments/{experiment.id}"
    assert experiment.to_json() == client.http.json("GET", path)
    assert [run.to_json() for run in experiment.runs()] == client.http.json("GET", f"{path}/runs")["items"]
    assert experiment.compare().model_dump(mode="json") == client.http.json("GET", f"{path}/comparison")


def test_runs_are_filtered_and_become_rows(api: Served, client: Client) -> None:
    experiment = finished(api, client.submit(SPEC))
    relu = experiment.runs(activation="relu")
    assert [run.levels["seed"] for run in relu] == ["0", "1"]
    assert repr(experiment) == f"<Experiment choices {experiment.id[:8]}: 4 FINISHED>"
    assert repr(relu[0]) == f"<Run {relu[0].id[:8]} activation=relu, seed=0: FINISHED>"
    assert len(experiment.runs({"optimizer.learning_rate": 0.1}, status="FINISHED")) == 4
    frame = experiment.runs().frame()
    assert list(frame["params.activation"]) == ["relu", "relu", "tanh", "tanh"]
    assert list(frame["metrics.test/accuracy"]) == [0.9, 0.91, 0.5, 0.51]
    assert set(frame["status"]) == {"FINISHED"}
    assert "tanh" in str(experiment.runs())
    assert "<td" in experiment.runs()._repr_html_()


def test_rows_without_pandas(api: Served, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = finished(api, client.submit(SPEC))
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = experiment.runs().frame()
    assert [row["metrics.test/accuracy"] for row in rows] == [0.9, 0.91, 0.5, 0.51]


def test_the_best_run_and_its_history(api: Served, client: Client) -> None:
    experiment = finished(api, client.submit(SPEC))
    best = experiment.best("test/accuracy")
    assert best.latest["test/accuracy"] == 0.91
    assert experiment.best("val/loss").latest["val/loss"] == 1.5
    history = best.metrics("val/loss")
    assert (history.steps, history.values) == ([0, 1], [2.0, 1.5])
    assert list(history.frame()["step"]) == [0, 1]
    assert {point.key for point in best.metrics()} == {"val/loss", "test/accuracy"}
    assert best.spec["model"]["layers"]
    with pytest.raises(gradus.ClientError, match="no finished run has a value of test/loss"):
        experiment.best("test/loss")


def test_a_history_without_a_number_has_nan(api: Served, client: Client) -> None:
    run = queries.all_runs(api.store, client.submit(SPEC).id)[0]
    api.finish(run.id, metrics=[("train/loss", 1, math.inf)])
    values = client.run(run.id).metrics("train/loss").values
    assert len(values) == 1
    assert math.isnan(values[0])


def test_a_comparison_is_typed_and_shows_itself(api: Served, client: Client) -> None:
    comparison = finished(api, client.submit(SPEC)).compare("activation")
    assert [level.level for level in comparison.levels] == ["relu", "tanh"]
    assert comparison.levels[0].mean == pytest.approx(0.905)
    assert comparison.effects[0].effect == pytest.approx(0.4)
    assert comparison.verdicts == []
    text = str(comparison)
    assert "no verdict: exploratory" in text
    assert comparison.scope in text
    html = comparison._repr_html_()
    assert html.count("<table>") == 3
    assert "0.905" in html
    assert list(comparison.frame()["level"]) == ["relu", "tanh"]


def test_html_of_a_comparison_escapes_labels(api: Served, client: Client) -> None:
    cases = {"<b>wide</b>": {"model.hidden": [16]}, "narrow": {"model.hidden": [8]}}
    experiment = client.submit({**SPEC, "sweep": {"cases": cases, "seeds": 2}})
    for run in queries.all_runs(api.store, experiment.id):
        api.finish(run.id, metrics=[("test/accuracy", 1, 0.5)])
    html = experiment.compare("case")._repr_html_()
    assert "&lt;b&gt;wide&lt;/b&gt;" in html
    assert "<b>" not in html


def test_a_question_is_asked(api: Served, client: Client) -> None:
    experiment = client.ask(
        SPEC, "activation", ["relu", "tanh"], tune={"learning_rate": (0.01, 0.1)}, looks=[2, 3], budget=60
    )
    assert experiment.plan is not None
    assert (experiment.plan.factor, experiment.plan.looks, experiment.plan.budget) == (
        "activation",
        [2, 3],
        60,
    )
    assert experiment.spec["compare"]["tune"]["learning_rate"] == {"log": [0.01, 0.1], "points": 3}
    assert experiment.stage == "tune"


def test_waiting_ends_with_the_last_run(
    api: Served, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = client.submit(SPEC)
    later = threading.Timer(0.3, finished, (api, client.experiment(experiment.id)))
    later.start()
    assert experiment.wait(progress=True) is experiment
    later.join()
    assert (experiment.ended, experiment.unfinished) == (4, {})
    assert capsys.readouterr().out.splitlines()[-1] == "grid: 4 FINISHED"
    run = experiment.runs()[0]
    assert run.wait().status == "FINISHED"
    kinds = [event.kind for event in run.events()]
    assert kinds[-1] == "end"
    assert {"status", "metrics"} <= set(kinds)


def test_changes_of_an_experiment_and_of_a_run(api: Served, client: Client) -> None:
    experiment = client.submit(SPEC)
    stale = client.experiment(experiment.id)
    assert experiment.change(priority=5, name="renamed").priority == 5
    assert experiment.name == "renamed"
    with pytest.raises(Conflict):
        stale.change(priority=1)
    run = experiment.runs()[0]
    assert run.cancel().status == "KILLED"
    assert run.retry().status == "SCHEDULED"
    assert experiment.cancel().unfinished == {"KILLED": 4}
    assert experiment.retry().status["SCHEDULED"] == 4
    finished(api, experiment)
    with pytest.raises(Conflict, match="is FINISHED"):
        run.retry()
    assert experiment.extend(seeds=1).n_runs == 6
    experiment.delete()
    with pytest.raises(NotFound):
        experiment.refresh()


def test_predictions_are_arrays(api: Served, client: Client, answering: Answering) -> None:
    run = finished(api, client.submit(SPEC)).runs()[0]
    result = {"outputs": [[0.1, 0.9], [0.8, 0.2]], "classes": [1, 0], "warnings": ["2 numbers lie outside"]}
    with answering(result) as payloads:
        prediction = run.predict(np.zeros((2, 8, 8)))
    assert prediction.outputs.tolist() == [[0.1, 0.9], [0.8, 0.2]]
    assert prediction.classes is not None
    assert prediction.classes.tolist() == [1, 0]
    assert prediction.warnings == ("2 numbers lie outside",)
    assert payloads == [{"inputs": np.zeros((2, 8, 8)).tolist()}]


def test_many_inputs_go_in_pieces_that_a_request_can_hold(
    api: Served, client: Client, answering: Answering
) -> None:
    run = finished(api, client.submit(SPEC)).runs()[0]
    inputs = np.full((2000, 8, 8), 1 / 3)
    with answering({"outputs": [[0.0]]}) as payloads:
        run.predict(inputs)
    assert len(payloads) > 1
    sent = [sample for payload in payloads for sample in payload["inputs"]]
    assert sent == inputs.tolist()


def test_pictures_are_bytes(api: Served, client: Client, answering: Answering) -> None:
    run = finished(api, client.submit(SPEC)).runs()[0]
    with answering({"plots": {"plots/loss.png": "aGVsbG8="}}):
        assert run.plot() == {"plots/loss.png": b"hello"}


def test_weights_wait_for_mlflow(api: Served, client: Client) -> None:
    run = client.submit(SPEC).runs()[0]
    with pytest.raises(Conflict, match="MLflow has no weights"):
        run.weights()


def test_a_refusal_has_the_fields_of_the_service(client: Client) -> None:
    with pytest.raises(Invalid) as refused:
        client.submit({**SPEC, "model": {"hidden": [8], "activation": "relo"}})
    error = refused.value
    assert (error.status, error.title, error.instance) == (
        422,
        HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        "/v1/experiments",
    )
    assert [fault.path for fault in error.errors] == ["model.activation"]
    assert "relu" in (error.errors[0].allowed or ())
    assert 'did you mean "relu"?' in str(error)
    with pytest.raises(NotFound):
        client.run("nothing")
    with pytest.raises(UsageError, match="is not an id"):
        client.run("../keys")
    with pytest.raises(Conflict):
        client.submit(QUESTION).runs()[0].predict(np.zeros((1, 8, 8)))


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with serve(tmp_path, auth_required=True) as served:
        with pytest.raises(NotAllowed):
            list(Client(served.url).experiments())
        _, secret = operations.create_key(served.store, owner="ann", scopes=["read"])
        assert list(Client(served.url, secret).experiments()) == []


def test_an_id_may_be_either(api: Served, client: Client) -> None:
    experiment = client.submit(SPEC)
    assert isinstance(client.find(experiment.id), Experiment)
    assert isinstance(client.find(experiment.runs()[0].id), Run)
    with pytest.raises(UsageError, match="no experiment or run"):
        client.find("zzz")


def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match="gradus up"):
        list(Client("http://127.0.0.1:9").experiments())


def test_the_address_of_the_stack_on_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADUS_URL", raising=False)
    monkeypatch.setenv("GRADUS_HOME", str(tmp_path))
    assert Client().url == "http://127.0.0.1:8642"
    (tmp_path / "stack.json").write_text('{"url": "http://127.0.0.1:1234"}')
    assert Client().url == "http://127.0.0.1:1234"
    (tmp_path / ".env").write_text("GRADUS_URL=http://127.0.0.1:5\n")
    assert Client().url == "http://127.0.0.1:5"
    assert Client("http://127.0.0.1:6").url == "http://127.0.0.1:6"


def test_every_name_of_the_package_is_there() -> None:
    assert [name for name in gradus.__all__ if getattr(gradus, name).__name__ != name] == []
    assert set(gradus.__all__) <= set(dir(gradus))
    with pytest.raises(AttributeError):
        gradus.nothing  # noqa: B018


def test_importing_gradus_loads_no_other_package() -> None:
    code = "import sys, gradus; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "gradus" in loaded
    assert not loaded & {"experiments", "httpx", "numpy", "pandas", "pydantic", "rich", "service"}
