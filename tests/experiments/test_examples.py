"""Every example is a spec, every row of the course has one, and what the text claims holds in the runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.comparing.from_spec import design_of
from experiments.comparing.progress import progress
from experiments.datasets import Data, Source, mnist
from experiments.datasets.mnist import Mnist
from experiments.engine import cache
from experiments.engine.training import Outcome
from experiments.engine.training import train as train_tile
from experiments.errors import SpecError
from experiments.recording import MemoryRecorder
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
REFUSED = {
    "large-image-dense": ("model", "(1000000 + 1)·100 = 100,000,100 parameters"),
    "errata-filter": ("model.layers[0].filter", 'did you mean "filters"?'),
    "softmax-one-unit": ("model.layers[0].activation", "constant"),
    "window-too-large": ("model.pattern", "⌊(4 - 9 + 2·0)/1⌋ + 1 = -4"),
}


def points(name: str) -> tuple[Point, ...]:
    return ExperimentSpec.parse((FOLDER / f"{name}.yaml").read_text()).expand()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_a_spec_named_like_its_file_with_a_word_on_what_it_shows(path: Path) -> None:
    text = path.read_text()
    spec = ExperimentSpec.parse(text)
    assert spec.name == path.stem or path.stem == "activations"
    assert text.startswith("# ")
    assert spec.expand()


@pytest.mark.parametrize("name", REFUSED)
def test_the_refused_ones_are_refused_for_their_reason(name: str) -> None:
    path, words = REFUSED[name]
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse((FOLDER / "refused" / f"{name}.yaml").read_text())
    assert any(problem.path == path and words in problem.message for problem in caught.value.problems)


def test_all_refused_examples_are_tested() -> None:
    assert {path.stem for path in (FOLDER / "refused").glob("*.yaml")} == set(REFUSED)


def test_the_two_ways_to_write_the_cnn_are_one_network() -> None:
    written, pattern = points("mnist-cnn")[0].spec, points("mnist-cnn-pattern")[0].spec
    assert written.fingerprint() == pattern.fingerprint()
    shapes = [row.output_shape for row in written.forecast.layers]
    assert shapes[:4] == [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7)]


def test_the_demo_is_large_enough() -> None:
    spec = ExperimentSpec.parse((FOLDER / "activations.yaml").read_text())
    design = design_of(spec)
    assert design is not None
    assert design.looks == (5,)
    stage = progress(design, ()).next
    assert stage is not None
    runs = [spec.point(run.levels, run.seed) for run in stage.runs]
    counts = [
        len({point.levels[name] for point in runs})
        for name in ("activation", "optimizer", "learning_rate", "seed")
    ]
    assert all(count >= wanted for count, wanted in zip(counts, (3, 2, 3, 2), strict=True))
    assert all(point.spec.architecture == "784-32-10" for point in runs)


def test_local_connections_save_parameters() -> None:
    """260 weights for the 200·200·10 outputs of a 1000×1000 image, where each could have its own million."""
    conv = points("large-image-conv")[0].spec.forecast.layers[0]
    assert conv.parameters == (5 * 5 + 1) * 10
    assert conv.formula.endswith("260 parameters; fully connected: (1000000 + 1)·400000 = 400,000,400,000")


# ---------------------------------------------------------------- trained

DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
SOURCE = Source(Path(DATA_DIR) if DATA_DIR else None)
Train = Callable[[Sequence[Point]], list[Outcome]]


@pytest.fixture(scope="module")
def train() -> Iterator[Train]:
    """Train points of one program; skipped, and said so, where they need MNIST and there is none."""

    def of(chosen: Sequence[Point]) -> list[Outcome]:
        needs_mnist = any(point.spec.dataset.name == "mnist" for point in chosen)
        if needs_mnist and not (DATA_DIR and (Path(DATA_DIR) / "mnist.npz").is_file()):
            pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
        return train_tile([p.spec for p in chosen], MemoryRecorder(), lambda lane: None, source=SOURCE)

    yield of
    cache.forget()


HEAVY = {
    "lenet-5",
    "inception-mnist",
    "plain-vs-residual",
    "mnist-cnn",
    "mnist-cnn-pattern",
    "nielsen-784-30-10",
    "large-image-conv",
}
"""Minutes on two cores; `make test-slow` and the benchmarks train them."""


def shortened(path: Path) -> list[Point]:
    """One run per program, one epoch (two where a sweep is halved), few samples."""
    document: Any = parse_yaml(path.read_text())
    training = document.setdefault("training", {})
    training["epochs"] = 2 if document.get("sweep", {}).get("strategy") == "halving" else 1
    data = document["dataset"]
    named = {*document, *training, *document.get("sweep", {})}
    if (data if isinstance(data, str) else data["name"]) == "mnist":
        data = {"name": "mnist", "train_samples": 64, "validation_split": 0.001}
    if not {"stop", "restore", "monitor", "strategy", "compare"} & named:  # one part less to measure
        data = {**({"name": data} if isinstance(data, str) else data), "validation_split": 0.0}
    document["dataset"] = data
    by_program: dict[str, Point] = {}
    for point in ExperimentSpec.parse(document).expand():
        by_program.setdefault(point.spec.program_key(), point)
    return list(by_program.values())


@pytest.fixture(scope="module")
def read_once() -> Callable[[Path], Any]:
    """MNIST's file, which takes a third of a second to read and to compare with its digest."""
    return functools.cache(mnist.read)


@pytest.fixture
def few_test_images(monkeypatch: pytest.MonkeyPatch, read_once: Callable[[Path], Any]) -> None:
    """The first 100 of MNIST's 10,000: what is measured on them is not looked at."""
    monkeypatch.setattr(mnist, "read", read_once)
    whole = Mnist.load

    def load(*arguments: Any) -> Data:
        data = whole(*arguments)
        return replace(data, x_test=data.x_test[:100], y_test=data.y_test[:100])

    monkeypatch.setattr(Mnist, "load", load)


LIGHT = [path for path in EXAMPLES if path.stem not in HEAVY]


def finishes(chosen: Sequence[Point], train: Train) -> None:
    for point in chosen:
        (outcome,) = train([point])
        assert outcome.status == "FINISHED"
        assert outcome.reason in ("epochs", "error", "train_errors", "patience")
        assert outcome.updates > 0


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
@pytest.mark.usefixtures("without_xla", "few_test_images")
def test_it_trains(path: Path, train: Train) -> None:
    """The last program of each, as a plain graph. The slow test takes all of them, compiled."""
    finishes(shortened(path)[-1:], train)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_every_program_of_it_trains(path: Path, train: Train) -> None:
    finishes(shortened(path), train)


def outcomes(name: str, train: Train) -> list[tuple[Point, Outcome]]:
    runs = points(name)
    by_program: dict[str, list[Point]] = {}
    for point in runs:
        by_program.setdefault(point.spec.program_key(), []).append(point)
    return [(p, o) for tile in by_program.values() for p, o in zip(tile, train(tile), strict=True)]


def by_case(results: Sequence[tuple[Point, Outcome]], factor: str) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for point, outcome in results:
        groups.setdefault(point.levels[factor], []).append(outcome)
    return groups


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize("gate", ["and", "or"])
def test_the_perceptron_converges_on_and_and_or(gate: str, train: Train) -> None:
    for _, outcome in outcomes(f"perceptron-{gate}", train):
        assert outcome.reason == "train_errors"
        assert outcome.epochs < 100
        assert outcome.metrics["train/accuracy"] == 1


@pytest.mark.usefixtures("without_xla")
def test_the_perceptron_never_converges_on_xor(train: Train) -> None:
    for _, outcome in outcomes("perceptron-xor", train):
        assert (outcome.reason, outcome.epochs, outcome.updates) == ("epochs", 100, 400)
        assert outcome.metrics["train/accuracy"] <= 0.75
        assert "test/accuracy" not in outcome.metrics, "all there is was trained on"


@pytest.mark.usefixtures("without_xla")
def test_the_perceptron_on_xor_says_that_it_never_converged() -> None:
    recorder, tile = MemoryRecorder(), [point.spec for point in points("perceptron-xor")]
    train_tile(tile, recorder, lambda lane: None, source=SOURCE)
    for lane in range(len(tile)):
        said = recorder.tagged[lane]["gradus.diagnosis.not_converged"]
        assert said.startswith(
            "Never converged: 100 epochs did not meet training.stop.train_errors, at most 0."
        )
        wrong = round(4 * (1 - recorder.history[lane]["train/accuracy"][100]))
        assert (
            f"In epoch 100 {wrong} of 4 answers were wrong, counted while the weights still changed" in said
        )


@pytest.mark.usefixtures("without_xla")
def test_a_hidden_layer_solves_xor(train: Train) -> None:
    for _, outcome in outcomes("xor-mlp", train):
        assert outcome.reason == "error"
        assert outcome.metrics["train/accuracy"] == 1


@pytest.mark.usefixtures("without_xla")
def test_the_line_is_found_to_within_its_noise(train: Train) -> None:
    ((_, outcome),) = outcomes("linear-regression", train)
    assert outcome.metrics["test/loss"] < 2 * 0.05**2


@pytest.mark.usefixtures("without_xla")
def test_the_mean_squared_error_wants_five_times_the_rate(train: Train) -> None:
    """½Σ(t - y)² at η = 3 and Keras' mean over K = 10 outputs at η = 3·K/2 = 15 are one training."""
    metrics = {
        point.levels["case"]: outcome.metrics for point, outcome in outcomes("errata-loss-scale", train)
    }
    assert metrics["half"]["test/loss"] == pytest.approx(5 * metrics["mean-scaled"]["test/loss"], rel=1e-3)
    assert metrics["mean"]["test/accuracy"] < metrics["half"]["test/accuracy"]


@pytest.mark.usefixtures("without_xla")
def test_a_sine_is_fitted_to_within_its_noise(train: Train) -> None:
    ((_, outcome),) = outcomes("sine", train)
    assert outcome.metrics["test/loss"] < 3 * 0.05**2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_attention_finds_what_a_dense_network_learns_by_heart(train: Train) -> None:
    groups = by_case(outcomes("attention", train), "case")
    assert min(outcome.metrics["train/accuracy"] for outcome in groups["dense"]) > 0.95
    assert max(outcome.metrics["test/accuracy"] for outcome in groups["dense"]) < 0.65
    assert min(outcome.metrics["test/accuracy"] for outcome in groups["attention"]) > 0.95


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_regulariser_helps_against_wrong_answers_learned_by_heart(train: Train) -> None:
    """One training answer in five is wrong: who has learned all of them answers test points wrongly."""
    groups = by_case(outcomes("regularization", train), "case")
    on = {
        part: {
            case: sum(o.metrics[f"{part}/accuracy"] for o in group) / len(group)
            for case, group in groups.items()
        }
        for part in ("train", "test")
    }
    assert on["train"].pop("none") == 1
    assert all(0.7 < share < 0.9 for share in on["train"].values()), on
    without = on["test"].pop("none")
    assert all(share > without + 0.05 for share in on["test"].values()), on


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_units_follow_the_noise(train: Train) -> None:
    groups = by_case(outcomes("polynomial", train), "hidden")
    gap = {
        level: sum(o.metrics["test/loss"] - o.metrics["train/loss"] for o in group) / len(group)
        for level, group in groups.items()
    }
    fit = {level: sum(o.metrics["train/loss"] for o in group) / len(group) for level, group in groups.items()}
    assert fit["128-128"] < 0.2**2 < fit["2"], "below the noise's variance: the noise was learned"
    assert gap["128-128"] > 2 * gap["8"]
