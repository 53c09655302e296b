"""What the pages cost the server: the first sight of an experiment with 1,000 runs, an update, thirty who watch.

    python -m bench.pages [RUNS] [WATCHERS]

The runs have results from a formula; the server is the real application in a process of this machine.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from starlette.requests import Request

from service.http.auth import person_here
from service.settings import load_settings
from service.store import queries
from service.web import experiment as page
from service.web.view import Visit, Words
from tests.service.scored_runs import World, serving

SPEC = """
name: many runs
dataset: {{name: digits}}
model: {{hidden: [8]}}
training: {{epochs: 5}}
sweep: {{activation: [relu, tanh], learning_rate: [0.1, 1.0], seeds: {seeds}}}
"""
WATCHED_SECONDS = 20.0


def milliseconds(work, times: int = 5) -> str:
    """The median CPU and wall time of a piece of work, in ms."""
    cpu, wall = [], []
    for _ in range(times):
        began, at = time.process_time(), time.perf_counter()
        work()
        cpu.append(1000 * (time.process_time() - began))
        wall.append(1000 * (time.perf_counter() - at))
    return f"{statistics.median(cpu):7.0f} ms CPU {statistics.median(wall):7.0f} ms"


def main() -> None:
    runs, watchers = (int(given) for given in (*sys.argv[1:], 1000, 30)[:2])
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        experiment = world.submit(SPEC.format(seeds=runs // 4))
        world.work(experiment.id)
        more = world.submit(SPEC.format(seeds=1))
        settings = load_settings()
        request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
        visit = Visit(request, world.store, settings, Words("en"), person_here(request, settings))
        print(f"{experiment.n_runs} runs, 5 epochs each")
        print("an update of the dots      ", milliseconds(lambda: page.state_part(visit, experiment.id)))
        print("an update of the figures   ", milliseconds(lambda: page.figures_part(visit, experiment.id), 2))
        print(
            "what has changed?          ",
            milliseconds(lambda: queries.latest_event(world.store, experiment_id=experiment.id)),
        )
        with serving(world.store) as url:
            first = milliseconds(lambda: httpx.get(f"{url}/experiments/{experiment.id}", trust_env=False))
            print("the page, first sight      ", first)

            def watch() -> None:
                with httpx.stream(
                    "GET", f"{url}/experiments/{more.id}/live", trust_env=False, timeout=None
                ) as stream:
                    for _ in stream.iter_lines():
                        pass

            for _ in range(watchers):
                threading.Thread(target=watch, daemon=True).start()
            time.sleep(3)
            before, at = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            time.sleep(WATCHED_SECONDS)
            after = resource.getrusage(resource.RUSAGE_SELF)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"{watchers} watch an experiment: {used / (time.perf_counter() - at):.2f} of a core (clients included)"
            )
        world.store.close()


if __name__ == "__main__":
    main()
