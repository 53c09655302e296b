"""What the builder fills in where a layer or an axis is added."""

from __future__ import annotations

FIRST_SETTINGS: dict[str, object] = {
    "units": 32,
    "filters": 8,
    "kernel_size": 3,
    "rate": 0.25,
    "output_dim": 16,
    "num_heads": 2,
    "key_dim": 8,
    "target_shape": [-1],
    "layer": {"type": "lstm", "units": 32},
    "layers": [{"type": "dense", "units": 32}],
    "branches": [[{"type": "dense", "units": 32}], [{"type": "dense", "units": 16}]],
}
"""Of what a layer must have; 1 for all else."""
FIRST_LEVELS: dict[str, object] = {
    "activation": ["sigmoid", "tanh", "relu"],
    "optimizer": [{"name": "sgd"}, {"name": "adam"}],
    "learning_rate": [0.01, 0.1],
    "training.batch_size": [16, 64],
    "model.hidden": [[32], [32, 32]],
    "loss": ["categorical_crossentropy", "mean_squared_error"],
    "dataset.train_samples": [100, 1000],
}
"""Levels of an axis that is added."""
