"""Ids of experiments, runs, tiles, requests and keys."""

from __future__ import annotations

import secrets

ID_LENGTH = 20


def new_id() -> str:
    """80 random bits: unique, and short enough to be read out; its first digits tell things apart."""
    return secrets.token_hex(ID_LENGTH // 2)
