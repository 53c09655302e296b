"""The types that every backend speaks of."""

from __future__ import annotations

from typing import Any

Tensor = Any
"""A tensor of the backend."""
Tree = Any
"""Lists, tuples and dicts of tensors."""
