"""How numbers are written for people, and numbers that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

ABSENT = "–"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SPOILT = 20
"""A range over this factor is drawn on a logarithmic axis, so that the first epoch does not flatten the rest."""


def finite(value: float | None) -> float | None:
    """The value, or None where it is NaN or infinite: JSON has neither."""
    return value if value is not None and math.isfinite(value) else None


def short(value: float) -> str:
    """At most three significant digits, for sentences."""
    return f"{value:.3g}"


def figure(value: float | None) -> str:
    """Four significant digits, `1.009·10⁹` with a power of ten; a dash where there is no finite value."""
    return ABSENT if finite(value) is None else _powers(f"{value:.4g}")


def rough(value: float) -> str:
    """Two significant digits of a large count, `24,000` or `5.5·10⁷`."""
    digits = float(f"{value:.2g}")
    return f"{digits:,.0f}" if abs(digits) < 1e6 else _powers(f"{digits:.2g}")


def _powers(text: str) -> str:
    mantissa, e, exponent = text.replace("-", "−").partition("e")
    return f"{mantissa}·10{str(int(exponent.replace('−', '-'))).translate(RAISED)}" if e else mantissa


def signed(value: float | None) -> str:
    """A difference with its sign and three significant digits; a dash where there is no finite value."""
    return ABSENT if finite(value) is None else f"{value:+.3g}".replace("-", "−")


def axis_label(value: float) -> str:
    """A number beside an axis: plain between 0.001 and 100,000, else with an exponent."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")


def wants_log_axis(values: Sequence[float]) -> bool:
    """Whether losses span so much that a linear axis would show the largest alone. values: finite."""
    return bool(values) and min(values) > 0 and max(values) > SPOILT * min(values)


def parsed(text: str) -> float | None:
    """The number that a label spells; None where it spells none."""
    try:
        return float(text)
    except ValueError:
        return None
