"""A formula as Python code on `keras.ops`."""

from __future__ import annotations

from experiments.formulas.nodes import COMPARISONS, Node

ARITHMETIC = ("+", "-", "*", "/", "**")
_KERAS_NAMES = {"atan": "arctan", "max": "maximum", "min": "minimum"}
"""Function -> its name in `keras.ops`, where that is another one."""


def keras_code(tree: Node) -> str:
    """An expression in `x`; every operation inside another one stands in parentheses."""
    if tree.op == "x":
        return "x"
    if tree.op == "number":
        return repr(tree.value)
    args = [keras_code(arg) for arg in tree.args]
    if tree.op in (*ARITHMETIC, *COMPARISONS):
        left, right = (_inner(arg, text) for arg, text in zip(tree.args, args, strict=True))
        return f"{left} {tree.op} {right}"
    if tree.op == "negative":
        return f"-{_inner(tree.args[0], args[0])}"
    return f"ops.{_KERAS_NAMES.get(tree.op, tree.op)}({', '.join(args)})"


def _inner(node: Node, text: str) -> str:
    compound = node.op in (*ARITHMETIC, "negative") or (node.op == "number" and node.value < 0)
    return f"({text})" if compound else text
