"""What a worker answers of a run that is over: predictions, and pictures of what there is."""

from __future__ import annotations

from typing import Any

import pytest

from service import operations
from service.entities import Committed, Measured, MetricPoint
from service.store import queries
from tests.workers.conftest import Bench
from workers.requests import draw
from workers.requests.predict import predict

pytestmark = pytest.mark.usefixtures("without_xla")
CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]


def asked(bench: Bench, run: Any, inputs: Any) -> Any:
    """The worker's answer to `gradus predict`; the weights still lie in its spool."""
    return predict(bench.context(), run, {"inputs": inputs})


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_the_class_of_two_is_the_one_that_was_learned(bench: Bench, loss: Any) -> None:
    """Two softmax outputs or one sigmoid: either network knows XOR, and says so."""
    (run,) = bench.train(
        bench.submit(
            dataset={"name": "xor"}, model={"hidden": [8], "activation": "tanh"}, loss=loss,
            optimizer={"name": "adam", "learning_rate": 0.05}, training={"epochs": 200, "batch_size": 4},
        )
    )  # fmt: skip
    assert run.metrics["train/accuracy"] == 1
    said = asked(bench, run, CORNERS)
    assert said["classes"] == [0, 1, 1, 0]
    assert len(said["outputs"][0]) == (2 if loss == "categorical_crossentropy" else 1)


def test_a_regression_has_no_classes(bench: Bench) -> None:
    (run,) = bench.train(bench.submit())
    assert asked(bench, run, [[0.0]]).keys() == {"outputs"}


def test_inputs_outside_what_was_trained_on_get_a_warning(bench: Bench) -> None:
    """The line was trained on x in [−1, 1], its ends among them."""
    (run,) = bench.train(bench.submit())
    assert "warnings" not in asked(bench, run, [[-1.0], [1.0]])
    (said,) = asked(bench, run, [[255.0], [0.5], [-1.1]])["warnings"]
    assert said.startswith(
        "2 of 3 input numbers lie outside [-1, 1], the range that linear was trained on (y = slope"
    )


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_run_without_weights_is_drawn_from_its_metrics(bench: Bench, status: Any) -> None:
    run = bench.submit()[0]
    (mine,) = operations.claim(bench.store, [run.id], worker="w", spool="s", lease_seconds=60)
    operations.record(bench.store, {run.id: Measured(mine.attempt, [MetricPoint("train/loss", 1, 0.5)])})
    operations.commit(bench.store, {run.id: Committed(mine.attempt, status, "x", {})})
    operations.finish(bench.store, {run.id: None})
    drawn = draw.pictures(bench.context(), queries.get_run(bench.store, run.id))
    assert list(drawn) == ["plots/loss_curves.png"]
