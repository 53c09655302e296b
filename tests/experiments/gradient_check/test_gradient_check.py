"""The check certifies right gradients, catches every injected fault, and refuses what has no gradient."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.activations import ACTIVATIONS
from experiments.datasets import Source
from experiments.gradient_check import check as check_module
from experiments.gradient_check.certificates import GradientReport, band, certificate_key
from experiments.gradient_check.check import ATTEMPTS, Checker, check
from experiments.gradient_check.injected_faults import FAULTS, FaultError, applicable
from experiments.gradient_check.kinks import LOSS_NOTES
from experiments.gradient_check.objective import Objective
from experiments.gradient_check.tensor_check import relative_error
from experiments.losses import LOSSES
from experiments.spec import ExperimentSpec
from tests.present import present

CNN = {
    "pattern": "INPUT-CONV-POOL-FC*2-OUTPUT",
    "conv": {"filters": 3, "kernel_size": 3},
    "fc": {"units": 8},
}
NETWORKS = {
    "one neuron": {"dataset": "linear", "model": {"hidden": []}},
    "tanh": {"dataset": "digits", "model": {"hidden": [8], "activation": "tanh"}},
    "relu": {"dataset": "digits", "model": {"hidden": [8, 8], "activation": "relu"}},
    "convolution": {"dataset": "digits", "model": CNN},
    "stochastic pool": {"dataset": "digits", "model": {**CNN, "pool": {"type": "stochastic_pool2d"}}},
    "recurrent": {
        "dataset": "digits",
        "model": {"layers": [{"type": "simple_rnn", "units": 5}, {"type": "dense", "units": 10}]},
    },
    "residual": {
        "dataset": "digits",
        "model": {
            "activation": "tanh",
            "layers": [
                {"type": "flatten"},
                {"type": "residual", "layers": [{"type": "dense", "units": 5}], "shortcut": "projection"},
                {"type": "branches", "branches": [[{"type": "dense", "units": 4}], []]},
                {"type": "dense", "units": 10},
            ],
        },
    },
    "penalised": {
        "dataset": "digits",
        "model": {"hidden": [6], "activation": "softplus", "kernel_regularizer": {"name": "l1_l2", "l1": 1e-3, "l2": 1e-2}},
    },
    "batch normalised with dropout": {
        "dataset": "digits",
        "model": {
            "layers": [
                {"type": "dense", "units": 8, "activation": "linear"},
                {"type": "batch_normalization"},
                {"type": "activation", "activation": "elu"},
                {"type": "dropout", "rate": 0.3},
                {"type": "dense", "units": 10},
            ]
        },
    },
}  # fmt: skip

ATTENDING: dict[str, Any] = {
    "dataset": {"name": "recall", "samples": 20},
    "model": {
        "layers": [
            {"type": "embedding", "output_dim": 2},
            {"type": "multi_head_attention", "num_heads": 1, "key_dim": 2},
            {"type": "flatten"},
            {"type": "dense", "units": 1},
        ]
    },
}
"""Its faults are caught in test_something_was_checked.py."""


def run_of(**document: Any) -> Any:
    return ExperimentSpec.parse({"name": "checked", **document}).expand()[0].spec


COMPILED = ("relu", "batch normalised with dropout")
"""Networks whose engine is compiled as in training. XLA takes longer than the whole check."""


@pytest.fixture(scope="module")
def checker_of() -> Callable[[str], Checker]:
    """The check of one of the networks; its graphs serve its certificate and its faults."""

    def make(name: str) -> Checker:
        spec = run_of(**NETWORKS[name])
        return Checker(spec, spec.dataset.load(Source()))

    return functools.cache(make)


@pytest.mark.parametrize("name", NETWORKS)
def test_right_gradients_are_certified(
    name: str, checker_of: Callable[[str], Checker], request: pytest.FixtureRequest
) -> None:
    if name not in COMPILED:
        request.getfixturevalue("without_xla")
    report = checker_of(name).report()
    assert report.verdict == "certified", report.reason
    assert present(report.max_rel_err) <= (1e-5 if report.states[0].slope else 1e-4)
    assert present(report.engine).error <= 1e-4
    assert all(state.repeatable for state in report.states)
    for state in report.states:
        assert state.slope is None or 1.9 <= state.slope <= 2.1
        for tensor in state.tensors:
            assert tensor.checked == tensor.assessed + tensor.flat + tensor.discarded + tensor.not_assessable
            assert tensor.by_hand is None or tensor.by_hand < 1e-10
    assert GradientReport.model_validate(json.loads(report.model_dump_json())) == report


def test_a_fault_is_caught_by_name() -> None:
    report = check(run_of(**NETWORKS["one neuron"]), inject_fault="scale")
    assert (report.verdict, report.injected) == ("failed", "scale")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("one neuron", "scale"), ("one neuron", "drop-bias"), ("tanh", "transpose"), ("tanh", "slope"),
        ("relu", "stop-gradient"), ("relu", "sign"), ("relu", "off-by-one"), ("convolution", "pool-mean"),
        ("convolution", "stride"), ("recurrent", "truncate"), ("residual", "drop-shortcut"), ("penalised", "drop-penalty"), ("tanh", "batch-sum"),
    ],
)  # fmt: skip
def test_every_fault_is_caught(name: str, fault: Any, checker_of: Callable[[str], Checker]) -> None:
    report = checker_of(name).with_fault(fault).report()
    assert report.verdict == "failed"
    assert report.injected == fault


def test_every_fault_has_a_place_among_the_networks() -> None:
    faults: set[str] = set()
    for document in (*NETWORKS.values(), ATTENDING):
        spec = run_of(**document)
        faults |= set(applicable(Objective(spec, spec.dataset.load(Source()))))
    assert faults == set(FAULTS)


def test_an_unknown_or_impossible_fault_is_named() -> None:
    with pytest.raises(FaultError, match="no fault is called 'typo'"):
        check(run_of(**NETWORKS["tanh"]), inject_fault="typo")
    with pytest.raises(FaultError, match="no place for it"):
        check(run_of(**NETWORKS["tanh"]), inject_fault="pool-mean")


def test_a_step_is_refused_not_failed() -> None:
    spec = run_of(
        dataset="and",
        model={"layers": [{"type": "dense", "units": 1, "activation": "step"}]},
        loss="half_squared_error",
    )
    report = check(spec)
    assert report.verdict == "refused"
    assert "no derivative" in report.reason


def test_single_precision_certifies_nothing() -> None:
    report = check(run_of(**NETWORKS["tanh"]), dtype="float32")
    assert report.verdict == "not assessed"
    assert "certifies nothing" in report.reason


def test_a_vanishing_gradient_is_judged_along_a_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first points: others, which the check goes on to, are judged alike."""
    monkeypatch.setattr(check_module, "ATTEMPTS", ATTEMPTS[:1])
    report = check(
        run_of(dataset="digits", model={"hidden": [4] * 13, "activation": "sigmoid"}), engine=False
    )
    first = report.states[0].tensors[0]
    assert first.not_assessable > first.checked / 2
    assert present(first.direction).step > 1e-4
    assert report.verdict in ("certified", "not assessed")


@pytest.mark.usefixtures("without_xla")
def test_full_mode_takes_every_coordinate() -> None:
    spec = run_of(**NETWORKS["tanh"], gradient_check={"mode": "full"})
    report = check(spec)
    assert sum(t.checked for t in report.states[0].tensors) == spec.forecast.parameters
    assert report.verdict == "certified"


def test_the_key_is_of_the_program_not_of_the_run() -> None:
    base = NETWORKS["tanh"]
    key = certificate_key(run_of(**base), "cpu")
    same = run_of(**base, seed=5, optimizer="adam", training={"epochs": 9, "batch_size": 7})
    assert certificate_key(same, "cpu") == key
    others = [
        certificate_key(run_of(**base), "gpu"),
        certificate_key(run_of(**base, gradient_check={"mode": "full"}), "cpu"),
        certificate_key(run_of(dataset="digits", model={"hidden": [8], "activation": "relu"}), "cpu"),
        certificate_key(run_of(**base, loss="kl_divergence"), "cpu"),
    ]
    assert len({key, *others}) == 5


def test_relative_error_by_hand() -> None:
    def one(a: Any, n: Any, noise: float = 0.0, scale: float = 0.0) -> Any:
        return float(relative_error(np.array(a), np.array(n), np.array(noise), scale))

    assert one(0.0, 0.0) == 0.0
    assert one(1.0, 3.0) == 0.5
    assert one(1.0, 3.0, noise=1.0) == 0.25
    assert one(1e-6, 0.0, scale=1.0) == pytest.approx(1e-4)
    assert one(float("nan"), 1.0) == np.inf


def test_bands() -> None:
    assert [band(e) for e in (1.0, 1e-3, 1e-5, 1e-8, float("nan"))] == [
        "wrong", "suspicious", "acceptable", "good", "wrong"
    ]  # fmt: skip


def test_every_function_with_kinks_or_bends_says_where() -> None:
    for name, entry in ACTIVATIONS.items():
        if entry.smoothness == "C0":
            assert entry.kinks or entry.joint, name
        assert (entry.smoothness == "C1") == bool(entry.bends), name
    assert {name for name, entry in LOSSES.items() if entry.smoothness != "Cinf"} == set(LOSS_NOTES)
