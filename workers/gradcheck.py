"""`python -m workers.gradcheck SPEC… [--inject FAULT] [--json]`: the gradient check of specs, for a person.

A network is checked on the backend that its spec names. All specs of a backend are checked by one process, and a program
that several of them have is checked once.

Exit status: 0 certified; 1 failed, refused or not assessed, with the reason; 2 wrong use.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.errors import GradusError, SpecError
from experiments.gradient_check.certificates import (
    GradientReport,
    StateReport,
    certificate_key,
)
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from service.words import Words

WIDTH = 100
"""Columns of the tables where the output is no terminal."""
EPSILON = 2.0**-52
EXTRAS = {"tensorflow": "train", "jax": "train-jax"}
COLOURS = {"certified": "green", "failed": "red", "refused": "yellow", "not assessed": "yellow"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Instead of those the process was given.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    errors, console = Console(stderr=True), Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    programs: dict[str, list[RunSpec]] = {}
    for spec in options.specs:
        try:
            programs[spec] = _programs(Path(spec), options)
        except (OSError, SpecError) as error:
            errors.print(f"[red]{spec}[/red]: {error}", highlight=False)
            return 2
    backends = sorted({_backend(run) for runs in programs.values() for run in runs}, reverse=True)
    if options.backends:
        return _compare(programs, options, errors, console)
    if len(backends) > 1:
        return _each_in_its_process(backends, sys.argv[1:] if arguments is None else arguments, options.json)
    (backend,) = backends
    if importlib.util.find_spec(backend) is None:
        remedy = f"pip install 'gradus[{EXTRAS[backend]}]'"
        errors.print(f"the spec's backend, {backend}, is not installed: {remedy}", markup=False)
        return 2
    os.environ["KERAS_BACKEND"] = backend  # Keras reads it once, when it is imported
    verdicts: dict[str, str] = {}
    for spec, runs in programs.items():
        if len(options.specs) > 1 and not options.json:
            console.rule(f"[bold]{spec}[/bold]", align="left")
        if len(runs) > 1 and not options.json:
            errors.print(f"{len(runs)} programs in this spec; --first checks only the first", highlight=False)
        for run in runs[:1] if options.first else runs:
            key = certificate_key(run, "cpu", backend)
            if key in verdicts:
                errors.print(f"{run.architecture}: as above, {verdicts[key]}", highlight=False)
                continue
            try:
                report = _check(run, options.inject)
            except GradusError as error:
                errors.print(f"[red]{error}[/red]", highlight=False)
                return 2
            if options.json:
                print(report.model_dump_json(indent=1))
            else:
                show(run, report, console)
            if options.picture:
                _picture(run, Path(options.picture))
            verdicts[key] = report.verdict
    return 0 if all(verdict == "certified" for verdict in verdicts.values()) else 1


def _backend(run: RunSpec) -> str:
    """The backend that checks a run. `auto` is TensorFlow, as on a worker with a CPU, where it is installed."""
    if run.backend != "auto":
        return run.backend
    return "tensorflow" if importlib.util.find_spec("tensorflow") is not None else "jax"


def _each_in_its_process(backends: Sequence[str], arguments: Sequence[str], as_json: bool) -> int:
    """Check the programs of every backend in a process of its own, since Keras has one backend in each; the worst
    exit status."""
    statuses = []
    for backend in backends:
        if not as_json:
            print(f"on {backend}:", flush=True)
        command = [sys.executable, "-m", "workers.gradcheck", *arguments, "--only-backend", backend]
        statuses.append(subprocess.run(command, check=False).returncode)
    return max(statuses)


def _compare(
    programs: Mapping[str, Sequence[RunSpec]], options: argparse.Namespace, errors: Console, console: Console
) -> int:
    """Compare the backends on every program, whatever backend its spec names; the exit status."""
    equal = True
    for spec, runs in programs.items():
        if len(programs) > 1 and not options.json:
            console.rule(f"[bold]{spec}[/bold]", align="left")
        networks: dict[str, RunSpec] = {}
        for run in runs:
            networks.setdefault(_key(run), run)
        for run in list(networks.values())[: 1 if options.first else None]:
            try:
                equal &= _compare_backends(run, console, as_json=options.json)
            except GradusError as error:
                errors.print(f"[red]{error}[/red]", highlight=False, markup=True)
                return 2
    return 0 if equal else 1


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what libraries print on standard error while they load; print it where loading fails.

    No setting of TensorFlow 2.21 silences all of it.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            output.seek(0)
            os.write(before, output.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradus gradcheck", description="Check a network's gradient.")
    parser.add_argument("specs", metavar="SPEC", nargs="+", help="spec files, YAML or JSON")
    parser.add_argument("--inject", metavar="FAULT", help="put a fault into the gradient and see it caught")
    parser.add_argument(
        "--mode", choices=("sampled", "full"), help="instead of the spec's gradient_check.mode"
    )
    parser.add_argument("--step", type=float, metavar="H", help="instead of the spec's gradient_check.step")
    parser.add_argument(
        "--backends",
        action="store_true",
        help="compare TensorFlow, JAX and NumPy by hand in place of the check",
    )
    parser.add_argument("--only-backend", help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help="of each sweep, only the first program")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the error over h in both precisions")
    return parser


def _programs(path: Path, options: argparse.Namespace) -> list[RunSpec]:
    """One run per distinct network, loss, data set and backend of the spec. Raises OSError, SpecError."""
    document = parse_yaml(path.read_text(encoding="utf-8"))
    if isinstance(document, dict) and (options.mode or options.step):
        given = document.get("gradient_check") or {}
        given = {"mode": given} if isinstance(given, str) else dict(given)
        given |= {k: v for k, v in (("mode", options.mode), ("step", options.step)) if v is not None}
        document = {**document, "gradient_check": given}
    programs: dict[tuple[str, str], RunSpec] = {}
    for point in ExperimentSpec.parse(document).expand():
        if options.only_backend in (None, _backend(point.spec)):
            programs.setdefault((_backend(point.spec), _key(point.spec)), point.spec)
    return list(programs.values())


def _key(run: RunSpec) -> str:
    return "\0".join(part.canonical for part in (run.dataset, run.model, run.loss))


def _check(run: RunSpec, fault: str | None) -> GradientReport:
    with _quiet_stderr():  # TensorFlow is loaded only once the spec is known to be right
        from experiments.gradient_check.check import check
    from service.settings import get_settings
    from workers.training.sources import source

    return check(run, source(get_settings()), inject_fault=fault)


def _compare_backends(run: RunSpec, console: Console, *, as_json: bool) -> bool:
    """Print how far the backends are apart; whether they agree."""
    from experiments.gradient_check.across_backends import GRADIENT_BOUND, WEIGHTS_BOUND, compare_backends
    from service.settings import WORKER_BACKENDS, get_settings

    report = compare_backends(run, WORKER_BACKENDS, get_settings().data_dir)
    if as_json:
        print(report.model_dump_json(indent=1))
        return report.equal
    table = Table(
        title=f"{run.architecture}, {run.loss.name}, {run.dataset.name}", title_justify="left", box=None
    )
    for column in (f"against {report.backends[0]}", "gradient", f"weights after {report.samples:,} samples"):
        table.add_column(column)
    for name, error in report.gradient.items():
        table.add_row(name, f"{error:.1e}", f"{report.weights[name]:.1e}" if name in report.weights else "")
    console.print(table)
    bounds = (
        f"bounds: gradient {GRADIENT_BOUND:g} of the largest derivative, weights {WEIGHTS_BOUND:g}; float64"
    )
    verdict = "[green]equal[/green]" if report.equal else "[red]not equal[/red]"
    console.print(f"{verdict} ({bounds})", highlight=False)
    return report.equal


def _picture(run: RunSpec, path: Path) -> None:
    from experiments.gradient_check.step_study import picture
    from service.settings import get_settings
    from workers.training.sources import source

    path.write_bytes(picture(run, source(get_settings())))


def show(run: RunSpec, report: GradientReport, console: Console) -> None:
    """Print the report as a table per state, the verdict and its figures."""
    colour = COLOURS[report.verdict]
    console.print(
        f"[bold]{run.architecture}[/bold]  {run.model.activation}, {run.loss.name}, {run.dataset.name}"
    )
    if report.injected:
        console.print(f"[red]fault injected: {report.injected}[/red]")
    for state in report.states:
        console.print(_table(state))
    console.print(f"[bold {colour}]{report.verdict}[/bold {colour}]: {report.reason}", highlight=False)
    if report.verdict in ("refused", "not assessed"):
        console.print(Words("en")(f"certificate_means.{report.verdict}"), highlight=False)
    if report.states:
        console.print(_figures(report), highlight=False)


def _table(state: StateReport) -> Table:
    slope = state.slope_note if state.slope is None else f"Taylor slope {state.slope:.3f}"
    table = Table(
        title=f"{state.name}: loss {state.loss:.4g}; {slope}",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("tensor", overflow="ellipsis", no_wrap=True, max_width=30)
    for name in ("assessed", "flat", "kinks", "small", "median", "largest", "by hand"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for tensor in state.tensors:
        colour = {"passed": "green", "failed": "red", "not assessed": "yellow"}[tensor.status]
        name = f"{tensor.name} {'×'.join(map(str, tensor.shape))}"
        counts = (
            f"{tensor.assessed} of {tensor.checked}", tensor.flat, tensor.discarded, tensor.not_assessable
        )  # fmt: skip
        errors = (_error(tensor.median), _error(tensor.max), _number(tensor.by_hand))
        table.add_row(
            f"penalty: {name}" if tensor.part == "penalty" else name, *map(str, counts), *errors,
            f"[{colour}]{tensor.status}[/{colour}]",
        )  # fmt: skip
    return table


def _error(value: float | None) -> str:
    """A relative error. 0 says that the difference is within what rounding allows, not that there is none."""
    return "rounding" if value == 0 else _number(value)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.1e}"


def _figures(report: GradientReport) -> str:
    parts = [
        f"{report.points} points, h = {report.step:g}, {report.dtype}",
        f"discarded at kinks {report.discarded:.1%}, too small to judge {report.not_assessable:.1%}",
    ]
    if report.by_hand is not None:
        parts.append(f"by hand: off by {report.by_hand:.1e}")
    largest = max(max(1.0, abs(state.loss)) for state in report.states)
    allowance = 4 * EPSILON * largest / report.step
    parts.append(f"rounding: |autodiff − quotient| within 4ε·max(1, |loss|)/h, at most {allowance:.0e}")
    if report.engine is not None:
        parts.append(f"engine in float32, {report.engine.width} lanes: off by {report.engine.error:.1e}")
    return "; ".join([*parts, f"{report.seconds:.1f} s"])


if __name__ == "__main__":
    sys.exit(main())
