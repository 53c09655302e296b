"""Rule 15: a certificate says that something was checked, and a program has one verdict whatever the seed.

Each test is named after the kind of fault whose example it holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.gradient_check import check as check_module
from experiments.gradient_check.certificates import GradientReport
from experiments.gradient_check.check import ATTEMPTS, Checker, check
from experiments.gradient_check.engine_check import BOUND
from experiments.gradient_check.injected_faults import changed
from experiments.gradient_check.kinks import Watch, penalty_notes
from experiments.gradient_check.objective import Objective
from experiments.gradient_check.redundant import NORMALISATION, SOFTMAX, removed_biases
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from tests.present import present

EMBEDDING = [
    {"type": "flatten"},
    {"type": "dense", "units": 12, "activation": "mish"},
    {"type": "dense", "units": 6},
]


SEVENTH = 7
"""A seed of which neither 3 nor 12 points tell the brightest pixels apart."""


@pytest.fixture
def two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points of two seeds. A check that cannot be settled goes on to four more choices, where these programs are judged
    alike."""
    monkeypatch.setattr(check_module, "ATTEMPTS", ATTEMPTS[:2])


def runs_of(**document: Any) -> list[RunSpec]:
    document = {"name": "checked", "dataset": "digits", **document}
    return [point.spec for point in ExperimentSpec.parse(document).expand()]


def checker_of(**document: Any) -> Checker:
    (spec,) = runs_of(**document)
    return Checker(spec, spec.dataset.load(Source(), spec.model.data_format))


def unassessed(report: GradientReport) -> set[str]:
    """The tensors that no start assessed."""
    starts = [state for state in report.states if state.name.startswith("at the start")]
    names = {tensor.name for state in starts for tensor in state.tensors}
    return names - {t.name for state in starts for t in state.tensors if t.status == "passed"}


@pytest.mark.usefixtures("without_xla")
def test_vacuous_certificate() -> None:
    """The loss is 0 at the first three points: others are tried, and there the faults are caught."""
    checker = checker_of(model={"layers": EMBEDDING}, loss="circle")
    report = checker.report()
    assert report.states[0].loss == 0
    assert report.verdict == "certified"
    assert any(state.loss > 0 for state in report.states)
    assert not unassessed(report)
    for fault in ("scale", "sign"):
        assert checker.with_fault(fault).report().verdict == "failed"


def test_circle_unit_norm() -> None:
    """One verdict whatever the seed: where single precision is magnified, the bound grows with what it costs."""
    checker = checker_of(model={"layers": [*EMBEDDING, {"type": "unit_normalization"}]}, loss="circle")
    reports = [checker.report(seed) for seed in range(3)]
    assert {report.verdict for report in reports} == {"certified"}, [report.reason for report in reports]
    assert all(present(report.engine).bound >= BOUND for report in reports)
    assert checker.with_fault("scale").report().verdict == "failed"


def test_slope_behind_a_global_max_pool() -> None:
    """The largest of 36 values of ReLU is on the slope of 1 at the first points, so a forgotten slope is right there."""
    layers = [
        {"type": "conv2d", "filters": 3, "kernel_size": 3},
        {"type": "global_max_pool2d"},
        {"type": "dense", "units": 10},
    ]
    checker = checker_of(model={"layers": layers})
    forgetful = checker.with_fault("slope")
    assert not changed(checker.gradient(), forgetful.gradient())
    assert forgetful.report().verdict == "failed"
    report = checker.report(engine=False)
    assert report.verdict == "certified"
    assert len(report.states) > 2, "other points were asked, where a channel is 0 everywhere"


def test_numbers_that_differ_in_few_samples() -> None:
    """The brightest pixel of nearly every digit is 1, so what is left after batch normalisation is 0 at most points."""
    layers = [{"type": "global_max_pool2d"}, {"type": "batch_normalization"}, {"type": "dense", "units": 10}]
    report = checker_of(model={"layers": layers}).report(SEVENTH, engine=False)
    assert report.verdict == "certified", report.reason
    assert not unassessed(report)


@pytest.mark.usefixtures("without_xla")
def test_dead_layer_certificate() -> None:
    """Three of four tensors are flat at every point: not assessed, with the first named and the others counted."""
    dead = {
        "type": "dense",
        "units": 12,
        "activation": "relu",
        "bias_initializer": {"name": "constant", "value": -50.0},
    }
    output = {"type": "dense", "units": 10, "activation": "softmax"}
    checker = checker_of(model={"layers": [{"type": "flatten"}, dead, output]})
    report = checker.report()
    assert report.verdict == "not assessed"
    assert unassessed(report) == {"1-dense/kernel", "1-dense/bias", "2-dense/kernel"}
    assert report.reason == "1-dense/kernel (loss), at the start: the loss does not move with it (and 2 more)"
    assert checker.with_fault("scale").report().verdict == "not assessed"


@pytest.mark.usefixtures("without_xla", "two_attempts")
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_equal_initial_weights(activation: str) -> None:
    """No derivative reaches the hidden layers, or only its rounding: nothing is certified, and nothing called failed."""
    for initializer in ("zeros", {"name": "constant", "value": 0.1}):
        (spec,) = runs_of(
            model={"activation": activation, "hidden": [8, 8], "kernel_initializer": initializer}
        )
        report = check(spec, engine=activation == "tanh")
        assert report.verdict == "not assessed", report.reason
        assert {"1-dense/kernel", "2-dense/kernel"} <= unassessed(report)


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize(
    "regularizer",
    [
        {"name": "l2", "l2": 0.01},
        {"name": "l1", "l1": 0.01},
        {"name": "l2", "l2": 100.0},
        "orthogonal_regularizer",
    ],
    ids=str,
)
def test_smooth_penalty_kink(regularizer: Any) -> None:
    """Σw² has no kink to cross, however strong; a dropped penalty is caught."""
    checker = checker_of(
        dataset={"name": "digits", "train_samples": 64},
        model={"activation": "tanh", "hidden": [16], "kernel_regularizer": regularizer},
    )
    report = checker.report()
    assert report.verdict == "certified", report.reason
    penalised = {t.name for state in report.states for t in state.tensors if t.part == "penalty"}
    assert penalised == {"1-dense/kernel", "2-dense/kernel"}
    assert checker.with_fault("drop-penalty").report().verdict == "failed"


def test_a_penalty_of_strength_0_is_none() -> None:
    model = {"hidden": [4], "kernel_regularizer": {"name": "l2", "l2": 0.0}}
    assert set(checker_of(model=model).objective.parts) == {"loss"}


def test_the_kinks_of_an_orthogonal_penalty_lie_where_rows_are_at_right_angles() -> None:
    """Rows (1, 0) and (0.1, 1): a cosine of 0.1, positive; (−0.1, 1): negative. No weight changes its sign."""
    model = {"hidden": [2], "kernel_regularizer": "orthogonal_regularizer"}
    (spec,) = runs_of(model=model)
    objective = Objective(spec, spec.dataset.load(Source()))
    regularizer = next(entry for entry in objective.watch.regularizers if entry is not None)
    notes = [
        np.asarray(penalty_notes(regularizer, objective.tensor([[1.0, 0.0], [x, 1.0]]))[0])
        for x in (0.1, 0.2, -0.1)
    ]
    np.testing.assert_array_equal(notes[0], notes[1])
    assert not np.array_equal(notes[0], notes[2])
    assert isinstance(objective.watch, Watch)


@pytest.mark.usefixtures("without_xla")
def test_a_bias_that_batch_normalisation_removes_has_a_derivative_of_0() -> None:
    """x + b − mean(x + b) = x − mean(x): that derivative is 0 in every right program and is none to miss."""
    layers = [
        {"type": "dense", "units": 8, "activation": "linear"},
        {"type": "batch_normalization"},
        {"type": "activation", "activation": "tanh"},
        {"type": "dense", "units": 8, "activation": "tanh"},
        {"type": "batch_normalization"},
        {"type": "dense", "units": 10},
    ]
    checker = checker_of(model={"layers": layers})
    assert removed_biases(checker.spec, checker.objective.names) == {"1-dense/bias": NORMALISATION}
    report = checker.report()
    assert report.verdict == "certified", report.reason
    (bias,) = [tensor for tensor in report.states[0].tensors if tensor.name == "1-dense/bias"]
    assert bias.reason == NORMALISATION == "batch normalisation removes it: its derivative is 0"
    assert not bias.assessed


def test_softmax_removes_the_bias_of_an_attentions_keys_and_a_token_that_never_comes_is_flat() -> None:
    """softmax(s + c) = softmax(s). The three points have 12 tokens of 20, so that 8 rows of the table move nothing."""
    layers = [
        {"type": "embedding", "output_dim": 2},
        {"type": "multi_head_attention", "num_heads": 1, "key_dim": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 1},
    ]
    dataset = {"name": "recall", "length": 4, "vocabulary": 10, "samples": 100}
    checker = checker_of(dataset=dataset, model={"layers": layers}, gradient_check={"mode": "full"})
    assert removed_biases(checker.spec, checker.objective.names) == {
        "1-multi_head_attention/key_bias": SOFTMAX
    }
    report = checker.report(engine=False)
    assert report.verdict == "certified", report.reason
    table, *_ = report.states[0].tensors
    seen = np.unique(checker.objective.batch().x)
    assert (table.name, table.flat, table.assessed) == (
        "0-embedding/embeddings",
        2 * (20 - len(seen)),
        2 * len(seen),
    )
    for fault in ("attention-scale", "softmax-diagonal", "wrong-row"):
        assert checker.with_fault(fault).report(engine=False).verdict == "failed", fault


@pytest.mark.usefixtures("without_xla")
def test_a_program_is_traced_once_for_all_seeds() -> None:
    checker = checker_of(model={"hidden": [4], "activation": "tanh"})
    first = checker.report(0)
    graphs = {id(graph) for graph in checker.objective.parts.values()}
    again = checker.report(1)
    assert {id(graph) for graph in checker.objective.parts.values()} == graphs
    assert again.states[0].loss != first.states[0].loss


@pytest.mark.usefixtures("two_attempts")
def test_a_tensor_of_one_number_always_has_a_direction() -> None:
    """Batch normalisation after that has a gamma of one number: a sign against its gradient's left a direction of 0."""
    layers = [
        {"type": "layer_normalization"},
        {"type": "batch_normalization"},
        {"type": "dense", "units": 10},
    ]
    checker = checker_of(model={"layers": layers})
    reports = [checker.report(seed, engine=False) for seed in range(2)]
    assert {report.verdict for report in reports} == {"not assessed"}, [report.reason for report in reports]
    slopes = [
        t.direction.autodiff for report in reports for s in report.states for t in s.tensors if t.direction
    ]
    assert np.isfinite(slopes).all()


@pytest.mark.usefixtures("two_attempts")
def test_a_normalisation_over_one_feature_is_not_assessed_rather_than_failed() -> None:
    """x − mean(x) of one channel is 0, so gamma does nothing and what single precision makes of it is rounding."""
    layers = [{"type": "average_pool2d"}, {"type": "layer_normalization"}, {"type": "dense", "units": 10}]
    report = checker_of(model={"layers": layers}).report()
    assert report.verdict == "not assessed", report.reason
    assert unassessed(report) == {"1-layer_normalization/gamma"}


@pytest.mark.usefixtures("two_attempts")
def test_a_vector_that_passes_the_origin_is_no_wrong_gradient() -> None:
    """All values come from the one β of a normalisation over one channel, so the direction jumps where β passes 0, as it
    does within one step at this seed."""
    layers = [
        {"type": "layer_normalization"},
        {"type": "unit_normalization"},
        {"type": "dense", "units": 10},
    ]
    report = checker_of(model={"layers": layers}).report(7, engine=False)
    assert report.verdict == "not assessed", report.reason
