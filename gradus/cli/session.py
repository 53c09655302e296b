"""What commands share: their options, and the way to the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gradus.client import Client
    from service.settings import Settings

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
"""The exit statuses of the command."""
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


def connect() -> Client:
    """The client for the service that the settings name."""
    from gradus.client import Client

    return Client()


def settings() -> Settings:
    """All settings of this machine. Raises UsageError: one has a value that is not allowed."""
    from gradus.settings import read_settings
    from service.settings import Settings

    return read_settings(Settings)
