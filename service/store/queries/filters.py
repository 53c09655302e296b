"""Which runs are meant: `status=FINISHED`, `activation=relu`, `learning_rate=1e-3`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, or_

from service.store.tables import runs

Filters = Mapping[str, Sequence[str]]
OWN = ("status", "stage", "reason", "fingerprint", "worker", "id", "device")
"""Columns of a run; any other name is a factor's level or a parameter."""


def matching(name: str, values: Sequence[str]) -> ColumnElement[bool]:
    """The runs that have one of these values under that name."""
    if name in OWN:
        return runs.c[name].in_(list(values))
    texts: list[ColumnElement[bool]] = []
    for value in values:
        for column in (runs.c.levels, runs.c.params):
            texts.append(column[name].as_string() == value)
        with contextlib.suppress(ValueError):  # 0.001, 1e-3 and .001 are the same learning rate
            number = float(value)
            texts.append(and_(_is_number(name), runs.c.params[name].as_float() == number))
    return or_(*texts)


def _is_number(name: str) -> ColumnElement[bool]:
    """Whether a parameter's text is a number, so that it can be compared as one."""
    text: ColumnElement[str] = runs.c.params[name].as_string()
    return text.regexp_match(r"^-?[0-9.]+([eE][-+]?[0-9]+)?$")
