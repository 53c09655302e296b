"""The `gradus` command: one entry, a module per kind of command. Exit status: 0 done, 1 failed, 2 misused, 3 away."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from experiments.errors import GradusError, SpecError
from gradus.cli import (
    audit,
    catalog,
    change,
    classes,
    comparison,
    data,
    hopfield,
    keras_code,
    keys,
    lessons,
    listings,
    local,
    requests,
    submit,
    watch,
)
from gradus.cli.output import complain, say
from gradus.cli.session import FAILED, UNREACHABLE, USAGE
from gradus.errors import Refused, Unreachable, UsageError

HELP = """Train small neural networks in comparable groups, and find out which choice is better.

Ids may be shortened while they stay unique. Every listing takes --json.
Exit status: 0 done, 1 the work failed, 2 used wrongly, 3 the service cannot be reached."""

app = typer.Typer(
    name="gradus",
    help=HELP,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"gradus {importlib.metadata.version('gradus')}")
        raise typer.Exit


@app.callback()
def gradus(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version, and end."),
    ] = False,
) -> None:
    pass


for part in (
    local,
    catalog,
    hopfield,
    keras_code,
    lessons,
    submit,
    watch,
    listings,
    requests,
    comparison,
    change,
    audit,
):
    part.register(app)
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(classes.app, name="classes")


def run() -> None:
    """The console entry: errors of ours become a message and an exit status, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except SpecError as error:
        complain("gradus: the spec is refused:")
        for problem in error.problems:
            complain(f"  {problem}")
        sys.exit(USAGE)
    except GradusError as error:
        complain(f"gradus: {error}")
        sys.exit(exit_status(error))


def exit_status(error: GradusError) -> int:
    """What the caller can put right is 2; what failed is 1; a service that is away is 3."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, Refused):
        if error.status == 503:
            return UNREACHABLE
        return FAILED if error.status >= 500 or error.status == 409 else USAGE
    return FAILED


if __name__ == "__main__":
    run()
