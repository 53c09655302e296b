"""A formula as an activation: its values forward, its own derivative on the way back.

Automatic differentiation of `where(x > 0, x, exp(x) - 1)` multiplies the branch that is not taken by 0, which is NaN
where that branch is infinite. The symbolic derivative chooses instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from experiments.formulas import study
from experiments.formulas.nodes import Library, values

KERAS: Library = {
    "constant": lambda c, x: ops.zeros_like(x) + c,  # a sum takes c in x's precision
    "exp": ops.exp, "log": ops.log, "sqrt": ops.sqrt, "abs": ops.abs, "sign": ops.sign, "sin": ops.sin,
    "cos": ops.cos, "atan": ops.arctan, "tanh": ops.tanh, "maximum": ops.maximum, "minimum": ops.minimum,
    "where": ops.where, "power": ops.power, "softplus": ops.softplus, "sigmoid": ops.sigmoid, "erf": ops.erf,
}  # fmt: skip
"""The functions of a formula on tensors."""
_FORMULA = "gradus_formula"


@functools.lru_cache(maxsize=1024)
def function(formula: str) -> Callable[[Any], Any]:
    """f for tensors of any shape, in their precision."""
    known = study(formula)

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def differentiable(z: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return (args[0] if upstream is None else upstream) * values(known.slope, z, KERAS)

        return values(known.tree, z, KERAS), gradient

    def activation(z: Any) -> Any:
        return differentiable(z)

    setattr(activation, _FORMULA, formula)
    return activation


def operations(activation: object) -> Callable[[Any], Any] | None:
    """The operations of which a formula consists, without its derivative; None where the function is no formula."""
    formula = getattr(activation, _FORMULA, None)
    return None if formula is None else lambda z: values(study(formula).tree, z, KERAS)
