"""Runs with results from a formula, and the application over them."""

from __future__ import annotations

from tests.service.scored_runs import serve, world

__all__ = ["serve", "world"]
