"""What commands share: their options, and the way to the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradus.errors import USAGE, CommandError

if TYPE_CHECKING:
    from gradus.client import Client
    from service.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of an experiment or a run, or its beginning.")]
ExperimentId = Annotated[str, typer.Argument(metavar="ID", help="Id of an experiment, or its beginning.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning.")]
SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC.yaml", help="A spec; `-` reads it from standard input.")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a field; may be given again.")
]


def settings() -> Settings:
    """The settings, with the address of the stack that runs on this home where none is set.

    Raises:
        CommandError: a setting has a value that is not allowed.
    """
    from pydantic import ValidationError

    from service.settings import load_settings

    try:
        found = load_settings()
    except ValidationError as error:
        lines = [f"GRADUS_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise CommandError("a setting is not allowed: " + "; ".join(lines), USAGE) from error
    if "url" in found.model_fields_set:
        return found
    address = local_address(found.home)
    return found.model_copy(update={"url": address}) if address else found


def local_address(home: Path) -> str | None:
    """Where the stack that runs on a home listens, as it wrote down itself."""
    try:
        url = json.loads((home / "stack.json").read_text())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(url)


def connect() -> Client:
    """The client for the service that the settings name."""
    return client_for(settings())


def client_for(chosen: Settings) -> Client:
    """The client for the address and the key of these settings."""
    from gradus.client import Client

    return Client(chosen.url, chosen.api_key.get_secret_value() if chosen.api_key else None)
