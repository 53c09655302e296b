"""ETag and If-Match (RFC 9110, section 13): the version of an experiment."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

from service.entities import Experiment
from service.errors import StaleVersion

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=500, description='an `ETag` as it was answered, such as `"3"`'),
]
_STRONG = re.compile(r'"(\d{1,18})"')


def etag(experiment: Experiment) -> str:
    """The entity tag of an experiment: its version."""
    return f'"{experiment.version}"'


def expected_version(experiment: Experiment, if_match: str | None) -> int | None:
    """The version that must still be the present one; None where any will do.

    Raises:
        StaleVersion: no tag in the header is the present one. (A weak tag never matches here.)
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [int(match[1]) for part in if_match.split(",") if (match := _STRONG.fullmatch(part.strip()))]
    if experiment.version not in tags:
        raise StaleVersion(experiment.id, experiment.version, tags[0] if tags else if_match)
    return experiment.version
