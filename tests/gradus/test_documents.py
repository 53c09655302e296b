"""Spec files: bases, changes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.errors import SpecError
from gradus.documents import apply, merge, read_spec
from gradus.errors import UsageError


def test_a_base_lies_under_its_spec(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "base.yaml").write_text(
        "name: a\ntraining: {epochs: 2, batch_size: 32}\noptimizer: {name: sgd, momentum: 0.9}\n"
        "model: {hidden: [8], activation: relu}\n"
    )
    (tmp_path / "top.yaml").write_text(
        "base: common/base.yaml\nname: b\ntraining: {epochs: 5}\noptimizer: {name: adam}\n"
        "model: {layers: [{type: dense, units: 10}]}\n"
    )
    assert read_spec(tmp_path / "top.yaml") == {
        "name": "b",
        "training": {"epochs": 5, "batch_size": 32},
        "optimizer": {"name": "adam"},
        "model": {"activation": "relu", "layers": [{"type": "dense", "units": 10}]},
    }


def test_a_circle_of_bases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(SpecError, match="its own base"):
        read_spec(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("change", "document"),
    [
        ("training.epochs=3", {"training": {"epochs": 3}}),
        ("learning_rate=1e-4", {"optimizer": {"learning_rate": 1e-4}}),
        ("name=off", {"name": "off"}),
        ("seed=7", {"seed": 7}),
        ("sweep.training.batch_size=[32, 64]", {"sweep": {"training.batch_size": [32, 64]}}),
        (
            "compare.tune.learning_rate={log: [0.1, 1]}",
            {"compare": {"tune": {"learning_rate": {"log": [0.1, 1]}}}},
        ),
    ],
)
def test_a_change_sets_one_field(change: Any, document: Any) -> None:
    copy: dict[str, Any] = {}
    apply(copy, change)
    assert copy == document


def test_a_change_reaches_into_a_list() -> None:
    document = {"model": {"layers": [{"type": "dense", "units": 8}]}}
    apply(document, "model.layers[0].units=16")
    assert document["model"]["layers"][0]["units"] == 16


@pytest.mark.parametrize("change", ["training.epochs", "=3", "model.layers[4].units=1", "a b=1"])
def test_a_change_that_leads_nowhere_is_refused(change: Any) -> None:
    with pytest.raises(UsageError):
        apply({"model": {"layers": []}}, change)


def test_merging_leaves_the_base_alone() -> None:
    base = {"a": {"b": 1}}
    merge(base, {"a": {"c": 2}})
    assert base == {"a": {"b": 1}}
