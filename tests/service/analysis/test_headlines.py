"""The answer in a sentence: for two, three and ten levels, for the best, against a control, and where nothing was asked."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.comparing.from_spec import design_of
from experiments.comparing.progress import progress
from experiments.spec import ExperimentSpec
from service.analysis.comparison import compare
from service.analysis.design_document import design_document
from service.analysis.headline import headline
from tests.experiments.comparing.test_design import Play
from tests.present import present
from tests.service.scored_runs import World

TEN = ["relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus", "softsign", "leaky_relu"]
WORTH = {
    "relu": 0.95, "leaky_relu": 0.95, "gelu": 0.9497, "silu": 0.94, "elu": 0.94, "selu": 0.93, "tanh": 0.93,
    "softsign": 0.92, "softplus": 0.91, "sigmoid": 0.80,
}  # fmt: skip


def answered(levels: list[str], **compare: Any) -> str:
    """The headline of a question that was played to its end; scores as in WORTH with a spread of about 0.0006."""
    document = {
        "name": "q", "dataset": {"name": "digits"}, "model": {"hidden": [8]}, "sweep": {"activation": levels},
        "compare": {"factor": "activation", "delta": 0.005, "looks": [5], **compare},
    }  # fmt: skip
    design = present(design_of(ExperimentSpec.parse(document)))

    def score(level: str, rate: float, seed: int) -> float:
        return WORTH[level] + 0.0006 * math.sin((seed + 1) * (TEN.index(level) + 2))

    return headline(design, Play(design, score).play())


@pytest.mark.parametrize(
    ("levels", "compare", "says"),
    [
        (["relu", "sigmoid"], {}, "relu better than sigmoid"),
        (["relu", "gelu"], {}, "relu and gelu equivalent within 0.005"),
        (["relu", "gelu"], {"delta": 0.0005}, "relu and gelu undecided: about "),
        (
            ["relu", "tanh", "sigmoid"],
            {},
            "relu better than tanh; relu better than sigmoid; tanh better than sigmoid",
        ),
        (
            TEN,
            {},
            (
                "relu better than 7 of the 9 others (tanh, sigmoid, elu, selu, silu, softplus, softsign), "
                "equivalent to 2 (gelu, leaky_relu)"
            ),
        ),
        (
            TEN,
            {"best": True},
            "relu, gelu and leaky_relu are the best of 10: each is within 0.005 of the best",
        ),
        (["sigmoid", "tanh", "relu", "softplus"], {"best": True}, "relu is the best of 4"),
        (
            ["sigmoid", "tanh", "relu", "gelu", "softplus"],
            {"control": "relu"},
            "relu better than 3 of the 4 others (sigmoid, tanh, softplus), equivalent to 1 (gelu)",
        ),
    ],
)
def test_the_answer_is_a_sentence(levels: list[str], compare: dict[str, Any], says: str) -> None:
    assert answered(levels, **compare).startswith(says), answered(levels, **compare)


def test_before_the_first_look_it_says_how_far_the_stage_is() -> None:
    document = {
        "name": "q", "dataset": {"name": "digits"}, "model": {"hidden": [8]}, "sweep": {"activation": TEN},
        "compare": {"factor": "activation", "best": True, "looks": [5]},
    }  # fmt: skip
    design = present(design_of(ExperimentSpec.parse(document)))
    assert headline(design, progress(design, [])) == "no answer yet (look-1: 0 of 50 runs)"
    assert design_document(design, progress(design, []))["advice"] is None


def test_where_nothing_was_asked_it_says_what_is_seen(world: World) -> None:
    made = world.submit(
        "name: g\ndataset: {name: digits}\nmodel: {hidden: [8]}\nsweep: {activation: [relu, tanh], seeds: 3}\n"
    )
    world.work(made.id, lambda run: 0.95 if run.params["activation"] == "relu" else 0.9)
    assert compare(world.store, made.id).answer == (
        "activation relu has the highest test/accuracy, 0.95, the mean of 3 seeds; tanh the lowest, 0.9; "
        "exploratory: no question was fixed before the results"
    )
