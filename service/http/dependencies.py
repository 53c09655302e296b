"""What endpoints are given: the store, the settings, ids, and the headers that make a request safe to repeat."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from service.entities import Experiment
from service.errors import StaleVersion
from service.http.schemas import Urls
from service.settings import Settings
from service.store import Store


def store_of(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


StoreDep = Annotated[Store, Depends(store_of)]
SettingsDep = Annotated[Settings, Depends(settings_of)]


def urls_of(request: Request, settings: SettingsDep) -> Urls:
    return Urls(str(request.base_url), settings)


UrlsDep = Annotated[Urls, Depends(urls_of)]
# Of any length: an id that no thing can have is a thing that is not there (404), as every other that none has.
ExperimentId = Annotated[
    str, Path(alias="id", description="id of an experiment, shortened while it is unique")
]
RunId = Annotated[str, Path(alias="id", description="id of a run, shortened while it is unique")]
IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="the same key with the same body gives the first answer again, and nothing twice",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=500, description='an `ETag` as it was answered, such as `"3"`'),
]
_STRONG = re.compile(r'"(\d{1,18})"')


def etag(experiment: Experiment) -> str:
    """The entity tag of an experiment (RFC 9110, section 8.8.3): its version."""
    return f'"{experiment.version}"'


def expected_version(experiment: Experiment, if_match: str | None) -> int | None:
    """The version that must still be the present one (RFC 9110, section 13.1.1).

    Args:
        if_match: the header's value; None where there is no such header.

    Returns:
        the version; None where any will do.

    Raises:
        StaleVersion: no tag in the header is the present one. (A weak tag never matches here.)
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [int(match[1]) for part in if_match.split(",") if (match := _STRONG.fullmatch(part.strip()))]
    if experiment.version not in tags:
        raise StaleVersion(experiment.id, experiment.version, tags[0] if tags else if_match)
    return experiment.version
