"""A spec that uses every field of the grammar at once, as the documentation of the format shows it."""

from __future__ import annotations

from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview

WHOLE = """
name: activations-on-mnist
description: optional text
tags: {course: nn-101}
dataset: {name: mnist, validation_split: 0.1, train_samples: null}
model:
  activation: relu
  layers:
    - {type: dense, units: 32}
    - {type: dense, units: 10}
loss: categorical_crossentropy
optimizer: {name: rmsprop, learning_rate: 0.001, rho: 0.9, epsilon: 1.0e-8}
training: {epochs: 2, batch_size: 32, stop: {error: null, train_errors: null, patience: null}}
seed: 0
gradient_check: {mode: sampled}
diagnostics: {every: epoch}
artifacts: {plots: auto, model: best}
device: auto
priority: 0
sweep:
  activation: [sigmoid, tanh, relu]
  optimizer: [{name: sgd}, {name: rmsprop}, {name: adam}]
  learning_rate: {log: [1.0e-4, 1.0e-1], points: 4}
  "training.batch_size": [32, 128]
  cases:
    wide: {model.hidden: [32]}
    deep: {model.hidden: [30, 30, 30]}
  seeds: 3
  require: {equal_parameters: 0.02}
  strategy: grid
compare:
  factor: activation
  metric: test/accuracy
  delta: 0.002
  tune: {learning_rate: {log: [1.0e-4, 1.0e-1], points: 4}, seeds: 2}
  looks: [5, 10, 20]
"""


def test_a_field_that_is_swept_and_tuned_belongs_to_tuning() -> None:
    spec = ExperimentSpec.parse(WHOLE)
    assert list(spec.axes()) == ["activation", "optimizer", "batch_size", "case"]
    assert [level.label for level in spec.tuned()["learning_rate"]] == ["0.0001", "0.001", "0.01", "0.1"]
    assert len(spec.expand()) == (cells := 3 * 3 * 2 * 2) * 3
    shown = preview(spec)
    assert shown["question"]["runs"] == {"tuning": cells * 4 * 2, "looks": [cells * n for n in (5, 10, 20)]}
    seeds, warning = shown["warnings"]
    assert seeds.startswith("sweep.seeds is left out: the looks of the question")
    assert warning.startswith("sweep.learning_rate is left out of the sweep: compare.tune.learning_rate")
    again = ExperimentSpec.parse(spec.document())
    assert [point.levels for point in again.expand()] == [point.levels for point in spec.expand()]


def test_without_the_question_the_axis_is_swept() -> None:
    spec = ExperimentSpec.parse(WHOLE[: WHOLE.index("compare:")])
    assert len(spec.expand()) == 3 * 3 * 4 * 2 * 2 * 3
    assert spec.warnings() == ()
