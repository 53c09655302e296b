"""The check of one tensor: errors at its coordinates, one direction through all of it, and what they amount to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.gradient_check.certificates import Coordinate, Direction, Part, Status, TensorReport
from experiments.gradient_check.differences import EPSILON, LADDER, Differences, Quotients
from experiments.gradient_check.objective import Array, Values

LARGE_STEPS = (1e-3, 1e-2, 1e-1, 1.0)
"""Lengths tried along a direction where single coordinates drown in rounding."""


@dataclass(frozen=True)
class Gate:
    """The largest and the median relative error that a right gradient may show."""

    largest: float
    median: float

    @classmethod
    def smooth(cls) -> Gate:
        return cls(1e-5, 1e-7)

    @classmethod
    def kinked(cls) -> Gate:
        return cls(1e-4, np.inf)


def rounding(loss: float, step: Array | float) -> Array:
    """What rounding may add to a quotient: 4 ε max(1, |f|) / h."""
    noise: Array = 4 * EPSILON * max(1.0, abs(loss)) / np.asarray(step)
    return noise


def relative_error(a: Array, n: Array, noise: Array, scale: float) -> Array:
    """max(0, |a − n| − noise) / max(|a| + |n|, 0.01 scale); 0 where both are 0. NaN counts as infinite."""
    above = np.maximum(0.0, np.abs(a - n) - noise)
    below = np.maximum(np.abs(a) + np.abs(n), 0.01 * scale)
    error = np.where(above == 0, 0.0, above / np.where(below == 0, 1.0, below))
    result: Array = np.where(np.isnan(a) | np.isnan(n), np.inf, error)
    return result


def check_tensor(
    name: str, part: Part, place: int, gradient: Array, found: Quotients, differences: Differences, values: Values,
    loss: float, step: float, gate: Gate, draw: np.random.Generator,
) -> TensorReport:  # fmt: skip
    """gradient: autodiff's, of the tensor's shape; found: its quotients at the chosen coordinates.

    A tensor that fails is looked at once more with the quotients of h and 2h extrapolated to h = 0. Where the loss
    bends sharply (a bias that acts at every step of a recurrent layer), the quotient's own error h² f‴/6 can pass the
    gates; this takes it away, and a wrong gradient stays as wrong as it was.
    """
    report = _checked(name, part, place, gradient, found, differences, values, loss, step, gate, draw)
    if report.status != "failed":
        return report
    nothing = np.zeros(0, np.int64)
    indices = [found.index if index == place else nothing for index in range(len(values))]
    wider = differences.coordinates(values, indices, 2 * step)[place]
    again = _checked(
        name, part, place, gradient, extrapolated(found, wider), differences, values, loss, step, gate, draw
    )
    return again.model_copy(update={"extrapolated": True})


def extrapolated(near: Quotients, far: Quotients) -> Quotients:
    """(4 n(h) − n(2h)) / 3, right to O(h⁴), where both steps are without a kink; else n(h).

    Its rounding is one and a half times that of n(h), so its step is given as h / 1.5.
    """
    both = ~near.crossed & ~far.crossed & np.isclose(far.step, 2 * near.step)
    return replace(
        near,
        slope=np.where(both, (4 * near.slope - far.slope) / 3, near.slope),
        step=np.where(both, near.step / 1.5, near.step),
    )


def _checked(
    name: str, part: Part, place: int, gradient: Array, found: Quotients, differences: Differences, values: Values,
    loss: float, step: float, gate: Gate, draw: np.random.Generator,
) -> TensorReport:  # fmt: skip
    a, n = gradient.ravel()[found.index], found.slope
    noise = rounding(loss, found.step)
    flat = found.flat & (a == 0) & ~found.crossed
    small = (np.maximum(np.abs(a), np.abs(n)) < 25 * noise) & ~found.crossed & ~flat  # 100 ε max(1, |f|) / h
    assessed = ~(found.crossed | flat | small)
    error = relative_error(a, n, noise, float(np.max(np.abs(gradient), initial=0.0)))[assessed]
    report = TensorReport(
        name=name, shape=gradient.shape, part=part, status="passed", checked=len(a), assessed=int(assessed.sum()),
        flat=int(flat.sum()), discarded=int(found.crossed.sum()), not_assessable=int(small.sum()),
    )  # fmt: skip
    if len(error):
        worst = int(np.argmax(error))
        at = np.flatnonzero(assessed)[worst]
        index = tuple(int(i) for i in np.unravel_index(found.index[at], gradient.shape))
        report = report.model_copy(
            update={
                "median": float(np.median(error)),
                "p95": float(np.percentile(error, 95)),
                "max": float(error[worst]),
                "worst": Coordinate(
                    index=index, autodiff=float(a[at]), numerical=float(n[at]), step=float(found.step[at]),
                    error=float(error[worst]),
                ),
            }
        )  # fmt: skip
    mostly_open = int(small.sum() + found.crossed.sum()) * 2 > len(a) or not len(error)
    direction = _near(place, gradient, differences, values, loss, step, gate, draw)
    if direction.status == "not assessed" or mostly_open:
        far = _far(place, gradient, differences, values, loss, gate, draw)
        direction = far if direction.status != "failed" and far.status != "not assessed" else direction
    return report.model_copy(update={"direction": direction, **_judged(report, direction, gate)})


def _judged(report: TensorReport, direction: Direction, gate: Gate) -> dict[str, object]:
    """Status and reason: every figure within its gate, and something assessed."""
    if report.max is not None and not report.max <= gate.largest:
        worst = report.worst
        assert worst is not None
        return _failed(
            f"largest relative error {report.max:.1e} (gate {gate.largest:.0e}), at {list(worst.index)}: autodiff "
            f"{worst.autodiff:.6g}, quotient {worst.numerical:.6g}"
        )
    if report.median is not None and not report.median <= gate.median:
        return _failed(f"median relative error {report.median:.1e} (gate {gate.median:.0e})")
    if direction.status == "failed":
        return _failed(
            f"along a direction: autodiff {direction.autodiff:.6g}, quotient {direction.numerical:.6g} "
            f"(h = {direction.step:g})"
        )
    if report.assessed or direction.status == "passed" or report.flat == report.checked:
        return {"status": "passed", "reason": ""}
    reason = "its derivatives are too small to be told from rounding"
    if report.discarded > report.not_assessable:
        reason = "every step crosses a kink"
    return {"status": "not assessed", "reason": reason}


def _failed(reason: str) -> dict[str, object]:
    return {"status": "failed", "reason": reason}


def _unit(shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    """±1 in every coordinate, scaled to length one."""
    signs = draw.choice([-1.0, 1.0], size=shape)
    unit: Array = signs / np.sqrt(signs.size)
    return unit


def _alone(values: Values, place: int, direction: Array) -> list[Array | None]:
    return [direction if index == place else None for index in range(len(values))]


def _near(
    place: int, gradient: Array, differences: Differences, values: Values, loss: float, step: float, gate: Gate,
    draw: np.random.Generator,
) -> Direction:  # fmt: skip
    """A random direction through the tensor with the check's own step, a tenth of it where a kink is crossed."""
    d = _unit(gradient.shape, draw)
    a = float(np.sum(gradient * d))
    scale = float(np.sqrt(np.mean(gradient**2)))
    for attempt in range(LADDER):
        h = step / 10**attempt
        plus, minus, crossed = differences.along(values, _alone(values, place, d), h)
        if not crossed:
            break
    n = (plus - minus) / (2 * h)
    noise = float(rounding(loss, h))
    error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(noise), scale))
    if error > gate.largest:  # as in check_tensor: the quotient's own h² is taken away before it counts
        finer = _five_point(differences, values, _alone(values, place, d), h)
        if finer is not None:
            n, noise = finer, 1.5 * noise
            error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(noise), scale))
    status: Status = "passed" if error <= gate.largest else "failed"
    if crossed or max(abs(a), abs(n)) < 25 * noise:
        status = "not assessed"
    return Direction(autodiff=a, numerical=n, step=h, error=error, uncertainty=noise, status=status)


def _far(
    place: int, gradient: Array, differences: Differences, values: Values, loss: float, gate: Gate,
    draw: np.random.Generator,
) -> Direction:  # fmt: skip
    """Half along the gradient, half at random, with longer steps and the five-point formula.

    (8 (f₁ − f₋₁) − (f₂ − f₋₂)) / 12h is off by O(h⁴). The step is the one whose quotient is surest: rounding plus
    its distance from the quotient of half the step. Where that is more than a hundredth, nothing is concluded,
    unless the loss does not move at all over the longest step and autodiff agrees that it does not.
    """
    length = float(np.linalg.norm(gradient))
    d = _unit(gradient.shape, draw) + (gradient / length if np.isfinite(length) and length > 0 else 0.0)
    d = d / np.linalg.norm(d)
    a = float(np.sum(gradient * d))
    best: tuple[float, float, float] | None = None
    for h in LARGE_STEPS:
        coarse, fine = (
            _five_point(differences, values, _alone(values, place, d), step) for step in (h, h / 2)
        )
        if coarse is None or fine is None:
            break
        doubt = float(2 * rounding(loss, h)) + abs(coarse - fine)
        if best is None or doubt < best[0]:
            best = (doubt, fine, h / 2)
    if best is None:
        return Direction(
            autodiff=a, numerical=0.0, step=0.0, error=0.0, uncertainty=np.inf, status="not assessed"
        )
    doubt, n, h = best
    error = float(relative_error(np.asarray(a), np.asarray(n), np.asarray(doubt), 0.0))
    still = max(abs(a), abs(n)) <= doubt and doubt <= 10 * float(rounding(loss, LARGE_STEPS[-1]))
    if not still and doubt > 0.01 * max(abs(a), abs(n)):
        return Direction(
            autodiff=a, numerical=n, step=h, error=error, uncertainty=doubt, status="not assessed"
        )
    status: Status = "passed" if error <= gate.largest else "failed"
    return Direction(autodiff=a, numerical=n, step=h, error=error, uncertainty=doubt, status=status)


def _five_point(differences: Differences, values: Values, d: list[Array | None], h: float) -> float | None:
    near, far = differences.along(values, d, h), differences.along(values, d, 2 * h)
    if near[2] or far[2]:
        return None
    return (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)
