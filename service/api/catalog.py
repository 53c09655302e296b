"""`/v1/catalog`: what a spec can choose from."""

from __future__ import annotations

import functools
from typing import Any

from fastapi import APIRouter

from experiments.catalog import catalog
from service.http.auth import Reader
from service.http.problems import documented

router = APIRouter(prefix="/v1/catalog", tags=["catalog"])


@functools.cache
def tables() -> dict[str, Any]:
    """The catalog; it is made of tables that do not change while the process lives."""
    return catalog()


@router.get("", responses=documented())
def read(who: Reader) -> dict[str, Any]:
    """Activations, optimizers, layers, losses and data sets: JSON schema, formula, reference."""
    return tables()
