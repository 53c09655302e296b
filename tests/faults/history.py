"""Checks the history of runs after a storm, real or simulated: what happened to each, in order, must be one story.

A history is the status events of the database, and for a simulation also every call that was accepted. For each run:
attempts only rise, each edge starts where the one before ended, an attempt writes nothing after a newer one began, one
outcome is committed in each life (a retry or a lost spool begins another), nothing is claimed between a commit and the end
of that life, and a run whose outcome is final was committed before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from service.entities import Event
from service.lifecycle import TERMINAL, TRANSITIONS, RunStatus

Kind = Literal["status", "claim", "renew", "record", "commit", "ship"]


@dataclass(frozen=True)
class Entry:
    """One thing that was accepted. `edge`, `source` and `target` are those of a status event."""

    run: str
    kind: Kind
    attempt: int
    edge: str = ""
    source: str = ""
    target: str = ""


def of_events(events: Iterable[Event]) -> list[Entry]:
    """The status events of runs, in their order."""
    return [
        Entry(
            event.run_id,
            "status",
            int(event.data.get("attempt", 0)),
            event.data["edge"],
            event.data["from"],
            event.data["status"],
        )
        for event in events
        if event.kind == "status" and event.run_id is not None
    ]


def violations(history: Iterable[Entry], statuses: Mapping[str, str]) -> list[str]:
    """What contradicts itself.

    Args:
        history: in the order in which things happened.
        statuses: run -> status at the end.

    Returns:
        A sentence for each violation; none where the history is one story.
    """
    stories: dict[str, list[Entry]] = {run: [] for run in statuses}
    for entry in history:
        stories.setdefault(entry.run, []).append(entry)
    complaints = []
    for run, story in stories.items():
        complaints += [f"run {run}: {complaint}" for complaint in _complaints(story, statuses.get(run))]
    return complaints


def _complaints(story: list[Entry], last: str | None) -> Iterable[str]:
    status, attempt, commits = RunStatus.SCHEDULED.value, 0, 0
    edges = {(source.value, edge.value, target.value) for source, edge, target in TRANSITIONS}
    for entry in story:
        if entry.kind != "status":
            if entry.kind != "ship" and entry.attempt < attempt:
                yield f"attempt {entry.attempt} did {entry.kind} after attempt {attempt} began"
            if entry.kind == "commit":
                commits += 1
                if commits > 1:
                    yield f"{commits} outcomes were committed in one life"
            continue
        if entry.source != status:
            yield f"edge {entry.edge} starts at {entry.source}, the run was {status}"
        if (entry.source, entry.edge, entry.target) not in edges:
            yield f"there is no edge {entry.edge} from {entry.source} to {entry.target}"
        if entry.attempt < attempt:
            yield f"the attempt fell from {attempt} to {entry.attempt} at {entry.edge}"
        if entry.edge in ("claimed", "reclaimed"):
            if entry.attempt <= attempt:
                yield f"attempt {entry.attempt} was claimed after {attempt}"
            if commits:
                yield "claimed after its outcome was committed"
        if entry.edge in ("retried", "spool_lost"):
            commits = 0
        status, attempt = entry.target, max(attempt, entry.attempt)
    if last is not None and status != last:
        yield f"its events end at {status}, its row says {last}"
    if last is not None and last not in TERMINAL:
        yield f"it never ended: {last}"
