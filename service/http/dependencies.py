"""What endpoints are given: the store, the settings, the addresses, and ids."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.http.schemas import Place
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


def place_of(request: Request, settings: SettingsDep) -> Place:
    return Place(request, settings)


PlaceDep = Annotated[Place, Depends(place_of)]
# Of any length: an id that no thing can have is a thing that is not there (404), as every other that none has.
ExperimentId = Annotated[
    str, Path(alias="id", description="id of an experiment, shortened while it is unique")
]
RunId = Annotated[str, Path(alias="id", description="id of a run, shortened while it is unique")]
