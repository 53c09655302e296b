"""What an expression of a program stands for."""

from __future__ import annotations

import ast
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from experiments.keras_code import arithmetic
from experiments.keras_code.known_calls import Arguments, known_call
from experiments.keras_code.methods import array_method, net_method
from experiments.keras_code.names import ATTENTION, JOINS, READ_JOINS
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import (
    UNKNOWN,
    Curve,
    Dotted,
    Function,
    Joined,
    Made,
    Net,
    Part,
    Rows,
    Tensor,
    Unknown,
    calls,
    cut,
)

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
PLAIN: dict[str, Any] = {
    "int": int,
    "float": float,
    "tuple": tuple,
    "list": list,
    "len": len,
    "str": str,
    "max": max,
    "min": min,
    "sum": sum,
}
CONSTANTS = {"pi": math.pi, "e": math.e}
NOTHING = frozenset(
    {"print", "show", "figure", "plot", "scatter", "imshow", "subplot", "title", "xlabel", "ylabel", "legend"}
)
"""Functions that neither build nor train."""
MAX_ENTRIES = 2_000_000
"""Entries of lists that are written or computed in one program, those of lists in lists counted."""
SEEDS = frozenset({"seed", "set_seed", "set_random_seed"})


class Expressions(ABC):
    """Reads expressions; `Reader` adds the statements. Abstract."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.nets: list[Net] = []
        self.fields: dict[str, Any] = {}
        self.repeated: list[int | None] = [1]
        self.batch: int | None = None
        self.steps = self.depth = 0
        self.entries = MAX_ENTRIES

    @abstractmethod
    def call_function(self, function: Function, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The value of a call of a function that the program defines."""

    def value(self, node: ast.expr) -> Any:
        """The value of an expression; UNKNOWN where it is not followed."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        value = UNKNOWN if method is None else method(node)
        if isinstance(value, tuple | list) and not isinstance(node, ast.Name):
            # Forty times `x = [x, x]` is a small program and a list of 10^12 numbers.
            entries = arithmetic.entries(value)
            self.entries -= entries
            return value if entries <= arithmetic.MAX_LISTED and self.entries > 0 else UNKNOWN
        return value

    def _constant(self, node: ast.Constant) -> Any:
        return node.value if not isinstance(node.value, bytes | complex) else UNKNOWN

    def _name(self, node: ast.Name) -> Any:
        return self.names.get(node.id, Dotted(node.id))

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(element) for element in node.elts)

    def _list(self, node: ast.List) -> Any:
        return [self.value(element) for element in node.elts]

    def _dict(self, node: ast.Dict) -> Any:
        keys = [self.value(key) if key is not None else UNKNOWN for key in node.keys]
        if not all(isinstance(key, str | int | float) for key in keys):
            return UNKNOWN
        return {key: self.value(value) for key, value in zip(keys, node.values, strict=True)}

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub):
            return arithmetic.binary(ast.Mult(), value, -1)
        if isinstance(node.op, ast.Not) and isinstance(value, bool):
            return not value
        return value if isinstance(node.op, ast.UAdd) else UNKNOWN

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, Tensor) and isinstance(right, Tensor):
            return self._joined("add", (left, right), node.lineno)
        return arithmetic.binary(node.op, left, right)

    def _compare(self, node: ast.Compare) -> Any:
        left, right = self.value(node.left), self.value(node.comparators[0])
        compare = COMPARISONS.get(type(node.ops[0]))
        plain = all(isinstance(side, str | int | float) for side in (left, right))
        if (
            compare is None
            or len(node.ops) != 1
            or not plain
            or isinstance(left, str) != isinstance(right, str)
        ):
            return UNKNOWN
        return compare(left, right)

    def _ifexp(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        return self.value(node.body if test is True or isinstance(test, Unknown | Dotted) else node.orelse)

    def _attribute(self, node: ast.Attribute) -> Any:
        holder = self.value(node.value)
        if isinstance(holder, Dotted):
            return CONSTANTS.get(node.attr, Dotted(f"{holder.path}.{node.attr}"))
        if isinstance(holder, dict):
            return holder.get(node.attr, UNKNOWN)
        if isinstance(holder, Part) and node.attr == "shape":
            return (holder.rows or UNKNOWN, *(holder.shape or ()))
        if isinstance(holder, Curve) and node.attr == "shape":
            return (holder.rows, 1)
        if isinstance(holder, Rows) and node.attr == "shape":
            first = holder.numbers[0] if holder.numbers else ()
            return (len(holder.numbers), *((len(first),) if isinstance(first, tuple) else ()))
        return holder if isinstance(holder, Part | Curve | Rows) and node.attr in ("T", "values") else UNKNOWN

    def _subscript(self, node: ast.Subscript) -> Any:
        holder = self.value(node.value)
        index = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
        if isinstance(holder, Part | Curve | Rows):
            return self._rows(holder, index)
        if isinstance(holder, dict):
            key = self.value(node.slice)
            return holder.get(key, UNKNOWN) if isinstance(key, str | int) else UNKNOWN
        if isinstance(holder, tuple | list) and not isinstance(index, ast.Slice):
            at = self.value(index)
            return holder[at] if isinstance(at, int) and -len(holder) <= at < len(holder) else UNKNOWN
        if isinstance(holder, tuple | list) and isinstance(index, ast.Slice):
            start, stop = (self.value(end) if end else None for end in (index.lower, index.upper))
            plain = all(end is None or isinstance(end, int) for end in (start, stop))
            return holder[start:stop] if plain and index.step is None else UNKNOWN
        return UNKNOWN

    def _rows(self, data: Part | Curve | Rows, index: ast.expr) -> Any:
        """`x[:1000]`; `x[:, None]` and `x[..., 0]` keep the rows."""
        if not isinstance(index, ast.Slice):
            return data
        start, stop = (self.value(end) if end is not None else None for end in (index.lower, index.upper))
        if not all(
            end is None or (isinstance(end, int) and not isinstance(end, bool)) for end in (start, stop)
        ):
            return data
        return data if start is None and stop is None else cut(data, start or 0, stop)

    def _call(self, node: ast.Call) -> Any:
        arguments = tuple(self.value(a.value if isinstance(a, ast.Starred) else a) for a in node.args)
        keywords = {k.arg: self.value(k.value) for k in node.keywords if k.arg is not None}
        lines = {k.arg: k.lineno for k in node.keywords if k.arg is not None and k.lineno != node.lineno}
        if isinstance(node.func, ast.Attribute):
            holder = self.value(node.func.value)
            if isinstance(holder, Net):
                return net_method(
                    self,
                    holder,
                    node.func.attr,
                    Made(node.func.attr, arguments, keywords, node.lineno, lines),
                )
            if isinstance(holder, Part | Curve | Rows):
                return array_method(holder, node.func.attr, arguments)
            if isinstance(holder, list) and node.func.attr == "append" and arguments:
                holder.append(arguments[0])
                return None
            if isinstance(holder, Made) and node.func.attr in ("fit_transform", "transform") and arguments:
                return known_call(node.func.attr, Arguments(arguments, keywords), node.lineno, self.notes)
        called = self.value(node.func)
        if isinstance(called, Function):
            return self.call_function(called, arguments, keywords)
        if isinstance(called, Made):
            return self._applied(called, arguments, keywords, node.lineno)
        if isinstance(called, Dotted):
            result = self._imported(called, arguments, keywords, node.lineno)
            return replace(result, lines=lines) if isinstance(result, Made) else result
        return UNKNOWN

    def _applied(self, layer: Made, arguments: tuple[Any, ...], keywords: dict[str, Any], line: int) -> Any:
        """A layer called on a tensor, as a functional program does."""
        if layer.name in ATTENTION:
            return self._attended(layer, arguments, keywords, line)
        before = arguments[0] if arguments else UNKNOWN
        if isinstance(before, Tensor):
            return replace(before, layers=(*before.layers, layer))
        if isinstance(before, list | tuple) and any(isinstance(branch, Tensor) for branch in before):
            return self._joined(layer.name, before, line)
        return UNKNOWN

    def _attended(self, layer: Made, arguments: tuple[Any, ...], keywords: dict[str, Any], line: int) -> Any:
        """An attention called with a query and a value: `layer(x, x)`, `layer([x, x])`, `layer(query=x, value=x)`."""
        given = arguments[0] if arguments and isinstance(arguments[0], list | tuple) else arguments
        read = [
            value
            for value in (*given, *(keywords.get(name) for name in ("query", "value", "key")))
            if isinstance(value, Tensor)
        ]
        if not read:
            return UNKNOWN
        if any(tensor is not read[0] for tensor in read):
            text = f"{layer.name} of two sequences: a spec's attends to its own input; the query is read"
            self.notes.add(line, "changed", text)
        if keywords.get("use_causal_mask") or "attention_mask" in keywords or "mask" in keywords:
            text = f"a mask of {layer.name}: every step attends to all steps here"
            self.notes.add(line, "left out", text)
        return replace(read[0], layers=(*read[0].layers, layer))

    def _joined(self, name: str, branches: list[Any] | tuple[Any, ...], line: int) -> Tensor:
        """The branches from where they part, joined; the longest of them where a spec cannot say the same."""
        tensors = [branch for branch in branches if isinstance(branch, Tensor)]
        longest = max(tensors, key=lambda branch: len(branch.layers))
        how = READ_JOINS.get(name.lower())
        common = _common([tensor.layers for tensor in tensors])
        rows = tuple(tensor.layers[common:] for tensor in tensors)
        made = [id(call) for row in rows for call in calls(row)]
        if how is None or len(tensors) < 2 or len(made) > len(set(made)):
            why = f"{name} is no join here" if how is None else f"{name} reads a layer in two branches"
            text = f"{why}, which a spec cannot say: the longest branch alone is read"
            self.notes.add(line, "left out", text)
            return longest
        return replace(longest, layers=(*longest.layers[:common], Joined(how, rows, line)))

    def _imported(
        self, called: Dotted, arguments: tuple[Any, ...], keywords: dict[str, Any], line: int
    ) -> Any:
        name, given = called.last, Arguments(arguments, keywords)
        first = arguments[0] if arguments else None
        if name in JOINS and isinstance(first, list | tuple) and any(isinstance(b, Tensor) for b in first):
            return self._joined(str(given.get(1, "mode", name)) if name == "merge" else name, first, line)
        if called.path in PLAIN:
            return _plain(called.path, arguments)
        if called.path == "range" and arguments and all(isinstance(a, int) for a in arguments):
            return range(*arguments) if len(arguments) < 3 or arguments[2] else UNKNOWN
        if name in SEEDS and arguments:
            self._seed(arguments[0], line)
            return None
        if name in NOTHING:
            return None
        if name == "Sequential":
            return self._sequential(given, line)
        if name == "Input":
            shape = given.get(0, "shape") or given.keywords.get("batch_shape", (None,))[1:]
            return Tensor((), tuple(shape) if isinstance(shape, tuple | list) else (shape,))
        if name == "Model" and isinstance(
            outputs := given.get(1, "outputs", given.keywords.get("output")), Tensor
        ):
            return self._net(Net(line, list(outputs.layers), outputs.shape))
        if name == "image_data_format":
            return "channels_last"
        result = known_call(called.path, given, line, self.notes)
        if result is not None:
            return result
        if any(isinstance(value, Part) for value in arguments) and not name[:1].isupper():
            self.notes.add(
                line,
                "changed",
                f"{name}: what it does to the data is not read; they are as the data set gives them",
            )
            return next(value for value in arguments if isinstance(value, Part))
        return Made(name, arguments, keywords, line)

    def _seed(self, seed: Any, line: int) -> None:
        if (
            isinstance(seed, int)
            and not isinstance(seed, bool)
            and 0 <= seed < 2**31
            and "seed" not in self.fields
        ):
            self.fields["seed"] = seed
            self.notes.add(
                line,
                "read",
                f"seed: {seed}, for initial weights and order; the numbers drawn from it are others",
            )

    def _sequential(self, given: Arguments, line: int) -> Net:
        net = self._net(Net(line))
        layers = given.get(0, "layers")
        for layer in layers if isinstance(layers, list | tuple) else []:
            net_method(self, net, "add", Made("add", (layer,), {}, line))
        return net

    def _net(self, net: Net) -> Net:
        self.nets.append(net)
        return net


def _common(rows: Sequence[Sequence[Any]]) -> int:
    """How many elements all rows begin with: the very same objects."""
    length = 0
    for elements in zip(*rows, strict=False):
        if any(element is not elements[0] for element in elements):
            break
        length += 1
    return length


def _plain(name: str, arguments: tuple[Any, ...]) -> Any:
    """`int`, `float`, `len` and their kin of values that are known."""
    value = arguments[0] if len(arguments) == 1 else UNKNOWN
    if name == "len" and isinstance(value, Part | Curve):
        return value.rows or UNKNOWN
    if name == "len" and isinstance(value, Rows):
        return len(value.numbers)
    if isinstance(value, range) and len(value) > arithmetic.MAX_SEQUENCE:
        return UNKNOWN
    call = PLAIN[name]
    try:
        return call(value) if isinstance(value, int | float | str | tuple | list | range) else UNKNOWN
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN
