"""Definitions of this project as text for a program that does without it."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files


def definitions(file: str, *names: str, constants: tuple[str, ...] = ()) -> str:
    """Functions, classes and constants of a file of `experiments`, without annotations and decorators.

    Args:
        file: from the package on: `keras_ext/functions.py`. It is read, not imported.
        names: functions and classes, in the order in which they are to stand.
        constants: names that are assigned at the top of the file.
    """
    tree = _tree(file)
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    parts = [ast.unparse(_Bare().visit(ast.parse(ast.unparse(definitions[name])))) for name in names]
    return "\n\n\n".join(["\n".join(_assigned(tree, name) for name in constants), *parts]).strip()


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((files("experiments") / file).read_text("utf-8"))


def _assigned(tree: ast.Module, name: str) -> str:
    """`NAME = value` from an assignment of one name, or of several at once."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Name) and target.id == name:
            return ast.unparse(node)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
            for element, own in pairs:
                if isinstance(element, ast.Name) and element.id == name:
                    return f"{name} = {ast.unparse(own)}"
    raise KeyError(name)


class _Bare(ast.NodeTransformer):
    """Takes annotations and decorators away."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns, node.decorator_list = None, []
        variable = [node.args.vararg] if node.args.vararg else []
        for argument in (*node.args.posonlyargs, *node.args.args, *variable, *node.args.kwonlyargs):
            argument.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.decorator_list = []
        return node
