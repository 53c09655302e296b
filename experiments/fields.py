"""The base of every spec model, and the number types that they share.

They are strict on purpose: `"32"` is not a number and `true` is not an integer. Every number is bounded, so that
nothing in a spec can overflow float32 or a loop.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 1e30
"""Largest magnitude of any real number in a spec; float32 ends at 3.4e38."""

Real = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Field(strict=True, ge=0, le=LARGEST)]
Positive = Annotated[float, Field(strict=True, gt=0, le=LARGEST)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]
UnitInterval = Annotated[float, Field(strict=True, ge=0, le=1)]
Whole = Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)]
Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
CountOrZero = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Flag = Annotated[bool, Field(strict=True)]
ShortText = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
LongText = Annotated[str, Field(strict=True, max_length=20_000)]


def named(value: object) -> object:
    """A bare name stands for that entry with its defaults: `adam` for `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


class Strict(BaseModel):
    """A frozen model without unknown fields, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @cached_property
    def canonical(self) -> str:
        """One JSON text per meaning, every default written out: what hashes are made of."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
