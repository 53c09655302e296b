"""The film's file: what goes in comes out, as exactly as 8 bits say, and never more than 200 frames."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.errors import SpecError
from experiments.film import MOST_FRAMES, Film, FilmError, Scene, dump, load
from experiments.spec import ExperimentSpec

SCENE = Scene(
    unit="epoch",
    axes=((-1.0, 1.0),),
    size=(3,),
    bound=None,
    classes=0,
    names=("w",),
    points=np.zeros((2, 1), np.float32),
    targets=np.array([0.0, 1.0], np.float32),
)


def filmed(positions: int, **scene: int) -> Film:
    film = Film(SCENE if not scene else Scene(**{**vars(SCENE), **scene}))
    for position in range(positions):
        if film.wants(position):
            film.add(position, np.full(3, float(position)), np.array([-float(position)]))
    return film


def test_a_film_comes_back_from_its_file() -> None:
    back = load(dump(filmed(5)))
    assert back.scene.axes == SCENE.axes
    assert [position for position, _, _ in back.frames] == [0, 1, 2, 3, 4]
    assert [float(outputs[0]) for _, outputs, _ in back.frames] == pytest.approx([0, 1, 2, 3, 4], abs=4 / 255)
    assert [float(weights[0]) for _, _, weights in back.frames] == [0, -1, -2, -3, -4]


def test_classes_come_back_as_they_were() -> None:
    back = load(dump(filmed(4, classes=4)))
    assert [round(float(outputs[0])) for _, outputs, _ in back.frames] == [0, 1, 2, 3]


def test_a_long_film_keeps_every_other_frame() -> None:
    film = filmed(1000)
    positions = [position for position, _, _ in film.frames]
    assert len(positions) <= MOST_FRAMES
    assert film.stride == 8
    assert positions == list(range(0, 1000, 8))


def test_the_same_moment_again_replaces_what_followed() -> None:
    """A run that was interrupted goes on from an earlier moment."""
    film = filmed(5)
    film.add(3, np.full(3, 9.0), np.array([9.0]))
    assert [position for position, _, _ in film.frames] == [0, 1, 2, 3]


def test_values_that_are_not_finite_are_drawn_at_an_end() -> None:
    film = filmed(2)
    film.add(2, np.array([np.nan, np.inf, 1.0]), np.array([np.nan]))
    assert load(dump(film)).frames[-1][1].tolist() == [0.0, 1.0, 1.0]


def test_other_bytes_are_no_film() -> None:
    with pytest.raises(FilmError):
        load(b"no film")


def test_what_is_too_large_for_a_film_is_refused_at_its_field() -> None:
    document = {
        "name": "x", "dataset": {"name": "digits"}, "model": {"hidden": [8]}, "diagnostics": {"film": True},
    }  # fmt: skip
    with pytest.raises(SpecError) as refused:
        ExperimentSpec.parse(document).expand()
    assert {problem.path for problem in refused.value.problems} == {"diagnostics.film"}
    assert "64" in str(refused.value.problems[0])
