"""Commands that change what is there: cancel, rm, retry."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gradus.cli.output import counts, print_json, say, short
from gradus.cli.session import AsJson, ExperimentId, Id, connect
from gradus.errors import USAGE, CommandError


def register(app: typer.Typer) -> None:
    for command in (cancel, retry, rm):
        app.command()(command)


def cancel(id: Id, as_json: AsJson = False) -> None:
    """Cancel a run, or all runs of an experiment that are not over."""
    _tell(id, "cancel", as_json)


def retry(id: Id, as_json: AsJson = False) -> None:
    """Queue a failed or killed run again, or all those of an experiment."""
    _tell(id, "retry", as_json)


def rm(
    id: ExperimentId, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Cancel an experiment and remove it, here and in MLflow (where it can be restored)."""
    client = connect()
    kind, found = client.find(id)
    if kind != "experiments":
        raise CommandError(
            f"{id!r} is a run; only whole experiments are removed. Cancel it: gradus cancel {id}", USAGE
        )
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Remove {found['name']} with {found['n_runs']} runs?", abort=True)
    client.request("DELETE", f"/v1/experiments/{found['id']}")
    say(f"removed {found['name']} ({short(found['id'])})")


def _tell(id: str, action: str, as_json: bool) -> None:
    client = connect()
    kind, found = client.find(id)
    answer = client.post(f"/v1/{kind}/{found['id']}/{action}")
    if as_json:
        print_json(answer)
    elif kind == "runs":
        say(f"run {short(answer['id'])}: {answer['status']}" + (", cancel asked" if _asked(answer) else ""))
    else:
        say(f"{answer['name']} ({short(answer['id'])}): {counts(answer['status'])}")


def _asked(run: dict[str, object]) -> bool:
    return run["cancel_requested_at"] is not None and run["status"] in ("RUNNING", "SCHEDULED")
