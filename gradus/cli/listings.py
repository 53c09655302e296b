"""Commands that list and show: status, runs, workers, open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradus.cli.output import print_csv, print_json, print_table, say
from gradus.cli.session import AsCsv, AsJson, ExperimentId, Id, connect
from gradus.errors import UsageError
from gradus.text import ago, counts, number, short_id

if TYPE_CHECKING:
    from gradus.experiment import Experiment
    from gradus.runs import Run

PAGING = ("limit", "cursor")  # what the address of a list has besides filters


def register(app: typer.Typer) -> None:
    for command in (status, runs, workers):
        app.command()(command)
    app.command("open")(open_)


def status(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this experiment or run.")] = None,
    as_json: AsJson = False,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many experiments.")] = 20,
) -> None:
    """All experiments, the newest first; or one experiment or run in detail."""
    from gradus.experiment import Experiment

    client = connect()
    if id is None:
        _list(list(client.experiments(most=most)), as_json)
        return
    owner = client.find(id)
    if as_json:
        print_json(owner.to_json())
    elif isinstance(owner, Experiment):
        show(owner)
    else:
        _show_run(owner)


def _list(experiments: list[Experiment], as_json: bool) -> None:
    if as_json:
        print_json([experiment.to_json() for experiment in experiments])
        return
    rows = [
        (
            short_id(experiment.id),
            experiment.name,
            counts(experiment.status, experiment.shipping),
            experiment.stage,
            answering.answer if (answering := experiment.plan or experiment.search) else None,
            ago(experiment.created_at),
        )
        for experiment in experiments
    ]
    columns = ("id", "name", "runs", "stage", "answer", "submitted")
    print_table("", columns, rows, empty="no experiments yet; submit one: gradus submit SPEC.yaml")


def show(experiment: Experiment) -> None:
    """An experiment in detail."""
    say(f"{experiment.name}  {experiment.id}")
    say(f"  runs      {counts(experiment.status, experiment.shipping)}")
    submitted = ago(experiment.created_at)
    say(f"  stage     {experiment.stage}, priority {experiment.priority}, submitted {submitted}")
    if plan := experiment.plan:
        say(f"  question  {plan.factor} by {plan.metric}: {plan.answer}")
        for stage in plan.stages:
            say(f"    {stage.name:<14}{stage.ended} of {stage.runs} runs, {stage.state}")
        say(f"    {plan.standing}")
    if search := experiment.search:
        say(f"  search    {search.strategy} by {search.metric}: {search.answer}")
        for stage in search.stages:
            say(f"    {stage.name:<14}{stage.ended} of {stage.runs} runs, {stage.state}")
        say(f"    {search.standing}")
    for name, address in experiment.links.items():
        if name in ("self", "report", "mlflow", "compare"):
            say(f"  {name:<10}{address}")


def _show_run(run: Run) -> None:
    say(f"run {run.id}: {run.status}{f' ({run.substatus})' if run.substatus else ''}, attempt {run.attempt}")
    if run.explanation:
        say(run.explanation)
    facts = {name: number(value) for name, value in run.params.items()}
    for name, value in sorted(run.latest.items()):
        facts[name] = "not a number" if value is None else number(value, 5)
    for name, tag in sorted(run.tags.items()):
        if name.startswith("gradus.diagnosis.") or name == "gradus.certificate":
            facts[name] = tag
    facts |= {name: run.links[name] for name in ("experiment", "mlflow") if name in run.links}
    width = max(map(len, facts))
    for name, fact in facts.items():
        say(f"  {name:<{width}}  {fact}")


def runs(
    id: ExperimentId,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", metavar="NAME=VALUE", help="status=FAILED, activation=relu, …; may be given again."
        ),
    ] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The runs of an experiment with their parameters and latest metrics."""
    params: dict[str, Any] = {}
    for text in filters or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--filter {text!r}: expected NAME=VALUE, such as activation=relu")
        if name in PAGING:
            raise UsageError(f"--filter {text!r}: {name} is no field of a run; every run is listed")
        params.setdefault(name, []).append(value)
    listed = connect().experiment(id).runs(params)
    if as_json:
        print_json([run.to_json() for run in listed])
    elif as_csv:
        print_csv([run.row() for run in listed])
    else:
        print_table("", *listed.table(), empty="no such runs")


def workers(as_json: AsJson = False) -> None:
    """Who is alive, on what device, doing what."""
    listed = connect().workers()
    if as_json:
        print_json([worker.model_dump(mode="json") for worker in listed])
        return
    rows = [
        (
            worker.name,
            worker.kind,
            worker.state if worker.alive else "lost",
            worker.device,
            worker.backend if worker.kind == "train" else "",
            len(worker.run_ids),
            ago(worker.last_seen),
        )
        for worker in listed
    ]
    columns = ("name", "kind", "state", "device", "backend", "runs", "last seen")
    print_table("", columns, rows, empty="no worker has reported itself; start some: gradus up")


def open_(id: Id, as_json: AsJson = False) -> None:
    """Print the addresses of an experiment or a run: API, MLflow, report."""
    from gradus.experiment import Experiment

    client = connect()
    owner = client.find(id)
    shown = ("self", "report", "mlflow", "compare", "experiment")
    links = {name: address for name, address in owner.links.items() if name in shown}
    if isinstance(owner, Experiment):
        links = {"start page": client.url + "/", **links}
    if as_json:
        print_json(links)
        return
    for name, address in links.items():
        say(f"{name:<12}{address}")
    if "mlflow" not in links:
        say("mlflow      not there yet: it gets the run with its first results")
