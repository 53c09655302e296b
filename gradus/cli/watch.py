"""Live progress from the event stream: a bar where there is a terminal, lines where there is none."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from gradus.cli.output import STYLES, complain, console, counts, number, say, short
from gradus.client import Client, ServerEvent
from gradus.errors import DONE, FAILED

OVER = ("FINISHED", "FAILED", "KILLED")
EVERY = 0.5  # seconds between two looks at the counts
METRICS = ("test/accuracy", "val/accuracy", "train/accuracy", "test/loss", "val/loss", "train/loss")


class Shown(Protocol):
    """What shows progress."""

    def update(self, experiment: Mapping[str, Any], latest: str) -> None: ...


def follow_experiment(client: Client, id: str, *, as_json: bool = False) -> int:
    """Show an experiment until it is over; the exit status is 1 if a run failed or was killed."""
    path = f"/v1/experiments/{id}"
    experiment = client.get(path)
    looked, latest = time.monotonic(), ""
    with _show(experiment, as_json) as shown:
        shown.update(experiment, latest)
        for event in client.events(f"{path}/events"):
            if as_json:
                _print(event)
            latest = _latest(event) or latest
            if event.kind == "end" or time.monotonic() - looked > EVERY:
                experiment, looked = client.get(path), time.monotonic()
                shown.update(experiment, latest)
        experiment = client.get(path)
        shown.update(experiment, latest)
    plan = experiment["plan"]
    if plan and not as_json:
        say(f"{plan['factor']} by {plan['metric']}: {plan['answer']}")
    lost = {name: number for name in ("FAILED", "KILLED") if (number := experiment["status"][name])}
    if lost:
        filters = "".join(f" --filter status={name}" for name in lost)
        complain(
            f"{sum(lost.values())} of {experiment['n_runs']} runs did not finish: gradus runs {short(id)}{filters}"
        )
    return FAILED if lost else DONE


def follow_run(client: Client, id: str, *, as_json: bool = False) -> int:
    """Print a run's status and metrics as they come; 1 if it failed or was killed."""
    for event in client.events(f"/v1/runs/{id}/events"):
        if as_json:
            _print(event)
        elif event.kind == "status":
            say(f"{event.data['status']}, attempt {event.data.get('attempt', '')}")
        elif event.kind == "metrics":
            values = event.data.get("values") or event.data.get("metrics") or {}
            text = "  ".join(f"{name} {number(value)}" for name, value in values.items())
            say(f"epoch {event.data.get('step', '')}: {text}")
    run = client.get(f"/v1/runs/{id}")
    if not as_json:
        say(f"{run['status']}  {run['explanation']}".rstrip())
    return DONE if run["status"] == "FINISHED" else FAILED


def _print(event: ServerEvent) -> None:
    say(json.dumps({"event": event.kind, "id": event.id, **event.data}, ensure_ascii=False))


def _latest(event: ServerEvent) -> str:
    values = event.data.get("values") or event.data.get("metrics") if event.kind == "metrics" else None
    if not values:
        return ""
    name = next((name for name in METRICS if name in values), None)
    return f"{short(event.data['run_id'])} {name} {number(values[name])}" if name else ""


class _Silent:
    def update(self, experiment: Mapping[str, Any], latest: str) -> None:
        """Events are printed instead."""


class _Lines:
    """A line whenever the counts change."""

    def __init__(self) -> None:
        self.last = ""

    def update(self, experiment: Mapping[str, Any], latest: str) -> None:
        line = f"{experiment['stage']}: {counts(experiment['status'])}"
        if line != self.last:
            say(line)
            self.last = line


class _Bar:
    """A progress bar with the number of runs in each status."""

    def __init__(self, progress: Any, experiment: Mapping[str, Any]) -> None:
        self.progress = progress
        self.task = progress.add_task(experiment["name"], total=experiment["n_runs"], what="")

    def update(self, experiment: Mapping[str, Any], latest: str) -> None:
        status = experiment["status"]
        done = sum(status[name] for name in OVER)
        parts = [f"[{STYLES[name]}]{number} {name}[/]" for name, number in status.items() if number]
        what = "  ".join([*parts, latest.replace("[", "")])
        name = experiment["name"].replace("[", "")
        stage = "" if experiment["stage"] == "grid" else f" {experiment['stage']}"
        self.progress.update(
            self.task, completed=done, total=experiment["n_runs"], what=what, description=name + stage
        )


@contextmanager
def _show(experiment: Mapping[str, Any], as_json: bool) -> Iterator[Shown]:
    if as_json or not sys.stdout.isatty():
        yield _Silent() if as_json else _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console()) as progress:
        yield _Bar(progress, experiment)
