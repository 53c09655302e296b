"""The `gradus` command: one entry, a module per kind of command. Exit status: 0 done, 1 failed, 2 misused, 3 away."""

from __future__ import annotations

import sys

import typer

from experiments.errors import GradusError, SpecError
from gradus.cli import catalog, change, comparison, keys, listings, local, requests, submit
from gradus.cli.output import complain
from gradus.errors import FAILED, USAGE, CommandError

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
for part in (local, catalog, submit, listings, requests, comparison, change):
    part.register(app)
app.add_typer(keys.app, name="keys")


def run() -> None:
    """The console entry: errors of ours become a message and an exit status, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except CommandError as error:
        complain(f"gradus: {error}")
        sys.exit(error.status)
    except SpecError as error:
        complain("gradus: the spec is refused:")
        for problem in error.problems:
            complain(f"  {problem}")
        sys.exit(USAGE)
    except GradusError as error:
        complain(f"gradus: {error}")
        sys.exit(FAILED)


if __name__ == "__main__":
    run()
