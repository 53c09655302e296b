"""The order test: how fast the Taylor remainder |f(θ + hd) − f(θ) − h g·d| falls with h (pyadjoint's `taylor_test`)."""

from __future__ import annotations

import numpy as np

from experiments.gradient_check.differences import EPSILON
from experiments.gradient_check.objective import Array
from experiments.gradient_check.point import Point

STEPS = np.array([0.4, 0.2, 0.1, 0.05, 0.025])
DIRECTIONS = 6
GATE = (1.9, 2.1)


def taylor_slope(point: Point) -> tuple[float | None, str]:
    """The slope of the remainder in log h along a unit direction: 2 for a right gradient, 1 for a wrong one.

    The slope is taken over the three smallest h whose remainder exceeds 100 times the rounding. A direction counts
    only if a derivative measured by differences has slope 2 along it: where the curvature vanishes, the slope of a
    right gradient is not 2 either.

    Args:
        point: The loss at one set of weights, with the gradient to judge.

    Returns:
        The slope and "", or None and the reason why no direction could be judged.
    """
    for _ in range(DIRECTIONS):
        d = _direction(point.gradient, point.draw)
        ahead = np.array([point.ahead(d, float(h)) for h in STEPS])
        if not _within(_slope(ahead, _measured(point, d), point.value)):
            continue
        claimed = float(sum(np.sum(g * part) for g, part in zip(point.gradient, d, strict=True)))
        slope = _slope(ahead, claimed, point.value)
        return slope, "" if slope is not None else "every remainder is below rounding"
    return None, "the loss is too straight, or too flat, along every direction that was tried"


def _direction(gradient: list[Array], draw: np.random.Generator) -> list[Array]:
    """Half along the gradient, where the loss moves most, half at random; length one."""
    random = [draw.normal(size=g.shape) for g in gradient]
    parts = [_normed(gradient), _normed(random)]
    return _normed([a + b for a, b in zip(*parts, strict=True)])


def _normed(parts: list[Array]) -> list[Array]:
    length = float(np.sqrt(sum(np.sum(part**2) for part in parts)))
    return [part / length if np.isfinite(length) and length > 0 else 0 * part for part in parts]


def _measured(point: Point, d: list[Array], h: float = 1e-3) -> float:
    near, far = point.along(d, h), point.along(d, 2 * h)
    return (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)


def _slope(ahead: Array, derivative: float, loss: float) -> float | None:
    remainder = np.abs(ahead - loss - STEPS * derivative)
    usable = np.flatnonzero(remainder > 100 * EPSILON * max(1.0, abs(loss)))[-3:]
    if len(usable) < 3:
        return None
    return float(np.polyfit(np.log(STEPS[usable]), np.log(remainder[usable]), 1)[0])


def _within(slope: float | None) -> bool:
    return slope is not None and GATE[0] <= slope <= GATE[1]
