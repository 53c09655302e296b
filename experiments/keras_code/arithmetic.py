"""Arithmetic of a program: plain numbers are computed within bounds, curves keep their formula, images their scale."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from experiments.keras_code.values import UNKNOWN, Curve, Noise, Part, Rows

LARGEST = 1e30
MAX_SEQUENCE = 10_000
MAX_LISTED = 50_000
"""Entries of one list, with those of the lists in it."""
MAX_DEGREE = 19
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip


def binary(kind: ast.operator, left: Any, right: Any) -> Any:
    """left ∘ right, or UNKNOWN where it is not followed."""
    if number(left) and number(right):
        return _numbers(kind, left, right)
    if isinstance(left, Curve | Noise) or isinstance(right, Curve | Noise):
        return _curves(kind, left, right)
    if isinstance(left, Part):
        return _scaled(kind, left, right)
    if isinstance(right, Part) and isinstance(kind, ast.Mult):
        return _scaled(kind, right, left)
    if isinstance(left, Rows) and number(right) and isinstance(kind, ast.Div | ast.Mult | ast.Add | ast.Sub):
        return replace(left, numbers=_each(left.numbers, lambda value: _numbers(kind, value, right)))
    if isinstance(left, tuple | list) and isinstance(right, tuple | list) and isinstance(kind, ast.Add):
        return type(left)([*left, *right]) if len(left) + len(right) <= MAX_SEQUENCE else UNKNOWN
    if isinstance(left, tuple | list) and isinstance(right, int) and isinstance(kind, ast.Mult):
        return type(left)([*left] * right) if len(left) * abs(right) <= MAX_SEQUENCE else UNKNOWN
    return UNKNOWN


def entries(value: Any) -> int:
    """The number of entries of a sequence, with those of the sequences in it; not counted on beyond `MAX_LISTED`."""
    count, left = 0, [value]
    while left and count <= MAX_LISTED:
        sequence = left.pop()
        count += len(sequence)
        left += [entry for entry in sequence if isinstance(entry, tuple | list)]
    return count


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _each(values: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(values, tuple | list):
        return tuple(_each(value, change) for value in values)
    return change(values)


def _numbers(kind: ast.operator, left: float, right: float) -> Any:
    if abs(left) > LARGEST or abs(right) > LARGEST:
        return UNKNOWN
    if isinstance(kind, ast.Pow) and (abs(right) > 64 or abs(left) > 1e6):
        return UNKNOWN
    operation = OPERATORS.get(type(kind))
    if operation is None:
        return UNKNOWN
    try:
        result = operation(left, right)
    except (ArithmeticError, ValueError):
        return UNKNOWN
    return result if number(result) and abs(result) <= LARGEST else UNKNOWN


def _scaled(kind: ast.operator, data: Part, other: Any) -> Any:
    """Inputs after `/ 255`, `* (1 / 255)`, `- mean` or `/ std`: they keep to the data set, which has a scale of its own."""
    if not isinstance(kind, ast.Add | ast.Sub | ast.Mult | ast.Div):
        return UNKNOWN
    if data.which == "x" and isinstance(kind, ast.Mult | ast.Div):
        data.source.scaled = True
        divisor = data.source.divisor
        if divisor and number(other) and other:
            factor = 1 / other if isinstance(kind, ast.Div) else other
            data.source.exactly_scaled = abs(factor * divisor - 1) < 0.01
        else:
            data.source.exactly_scaled = False
    return data


def _curves(kind: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(kind, ast.Sub):
        kind, right = ast.Add(), _times(right, -1.0)
    if isinstance(kind, ast.Add):
        return _sum(left, right)
    if isinstance(kind, ast.Mult) and number(left):
        return _times(right, float(left))
    if isinstance(kind, ast.Mult) and number(right):
        return _times(left, float(right))
    if isinstance(kind, ast.Mult) and isinstance(left, Curve) and isinstance(right, Curve):
        return _product(left, right)
    if isinstance(kind, ast.Div) and number(right) and right:
        return _times(left, 1 / right)
    if isinstance(kind, ast.Pow) and isinstance(left, Curve) and isinstance(right, int) and 0 < right <= 10:
        result: Any = left
        for _ in range(right - 1):
            result = _product(result, left) if isinstance(result, Curve) else UNKNOWN
        return result
    return UNKNOWN


def _times(value: Any, factor: float) -> Any:
    if number(value):
        return value * factor
    if isinstance(value, Noise):
        return Noise(value.mean * factor, value.stddev * abs(factor))
    if isinstance(value, Curve):
        return replace(
            value,
            coefficients=tuple(factor * c for c in value.coefficients),
            sine=value.sine and (value.sine[0] * factor, *value.sine[1:]),
            noise=value.noise * abs(factor),
        )
    return UNKNOWN


def _sum(left: Any, right: Any) -> Any:
    if not isinstance(left, Curve):
        left, right = right, left
    if not isinstance(left, Curve):
        if isinstance(left, Noise) and number(right):
            return Noise(left.mean + right, left.stddev)
        return (
            Noise(right.mean + left, right.stddev) if isinstance(right, Noise) and number(left) else UNKNOWN
        )
    if number(right):
        return replace(left, coefficients=(left.coefficients[0] + right, *left.coefficients[1:]))
    if isinstance(right, Noise):
        # Two independent draws: their variances add up.
        noise = (left.noise**2 + right.stddev**2) ** 0.5
        return replace(_sum(left, right.mean), noise=noise)
    if not isinstance(right, Curve) or left.axis != right.axis or (left.sine and right.sine):
        return UNKNOWN
    length = max(len(left.coefficients), len(right.coefficients))
    padded = [(*side.coefficients, *[0.0] * (length - len(side.coefficients))) for side in (left, right)]
    return replace(
        left,
        coefficients=tuple(a + b for a, b in zip(*padded, strict=True)),
        sine=left.sine or right.sine,
        noise=(left.noise**2 + right.noise**2) ** 0.5,
    )


def _product(left: Curve, right: Curve) -> Any:
    if left.sine or right.sine or left.noise or right.noise or left.axis != right.axis:
        return UNKNOWN
    result = [0.0] * (len(left.coefficients) + len(right.coefficients) - 1)
    if len(result) > MAX_DEGREE + 1:
        return UNKNOWN
    for i, a in enumerate(left.coefficients):
        for j, b in enumerate(right.coefficients):
            result[i + j] += a * b
    return replace(left, coefficients=tuple(result))
