"""Residual layers and branches: what they become, what is refused, and the published parameter counts to the unit."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.datasets import DataShape
from experiments.errors import SpecError
from experiments.losses import CategoricalCrossentropy
from experiments.networks import ModelChoice
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from experiments.spec.resolve import resolve
from experiments.theory import forecast_network

FLAT, OUTPUT = {"type": "flatten"}, {"type": "dense", "units": 10}
ACT, BN = {"type": "activation"}, {"type": "batch_normalization"}
Layers = list[dict[str, Any]]


def dense(units: int) -> dict[str, Any]:
    return {"type": "dense", "units": units}


def conv(filters: int, kernel_size: int = 3, strides: int = 1, **more: Any) -> dict[str, Any]:
    fixed = {"type": "conv2d", "padding": "same"}
    return {**fixed, "filters": filters, "kernel_size": kernel_size, "strides": strides, **more}


def residual(*layers: dict[str, Any], shortcut: str = "identity") -> dict[str, Any]:
    return {"type": "residual", "layers": list(layers), "shortcut": shortcut}


def branches(*rows: Layers, join: str = "concatenate") -> dict[str, Any]:
    return {"type": "branches", "branches": list(rows), "join": join}


def spec_of(*layers: dict[str, Any], dataset: Any = "digits", **model: Any) -> ExperimentSpec:
    document = {"name": "composites", "dataset": dataset, "model": {**model, "layers": list(layers)}}
    return ExperimentSpec.parse(document)


def run_of(*layers: dict[str, Any], dataset: Any = "digits", **model: Any) -> RunSpec:
    return spec_of(*layers, dataset=dataset, **model).expand()[0].spec


def test_a_residual_layer_is_written_out_as_a_sum_of_two() -> None:
    run = run_of(FLAT, dense(16), residual(dense(8), dense(16)), ACT, OUTPUT)
    assert run.model.names == [
        "0-flatten",
        "1-dense",
        "2-dense",
        "3-dense",
        "4-add",
        "5-activation",
        "6-dense",
    ]
    assert run.model.inputs == ((-1,), (0,), (1,), (2,), (3, 1), (4,), (5,))
    assert [row.inputs for row in run.forecast.layers][4] == ("3-dense", "1-dense")
    # The activation after the sum is that of the row's last layer, which is linear (He et al. 2016, figure 2).
    assert run.model.activations == ("relu", "relu", "linear", "relu", "softmax")
    assert run.forecast.parameters == 65 * 16 + 17 * 8 + 9 * 16 + 17 * 10
    assert run.max_width() > 1, "dense layers beside each other train as lanes"


def test_a_projection_is_linear_without_bias_and_normalised_where_the_layers_are() -> None:
    run = run_of(FLAT, residual(dense(8), BN, ACT, dense(4), BN, shortcut="projection"), OUTPUT)
    kinds = [layer.type for layer in run.model.layers]
    assert kinds == [
        "flatten", "dense", "batch_normalization", "activation", "dense", "batch_normalization",
        "dense", "batch_normalization", "add", "dense",
    ]  # fmt: skip
    projection: Any = run.model.layers[6]
    assert (projection.units, projection.use_bias, projection.activation) == (4, False, "linear")
    assert run.model.wiring[6] == (0,)


def test_branches_read_one_input_and_an_empty_one_is_that_input() -> None:
    run = run_of(FLAT, dense(6), branches([dense(3)], [], [dense(2), dense(4)]), OUTPUT)
    assert run.model.wiring[2:6] == ((1,), (1,), (3,), (2, 1, 4))
    join = run.forecast.layers[5]
    assert (join.name, join.output_shape, join.inputs) == (
        "5-concatenate",
        (13,),
        ("2-dense", "1-dense", "4-dense"),
    )
    assert join.formula == "3 + 6 + 4 = 13"


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_channels_are_joined_in_either_data_format(data_format: str) -> None:
    run = run_of(branches([conv(3)], [conv(2, 5)]), OUTPUT, data_format=data_format)
    shape = run.forecast.layers[2].output_shape
    assert shape == ((8, 8, 5) if data_format == "channels_last" else (5, 8, 8))
    assert getattr(run.model.layers[2], "axis") == (-1 if data_format == "channels_last" else 1)  # noqa: B009


def test_layers_in_a_row_have_the_fingerprint_that_they_had_before_there_were_composites() -> None:
    run = run_of(FLAT, OUTPUT)
    assert run.model.inputs == ()
    assert '"inputs"' not in run.model.canonical
    assert RunSpec.model_validate(run.model_dump(mode="json")) == run


def test_a_run_with_composites_survives_json() -> None:
    run = run_of(FLAT, dense(4), residual(branches([dense(4)], [], join="average")), OUTPUT)
    again = RunSpec.model_validate(run.model_dump(mode="json"))
    assert again == run
    assert again.fingerprint() == run.fingerprint()
    plain = run_of(FLAT, dense(4), dense(4), OUTPUT)
    assert plain.fingerprint() != run.fingerprint()


def test_a_run_with_composites_can_be_submitted_again() -> None:
    run = run_of(branches([conv(4)], []), residual(conv(8, strides=2)), OUTPUT)
    again = ExperimentSpec.parse({"name": "again", **run.model_dump(mode="json")}).expand()[0].spec
    assert again == run
    assert again.fingerprint() == run.fingerprint()


@pytest.mark.parametrize(
    ("layers", "inputs", "path", "words"),
    [
        ([FLAT, {"type": "add"}, OUTPUT], None, "model.layers[1]", "nothing says which"),
        ([FLAT, OUTPUT], [[-1]], "model.inputs", "1 lists for 2 layers"),
        ([FLAT, OUTPUT], [[-1], [1]], "model.inputs[1]", "after those that it reads"),
        ([FLAT, OUTPUT], [[-1], [0, 0]], "model.inputs[1]", "dense reads one layer, not 2"),
        ([FLAT, {"type": "add"}, OUTPUT], [[-1], [0], [1]], "model.inputs[1]", "add reads two layers or more"),
        ([FLAT, residual(dense(64)), OUTPUT], [[-1], [0], [1]], "model.inputs[1]", "residual is read as a single layer"),
    ],
)  # fmt: skip
def test_inputs_must_suit_the_layers(layers: Layers, inputs: Any, path: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(*layers, inputs=inputs)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.message
    assert problem.allowed


def test_a_field_within_a_composite_is_swept_by_its_path() -> None:
    document = spec_of(FLAT, residual(dense(3), dense(64)), OUTPUT).document()
    document["sweep"] = {"model.layers[1].layers[0].units": [3, 5]}
    runs = [point.spec for point in ExperimentSpec.parse(document).expand()]
    assert [run.forecast.layers[1].output_shape for run in runs] == [(3,), (5,)]


REFUSED = {
    "a sum of different sizes": ([FLAT, residual(dense(10)), OUTPUT], "model.layers[1].shortcut", "make 10 of 64"),
    "fewer channels": ([conv(4), residual(conv(2)), OUTPUT], "model.layers[1].shortcut", "make 8x8x2 of 8x8x4"),
    "a smaller image without a step": (
        [residual(conv(2, 4, padding="valid")), OUTPUT], "model.layers[0].shortcut", "no step makes 5 of 8",
    ),
    "another rank": (
        [residual(FLAT, dense(4), shortcut="projection"), OUTPUT], "model.layers[0].shortcut", "make 4 of 8x8x1",
    ),
    "branches of unlike images": (
        [branches([conv(3)], [conv(3, strides=2)]), OUTPUT], "model.layers[0]", "8x8x3 and 4x4x3",
    ),
    "added branches of unlike sizes": ([FLAT, branches([dense(3)], [], join="add"), OUTPUT], "model.layers[1]", "3 and 64"),
    "no output layer": ([FLAT, residual(dense(64))], "model.layers[1]", "no output layer"),
    "a layer within that does not fit": (
        [residual(conv(3, 9, padding="valid")), OUTPUT], "model.layers[0].layers[0].kernel_size", "does not fit into 8",
    ),
    "an unknown field within": (
        [branches([conv(3)], [{**conv(3), "stride": 2}]), OUTPUT], "model.layers[0].branches[1][0].stride", "no field",
    ),
    "an unknown layer within": (
        [residual({"type": "densee", "units": 3}), OUTPUT], "model.layers[0].layers[0].type", 'did you mean "dense"',
    ),
    "a single branch": ([branches([conv(3)]), OUTPUT], "model.layers[0].branches", "found"),
    "no layers": ([residual(), OUTPUT], "model.layers[0].layers", "found []"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_at_the_field(name: str) -> None:
    layers, path, words = REFUSED[name]
    with pytest.raises(SpecError) as caught:
        spec_of(*layers)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.message
    assert problem.allowed


def test_too_many_layers_within_are_refused() -> None:
    with pytest.raises(SpecError, match="at most 200"):
        spec_of(FLAT, dense(4), *(residual(dense(4), dense(4)) for _ in range(70)), OUTPUT)


def resnet20(shortcut: str) -> Layers:
    """He et al. 2016, section 4.2: three stages of three blocks, convolutions without biases, each normalised."""

    def block(filters: int, strides: int = 1) -> Layers:
        first = conv(filters, strides=strides, use_bias=False)
        row = [first, BN, ACT, conv(filters, use_bias=False), BN]
        return [residual(*row, shortcut=shortcut if strides > 1 else "identity"), ACT]

    stages = [
        block(filters, strides if n == 0 else 1)
        for filters, strides in ((16, 1), (32, 2), (64, 2))
        for n in range(3)
    ]
    rows = [layer for stage in stages for layer in stage]
    return [conv(16, use_bias=False), BN, ACT, *rows, {"type": "average_pool2d", "pool_size": 8}, OUTPUT]


def inception(one: int, reduced: int, three: int, narrowed: int, five: int, pooled: int) -> dict[str, Any]:
    """Szegedy et al. 2015, figure 2b, with the columns of their table 1."""
    pool = {"type": "max_pool2d", "pool_size": 3, "strides": 1, "padding": "same"}
    return branches(
        [conv(one, 1)],
        [conv(reduced, 1), conv(three, 3)],
        [conv(narrowed, 1), conv(five, 5)],
        [pool, conv(pooled, 1)],
    )


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("shortcut", "trainable"), [("identity", 269_722), ("projection", 272_474)])
def test_resnet_20_has_the_published_parameters(shortcut: str, trainable: int, data_format: str) -> None:
    run = run_of(*resnet20(shortcut), dataset="cifar10", data_format=data_format)
    assert run.forecast.trainable == trainable


def test_inception_3a_has_the_published_parameters() -> None:
    """163,696 for 192 channels (GoogLeNet); a convolution before it makes the 192 of the image's one."""
    run = run_of(conv(192), inception(64, 96, 128, 16, 32, 32), OUTPUT)
    rows = {row.name: row for row in run.forecast.layers}
    block = [row for row in run.forecast.layers if row.type == "conv2d"][1:]
    assert sum(row.parameters for row in block) == 163_696
    assert rows["8-concatenate"].output_shape == (8, 8, 256)


def test_alphagos_policy_network_has_the_published_shapes() -> None:
    """Silver et al. 2016, Methods: 19×19×48, 5×5 and then eleven 3×3 of 192 filters, and one 1×1: every layer 19×19."""
    data = DataShape((19, 19, 48), (), "classification", 10, 100, 0, 10, 0.0, 1.0)
    layers = [conv(192, 5), *[conv(192)] * 11, conv(1, 1), OUTPUT]
    choice = ModelChoice.model_validate({"layers": layers})
    forecast = forecast_network(resolve(choice, data, CategoricalCrossentropy()), data)
    convolutions = [row for row in forecast.layers if row.type == "conv2d"]
    assert [row.output_shape for row in convolutions] == [(19, 19, 192)] * 12 + [(19, 19, 1)]
    assert sum(row.parameters for row in convolutions) == (25 * 48 + 1) * 192 + 11 * (9 * 192 + 1) * 192 + 193


PATTERNS = {
    "RES": ("INPUT-CONV-BN-ACT-[RES[CONV-BN-ACT-CONV-BN]-ACT]*2-FC-OUTPUT", 2, "add"),
    "INCEPTION": ("INPUT-INCEPTION[CONV, CONV-CONV, POOL-CONV]*3-FC-OUTPUT", 3, "concatenate"),
    "nested": ("INPUT-CONV-RES[INCEPTION[CONV,CONV]-CONV]-FC-OUTPUT", 1, "add"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_know_composites(name: str) -> None:
    pattern, count, join = PATTERNS[name]
    model = {
        "pattern": pattern,
        "conv": {"filters": 4},
        "pool": {"pool_size": 3, "strides": 1, "padding": "same"},
    }
    run = ExperimentSpec.parse({"name": "p", "dataset": "digits", "model": model}).expand()[0].spec
    assert sum(layer.type == join for layer in run.model.layers) == count


def test_a_pattern_chooses_each_shortcut() -> None:
    model = {
        "pattern": "INPUT-RES[CONV]*2-FC-OUTPUT", "conv": {"filters": [4, 8]}, "res": {"shortcut": ["projection", "identity"]},
    }  # fmt: skip
    run = ExperimentSpec.parse({"name": "p", "dataset": "digits", "model": model}).expand()[0].spec
    assert [layer.type for layer in run.model.layers] == [
        "conv2d", "conv2d", "add", "conv2d", "channel_padding", "add", "flatten", "dense",
    ]  # fmt: skip
