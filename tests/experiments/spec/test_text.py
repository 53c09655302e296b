"""Text is normalised or refused at the door, and no label is cut before it is compared."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.levels import LONGEST, level_label

BASE: dict[str, Any] = {"name": "a", "dataset": {"name": "digits"}, "model": {"hidden": [16]}}
CASES = {"b": {"epochs": 2}}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an escape sequence": ({"name": "a\x1b[31mb"}, "name", "U+001B"),
    "a line break in a name": ({"name": "a\nb"}, "name", "U+000A"),
    "only spaces": ({"name": "   "}, "name", "at least 1"),
    "nothing that is shown": ({"name": "\u200b"}, "name", "U+200B"),
    "text that runs backwards": ({"name": "a\u202eb"}, "name", "U+202E"),
    "half a surrogate pair": ({"name": "x\ud800"}, "name", "U+D800"),
    "NUL in a description": ({"description": "a\0"}, "description", "U+0000"),
    "a bell in a tag": ({"tags": {"a": "x\x07"}}, "tags.a", "U+0007"),
    "a tag of ours": ({"tags": {"gradus.certificate": "x"}}, "tags.gradus.certificate", "service's own"),
    "a tag of MLflow's": ({"tags": {"mlflow.runName": "x"}}, "tags.mlflow.runName", "service's own"),
    "a tag of MLflow's in capitals": ({"tags": {"MLflow.user": "x"}}, "tags.MLflow.user", "service's own"),
    "a label of spaces": ({"sweep": {"cases": {" ": {"epochs": 1}} | CASES}}, "sweep.cases. ", "label"),
    "a label with an escape": ({"sweep": {"cases": {"\x1b": {"epochs": 1}} | CASES}}, "sweep.cases", "U+001B"),
    "two labels that look the same": (
        {"sweep": {"cases": {"e\u0301": {"epochs": 1}, "é": {"epochs": 2}}}}, "sweep.cases", "normal form"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str) -> None:
    change, path, words = REFUSED[kind]
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(BASE | change)
    assert any(words in str(problem) for problem in caught.value.problems if problem.path == path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" x ", "x"),
        ("e\u0301", "é"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("激活函数", "激活函数"),
        ("a  b", "a  b"),
    ],
)
def test_normalised(given: str, kept: str) -> None:
    assert ExperimentSpec.parse(BASE | {"name": given}).name == kept


def test_a_description_has_lines() -> None:
    assert ExperimentSpec.parse(BASE | {"description": "a\n\tb"}).description == "a\n\tb"


def test_two_long_levels_have_two_labels() -> None:
    levels = [[4] * 101, [4] * 100 + [3]]
    first, second = (level_label(level) for level in levels)
    assert first != second
    assert max(len(first), len(second)) <= LONGEST
    spec = ExperimentSpec.parse(
        BASE | {"dataset": "xor", "sweep": {"hidden": levels}, "optimizer": {"name": "sgd"}}
    )
    assert len({point.levels["hidden"] for point in spec.expand()}) == 2
