"""Formulas of one variable that a person writes: read, differentiated and judged by us, never by `eval`."""

from __future__ import annotations

from experiments.formulas.grammar import FormulaError, parse
from experiments.formulas.nodes import Node
from experiments.formulas.study import Study, study

__all__ = ["FormulaError", "Node", "Study", "parse", "study"]
