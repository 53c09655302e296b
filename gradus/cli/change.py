"""Commands that change what is there: cancel, rm, retry."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gradus.cli.output import print_json, say
from gradus.cli.session import AsJson, ExperimentId, Id, connect
from gradus.errors import UsageError
from gradus.text import counts, short_id


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
    from gradus.experiment import Experiment

    owner = connect().find(id)
    if not isinstance(owner, Experiment):
        raise UsageError(
            f"{id!r} is a run; only whole experiments are removed. Cancel it: gradus cancel {id}"
        )
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Remove {owner.name} with {owner.n_runs} runs?", abort=True)
    owner.delete()
    say(f"removed {owner.name} ({short_id(owner.id)})")


def _tell(id: str, action: str, as_json: bool) -> None:
    from gradus.runs import Run

    owner = connect().find(id)
    changed = owner.cancel() if action == "cancel" else owner.retry()
    if as_json:
        print_json(changed.to_json())
    elif isinstance(changed, Run):
        asked = changed.cancel_requested_at is not None and not changed.is_over
        say(f"run {short_id(changed.id)}: {changed.status}" + (", cancel asked" if asked else ""))
    else:
        say(f"{changed.name} ({short_id(changed.id)}): {counts(changed.status, changed.shipping)}")
