"""The vanishing-gradient example, trained: one picture with three activations over depths 2 to 10 beside 0.25^L."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from experiments.spec.documents import parse_yaml
from service.analysis import gradient_flow
from service.report import page as report
from service.store import queries
from tests.workers.conftest import Bench

pytestmark = pytest.mark.usefixtures("without_xla")
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "vanishing-gradient.yaml"
DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
HAS_MNIST = DATA_DIR is not None and (Path(DATA_DIR) / "mnist.npz").is_file()


def trained(bench: Bench, **changes: Any) -> Any:
    """The runs of the example in the store, trained as far as needed: the ratio is one before training."""
    document: Any = parse_yaml(EXAMPLE.read_text("utf-8"))
    runs = bench.submit(**{**document, "diagnostics": "epoch", **changes})
    for run in runs:
        bench.train([run])
    runs = queries.all_runs(bench.store, bench.experiment.id)
    curves = queries.metric_values(bench.store, [run.id for run in runs], gradient_flow.gradient_keys(runs))
    return gradient_flow.ratios(runs, curves)


def shows_what_the_course_says(ratios: Any, depths_shown: Any) -> None:
    """The sigmoid loses a factor of four and more with every two layers and follows 0.25^L to within a factor of ten; tanh and
    ReLU keep a hundred times as much."""
    assert ratios.keys() == {"sigmoid", "tanh", "relu"}
    assert all(sorted(of) == depths_shown for of in ratios.values())
    sigmoid = ratios["sigmoid"]
    falls = [sigmoid[low] / sigmoid[high] for low, high in pairwise(depths_shown)]
    assert all(fall > 4 for fall in falls), falls
    assert all(0.1 < sigmoid[depth] / gradient_flow.SLOPE**depth < 10 for depth in depths_shown), sigmoid
    deepest = depths_shown[-1]
    assert sigmoid[deepest] < 0.01 * min(ratios["tanh"][deepest], ratios["relu"][deepest])


def test_on_digits_and_three_depths(bench: Bench) -> None:
    sweep = {"activation": ["sigmoid", "tanh", "relu"], "hidden": [[8] * depth for depth in (2, 4, 6)]}
    digits = {"name": "digits", "train_samples": 64, "validation_split": 0.0}
    ratios = trained(bench, dataset=digits, sweep=sweep)
    shows_what_the_course_says(ratios, [2, 4, 6])
    page = report.render(bench.store, bench.experiment.id, bench.settings)
    assert "Vanishing gradient: the price of depth" in page


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not HAS_MNIST, reason="no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
def test_the_example_itself(bench: Bench) -> None:
    ratios = trained(bench)
    shows_what_the_course_says(ratios, [2, 4, 6, 8, 10])
    page = report.render(bench.store, bench.experiment.id, bench.settings)
    assert "Vanishing gradient: the price of depth" in page
    assert f"0.25 to the power L: {0.25**10:.4g}".replace("-", "−") in page
    keep = os.environ.get("GRADUS_TEST_PICTURES")  # to look at it
    if keep:
        (Path(keep) / "report.html").write_text(page, "utf-8")


def test_runs_of_one_depth_have_no_such_picture(bench: Bench) -> None:
    bench.train(bench.submit())
    page = report.render(bench.store, bench.experiment.id, bench.settings)
    assert "Vanishing gradient: the price of depth" not in page
