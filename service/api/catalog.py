"""`/v1/catalog`: what a spec can choose from."""

from __future__ import annotations

import functools
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from experiments.catalog import catalog
from gradus.wire_preview import CatalogOut
from service.http.auth import Reader
from service.http.problems import documented

router = APIRouter(prefix="/v1/catalog", tags=["catalog"])


@functools.cache
def tables() -> dict[str, Any]:
    """The catalog; it is made of tables that do not change while the process lives."""
    return catalog()


@router.get("", response_model=CatalogOut, responses=documented())
def read(who: Reader) -> JSONResponse:
    """Activations, optimizers, layers, losses and data sets: JSON schema, formula, reference."""
    return JSONResponse(tables())
