"""Commands that take a spec: submit, validate."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gradus.cli.output import complain, number, print_json, print_table, quantity, say
from gradus.cli.session import AsJson, Changes, SpecFile, connect
from gradus.errors import UNREACHABLE, CommandError

TRIES = 3


def register(app: typer.Typer) -> None:
    app.command()(submit)
    app.command()(validate)


def submit(
    spec: SpecFile,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch until every run is over; exit 1 if one failed.")
    ] = False,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Submit a spec. Prints the experiment's id and addresses."""
    from gradus.cli.documents import read_spec

    experiment = send(read_spec(spec, changes))
    if as_json and not wait:
        print_json(experiment)
    elif not as_json:
        announce(experiment)
    if wait:
        from gradus.cli.watch import follow_experiment

        raise typer.Exit(follow_experiment(connect(), experiment["id"], as_json=as_json))


def send(document: Mapping[str, Any]) -> dict[str, Any]:
    """Post a spec. Sent again where the answer was lost: its idempotency key makes that harmless."""
    client = connect()
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    for last in (*[False] * (TRIES - 1), True):
        try:
            answer: dict[str, Any] = client.post("/v1/experiments", document, headers=headers)
        except CommandError as error:
            if last or error.status != UNREACHABLE or "ConnectError" in repr(error.__cause__):
                raise
        else:
            return answer
    raise AssertionError("unreachable")


def announce(experiment: Mapping[str, Any]) -> None:
    say(f"{experiment['name']}: {experiment['n_runs']} runs accepted")
    say(f"  id       {experiment['id']}")
    for name in ("self", "report", "mlflow", "compare"):
        if name in experiment["links"]:
            say(f"  {name:<9}{experiment['links'][name]}")


def validate(spec: SpecFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """Explain a spec without a server: layer table, parameters, memory, FLOPs, number of runs, warnings."""
    from experiments.spec import ExperimentSpec
    from experiments.spec.preview import preview
    from gradus.cli.documents import read_spec

    found = preview(ExperimentSpec.parse(read_spec(spec, changes), _limits()))
    if as_json:
        print_json(found)
    else:
        explain(found)


def _limits() -> Any:
    from gradus.cli.session import settings

    return settings().limits()


def explain(found: Mapping[str, Any]) -> None:
    """A preview as tables."""
    for network in found["networks"]:
        _network(network)
    factors = " × ".join(f"{len(levels)} {name}" for name, levels in found["factors"].items())
    seeds = f"{len(found['seeds'])} seed{'s' * (len(found['seeds']) != 1)}"
    runs = f"{found['n_runs']} run{'s' * (found['n_runs'] != 1)}"
    say(
        f"{found['name']}: {runs} = {' × '.join(filter(None, (factors, seeds)))}, {found['programs']} compiled program(s)"
    )
    for name, levels in found["factors"].items():
        say(f"  {name}: {', '.join(levels)}")
    say(f"training: about {quantity(found['training_flops'], 'FLOPs')} in all")
    if found["question"] is not None:
        question = found["question"]
        looks = ", ".join(map(str, question["looks"]))
        say(
            f"question: {question['factor']} by {question['metric']}, delta {question['delta']}, at {looks} seeds;"
        )
        say(f"  at most {question['most_runs']} runs, {question['runs']['tuning']} of them for tuning")
    for warning in found["warnings"]:
        complain(f"warning: {warning}")


def _network(network: Mapping[str, Any]) -> None:
    rows: list[Sequence[object]] = [("input", _shape(network["input_shape"]), "", "", "", "")]
    rows += [
        (
            layer["name"],
            _shape(layer["output_shape"]),
            layer["parameters"],
            quantity(layer["flops"]),
            quantity(layer["memory_bytes"], "B"),
            layer["formula"],
        )
        for layer in network["layers"]
    ]
    title = f"{network['dataset']} → {network['architecture']}"
    print_table(title, ("layer", "output shape", "parameters", "FLOPs", "memory", "formula"), rows)
    trainable = (
        ""
        if network["trainable"] == network["parameters"]
        else f" ({number(network['trainable'])} trainable)"
    )
    say(
        f"parameters {number(network['parameters'])}{trainable}, {quantity(network['flops'], 'FLOPs')} forward per"
        f" sample, training memory {quantity(network['memory_bytes'], 'B')}"
    )
    if network["expected_initial_loss"] is not None:
        say(f"expected initial loss about {network['expected_initial_loss']:.3f}")
    say("")


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
