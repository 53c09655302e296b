"""What the pages cost and how fast they answer: every figure that they are held to, beside its goal.

    python -m bench.pages [--runs 1000] [--watchers 30] [--without-stack]

The first table is of the server alone: runs with results from a formula, the real application in a process of this machine.
The second is of a whole stack that trains: predictions, and what a film costs. Quiet machine; a minute for each.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request

from service.http.auth import person_here
from service.settings import load_settings
from service.web import experiment as page
from service.web.view import Visit
from service.words import Words
from tests.browser.conftest import Stack, wait_until
from tests.service.scored_runs import World, serving

SPEC = """
name: many runs
dataset: {{name: digits}}
model: {{hidden: [8]}}
training: {{epochs: 5}}
sweep: {{activation: [relu, tanh], learning_rate: [0.1, 1.0], seeds: {seeds}}}
"""
FILMED = """
name: filmed
dataset: {{name: xor}}
model: {{hidden: [4], activation: tanh}}
optimizer: {{name: sgd, learning_rate: 0.1}}
training: {{epochs: 4000, batch_size: 4}}
gradient_check: off
diagnostics: {{film: {film}}}
seed: {seed}
"""
TRAINING = """
name: trained-meanwhile
dataset: {name: digits}
model: {hidden: [64, 64]}
training: {epochs: 400}
sweep: {seeds: 16}
"""
WATCHED_SECONDS = 20.0
UPDATES, PREDICTIONS, FILMS = 7, 20, 3
Row = tuple[str, str, str]
"""What was measured, the figure, the goal."""


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of a piece of work: (CPU of this process, by the clock)."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return 1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - clock)


def median(times: Sequence[tuple[float, float]]) -> str:
    cpu, clock = (statistics.median(part) for part in zip(*times, strict=True))
    return f"{cpu:.0f} ms of CPU, {clock:.0f} ms"


def server(runs: int, watchers: int) -> Iterator[Row]:
    """First paint, update, and what watching costs."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        experiment = world.submit(SPEC.format(seeds=runs // 4))
        world.work(experiment.id, most=runs - UPDATES - 1)
        quiet = world.submit(SPEC.format(seeds=1))
        settings = load_settings()
        request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
        visit = Visit(request, world.store, settings, Words("en"), person_here(request, settings))
        drawn = timed(lambda: page.figures_part(visit, experiment.id))
        yield "all figures for the first time", median([drawn]), "(none)"
        dots, figures = [], []
        for _ in range(UPDATES):
            world.work(experiment.id, most=1)
            dots.append(timed(lambda: page.state_part(visit, experiment.id)))
            figures.append(timed(lambda: page.figures_part(visit, experiment.id)))
        yield "an update of state and dots, a run having ended", median(dots), "under 50 ms"
        yield "an update of all figures, a run having ended", median(figures), "under 50 ms"
        with serving(world.store) as url:
            look = [
                timed(lambda: httpx.get(f"{url}/experiments/{experiment.id}", trust_env=False))
                for _ in range(5)
            ]
            yield f"/experiments/ID with {experiment.n_runs} runs, first paint", median(look), "under 300 ms"
            used = watched(f"{url}/experiments/{quiet.id}/live", watchers)
            yield f"{watchers} browsers watch an experiment", f"{used:.2f} of a core", "under 0.5"
        world.store.close()


def watched(address: str, watchers: int) -> float:
    """Cores that streams to so many readers take, readers included."""

    def watch() -> None:
        with httpx.stream("GET", address, trust_env=False, timeout=None) as stream:
            for _ in stream.iter_lines():
                pass

    for _ in range(watchers):
        threading.Thread(target=watch, daemon=True).start()
    time.sleep(3)
    before, at = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    time.sleep(WATCHED_SECONDS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / (time.perf_counter() - at)


def stack() -> Iterator[Row]:
    """Predictions while two workers train, and the share of training that a film costs."""
    with tempfile.TemporaryDirectory() as folder:
        running = Stack(Path(folder))
        try:
            run = running.client.get(f"/v1/experiments/{running.id}/runs", params={"limit": 1}).json()[
                "items"
            ][0]
            training = running.submit(TRAINING)
            wait_until(lambda: counts(running, training)["RUNNING"] > 0)
            address, inputs = f"/runs/{run['id']}/predict", {"inputs": [[[[0.5]] * 8] * 8]}
            times = [timed(lambda: running.client.post(address, json=inputs))[1] for _ in range(PREDICTIONS)]
            running.client.post(f"/v1/experiments/{training}/cancel")
            first, *warm = times
            yield "the first prediction", f"{first:.0f} ms", "(none)"
            said = f"{statistics.median(warm):.0f} ms, at most {max(warm):.0f} ms"
            yield f"{len(warm)} predictions while others train", said, "under 500 ms"
            seconds = {
                film: [trained(running, film, seed) for seed in range(FILMS)] for film in ("false", "true")
            }
            cost = statistics.median(seconds["true"]) / statistics.median(seconds["false"]) - 1
            yield "a film of 4,000 epochs, share of the training time", f"{100 * cost:.0f} %", "under 10 %"
        finally:
            running.end()


def trained(running: Stack, film: str, seed: int) -> float:
    """Seconds that a run trained, with a film or without."""
    id = running.submit(FILMED.format(film=film, seed=seed))
    wait_until(lambda: counts(running, id)["FINISHED"], 600)
    (run,) = running.client.get(f"/v1/experiments/{id}/runs").json()["items"]
    return float(run["metrics"]["time/train_s"])


def counts(running: Stack, id: str) -> dict[str, int]:
    status: dict[str, int] = running.client.get(f"/v1/experiments/{id}").json()["status"]
    return status


def show(title: str, rows: Iterator[Row]) -> None:
    """Print each row as soon as it is measured: on a slow machine what is there is not lost with what takes too long."""
    print(f"{title}\n{'what':<52}{'measured':<34}goal", flush=True)
    for what, measured, goal in rows:
        print(f"{what:<52}{measured:<34}{goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=30)
    parser.add_argument("--without-stack", action="store_true", help="only what the server alone costs")
    options: Any = parser.parse_args()
    show("The server alone", server(options.runs, options.watchers))
    if not options.without_stack:
        show("A whole stack", stack())


if __name__ == "__main__":
    main()
