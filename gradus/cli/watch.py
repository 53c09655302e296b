"""`gradus watch`, and `--wait` of the other commands: live progress, then an exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from gradus.cli.output import complain, say
from gradus.cli.session import DONE, FAILED, AsJson, Id, connect
from gradus.text import number, short_id

if TYPE_CHECKING:
    from gradus.events import Event
    from gradus.experiment import Experiment
    from gradus.runs import Run


def register(app: typer.Typer) -> None:
    app.command()(watch)


def watch(id: Id, as_json: AsJson = False) -> None:
    """Follow an experiment or a run live until it is over. Exit status 1 if a run failed, was killed, or failed its
    gradient check."""
    from gradus.experiment import Experiment

    owner = connect().find(id)
    if isinstance(owner, Experiment):
        raise typer.Exit(follow_experiment(owner, as_json=as_json))
    raise typer.Exit(follow_run(owner, as_json=as_json))


def follow_experiment(experiment: Experiment, *, as_json: bool = False) -> int:
    """Show an experiment until it is over; the exit status is 1 if a run failed, was killed, or failed its gradient
    check."""
    from gradus.progress import follow

    follow(experiment, progress=not as_json, seen=_print if as_json else None)
    if experiment.plan and not as_json:
        say(f"{experiment.plan.factor} by {experiment.plan.metric}: {experiment.plan.answer}")
    if experiment.search and not as_json:
        say(experiment.search.answer)
    unfinished = experiment.unfinished
    if unfinished:
        filters = "".join(f" --filter status={name}" for name in unfinished)
        complain(
            f"{sum(unfinished.values())} of {experiment.n_runs} runs did not finish:"
            f" gradus runs {short_id(experiment.id)}{filters}"
        )
    wrong = [run for run in experiment.runs() if run.certificate == "failed"]
    if wrong:
        complain(
            f"{len(wrong)} of {experiment.n_runs} runs failed their gradient check: {wrong[0].explanation}"
        )
    return FAILED if unfinished or wrong else DONE


def follow_run(run: Run, *, as_json: bool = False) -> int:
    """Print a run's status and metrics as they come; 1 if it failed, was killed, or failed its gradient check."""
    for event in run.events():
        if as_json:
            _print(event)
        elif event.kind == "status":
            say(f"{event.status}, attempt {event.attempt}")
        elif event.kind == "metrics":
            values = "  ".join(f"{name} {number(value)}" for name, value in (event.metrics or {}).items())
            say(f"epoch {event.step}: {values}")
    run.refresh()
    if not as_json:
        say(f"{run.status}  {run.explanation}".rstrip())
    return DONE if run.status == "FINISHED" and run.certificate != "failed" else FAILED


def _print(event: Event) -> None:
    say(json.dumps({"event": event.kind, "id": event.id, **event.data}, ensure_ascii=False))
