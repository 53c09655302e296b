"""The check of one tensor: the errors at its coordinates, one direction through all of it, and its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from experiments.gradient_check.certificates import Coordinate, Direction, Status, TensorReport
from experiments.gradient_check.differences import LADDER, Quotients
from experiments.gradient_check.objective import Array
from experiments.gradient_check.point import Gate, Point

LARGE_STEPS = (1e-3, 1e-2, 1e-1, 1.0)
"""Lengths tried along a direction where the quotients of single coordinates are mostly rounding."""
FLAT = "the loss does not move with it"
Along = Callable[[float], tuple[float, float, bool]]
"""h -> (f(θ + h d), f(θ − h d), whether a kink lies between), for one direction d."""


def relative_error(a: Array, n: Array, noise: Array, scale: float) -> Array:
    """The error of derivatives against their quotients.

    Args:
        a: Derivatives by autodiff.
        n: Their quotients, of a's shape.
        noise: What rounding may add to each quotient.
        scale: The tensor's largest |a|. Derivatives far below it are not judged by their own size alone.

    Returns:
        max(0, |a − n| − noise) / max(|a| + |n|, 0.01 scale); 0 where both are 0, infinite where one is NaN.
    """
    above = np.maximum(0.0, np.abs(a - n) - noise)
    below = np.maximum(np.abs(a) + np.abs(n), 0.01 * scale)
    error = np.where(above == 0, 0.0, above / np.where(below == 0, 1.0, below))
    result: Array = np.where(np.isnan(a) | np.isnan(n), np.inf, error)
    return result


def check_tensor(name: str, index: int, point: Point, quotients: Quotients) -> TensorReport:
    """The report on one tensor.

    A tensor that fails is checked once more with the quotients of h and 2h extrapolated to h = 0. Where the loss
    bends sharply (a bias that acts at every step of a recurrent layer), the quotient's own error h² f‴/6 can pass the
    gates; extrapolation removes it and leaves the error of a wrong gradient as it was.

    Args:
        name: The tensor's name.
        index: Its position among the tensors.
        point: Where it is checked.
        quotients: Its quotients at the chosen coordinates.
    """
    report = _checked(name, index, point, quotients)
    if report.status != "failed":
        return report
    nothing = np.zeros(0, np.int64)
    indices = [quotients.index if other == index else nothing for other in range(len(point.gradient))]
    wider = point.differences.coordinates(point.values, point.batch, indices, 2 * point.step)[index]
    again = _checked(name, index, point, extrapolated(quotients, wider))
    return again.model_copy(update={"extrapolated": True})


def extrapolated(near: Quotients, far: Quotients) -> Quotients:
    """(4 n(h) − n(2h)) / 3, right to O(h⁴), where neither step crosses a kink; else n(h).

    Its rounding is one and a half times that of n(h), so its step is given as h / 1.5.
    """
    both = ~near.crossed & ~far.crossed & np.isclose(far.step, 2 * near.step)
    return replace(
        near,
        slope=np.where(both, (4 * near.slope - far.slope) / 3, near.slope),
        step=np.where(both, near.step / 1.5, near.step),
    )


def _checked(name: str, index: int, point: Point, quotients: Quotients) -> TensorReport:
    gradient = point.gradient[index]
    a, n, noise = gradient.ravel()[quotients.index], quotients.slope, point.allowance(quotients.step)
    flat = quotients.flat & (a == 0) & ~quotients.crossed
    small = (
        (np.maximum(np.abs(a), np.abs(n)) < 25 * noise) & ~quotients.crossed & ~flat
    )  # 100 ε max(1, |f|) / h
    assessed = ~(quotients.crossed | flat | small)
    error = relative_error(a, n, noise, float(np.max(np.abs(gradient), initial=0.0)))
    report = TensorReport(
        name=name, shape=gradient.shape, part=point.part, status="passed", checked=len(a),
        assessed=int(assessed.sum()), flat=int(flat.sum()), discarded=int(quotients.crossed.sum()),
        not_assessable=int(small.sum()), **_statistics(gradient, quotients, error, assessed),
    )  # fmt: skip
    mostly_open = int(small.sum() + quotients.crossed.sum()) * 2 > len(a) or not report.assessed
    direction = _random_direction(index, point)
    if direction.status == "not assessed" or mostly_open:
        longer = _long_direction(index, point)
        if direction.status != "failed" and longer.status != "not assessed":
            direction = longer
    status, reason = _judged(report, direction, point.gate)
    return report.model_copy(update={"direction": direction, "status": status, "reason": reason})


def _statistics(
    gradient: Array, quotients: Quotients, error: Array, assessed: NDArray[np.bool_]
) -> dict[str, object]:
    """Median, 95th percentile, largest and the worst coordinate of the assessed errors; nothing without any."""
    if not assessed.any():
        return {}
    worst = int(np.flatnonzero(assessed)[np.argmax(error[assessed])])
    at = int(quotients.index[worst])
    return {
        "median": float(np.median(error[assessed])),
        "p95": float(np.percentile(error[assessed], 95)),
        "max": float(error[worst]),
        "worst": Coordinate(
            index=tuple(int(i) for i in np.unravel_index(at, gradient.shape)),
            autodiff=float(gradient.ravel()[at]),
            numerical=float(quotients.slope[worst]),
            step=float(quotients.step[worst]),
            error=float(error[worst]),
        ),
    }


def _judged(report: TensorReport, direction: Direction, gate: Gate) -> tuple[Status, str]:
    """The tensor's status with its reason: every figure within its gate, and something assessed."""
    if report.max is not None and not report.max <= gate.largest:
        worst = report.worst
        assert worst is not None
        return "failed", (
            f"largest relative error {report.max:.1e} (gate {gate.largest:.0e}), at {list(worst.index)}: autodiff "
            f"{worst.autodiff:.6g}, quotient {worst.numerical:.6g}"
        )
    if report.median is not None and not report.median <= gate.median:
        return "failed", f"median relative error {report.median:.1e} (gate {gate.median:.0e})"
    if direction.status == "failed":
        return "failed", (
            f"along a direction: autodiff {direction.autodiff:.6g}, quotient {direction.numerical:.6g} "
            f"(h = {direction.step:g})"
        )
    if report.assessed:
        return "passed", ""
    if report.flat == report.checked:
        return "not assessed", FLAT
    if report.discarded > report.not_assessable:
        return "not assessed", "every step crosses a kink"
    return "not assessed", "its derivatives are too small to be told from rounding"


def _unit(shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    """±1 in every coordinate, scaled to length one."""
    signs = draw.choice([-1.0, 1.0], size=shape)
    unit: Array = signs / np.sqrt(signs.size)
    return unit


def _random_direction(index: int, point: Point) -> Direction:
    """A random direction through the tensor with the check's own step, a tenth of it where a kink is crossed."""
    gradient = point.gradient[index]
    d = _unit(gradient.shape, point.draw)
    a, scale = float(np.sum(gradient * d)), float(np.sqrt(np.mean(gradient**2)))
    along = cache(partial(point.along_tensor, index, d))
    for attempt in range(LADDER):
        h = point.step / 10**attempt
        plus, minus, crossed = along(h)
        if not crossed:
            break
    n, noise = (plus - minus) / (2 * h), float(point.allowance(h))
    error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(noise), scale))
    if error > point.gate.largest:  # as in check_tensor: the quotient's own h² is removed before it counts
        finer = _five_point(along, h)
        if finer is not None:
            n, noise = finer, 1.5 * noise
            error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(noise), scale))
    status: Status = "passed" if error <= point.gate.largest else "failed"
    if crossed or max(abs(a), abs(n)) < 25 * noise:
        status = "not assessed"
    return Direction(autodiff=a, numerical=n, step=h, error=error, uncertainty=noise, status=status)


def _long_direction(index: int, point: Point) -> Direction:
    """Half along the gradient, half at random, with longer steps and the five-point formula.

    The step is the one whose quotient is surest: rounding plus its distance from the quotient of half the step. Where
    that is more than a hundredth of the derivative, nothing is concluded.
    """
    gradient = point.gradient[index]
    length = float(np.linalg.norm(gradient))
    d = _unit(gradient.shape, point.draw)
    if np.isfinite(length) and length > 0:
        steepest = gradient / length
        d = steepest + (d if np.sum(d * steepest) >= 0 else -d)  # to one side: opposite ones would cancel
        d = d / np.linalg.norm(d)
    a = float(np.sum(gradient * d))
    along = cache(partial(point.along_tensor, index, d))
    best: tuple[float, float, float] | None = None
    for h in LARGE_STEPS:
        coarse, fine = (_five_point(along, step) for step in (h, h / 2))
        if coarse is None or fine is None:
            break
        doubt = float(2 * point.allowance(h)) + abs(coarse - fine)
        if best is None or doubt < best[0]:
            best = (doubt, fine, h / 2)
    if best is None:
        return Direction(
            autodiff=a, numerical=0.0, step=0.0, error=0.0, uncertainty=np.inf, status="not assessed"
        )
    doubt, n, h = best
    error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(doubt), 0.0))
    status: Status = "passed" if error <= point.gate.largest else "failed"
    if doubt > 0.01 * max(abs(a), abs(n)):
        status = "not assessed"
    return Direction(autodiff=a, numerical=n, step=h, error=error, uncertainty=doubt, status=status)


def _five_point(along: Along, h: float) -> float | None:
    """(8 (f₁ − f₋₁) − (f₂ − f₋₂)) / 12h, right to O(h⁴); None where a kink is crossed."""
    near, far = along(h), along(2 * h)
    if near[2] or far[2]:
        return None
    return (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)
