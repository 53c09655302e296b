"""Sweeps and questions that are refused, each with its path, what was found and what is allowed."""

from __future__ import annotations

import pytest

from tests.experiments.spec.refusals import DENSE, Bad, assert_refused

BAD: dict[str, Bad] = {
    "10^6 runs": (
        {"sweep": {"learning_rate": {"log": [1e-4, 1], "points": 100_000}, "seeds": 10}},
        "sweep",
        "1,000,000 runs",
    ),
    "10^9 seeds": ({"sweep": {"seeds": 10**9}}, "sweep", "1,000,000,000 runs"),
    "an unknown axis": ({"sweep": {"actvation": ["relu"]}}, "sweep.actvation", 'mean "activation"'),
    "an axis that is no field": ({"sweep": {"model.hiden": [[3]]}}, "sweep.model.hiden[0]", 'mean "hidden"'),
    "a bad level": ({"sweep": {"activation": ["relu", "rleu"]}}, "sweep.activation[1]", 'mean "relu"'),
    "a bad field of a level": (
        {"sweep": {"optimizer": [{"name": "sgd", "mom": 1}]}},
        "sweep.optimizer[0].mom",
        "momentum",
    ),
    "a level twice": ({"sweep": {"activation": ["relu", "relu"]}}, "sweep.activation[1]", "twice"),
    "a field set by a level and an axis": (
        {
            "sweep": {
                "optimizer": [{"name": "adam"}, {"name": "sgd", "learning_rate": 1}],
                "learning_rate": [0.1, 0.2],
            }
        },
        "sweep.learning_rate[0]",
        "sweep.optimizer[1] sets the same field",
    ),
    "a field set by a case and an axis": (
        {"sweep": {"hidden": [[3], [4]], "cases": {"a": {"model.layers": [DENSE]}}}},
        "sweep.cases.a.model.layers",
        "same field",
    ),
    "one field under two names": (
        {"sweep": {"batch_size": [1, 2], "training.batch_size": [3]}},
        "sweep.training.batch_size[0]",
        "same field",
    ),
    "an axis without a level": ({"sweep": {"activation": []}}, "sweep.activation", "at least 1"),
    "a range without points": (
        {"sweep": {"learning_rate": {"log": [0.1, 1]}}},
        "sweep.learning_rate",
        "points",
    ),
    "a range that falls": (
        {"sweep": {"learning_rate": {"log": [1, 0.1], "points": 3}}},
        "sweep.learning_rate.log",
        "[low, high]",
    ),
    "a logarithm of zero": (
        {"sweep": {"learning_rate": {"log": [0, 1], "points": 3}}},
        "sweep.learning_rate.log[0]",
        "above 0",
    ),
    "a range of two kinds": (
        {"sweep": {"learning_rate": {"log": [0.1, 1], "linear": [0.1, 1], "points": 3}}},
        "sweep.learning_rate",
        "log and linear are both given (allowed: one of linear and log)",
    ),
    "no range": (
        {"sweep": {"learning_rate": {"lg": [0, 1]}}},
        "sweep.learning_rate",
        "{log: [low, high], points: n}",
    ),
    "a seed axis": ({"sweep": {"seed": [1, 2]}}, "sweep.seed", "seeds"),
    "a seed twice": ({"sweep": {"seeds": [1, 1]}}, "sweep.seeds", "twice"),
    "what does not decide the result": (
        {"sweep": {"device": ["cpu", "gpu"]}},
        "sweep.device",
        "does not decide",
    ),
    "random without a number": (
        {"sweep": {"strategy": "random", "activation": ["relu"]}},
        "sweep.runs",
        "count",
    ),
    "more draws than runs": (
        {"sweep": {"strategy": "random", "runs": 9, "activation": ["relu", "tanh"]}},
        "sweep.runs",
        "at most 2",
    ),
    "draws from a range of one value": (
        {
            "sweep": {
                "learning_rate": {"linear": [0.1, 0.1000000000000001]},
                "strategy": "random",
                "runs": 5,
            }
        },
        "sweep.learning_rate",
        "holds only 1 different value, which makes 1 run of the 5",
    ),
    "draws from a logarithmic range of one value": (
        {"sweep": {"learning_rate": {"log": [0.1, 0.1000000000000001]}, "strategy": "random", "runs": 5}},
        "sweep.learning_rate",
        "runs: 1",
    ),
    "more draws than a narrow range has values": (
        {"sweep": {"learning_rate": {"linear": [0.1, 0.10000000001]}, "strategy": "random", "runs": 500}},
        "sweep.learning_rate",
        "holds only 11 different values, which make 11 runs of the 500",
    ),
    "a range with fewer whole numbers than points": (
        {"sweep": {"epochs": {"linear": [1, 3], "points": 5}}},
        "sweep.epochs",
        "the 5 points of the range are only 3 different whole numbers (allowed: fewer points, or a wider range)",
    ),
    "a range between numbers that are not whole": (
        {"sweep": {"batch_size": {"linear": [1.5, 2.5], "points": 2}}},
        "sweep.batch_size",
        "found 1.5 (allowed: a whole number)",
    ),
    "a range of one value": (
        {"sweep": {"learning_rate": {"linear": [0.1, 0.1000000000000001], "points": 3}}},
        "sweep.learning_rate",
        "the 3 points of the range are only 1 different value (",
    ),
    "a tuned range with fewer whole numbers than points": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"epochs": {"log": [1, 3], "points": 4}}},
        },
        "compare.tune.epochs",
        "only 3 different whole numbers",
    ),
    "a tuned level twice": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"learning_rate": [0.1, 0.1]}},
        },
        "compare.tune.learning_rate[1]",
        "the level 0.1 is given twice",
    ),
    "draws from a range of three whole numbers": (
        {"sweep": {"epochs": {"linear": [1, 3]}, "strategy": "random", "runs": 9}},
        "sweep.epochs",
        "holds only 3 different values, which make 3 runs of the 9",
    ),
    "unequal parameters": (
        {
            "sweep": {
                "cases": {"a": {"model.hidden": [8]}, "b": {"model.hidden": [9]}},
                "require": {"equal_parameters": 0.01},
            }
        },
        "sweep.require.equal_parameters",
        "differ by",
    ),
    "an empty case": ({"sweep": {"cases": {"a": {}}}}, "sweep.cases.a", "at least one field"),
    "an axis that changes nothing": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "model": {"layers": [{"type": "dense", "units": 3, "activation": "elu"}, DENSE]},
        },
        "sweep.activation",
        "changes nothing",
    ),
    "shapes that do not fit in one level": (
        {
            "sweep": {"model.layers[0].kernel_size": [5, 29]},
            "model": {"layers": [{"type": "conv2d", "filters": 2, "kernel_size": 3}, DENSE]},
        },
        "sweep.model.layers[0].kernel_size[1]",
        "⌊(28 - 29 + 2·0)/1⌋ + 1 = 0",
    ),
    # the question
    "a factor that is not swept": ({"compare": {"factor": "activation"}}, "compare.factor", "no sweep"),
    "a question about one level": (
        {"sweep": {"activation": ["relu"]}, "compare": {"factor": "activation"}},
        "compare.factor",
        "two levels",
    ),
    "a difference of nothing": (
        {"sweep": {"activation": ["relu", "tanh"]}, "compare": {"factor": "activation", "delta": 0}},
        "compare.delta",
        "above 0",
    ),
    "looks that do not rise": (
        {"sweep": {"activation": ["relu", "tanh"]}, "compare": {"factor": "activation", "looks": [5, 5]}},
        "compare",
        "rise",
    ),
    "tuning what is compared": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"activation": ["elu"]}},
        },
        "compare.tune.activation[0]",
        "same field",
    ),
    "tuning a field that is none": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"learning_rat": [1]}},
        },
        "compare.tune.learning_rat",
        'did you mean "learning_rate"?',
    ),
    "a bad tuning level": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"learning_rate": [0.1, -1]}},
        },
        "compare.tune.learning_rate[1]",
        "above 0",
    ),
    "the accuracy of a regression": (
        {
            "dataset": "linear",
            "model": {"hidden": [3]},
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation"},
        },
        "compare.metric",
        "no accuracy",
    ),
    "the accuracy of an embedding": (
        {"loss": "circle", "sweep": {"activation": ["relu", "tanh"]}, "compare": {"factor": "activation"}},
        "compare.metric",
        "circle has no accuracy",
    ),
    "the accuracy where one level has none": (
        {"sweep": {"loss": ["categorical_crossentropy", "circle"]}, "compare": {"factor": "loss"}},
        "compare.metric",
        "circle has no accuracy",
    ),
    "a metric that is none": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "metric": "test/acuracy"},
        },
        "compare.metric",
        'mean "test/accuracy"',
    ),
    "a metric far from any": (
        {
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "metric": "test/foo", "delta": 1.0},
        },
        "compare.metric",
        "test/loss",
    ),
    "tuning without validation data": (
        {
            "dataset": {"name": "mnist", "validation_split": 0},
            "sweep": {"activation": ["relu", "tanh"]},
            "compare": {"factor": "activation", "tune": {"learning_rate": [0.1, 1]}},
        },
        "compare.tune",
        "validation_split",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_with_path_finding_and_remedy(case: str) -> None:
    assert_refused(*BAD[case])
