"""Reads a formula in x.

    formula    = term { ("+" | "-") term }
    term       = factor { ("*" | "/") factor }
    factor     = ("+" | "-") factor | power
    power      = atom [ "**" factor ]
    atom       = number | "x" | "pi" | "e" | function "(" formula { "," formula } ")" | "(" formula ")"
    where      = "where" "(" formula ("<" | "<=" | ">" | ">=") formula "," formula "," formula ")"

`max` and `min` take two or more arguments, `where` a comparison and two branches, every other function one. As in
Python, -x**2 is -(x²), and a**b**c is a**(b**c).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from experiments.errors import GradusError
from experiments.formulas.nodes import COMPARISONS, FUNCTIONS, Node
from experiments.messages import unknown

LONGEST = 300
"""Characters of a formula."""
MAX_NESTING = 30
CONSTANTS = {"pi": math.pi, "e": math.e}
SEVERAL = ("max", "min")
NAMES = ["x", *CONSTANTS, *FUNCTIONS, *SEVERAL, "where"]
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<sign>\*\*|<=|>=|[-+*/(),<>])"
)
_INSTEAD = {
    "^": "the power is written **", "=": "an equation is none; >= and <= compare", "[": "write (", "{": "write (",
    "]": "write )", "}": "write )", "|": "|x| is written abs(x)", "·": "write *", "×": "write *", "−": "write -",
    ";": "arguments are separated by commas", "%": "there is no remainder", "!": "there is no !=",
}  # fmt: skip
"""A sign that is none here -> what to write."""


class FormulaError(GradusError):
    """A formula that cannot be read or used.

    Attributes:
        position: of the character, counted from 1.
        message: what was found there.
        allowed: what would be right.
    """

    def __init__(self, position: int, message: str, allowed: str) -> None:
        self.position, self.message, self.allowed = position, message, allowed
        super().__init__(f"at position {position}: {message}")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(formula: str) -> Node:
    """The tree of a formula.

    Raises:
        FormulaError: it is not one, with the position of the first character that does not fit.
    """
    if len(formula) > LONGEST:
        raise FormulaError(LONGEST + 1, f"{len(formula)} characters", f"at most {LONGEST}")
    reader = _Reader(_tokens(formula), _Token("end", "the end", len(formula.rstrip()) + 1))
    tree = reader.sum(0)
    if reader.next is not reader.end:
        raise _unexpected(reader.next, "an operator or the end")
    return tree


def _tokens(formula: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(formula):
        if formula[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(formula, at)
        if match is None:
            sign = formula[at]
            allowed = _INSTEAD.get(sign, "numbers, x, + - * / **, parentheses and functions")
            raise FormulaError(at + 1, f'"{sign}" is no part of the notation', allowed)
        tokens.append(_Token(str(match.lastgroup), match.group(), at + 1))
        at = match.end()
    return tokens


def _unexpected(token: _Token, allowed: str) -> FormulaError:
    return FormulaError(token.position, f"found {token.text}", allowed)


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token], end: _Token) -> None:
        self.tokens, self.at, self.end = tokens, 0, end

    @property
    def next(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def take(self) -> _Token:
        token = self.next
        self.at += 1
        return token

    def expect(self, sign: str, allowed: str) -> None:
        if self.next.text != sign or self.next is self.end:
            raise _unexpected(self.next, allowed)
        self.at += 1

    def sum(self, depth: int) -> Node:
        left = self.product(depth)
        while self.next.text in ("+", "-"):
            sign = self.take()
            left = Node(sign.text, (left, self.product(depth)), position=sign.position)
        return left

    def product(self, depth: int) -> Node:
        left = self.signed(depth)
        while self.next.text in ("*", "/"):
            sign = self.take()
            left = Node(sign.text, (left, self.signed(depth)), position=sign.position)
        if self.next.kind in ("number", "name") or self.next.text == "(":
            raise _unexpected(self.next, "an operator: a product is written with *")
        return left

    def signed(self, depth: int) -> Node:
        if depth > MAX_NESTING:
            raise FormulaError(self.next.position, "nested too deeply", f"at most {MAX_NESTING} levels")
        if self.next.text not in ("+", "-"):
            return self.power(depth)
        sign = self.take()
        operand = self.signed(depth + 1)
        if sign.text == "+":
            return operand
        if operand.op == "number":
            return Node("number", value=-operand.value, position=sign.position)
        return Node("negative", (operand,), position=sign.position)

    def power(self, depth: int) -> Node:
        base = self.atom(depth)
        if self.next.text != "**":
            return base
        sign = self.take()
        return Node("**", (base, self.signed(depth + 1)), position=sign.position)

    def atom(self, depth: int) -> Node:
        token = self.take()
        if token.kind == "number":
            return _number(token)
        if token.kind == "name":
            return self.named(token, depth)
        if token.text == "(" and token is not self.end:
            inner = self.sum(depth + 1)
            self.expect(")", f") for the ( of position {token.position}")
            return inner
        raise _unexpected(token, "a number, x, a function or (")

    def named(self, token: _Token, depth: int) -> Node:
        if token.text == "x":
            return Node("x", position=token.position)
        if token.text in CONSTANTS:
            return Node("number", value=CONSTANTS[token.text], position=token.position)
        if token.text not in NAMES:
            raise FormulaError(token.position, unknown("function", token.text, NAMES), ", ".join(NAMES))
        self.expect("(", f"( after {token.text}")
        if token.text == "where":
            return self.where(token, depth)
        args = [self.sum(depth + 1)]
        while self.next.text == "," and (token.text in SEVERAL):
            self.at += 1
            args.append(self.sum(depth + 1))
        wanted = ", or )" if token.text in SEVERAL else f"): {token.text} takes one argument"
        if len(args) == 1 and token.text in SEVERAL and self.next.text == ")":
            raise _unexpected(self.next, f"a comma: {token.text} takes two or more arguments")
        self.expect(")", wanted)
        tree = args[0] if len(args) > 1 else Node(token.text, (args[0],), position=token.position)
        for other in args[1:]:
            tree = Node(token.text, (tree, other), position=token.position)
        return tree

    def where(self, token: _Token, depth: int) -> Node:
        left = self.sum(depth + 1)
        sign = self.take()
        if sign.text not in COMPARISONS:
            raise _unexpected(sign, "a comparison: where(x > 0, yes, no)")
        condition = Node(sign.text, (left, self.sum(depth + 1)), position=sign.position)
        self.expect(",", "a comma: where(comparison, yes, no)")
        yes = self.sum(depth + 1)
        self.expect(",", "a comma: where(comparison, yes, no)")
        no = self.sum(depth + 1)
        self.expect(")", "): where takes a comparison and two branches")
        return Node("where", (condition, yes, no), position=token.position)


def _number(token: _Token) -> Node:
    value = float(token.text)
    if value > 1e30 or (
        value == 0 and any(digit in "123456789" for digit in re.split("[eE]", token.text)[0])
    ):
        raise FormulaError(token.position, f"{token.text} is out of range", "numbers from 1e-300 to 1e30")
    return Node("number", value=value, position=token.position)
