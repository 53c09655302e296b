"""Runs with results from a formula, the application over them, and a client of its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.service.scored_runs import World, serve, world

__all__ = ["client", "serve", "world"]


@pytest.fixture
def client(serve: Callable[..., str], world: World) -> Iterator[httpx.Client]:
    # The first page that reads a spec starts the processes that read them, which takes long on a busy machine.
    with httpx.Client(base_url=serve(), trust_env=False, timeout=120) as browser:
        yield browser
