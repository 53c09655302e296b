"""Reads a program statement by statement, without running it: which networks it builds and how it trains them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from experiments.errors import SpecError
from experiments.keras_code.expressions import Expressions
from experiments.keras_code.marks import UNNEEDED, WHY, Marks
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import UNKNOWN, Curve, Dotted, Function, Net, Part, Rows, Unknown

MAX_STEPS = 20_000
"""Statements that are read, repetitions of a loop included."""
MAX_UNROLLED = 200
"""Repetitions of a loop that builds layers."""
BUILDS = {"add", "append", "Dense"}
BACKEND_VARIABLES = ("KERAS_BACKEND", "KERAS_HOME")


class _Return(Exception):
    """A function of the program gives back a value."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Reader(Expressions):
    """One program.

    Attributes:
        nets: its models, in the order in which they are made.
        fields: fields of the spec that stand in the program as such: `seed`, `backend`.
    """

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes)
        self.marks = Marks()

    def block(self, body: Iterable[ast.stmt]) -> None:
        """Read statements in order. Raises SpecError: the program repeats too much."""
        for statement in body:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise SpecError.one(
                    "",
                    f"line {statement.lineno}: the program repeats more than {MAX_STEPS:,} statements",
                    "one network and one training",
                )
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Read one statement, and mark it where nothing of it is needed."""
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            self.marks.note(node, needed=self._assign(node), why=self._why(node))
        elif isinstance(node, ast.Expr):
            self.marks.note(node, needed=self._builds(node.value), why=self._why(node))
            self.value(node.value)
        elif isinstance(node, ast.Assert | ast.Delete | ast.Raise):
            self.marks.note(node, needed=False)
        else:
            self._compound(node)

    def _why(self, node: ast.stmt) -> str:
        """Why a statement is not needed, by the first function in it of which that is known."""
        for name in (part.id for part in ast.walk(node) if isinstance(part, ast.Name)):
            value = self.names.get(name)
            root = value.path.partition(".")[0] if isinstance(value, Dotted) else name
            if root in WHY:
                return WHY[root]
        return UNNEEDED

    def _builds(self, node: ast.expr) -> bool:
        """Whether a statement may add to the network without a note of its own: `model.add(layer)`, a function of the
        program. A text that stands alone is a comment."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in BUILDS
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return isinstance(self.names.get(node.func.id), Function)
        return isinstance(node, ast.Constant)

    def _assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> bool:
        """Bind the targets; whether their value is known."""
        if isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self._bind(target, value, node.lineno)
            return not isinstance(value, Unknown) and not all(map(self._is_environment, node.targets))
        if isinstance(node, ast.AugAssign):
            load = ast.copy_location(ast.BinOp(_loaded(node.target), node.op, node.value), node)
            value = self.value(ast.fix_missing_locations(load))
        elif node.value is None:
            return True
        else:
            value = self.value(node.value)
        self._bind(node.target, value, node.lineno)
        return not isinstance(value, Unknown)

    def _compound(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._loop(node)
        elif isinstance(node, ast.While):
            self.notes.add(node.lineno, "changed", "a while loop: read once; training.epochs says how often")
            self.block(node.body)
        elif isinstance(node, ast.If):
            self._branch(node)
        elif isinstance(node, ast.With | ast.AsyncWith):
            self.block(node.body)
        elif isinstance(node, ast.Try):
            self.marks.skip(statement for handler in node.handlers for statement in handler.body)
            self.block([*node.body, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.FunctionDef):
            self.names[node.name] = Function(node)
            self.marks.skip(node.body)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Return):
            raise _Return(self.value(node.value) if node.value is not None else None)

    def call_function(self, function: Function, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """What a function of the program gives back, its body read with these arguments."""
        if self.depth >= 10:
            return UNKNOWN
        outer, signature = self.names, function.node.args
        names = [argument.arg for argument in (*signature.posonlyargs, *signature.args)]
        values = dict.fromkeys([*names, *(argument.arg for argument in signature.kwonlyargs)], UNKNOWN)
        defaults = signature.defaults
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            values[name] = self.value(default)
        for argument, node in zip(signature.kwonlyargs, signature.kw_defaults, strict=True):
            if node is not None:
                values[argument.arg] = self.value(node)
        values.update(zip(names, arguments, strict=False))
        values.update({name: value for name, value in keywords.items() if name in values})
        self.names, self.depth = {**outer, **values}, self.depth + 1
        try:
            self.block(function.node.body)
        except _Return as returned:
            return returned.value
        finally:
            self.names, self.depth = outer, self.depth - 1
        return None

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            known_as = alias.asname or (alias.name if module else alias.name.partition(".")[0])
            path = module + alias.name if alias.asname or module else known_as
            self.names[known_as] = Dotted(path)
            if alias.name == "matplotlib" and alias.asname == "plt":
                text = "import matplotlib.pyplot as plt: matplotlib itself has no plot(). Pictures are drawn by themselves here"
                self.notes.add(node.lineno, "slip", text)

    def _bind(self, target: ast.expr, value: Any, line: int) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            values = list(value) if isinstance(value, tuple | list) else []
            for index, element in enumerate(target.elts):
                self._bind(element, values[index] if index < len(values) else UNKNOWN, line)
        elif isinstance(target, ast.Subscript):
            self._environment(target, value, line)

    def _is_environment(self, target: ast.expr) -> bool:
        """Whether it is a variable of the system; one that Keras reads has a note of its own."""
        if not isinstance(target, ast.Subscript):
            return False
        holder = self.value(target.value)
        return isinstance(holder, Dotted) and holder.path.endswith("environ")

    def _environment(self, target: ast.Subscript, value: Any, line: int) -> None:
        """`os.environ["KERAS_BACKEND"] = "jax"`."""
        holder, name = self.value(target.value), self.value(target.slice)
        if not isinstance(holder, Dotted) or not holder.path.endswith("environ") or not isinstance(name, str):
            return
        if name.startswith("KERAS_") and name not in BACKEND_VARIABLES:
            text = f"{name}: the variable is KERAS_BACKEND; Keras ignores the misspelt one without a word"
            self.notes.add(line, "slip", text)
            name = "KERAS_BACKEND"
        if name == "KERAS_BACKEND" and value in ("tensorflow", "jax"):
            self.fields["backend"] = value
            self.notes.add(line, "read", f"backend: {value}")
        elif name == "KERAS_BACKEND":
            self.notes.add(
                line,
                "changed",
                f"{value} is no backend of today's Keras here; write backend: tensorflow or jax",
            )

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        values = self.value(node.iter)
        length = len(values) if isinstance(values, range | list | tuple) else None
        if length is not None and length <= MAX_UNROLLED and _builds(node.body):
            for value in values:
                self._bind(node.target, value, node.lineno)
                self.block(node.body)
            return
        self._bind(node.target, UNKNOWN, node.lineno)
        inner = isinstance(values, range) and values.step > 1 and self.repeated[-1] is not None
        # A loop over the batches of an epoch repeats no epoch.
        self.repeated.append(None if length is None else 1 if inner else length)
        if inner:
            self.batch = values.step
        self.block(node.body)
        self.repeated.pop()

    def _branch(self, node: ast.If) -> None:
        test = self.value(node.test)
        if isinstance(test, Unknown | Dotted | Part | Curve | Rows | Net):
            if not _only_prints(node.body):
                self.notes.add(
                    node.lineno,
                    "changed",
                    "a condition that is known only when the program runs: read as true",
                )
            test = True
        self.marks.skip(node.orelse if test else node.body)
        self.block(node.body if test else node.orelse)

    def _class(self, node: ast.ClassDef) -> None:
        self.names[node.name] = UNKNOWN
        self.notes.add(
            node.lineno, "left out",
            f"class {node.name}: what a class computes is not read; write the network's layers under model: layers:",
        )  # fmt: skip


def _loaded(target: ast.expr) -> ast.expr:
    """A target as an expression to be read."""
    copy = ast.parse(ast.unparse(target), mode="eval").body
    return ast.copy_location(copy, target)


def _builds(body: list[ast.stmt]) -> bool:
    """Whether a loop's body adds layers."""
    calls = [node.func for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    attributes = {func.attr for func in calls if isinstance(func, ast.Attribute)}
    if attributes & {"fit", "train_on_batch"}:
        return False
    layered = any(isinstance(func, ast.Call) for func in calls)
    return layered or bool(attributes & BUILDS)


def _only_prints(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Break | ast.Continue)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call))
        for statement in body
    )
