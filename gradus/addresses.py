"""Where things are under `/v1`. Imports no HTTP client: the command needs it before it speaks to anybody."""

from __future__ import annotations

import re

from gradus.errors import USAGE, CommandError

_ID = re.compile(r"[0-9A-Za-z_-]+")


def path_of(kind: str, id: str, *rest: str) -> str:
    """`/v1/KIND/ID/…` for an id as a person typed it.

    Raises:
        CommandError: it is no id, so that it would lead to another place or to none.
    """
    if not _ID.fullmatch(id):
        raise CommandError(f"{id!r} is not an id (allowed: letters and digits, as lists print them)", USAGE)
    return "/".join(("/v1", kind, id, *rest))
