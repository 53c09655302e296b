"""The tree of a formula in x, its derivative, and its values by any library of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Library = Mapping[str, Callable[..., Any]]
"""The functions of `FUNCTIONS` and `maximum`, `minimum`, `where`, `power`, `constant` by name.

`constant(c, x)` is an array of x's shape and precision filled with c.
"""


@dataclass(frozen=True)
class Node:
    """One operation.

    op: `x`, `number`, an arithmetic sign, `negative`, a comparison, `where`, `max`, `min`, or a name of FUNCTIONS
    args: what it works on; of `where` the comparison and the two branches
    value: of a number
    position: of its first character in the formula, counted from 1
    """

    op: str
    args: tuple[Node, ...] = ()
    value: float = 0.0
    position: int = field(default=0, compare=False)


X = Node("x")
COMPARISONS = ("<", "<=", ">", ">=")


def number(value: float) -> Node:
    return Node("number", value=value)


ZERO, ONE = number(0.0), number(1.0)


def _call(op: str, *args: Node) -> Node:
    return Node(op, args)


def _plus(a: Node, b: Node) -> Node:
    return b if a == ZERO else a if b == ZERO else _call("+", a, b)


def _minus(a: Node, b: Node) -> Node:
    return a if b == ZERO else _negative(b) if a == ZERO else _call("-", a, b)


def _negative(a: Node) -> Node:
    return a if a == ZERO else _call("negative", a)


def _times(a: Node, b: Node) -> Node:
    if ZERO in (a, b):
        return ZERO
    return b if a == ONE else a if b == ONE else _call("*", a, b)


def _over(a: Node, b: Node) -> Node:
    return ZERO if a == ZERO else _call("/", a, b)


def _chosen(condition: Node, yes: Node, no: Node) -> Node:
    return yes if yes == no else _call("where", condition, yes, no)


FUNCTIONS: dict[str, Callable[[Node], Node]] = {
    "exp": lambda u: _call("exp", u),
    "log": lambda u: _over(ONE, u),
    "sqrt": lambda u: _over(number(0.5), _call("sqrt", u)),
    "abs": lambda u: _call("sign", u),
    "sign": lambda u: ZERO,
    "sin": lambda u: _call("cos", u),
    "cos": lambda u: _negative(_call("sin", u)),
    "atan": lambda u: _over(ONE, _plus(ONE, _times(u, u))),
    "tanh": lambda u: _minus(ONE, _times(_call("tanh", u), _call("tanh", u))),
    "sigmoid": lambda u: _times(_call("sigmoid", u), _call("sigmoid", _negative(u))),
    "softplus": lambda u: _call("sigmoid", u),
    "erf": lambda u: _times(number(2 / math.sqrt(math.pi)), _call("exp", _negative(_times(u, u)))),
}
"""Function of one argument -> its derivative by that argument."""


def depends(node: Node) -> bool:
    """Whether x occurs in it."""
    return node.op == "x" or any(depends(arg) for arg in node.args)


def derivative(tree: Node) -> Node:
    """The derivative by x. At a kink it is one of the two slopes: of a tie with a constant the constant's, 0."""
    known: dict[int, Node] = {}  # by identity: parts of a derivative are shared

    def of(node: Node) -> Node:
        if id(node) not in known:
            known[id(node)] = _slope(node, of)
        return known[id(node)]

    return of(tree)


def _slope(node: Node, of: Callable[[Node], Node]) -> Node:
    op, args = node.op, node.args
    if op == "x":
        return ONE
    if not depends(node):
        return ZERO
    if op in FUNCTIONS:
        return _times(FUNCTIONS[op](args[0]), of(args[0]))
    if op == "where":
        return _chosen(args[0], of(args[1]), of(args[2]))
    slopes = [of(arg) for arg in args]
    if op in ("max", "min"):
        beyond = (">" if op == "max" else "<") + ("" if slopes[1] == ZERO else "=")
        return _chosen(_call(beyond, *args), *slopes)
    return _ARITHMETIC[op](node, slopes)


def _power_slope(node: Node, slopes: list[Node]) -> Node:
    base, exponent = node.args
    if not depends(exponent):
        if exponent.op == "number":
            lower: Node = number(exponent.value - 1)
        else:
            lower = _minus(exponent, ONE)
        reduced = ONE if lower == ZERO else base if lower == ONE else _call("**", base, lower)
        return _times(_times(exponent, reduced), slopes[0])
    growth = _times(slopes[1], _call("log", base))
    return _times(node, _plus(growth, _over(_times(exponent, slopes[0]), base)))


_ARITHMETIC: dict[str, Callable[[Node, list[Node]], Node]] = {
    "negative": lambda node, d: _negative(d[0]),
    "+": lambda node, d: _plus(*d),
    "-": lambda node, d: _minus(*d),
    "*": lambda node, d: _plus(_times(d[0], node.args[1]), _times(node.args[0], d[1])),
    "/": lambda node, d: _minus(
        _over(d[0], node.args[1]),
        _over(_times(node.args[0], d[1]), _times(node.args[1], node.args[1])),
    ),
    "**": _power_slope,
}


def values(node: Node, x: Any, library: Library) -> Any:
    """The formula's values at x, an array of x's shape and precision; of a comparison an array of truth values."""
    known: dict[int, Any] = {}  # by identity: parts of a derivative are shared

    def of(part: Node) -> Any:
        if part.op == "x":
            return x
        if id(part) not in known:
            known[id(part)] = _computed(part, [of(arg) for arg in part.args], x, library)
        return known[id(part)]

    return of(node)


def _computed(node: Node, args: list[Any], x: Any, library: Library) -> Any:
    match node.op:
        case "number":
            return library["constant"](node.value, x)
        case "+":
            return args[0] + args[1]
        case "-":
            return args[0] - args[1]
        case "*":
            return args[0] * args[1]
        case "/":
            return args[0] / args[1]
        case "negative":
            return -args[0]
        case "**":
            return _power(node, args, library)
        case "<":
            return args[0] < args[1]
        case "<=":
            return args[0] <= args[1]
        case ">":
            return args[0] > args[1]
        case ">=":
            return args[0] >= args[1]
    return library[{"max": "maximum", "min": "minimum"}.get(node.op, node.op)](*args)


MOST_FACTORS = 16


def _power(node: Node, args: list[Any], library: Library) -> Any:
    """A small whole exponent is a product: right for negative bases too, and exact."""
    exponent = node.args[1]
    if exponent.op == "number" and exponent.value.is_integer() and 2 <= exponent.value <= MOST_FACTORS:
        result = args[0]
        for _ in range(int(exponent.value) - 1):
            result = result * args[0]
        return result
    return library["power"](*args)
