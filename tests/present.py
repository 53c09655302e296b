"""What a test knows to be there."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value, which the test has good reason to expect. Fails where there is none."""
    assert value is not None, "nothing is there"
    return value
