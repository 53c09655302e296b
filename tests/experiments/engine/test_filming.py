"""Films that the engine makes: of lanes and of a run alone, per epoch and per update, and over an interruption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.film import FILM, Film, load
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from workers.requests.model import outputs
from workers.requests.model import trained as stored_network

XOR = {
    "dataset": {"name": "xor"},
    "model": {"hidden": [3], "activation": "tanh"},
    "training": {"epochs": 5, "batch_size": 4},
    "diagnostics": {"every": "off", "film": True},
}
AND = {
    **XOR,
    "dataset": {"name": "and"},
    "model": {"layers": [{"type": "dense", "units": 1, "activation": "step"}]},
    "loss": "half_squared_error",
    "training": {"epochs": 3, "batch_size": 1},
}


def film_of(recorder: MemoryRecorder, lane: int = 0) -> Film:
    return load(recorder.artifacts[lane][FILM])


def filmed(specs: list[RunSpec], recorder: MemoryRecorder, **more: Any) -> list[Any]:
    return train(specs, recorder, more.pop("stop", lambda lane: None), source=Source(), **more)


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_lane_has_a_frame_per_epoch(specs: Callable[..., list[RunSpec]], seeds: int) -> None:
    """The last frame is the trained network's answer, at the points of the grid."""
    runs, recorder = specs(seeds=seeds, **XOR), MemoryRecorder()
    filmed(runs, recorder)
    for lane, spec in enumerate(runs):
        film = film_of(recorder, lane)
        assert (film.scene.unit, film.scene.bound, film.scene.size) == ("epoch", 0.5, (32, 32))
        assert [position for position, _, _ in film.frames] == [0, 1, 2, 3, 4, 5]
        network = stored_network(spec, recorder.artifacts[lane]["weights/model.weights.h5"])
        (left, right), (below, above) = film.scene.axes
        corners = np.array([[left, below], [right, below], [left, above], [right, above]], np.float32)
        expected, shown = outputs(network, corners).ravel(), film.frames[-1][1].reshape(32, 32)
        answers = [shown[0, 0], shown[0, -1], shown[-1, 0], shown[-1, -1]]
        np.testing.assert_allclose(answers, expected, atol=0.02)
        weights = np.concatenate([value.ravel() for value in network.get_weights()])
        np.testing.assert_allclose(film.frames[-1][2], weights, atol=1e-6)


def test_a_neuron_is_filmed_per_update_and_learns_the_same(specs: Callable[..., list[RunSpec]]) -> None:
    """Four points a pass: 12 updates, 13 frames; each moves the weights by η x (t − y) of one point, or not at all."""
    (spec,), recorder = specs(**AND), MemoryRecorder()
    (outcome,) = filmed([spec], recorder)
    film = film_of(recorder)
    assert film.scene.unit == "update"
    assert [position for position, _, _ in film.frames] == list(range(outcome.updates + 1))
    moves = np.diff([weights for _, _, weights in film.frames], axis=0)
    assert np.allclose(np.abs(moves[np.abs(moves) > 1e-7]), 0.1, atol=1e-6)
    plain = MemoryRecorder()
    filmed(specs(**{**AND, "diagnostics": "off"}), plain)
    assert plain.history[0]["train/loss"] == recorder.history[0]["train/loss"]
    assert FILM not in plain.artifacts[0]


def test_an_interrupted_film_goes_on(specs: Callable[..., list[RunSpec]]) -> None:
    (spec,), cut, rest = specs(**XOR), MemoryRecorder(), MemoryRecorder()
    filmed([spec], cut, stop=lambda lane: "drain" if 2 in cut.history[0]["train/loss"] else None)
    filmed([spec], rest, resume=[cut.checkpoints[0][1]])
    assert [position for position, _, _ in film_of(rest).frames] == [0, 1, 2, 3, 4, 5]
