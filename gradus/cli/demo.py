"""`make demo`: a whole question on this machine, from a spec file to its verdicts.

    python -m gradus.cli.demo [--exit] [SPEC.yaml]

Starts the embedded stack on the home folder, or uses the one that runs there; submits the spec; shows stage by
stage how many runs are in which status; prints the comparison, its verdicts and where to look at it; and stays
up until Ctrl-C. Where MNIST cannot be had it says so and runs on `digits`, which scikit-learn brings along.

Exit status: 0 done, 1 a run failed or the stack does not start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.datasets import Source
from experiments.datasets.files import locate
from experiments.datasets.mnist import FILE
from experiments.errors import DataError, GradusError
from gradus.cli.output import complain, print_table, say
from gradus.client import Client
from gradus.documents import read_spec
from gradus.experiment import Experiment
from gradus.settings import local_address
from gradus.text import number
from service.embedded.ports import http_answers, is_free
from service.embedded.supervisor import GuardedProcess, Program, StackError
from service.settings import Settings, child_environment, load_settings

SPEC = Path(str(files("experiments"))) / "examples" / "activations.yaml"
START_WITHIN = 300.0  # seconds
DOWNLOAD_WITHIN = 180.0  # seconds
POLL = 0.5  # seconds
METRIC = "test/accuracy"
Json = dict[str, Any]


@contextlib.contextmanager
def stack(settings: Settings) -> Iterator[str]:
    """The address of a running stack: the one of this home, or one that ends with this block.

    Raises:
        StackError: it does not come up; the end of what it said is in the message.
    """
    address = local_address(settings.home)
    if address and http_answers(f"{address}/livez"):
        say(f"Using the stack that is up on {settings.home}.")
        yield address
        return
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / "stack.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "service.embedded.stack", "--home", str(settings.home)]
    for option, port in (("--port", settings.api_port), ("--mlflow-port", 5642)):
        command += [option, str(port if is_free(port) else 0)]
    say("Starting broker, database, MLflow, API and workers …")
    alive_read, alive_write = os.pipe()
    program = Program("stack", command, child_environment(settings, {}), stage=0, ready=lambda: True)
    running = GuardedProcess(program, alive_read, log, Path.cwd())
    try:
        yield _address_when_up(settings.home, running, log)
    finally:
        running.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(timeout=60)
        os.close(alive_write)  # whatever is left ends now
        os.close(alive_read)


def _address_when_up(home: Path, running: GuardedProcess, log: Path) -> str:
    deadline = time.monotonic() + START_WITHIN
    while running.ended() is None and time.monotonic() < deadline:
        address = local_address(home)
        if address and http_answers(f"{address}/livez"):
            return address
        time.sleep(POLL)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise StackError(f"the stack does not come up:\n{end}")


def with_data(document: Json, settings: Settings) -> Json:
    """The spec as it can be run here: on MNIST, or said plainly, on digits."""
    if document["dataset"]["name"] != "mnist":
        return document
    try:
        say(f"MNIST: {_mnist(settings)}")
    except DataError as error:
        say(f"MNIST is not to be had, so this demo runs on `digits` (1,797 images of 8 x 8) instead: {error}")
        return {**document, "name": f"{document['name']}-digits-instead", "dataset": {"name": "digits"}}
    return document


def _mnist(settings: Settings) -> Path:
    """Where the file is, once Keras has downloaded it where no folder has it. Raises DataError."""
    with contextlib.suppress(DataError):
        return locate(FILE, Source(data_dir=settings.data_dir, download=None))
    say("MNIST is in neither GRADUS_DATA_DIR nor Keras' cache: asking Keras to download it …")
    fetch = "from experiments.datasets.mnist import FILE; from workers.training.sources import download; download(FILE)"
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-c", fetch], timeout=DOWNLOAD_WITHIN, capture_output=True, check=False
        )
    return locate(FILE, Source(data_dir=settings.data_dir, download=None))


def show(experiment: Experiment) -> None:
    """The comparison as tables: every cell's test accuracy, and what may be said of the question."""
    cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
    for run in experiment.runs():
        value = run.latest.get(METRIC)
        if value is None:
            continue
        cell = cells[run.levels.get("activation", ""), run.levels.get("optimizer", "")]
        if run.stage.startswith("tune"):
            cell.tuning.append(value)
        else:
            cell.compared.append(value)
            cell.rates.add(run.levels.get("learning_rate", ""))
    rows: list[Sequence[object]] = [
        (
            *names,
            spread(cell.tuning),
            ", ".join(sorted(cell.rates)),
            spread(cell.compared),
            len(cell.compared),
        )
        for names, cell in cells.items()
    ]
    columns = ("activation", "optimizer", "over all rates tried", "its best rate", "fresh seeds", "runs")
    print_table("Test accuracy, mean ± standard deviation", columns, rows)
    comparison = experiment.compare()
    rows = [
        (f"{v.a} − {v.b}", number(v.effect), number(v.low), number(v.high), v.text)
        for v in comparison.verdicts
    ]
    title = f"{comparison.factor} by {comparison.metric}: which is better?"
    print_table(title, ("difference", "mean", "from", "to", "what may be said"), rows)


@dataclass
class Cell:
    """Test accuracies of one activation under one optimizer: while its rate was tuned, and on fresh seeds."""

    tuning: list[float] = field(default_factory=list)
    compared: list[float] = field(default_factory=list)
    rates: set[str] = field(default_factory=set)


def spread(values: Sequence[float]) -> str:
    """`0.941 ± 0.003`; the standard deviation needs two values, the mean one."""
    if not values:
        return "–"
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


def addresses(experiment: Experiment, url: str) -> None:
    say("")
    say(f"  the runs in MLflow   {experiment.links.get('mlflow')}")
    say(f"  side by side         {experiment.links.get('compare')}")
    say(f"  the report           {experiment.links['report']}")
    say(f"  the API              {url}/docs")


def demo(spec: Path, *, leave: bool) -> int:
    settings = load_settings()
    settings = settings.model_copy(update={"home": settings.home.absolute()})
    document = with_data(read_spec(spec), settings)
    with stack(settings) as url:
        experiment = Client(url).submit(document)
        say(f"{experiment.name}: {experiment.n_runs} runs")
        experiment.wait(progress=True)
        show(experiment)
        addresses(experiment, url)
        failed = experiment.status.get("FAILED", 0)
        if failed:
            complain(f"{failed} runs failed: gradus status {experiment.id[:8]} says why")
        if not leave:
            say(f"\nCtrl-C ends it. Everything stays in {settings.home}; `gradus up` continues there.")
            signal.pause()
        return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gradus.cli.demo", description="A whole question, here and now."
    )
    parser.add_argument("spec", nargs="?", type=Path, default=SPEC)
    parser.add_argument("--exit", action="store_true", help="end after printing the verdicts")
    options = parser.parse_args(arguments)
    try:
        return demo(options.spec, leave=options.exit)
    except KeyboardInterrupt:
        say("")
        return 0
    except GradusError as error:
        complain(f"demo: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
