"""Cursors as a page hands them out, and what is in them. All raise BadCursor for one that is not ours."""

from __future__ import annotations

from service.errors import BadCursor


def float_and_id(cursor: str) -> tuple[float, str]:
    """Of a list of experiments: `<created_at>_<id>`."""
    first, _, second = cursor.partition("_")
    try:
        at = float(first)
    except ValueError:
        raise BadCursor(cursor) from None
    if not second:
        raise BadCursor(cursor)
    return at, second


def text_and_id(cursor: str) -> tuple[str, str]:
    """Of a list of experiments by name: `<name>_<id>`. A name may hold `_`, an id may not."""
    name, separator, id = cursor.rpartition("_")
    if not separator or not id:
        raise BadCursor(cursor)
    return name, id


def whole_number(cursor: str) -> int:
    """Of a list of runs: an index."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise BadCursor(cursor)
    return int(cursor)


def event_cursor(cursor: str) -> tuple[int, int]:
    """Of a stream: `<transaction>-<id>`."""
    first, _, second = cursor.partition("-")
    if not (first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
        raise BadCursor(cursor)
    if max(len(first), len(second)) > 18:
        raise BadCursor(cursor)
    return int(first), int(second)
