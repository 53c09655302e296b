"""Commands that list and show: status, watch, runs, workers, open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gradus.addresses import path_of
from gradus.cli.output import ago, counts, number, print_csv, print_json, print_table, say, short
from gradus.cli.session import AsCsv, AsJson, ExperimentId, Id, connect
from gradus.errors import USAGE, CommandError

PAGING = ("limit", "cursor")  # what the address of a list has besides filters
SHOWN = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/loss")


def register(app: typer.Typer) -> None:
    for command in (status, watch, runs, workers):
        app.command()(command)
    app.command("open")(open_)


def watch(id: Id, as_json: AsJson = False) -> None:
    """Follow an experiment or a run live until it is over. Exit status 1 if a run failed or was killed."""
    from gradus.cli.watch import follow_experiment, follow_run

    client = connect()
    kind, found = client.find(id)
    follow = follow_experiment if kind == "experiments" else follow_run
    raise typer.Exit(follow(client, found["id"], as_json=as_json))


def status(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this experiment or run.")] = None,
    as_json: AsJson = False,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many experiments.")] = 20,
) -> None:
    """All experiments, the newest first; or one experiment or run in detail."""
    client = connect()
    if id is None:
        _list(list(client.items("/v1/experiments", most, {"limit": min(most, 100)})), as_json)
        return
    kind, found = client.find(id)
    if as_json:
        print_json(found)
    elif kind == "experiments":
        show(found)
    else:
        _run(found)


def _list(experiments: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(experiments)
        return
    rows = [
        (short(e["id"]), e["name"], counts(e["status"]), e["stage"], (e["plan"] or {}).get("answer"))
        for e in experiments
    ]
    ages = [ago(e["created_at"]) for e in experiments]
    table = [(*row, age) for row, age in zip(rows, ages, strict=True)]
    columns = ("id", "name", "runs", "stage", "answer", "submitted")
    print_table("", columns, table, empty="no experiments yet; submit one: gradus submit SPEC.yaml")


def show(found: Mapping[str, Any]) -> None:
    """An experiment in detail."""
    say(f"{found['name']}  {found['id']}")
    say(f"  runs      {counts(found['status'])}")
    say(f"  stage     {found['stage']}, priority {found['priority']}, submitted {ago(found['created_at'])}")
    plan = found["plan"]
    if plan:
        say(f"  question  {plan['factor']} by {plan['metric']}: {plan['answer']}")
        for stage in plan["stages"]:
            say(f"    {stage['name']:<14}{stage['ended']} of {stage['runs']} runs, {stage['state']}")
        say(f"    {plan.get('standing', '')}")  # a plan of an earlier version has none
    for name, address in found["links"].items():
        if name in ("self", "report", "mlflow", "compare"):
            say(f"  {name:<10}{address}")


def _run(found: Mapping[str, Any]) -> None:
    say(f"run {found['id']}: {found['status']}, attempt {found['attempt']}")
    if found["explanation"]:
        say(found["explanation"])
    facts = {name: number(value) for name, value in found["params"].items()}
    for name, value in sorted(found["metrics"].items()):
        facts[name] = "not a number" if value is None else number(value, 5)
    for name, value in sorted(found["tags"].items()):
        if name.startswith("gradus.diagnosis.") or name == "gradus.certificate":
            facts[name] = value
    facts |= {name: found["links"][name] for name in ("experiment", "mlflow") if name in found["links"]}
    width = max(map(len, facts))
    for name, value in facts.items():
        say(f"  {name:<{width}}  {value}")


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
    client = connect()
    params: dict[str, Any] = {}
    for text in filters or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"--filter {text!r}: expected NAME=VALUE, such as activation=relu", USAGE)
        if name in PAGING:
            raise CommandError(f"--filter {text!r}: {name} is no field of a run; every run is listed", USAGE)
        params.setdefault(name, []).append(value)
    found = list(client.items(path_of("experiments", id, "runs"), params={**params, "limit": 1000}))
    if as_json:
        print_json(found)
    elif as_csv:
        print_csv([flat(run) for run in found])
    else:
        _table(found)


def flat(run: Mapping[str, Any]) -> dict[str, object]:
    """A run as one row: its own fields, then `params.…`, `metrics.…`, `tags.…` as MLflow's search names them."""
    own = ("id", "status", "attempt", "reason", "stage", "created_at", "started_at", "ended_at")
    row: dict[str, object] = {name: run[name] for name in own}
    row["mlflow_run_id"] = run["mlflow"]["run_id"]
    params = {
        **run["params"],
        **{name: label for name, label in run["levels"].items() if name not in run["params"]},
    }
    for kind, values in (("params", params), ("metrics", run["metrics"]), ("tags", run["tags"])):
        row |= {f"{kind}.{name}": value for name, value in values.items()}
    return row


def _table(found: list[dict[str, Any]]) -> None:
    levels = list(dict.fromkeys(name for run in found for name in run["levels"]))
    metrics = [name for name in SHOWN if any(name in run["metrics"] for run in found)]
    rows = [
        (
            short(run["id"]),
            run["status"],
            *(run["levels"].get(name) for name in levels),
            *(number(run["metrics"].get(name)) for name in metrics),
            run["explanation"],
        )
        for run in found
    ]
    print_table("", ("id", "status", *levels, *metrics, "why"), rows, empty="no such runs")


def workers(as_json: AsJson = False) -> None:
    """Who is alive, on what device, doing what."""
    found = list(connect().items("/v1/workers"))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            w["name"],
            w["kind"],
            w["state"] if w["alive"] else "lost",
            w["device"],
            len(w["run_ids"]),
            ago(w["last_seen"]),
        )
        for w in found
    ]
    columns = ("name", "kind", "state", "device", "runs", "last seen")
    print_table("", columns, rows, empty="no worker has reported itself; start some: gradus up")


def open_(id: Id, as_json: AsJson = False) -> None:
    """Print the addresses of an experiment or a run: API, MLflow, report."""
    client = connect()
    kind, resource = client.find(id)
    shown = ("self", "report", "mlflow", "compare", "experiment")
    links = {name: address for name, address in resource["links"].items() if name in shown}
    if kind == "experiments":
        links = {"start page": client.url + "/", **links}
    if as_json:
        print_json(links)
        return
    for name, address in links.items():
        say(f"{name:<12}{address}")
    if "mlflow" not in links:
        say("mlflow      not there yet: it gets the run with its first results")
