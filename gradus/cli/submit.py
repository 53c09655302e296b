"""Commands that take a spec: submit, validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradus.cli.output import complain, print_json, print_table, say
from gradus.cli.session import AsJson, Changes, SpecFile, connect
from gradus.text import number, quantity

if TYPE_CHECKING:
    from gradus.experiment import Experiment

MOST_TRAININGS = 10
"""Kinds of training (batch size, epochs, learning rate) that `validate` shows."""


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
    from gradus.cli.watch import follow_experiment
    from gradus.documents import read_spec

    experiment = connect().submit(read_spec(spec, changes))
    if as_json and not wait:
        print_json(experiment.to_json())
    elif not as_json:
        announce(experiment)
    if wait:
        raise typer.Exit(follow_experiment(experiment, as_json=as_json))


def announce(experiment: Experiment) -> None:
    """Say what was accepted and where it is."""
    say(f"{experiment.name}: {experiment.n_runs} runs accepted")
    say(f"  id       {experiment.id}")
    for name in ("self", "report", "mlflow", "compare"):
        if name in experiment.links:
            say(f"  {name:<9}{experiment.links[name]}")
    for warning in experiment.warnings:
        complain(f"warning: {warning}")


def validate(spec: SpecFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """Explain a spec without a server: layer table, parameters, memory, FLOPs, number of runs, warnings. A spec with an
    uploaded file is explained by the service, which knows the file's columns."""
    from gradus.documents import read_spec

    document = read_spec(spec, changes)
    preview_ = connect().preview(document) if uploads(document) else _preview_here(document)
    if as_json:
        print_json(preview_)
    else:
        explain(preview_)


def uploads(document: Mapping[str, Any]) -> bool:
    """Whether a spec, or a level of its sweep, names an uploaded file."""
    sought = [document.get("dataset"), document.get("sweep")]
    while sought:
        value = sought.pop()
        if isinstance(value, Mapping):
            if value.get("name") == "upload":
                return True
            sought += value.values()
        elif isinstance(value, list):
            sought += value
    return False


def _preview_here(document: Mapping[str, Any]) -> dict[str, Any]:
    from experiments.spec import ExperimentSpec
    from experiments.spec.preview import preview
    from gradus.cli.session import settings

    return preview(ExperimentSpec.parse(document, settings().limits()))


def explain(preview_: Mapping[str, Any]) -> None:
    """A preview as tables."""
    for network in preview_["networks"]:
        _network(network)
    factors = " × ".join(f"{len(levels)} {name}" for name, levels in preview_["factors"].items())
    seeds = f"{len(preview_['seeds'])} seed{'s' * (len(preview_['seeds']) != 1)}"
    runs = f"{preview_['n_runs']} run{'s' * (preview_['n_runs'] != 1)}"
    say(
        f"{preview_['name']}: {runs} = {' × '.join(filter(None, (factors, seeds)))}, {preview_['programs']} compiled program(s)"
    )
    for name, levels in preview_["factors"].items():
        say(f"  {name}: {', '.join(levels)}")
    say(f"training: about {quantity(preview_['training_flops'], 'FLOPs')} in all")
    for training in preview_["training"][:MOST_TRAININGS]:
        _training(training)
    if preview_["question"] is not None:
        question = preview_["question"]
        looks = ", ".join(map(str, question["looks"]))
        say(
            f"question: {question['factor']} by {question['metric']}, delta {question['delta']}, at {looks} seeds;"
        )
        say(f"  at most {question['most_runs']} runs, {question['runs']['tuning']} of them for tuning")
    for warning in preview_["warnings"]:
        complain(f"warning: {warning}")


def _training(training: Mapping[str, Any]) -> None:
    """How many updates there are, and the learning rate at the first and the last."""
    rate = f"learning rate {training['first_rate']:.4g}"
    if training["schedule"] is not None:
        rate += f" at the first, {training['last_rate']:.4g} at the last ({training['schedule']})"
    say(
        f"  {training['updates_per_epoch']:,} updates an epoch, {training['updates']:,} in all"
        f" (batch_size {training['batch_size']}, epochs {training['epochs']}); {rate}"
    )


def _formula(layer: Mapping[str, Any]) -> str:
    """How the parameters come about, after the layers that it reads where that is not the one before it alone."""
    reads = f"reads {', '.join(layer['inputs'])}" if layer.get("inputs") else ""
    return "; ".join(part for part in (reads, layer["formula"]) if part)


def _network(network: Mapping[str, Any]) -> None:
    rows: list[Sequence[object]] = [("input", _shape(network["input_shape"]), "", "", "", "")]
    rows += [
        (
            layer["name"],
            _shape(layer["output_shape"]),
            layer["parameters"],
            quantity(layer["flops"]),
            quantity(layer["memory_bytes"], "B"),
            _formula(layer),
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
