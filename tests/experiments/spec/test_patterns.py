"""The pattern notation, whole: repetition, nesting, optional parts; a bad pattern is refused with the
position.
"""

from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.patterns import elements

CNN = "INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT"


def names(pattern: str, *, optional: bool = True) -> str:
    return " ".join(token.text for token in elements(pattern, optional=optional)[1:-1])


@pytest.mark.parametrize(
    ("pattern", "written_out"),
    [
        (CNN, "CONV POOL CONV POOL FC FC"),
        ("INPUT-FC-OUTPUT", "FC"),
        ("INPUT->[CONV->RELU]*2->POOL->FC->OUTPUT", "CONV RELU CONV RELU POOL FC"),
        ("INPUT - [[CONV - RELU]*2 - POOL?]*2 - [FC - RELU]*1 - FC - OUTPUT",
         "CONV RELU CONV RELU POOL CONV RELU CONV RELU POOL FC RELU FC"),
        ("input-[(conv-relu)*2-pool]-fc-output", "CONV RELU CONV RELU POOL FC"),
        ("INPUT-CONV*2*3-OUTPUT", "CONV CONV CONV CONV CONV CONV"),
        ("INPUT-[CONV?-POOL]*2?-FC-OUTPUT", "CONV POOL CONV POOL FC"),
        ("INPUT-PAD-CONV-BN-ACT-DROP-FLATTEN-LN-FC-OUTPUT", "PAD CONV BN ACT DROP FLATTEN LN FC"),
    ],
)  # fmt: skip
def test_notation(pattern: str, written_out: str) -> None:
    assert names(pattern) == written_out


def test_tokens() -> None:
    document = {
        "name": "tokens", "dataset": {"name": "recall", "length": 6, "vocabulary": 5}, "model": {
            "pattern": "INPUT-EMBED-RES[ATTN]-ATTN-GMP-FC*2-OUTPUT", "fc": {"units": 8},
            "embed": {"output_dim": 4}, "attn": {"num_heads": [2, 1], "key_dim": 3},
        },
    }  # fmt: skip
    spec = ExperimentSpec.parse(document).expand()[0].spec
    shapes = [(row.type, row.output_shape, row.parameters) for row in spec.forecast.layers]
    assert shapes == [
        ("embedding", (6, 4), 10 * 4),
        ("multi_head_attention", (6, 4), 3 * 5 * 6 + 7 * 4),
        ("add", (6, 4), 0),
        ("multi_head_attention", (6, 4), 3 * 5 * 3 + 4 * 4),
        ("global_max_pool1d", (4,), 0),
        ("dense", (8,), 40),
        ("dense", (1,), 9),
    ]
    with pytest.raises(SpecError, match=r"embed: \{output_dim: 16\}"):
        ExperimentSpec.parse({**document, "model": {"pattern": "INPUT-EMBED-FLATTEN-FC-OUTPUT"}})


def test_optional_parts_can_be_left_out() -> None:
    assert names("INPUT-[CONV-POOL?]*2-DROP?-FC-OUTPUT", optional=False) == "CONV CONV FC"


@pytest.mark.parametrize(
    ("pattern", "position", "words"),
    [
        ("", 1, "starts with INPUT"),
        ("CONV-FC-OUTPUT", 1, "starts with INPUT, found CONV"),
        ("INPUT-CONX-OUTPUT", 7, 'did you mean "CONV"'),
        ("INPUT-[CONV-POOL*2-FC-OUTPUT", 29, "the [ of position 7 is not closed"),
        ("INPUT-CONV]-FC-OUTPUT", 11, "found ]"),
        ("INPUT-(CONV]-FC-OUTPUT", 12, "the ( of position 7"),
        ("INPUT--FC-OUTPUT", 7, "found -"),
        ("INPUT-CONV*-FC-OUTPUT", 12, "found - after *"),
        ("INPUT-CONV*0-FC-OUTPUT", 12, "found 0 after *"),
        ("INPUT-CONV*99999999-OUTPUT", 12, "after *"),
        ("INPUT-CONV 2-FC-OUTPUT", 12, "found 2"),
        ("INPUT-CONV+FC-OUTPUT", 11, '"+" is no part'),
        ("INPUT-FC", 9, "ends with OUTPUT"),
        ("INPUT-OUTPUT-FC-OUTPUT", 7, "OUTPUT stands inside"),
        ("INPUT-FC-OUTPUT-", 17, "found the end"),
        ("INPUT-[]-OUTPUT", 8, "found ]"),
        ("INPUT-" + "[" * 40 + "FC" + "]" * 40 + "-OUTPUT", 37, "nested too deeply"),
        ("INPUT-[[[CONV*1000]*1000]*1000]*1000-OUTPUT", 25, "more than 1000 layers"),
    ],
)
def test_bad_patterns_are_refused_with_the_position(pattern: str, position: int, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        elements(pattern)
    (problem,) = caught.value.problems
    assert problem.path == "model.pattern"
    assert f"at position {position}: " in problem.message
    assert words in problem.message
    assert problem.allowed


def model(**fields: Any) -> ExperimentSpec:
    return ExperimentSpec.parse({"name": "p", "dataset": "mnist", "model": {"pattern": CNN, **fields}})


def test_the_course_network() -> None:
    """Conv 32 and 64 of 5x5 same, max pool 2, dense 1024, softmax 10, channels first: the shapes of the
    text.
    """
    spec = model(
        data_format="channels_first", conv={"filters": [32, 64], "kernel_size": 5}, fc={"units": [1024]}
    )
    run = spec.expand()[0].spec
    shapes = [row.output_shape for row in run.forecast.layers]
    assert shapes == [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (3136,), (1024,), (10,)]
    assert run.forecast.parameters == 3_274_634
    assert run.model.activations == ("relu", "relu", "relu", "softmax")


def test_lists_are_consumed_in_order_and_values_serve_all() -> None:
    run = (
        model(conv={"filters": [4, 8], "kernel_size": [[5, 3], 3], "padding": "valid"}, fc={"units": 16})
        .expand()[0]
        .spec
    )
    first, second = (layer for layer in run.model.layers if layer.type == "conv2d")
    assert (first.filters, first.kernel_size, second.filters, second.kernel_size) == (4, (5, 3), 8, 3)


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"fc": {"units": 3}}, "model.conv", "sizes are not given"),
        ({"conv": {"filters": 3}}, "model.fc", "sizes are not given"),
        ({"conv": {"filters": [3]}, "fc": {"units": 3}}, "model.conv.filters", "more CONV than the 1 values"),
        ({"conv": {"filters": [3, 4, 5]}, "fc": {"units": 3}}, "model.conv.filters", "3 values for 2 CONV"),
        ({"conv": {"filters": 3}, "fc": {"units": [3, 4]}}, "model.fc.units", "2 values for 1 FC"),
        (
            {"pattern": "INPUT-FC-OUTPUT", "fc": {"units": [3]}},
            "model.fc.units",
            "only FC is the output layer",
        ),
    ],
)
def test_settings_must_fit_the_pattern(fields: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        model(**fields)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.message


def test_an_activation_element_replaces_the_layers_own() -> None:
    spec = model(pattern="INPUT-[CONV-BN-ACT]-FC-OUTPUT", conv={"filters": 3}, activation="tanh")
    assert spec.expand()[0].spec.model.activations == ("linear", "tanh", "softmax")
