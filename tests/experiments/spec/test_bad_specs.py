"""Bad specs of every kind: each is refused with the path, the finding and what is allowed, and nothing
else.
"""

from __future__ import annotations

import copy
import time

import pytest

from experiments.errors import SpecError
from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from tests.experiments.spec.refusals import DENSE, GOOD, INF, NAN, Bad, assert_refused

BAD: dict[str, Bad] = {
    "unknown activation": (
        {"model": {"activation": "rleu", "hidden": [3]}},
        "model.activation",
        'mean "relu"',
    ),
    "unknown optimizer": ({"optimizer": "adm"}, "optimizer.name", 'mean "adam"'),
    "unknown loss": ({"loss": "mean_square_error"}, "loss.name", 'mean "mean_squared_error"'),
    "unknown layer": (
        {"model": {"layers": [{"type": "conv2", "filters": 3}, DENSE]}},
        "model.layers[0].type",
        "conv2d",
    ),
    "unknown data set": ({"dataset": {"name": "minst"}}, "dataset.name", 'mean "mnist"'),
    "unknown initializer": (
        {"model": {"hidden": [3], "kernel_initializer": "he"}},
        "model.kernel_initializer.name",
        "he_normal",
    ),
    "unknown field at the top": ({"optimiser": "sgd"}, "optimiser", 'mean "optimizer"'),
    "unknown field in a layer": (
        {"model": {"layers": [DENSE | {"unit": 3}]}},
        "model.layers[0].unit",
        'mean "units"',
    ),
    "unknown field of an optimizer": (
        {"optimizer": {"name": "sgd", "momentun": 1}},
        "optimizer.momentun",
        'mean "momentum"',
    ),
    "a field by its initials": (
        {"optimizer": {"name": "sgd", "lr": 0.1}},
        "optimizer.lr",
        'write "learning_rate"',
    ),
    "an axis by its initials": ({"sweep": {"lr": [0.1, 0.2]}}, "sweep.lr", 'write "learning_rate"'),
    "a field cut short": (
        {"optimizer": {"name": "rmsprop", "mom": 0.9}},
        "optimizer.mom",
        'did you mean "momentum"?',
    ),
    "a base that was not resolved": ({"base": "other.yaml"}, "base", "`gradus submit FILE`"),
    "a field of another optimizer": ({"optimizer": {"name": "sgd", "rho": 0.9}}, "optimizer.rho", "no field"),
    "a field of another loss": ({"loss": {"name": "huber", "alpha": 1}}, "loss.alpha", "delta"),
    "text for a number": ({"training": {"epochs": "3"}}, "training.epochs", "whole number"),
    "true for a number": ({"training": {"epochs": True}}, "training.epochs", "whole number"),
    "half an epoch": ({"training": {"epochs": 1.5}}, "training.epochs", "whole number"),
    "a list for a mapping": ({"optimizer": [1]}, "optimizer", "mapping"),
    "a number for a mapping": ({"model": 3}, "model", "mapping"),
    "a tag as the list is narrowed by it": ({"tags": "course=nn-101"}, "tags", "write {course: nn-101}"),
    "tags with full-width signs": ({"tags": "a：1，b：2"}, "tags", "write {a: 1, b: 2}"),
    "NaN": ({"optimizer": {"name": "sgd", "learning_rate": NAN}}, "optimizer.learning_rate", "finite"),
    "infinity": ({"optimizer": {"name": "sgd", "learning_rate": INF}}, "optimizer.learning_rate", "finite"),
    "minus infinity in data": (
        {"dataset": {"name": "inline", "kind": "regression", "x": [[1.0], [-INF]], "y": [1, 2]}},
        "dataset.x[1][0]",
        "finite",
    ),
    "negative rate": (
        {"optimizer": {"name": "sgd", "learning_rate": -0.1}},
        "optimizer.learning_rate",
        "above 0",
    ),
    "no epoch": ({"training": {"epochs": 0}}, "training.epochs", "at least 1"),
    "no unit": ({"model": {"hidden": [0]}}, "model.hidden[0]", "at least 1"),
    "dropout of everything": (
        {"model": {"layers": [{"type": "dropout", "rate": 1}, DENSE]}},
        "model.layers[0].rate",
        "below 1",
    ),
    "a number too large for anything": ({"seed": 10**30}, "seed", "2^63"),
    "a window larger than the image": (
        {"model": {"layers": [{"type": "conv2d", "filters": 3, "kernel_size": 30}, DENSE]}},
        "model.layers[0].kernel_size",
        "⌊(28 - 30 + 2·0)/1⌋ + 1 = -1",
    ),
    "a convolution after a dense layer": (
        {"model": {"layers": [DENSE, {"type": "conv2d", "filters": 3, "kernel_size": 3}, DENSE]}},
        "model.layers[1]",
        "image",
    ),
    "a reshape that does not fit": (
        {
            "model": {
                "layers": [{"type": "reshape", "target_shape": [27, 28]}, {"type": "lstm", "units": 3}, DENSE]
            }
        },
        "model.layers[0].target_shape",
        "784",
    ),
    "strides and dilation": (
        {
            "model": {
                "layers": [
                    {"type": "conv2d", "filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2},
                    DENSE,
                ]
            }
        },
        "model.layers[0]",
        "one of them 1",
    ),
    "a direction of one number": (
        {"dataset": "diabetes", "model": {"hidden": [4]}, "loss": "cosine_similarity", "optimizer": "sgd"},
        "loss",
        "the gradient is 0 everywhere",
    ),
    "softmax with mse on one unit": (
        {
            "dataset": "linear",
            "loss": "mse",
            "model": {"layers": [{"type": "dense", "units": 1, "activation": "softmax"}]},
        },
        "model.layers[0].activation",
        "constant",
    ),
    "too few outputs": (
        {"model": {"layers": [{"type": "dense", "units": 9}]}},
        "model.layers[0]",
        "10 classes",
    ),
    "cross-entropy of negative outputs": (
        {"model": {"layers": [DENSE | {"activation": "tanh"}]}, "loss": "categorical_crossentropy"},
        "model.layers[0].activation",
        "[0, 1]",
    ),
    "binary cross-entropy after a softmax": (
        {"model": {"layers": [DENSE | {"activation": "softmax"}]}, "loss": "binary_crossentropy"},
        "model.layers[0].activation",
        "computes the loss of a sigmoid",
    ),
    "binary focal cross-entropy after a softmax": (
        {"model": {"layers": [DENSE | {"activation": "softmax"}]}, "loss": "binary_focal_crossentropy"},
        "model.layers[0].activation",
        "computes the loss of a sigmoid",
    ),
    "categorical cross-entropy after a sigmoid": (
        {"model": {"layers": [DENSE | {"activation": "sigmoid"}]}, "loss": "categorical_crossentropy"},
        "model.layers[0].activation",
        "computes the loss of a softmax",
    ),
    "sparse categorical cross-entropy after a sigmoid": (
        {"model": {"layers": [DENSE | {"activation": "sigmoid"}]}, "loss": "sparse_categorical_crossentropy"},
        "model.layers[0].activation",
        "computes the loss of a softmax",
    ),
    "logits that are probabilities": (
        {
            "model": {"layers": [DENSE | {"activation": "softmax"}]},
            "loss": {"name": "categorical_crossentropy", "from_logits": True},
        },
        "model.layers[0].activation",
        "linear",
    ),
    "classes for a regression": (
        {"dataset": "linear", "loss": "hinge", "model": {"hidden": []}},
        "loss",
        "regression",
    ),
    "a sequence at the end": (
        {"model": {"layers": [{"type": "lstm", "units": 10, "return_sequences": True}]}},
        "model.layers[0]",
        "return_sequences",
    ),
    "stochastic pooling of negative numbers": (
        {
            "model": {
                "layers": [
                    {"type": "conv2d", "filters": 3, "kernel_size": 3, "activation": "tanh"},
                    {"type": "stochastic_pool2d"},
                    DENSE,
                ]
            }
        },
        "model.layers[1]",
        "never negative",
    ),
    "10^9 parameters on an image": (
        {"model": {"hidden": [1_300_000]}},
        "model",
        "(784 + 1)·1300000 = 1,020,500,000",
    ),
    "too many epochs": ({"training": {"epochs": 10**9}}, "training.epochs", "at most"),
    "two forms of a model": (
        {"model": {"hidden": [3], "layers": [DENSE]}},
        "model",
        "one of layers, hidden and pattern",
    ),
    "no model at all": ({"model": {"activation": "relu"}}, "model", "one of layers, hidden and pattern"),
    "a pattern's field without a pattern": (
        {"model": {"hidden": [3], "fc": {"units": 3}}},
        "model.fc",
        "leave it out",
    ),
    "more samples than there are": (
        {"dataset": {"name": "mnist", "train_samples": 60_000}},
        "dataset.train_samples",
        "54000",
    ),
    "two clips": (
        {"optimizer": {"name": "sgd", "clipnorm": 1, "clipvalue": 1}},
        "optimizer",
        "one of clipnorm",
    ),
    "an exponential average": (
        {"optimizer": {"name": "adam", "use_ema": True}},
        "optimizer.use_ema",
        "no choice here",
    ),
    "accumulated gradients": (
        {"optimizer": {"name": "adam", "gradient_accumulation_steps": 2}},
        "optimizer.gradient_accumulation_steps",
        "batch_size",
    ),
    "rows of two lengths": (
        {"dataset": {"name": "inline", "kind": "binary", "x": [[1], [2, 3]], "y": [0, 1]}},
        "dataset",
        "x[1] has 2 numbers",
    ),
    "a third class of two": (
        {"dataset": {"name": "inline", "kind": "binary", "x": [[1], [2]], "y": [0, 2]}},
        "dataset",
        "0 to 1",
    ),
    "errors of a regression": (
        {"dataset": "linear", "model": {"hidden": []}, "training": {"stop": {"train_errors": 0}}},
        "training.stop.train_errors",
        "classifies nothing",
    ),
    "a tag of no name": ({"tags": {"": "x"}}, "tags", "1"),
    **{
        f"the tag {name}": ({"tags": {name: "x"}}, f"tags.{name}", "letters, digits")
        for name in ("course!", "/a", "a//b", "a/../b", "../a", ".", "a/")
    },
    "no tag value": ({"tags": {"course": 3}}, "tags.course", "text"),
    "no name": ({"name": ""}, "name", "at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_with_path_finding_and_remedy(case: str) -> None:
    assert_refused(*BAD[case])


def test_the_base_of_them_is_good() -> None:
    assert len(ExperimentSpec.parse(GOOD).expand()) == 1


@pytest.mark.parametrize("data", [None, [], "", "text", 3, True, {}, [GOOD], "[1, 2]", "{}", "- a", "null"])
def test_what_is_no_spec_at_all(data: object) -> None:
    with pytest.raises(SpecError):
        ExperimentSpec.parse(data)


def test_every_problem_is_reported_at_once() -> None:
    bad = copy.deepcopy(GOOD) | {
        "optimiser": 1, "seed": -1, "training": {"epochs": 0, "batch_size": "many", "stop": {"err": 1}},
        "optimizer": {"name": "sgd", "learning_rate": -1, "rho": 1},
    }  # fmt: skip
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(bad)
    assert {problem.path for problem in caught.value.problems} == {
        "optimiser", "seed", "training.epochs", "training.batch_size", "training.stop.err",
        "optimizer.learning_rate", "optimizer.rho",
    }  # fmt: skip


def test_a_sweep_of_a_billion_runs_is_refused_before_it_is_expanded() -> None:
    """To build a billion runs takes days; two seconds of CPU are what any body may cost."""
    sweep = {
        "learning_rate": {"log": [1e-4, 1], "points": 1000},
        "momentum": {"linear": [0, 0.9], "points": 1000},
        "seeds": 1000,
    }
    began = time.process_time()
    with pytest.raises(SpecError, match="1,000,000,000 runs"):
        ExperimentSpec.parse(GOOD | {"sweep": sweep})
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        (Limits(max_parameters=25_449), "model"),
        (Limits(max_memory_bytes=100_000), "model"),
        (Limits(max_flops=1e9), "training.epochs"),
        (Limits(max_layers=2), "model"),
    ],
)
def test_limits_are_the_services(limits: Limits, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(GOOD, limits)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert "at most" in str(caught.value)


def test_the_limit_itself_is_allowed() -> None:
    ExperimentSpec.parse(GOOD, Limits(max_parameters=25_450))
    ExperimentSpec.parse(GOOD | {"sweep": {"seeds": 7}}, Limits(max_runs=7))
