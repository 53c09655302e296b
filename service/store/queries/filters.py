"""Which runs are meant: `status=FINISHED`, `activation=relu`, `learning_rate=1e-3`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, case, null, or_

from service.store.tables import runs

Filters = Mapping[str, Sequence[str]]
OWN = ("status", "stage", "reason", "fingerprint", "worker", "id", "device")
"""Columns of a run; any other name is a factor's level or a parameter."""
EXPERIMENTS_OWN = ("name", "owner", "stage", "id")
"""Columns of an experiment, in a list of experiments; any other name is one of their runs'."""
SEARCH, TAG = "q", "tag."
"""Filters of a list of experiments: words anywhere, and the value of a tag."""
_NUMBER = r"^-?([0-9]{1,20}(\.[0-9]{0,30})?|\.[0-9]{1,30}|[0-9](\.[0-9]{0,20})?[eE][-+]?[0-2]?[0-9]{1,2})$"
"""What PostgreSQL can make a number of, which `1.2.3` and `1e999` are not: names that cases may have."""


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
            # A parameter is a number as JSON, or a text such as `= 0.001`; then the level is the number as text.
            texts += [_as_number(column, name) == number for column in (runs.c.levels, runs.c.params)]
    return or_(*texts)


def _as_number(column: Column[Any], name: str) -> ColumnElement[float | None]:
    """A level or parameter as a number, null where its text is none. In a CASE, since an AND does not say what comes
    first."""
    entry = column[name]
    return case((entry.as_string().regexp_match(_NUMBER), entry.as_float()), else_=null())
