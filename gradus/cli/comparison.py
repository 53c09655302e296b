"""Commands about which choice is better: compare, ask, extend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradus.cli.output import complain, console, print_json, say
from gradus.cli.session import DONE, FAILED, AsJson, Changes, ExperimentId, connect
from gradus.errors import UsageError
from gradus.text import counts, short_id

MORE = (
    "Further seeds: how many, or the seeds themselves, as 7,11,13 or 7..19. With a question: those of --looks, where its "
    "sweep names its seeds."
)


def register(app: typer.Typer) -> None:
    for command in (compare, ask, extend):
        app.command()(command)


def compare(
    id: ExperimentId,
    factor: Annotated[
        str | None, typer.Option(help="What is compared; default: the question's factor.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="By what; default: the question's metric.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which choice is better, by how much, and how sure: verdicts for the question that the spec fixed."""
    comparison = connect().experiment(id).compare(factor, metric)
    if as_json:
        print_json(comparison.to_json())
    else:
        console().print(comparison)


def extend(
    id: ExperimentId,
    seeds: Annotated[str | None, typer.Option(help=MORE)] = None,
    looks: Annotated[
        str | None,
        typer.Option(help="Seeds per level at further looks, once the planned ones are done: 80,160"),
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="New levels of the compared factor, separated by commas.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Further epochs: every run goes on from its checkpoint."),
    ] = None,
    reuse: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Take over equal runs of this experiment; may be given again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Queue the next planned look, further looks or levels, or further seeds or epochs. Equal runs are used again."""
    from gradus.cli.question import levels_of, seeds_of

    experiment = (
        connect()
        .experiment(id)
        .extend(
            seeds_of(seeds) if seeds else None,
            looks=_whole_numbers(looks) or (),
            levels=levels_of(levels) if levels else (),
            epochs=epochs,
            reuse=reuse or (),
        )
    )
    if as_json:
        print_json(experiment.to_json())
    else:
        say(
            f"{experiment.name} ({short_id(experiment.id)}), {experiment.stage}: {counts(experiment.status, experiment.shipping)}"
        )


def ask(
    base: Annotated[
        Path, typer.Option("--base", metavar="SPEC.yaml", help="The spec that everything else is from.")
    ],
    factor: Annotated[str, typer.Option(help="What is compared: activation, optimizer, …")],
    levels: Annotated[str, typer.Option(help="Its levels, separated by commas: sigmoid,tanh,relu")],
    tune: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW..HIGH",
            help="Tuned per level on a log scale; also NAME=V1,V2,…; may be given again.",
        ),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(min=2, help="Points of a tuned range; default: two per decade, and one."),
    ] = None,
    tune_seeds: Annotated[int, typer.Option(min=1, help="Tuning seeds per point.")] = 2,
    metric: Annotated[str, typer.Option(help="By what.")] = "test/accuracy",
    delta: Annotated[float | None, typer.Option(help="The smallest difference that counts.")] = None,
    looks: Annotated[
        str | None,
        typer.Option(help="Seeds per level at the planned looks: 5,10,20; or any: after every seed."),
    ] = None,
    control: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Compare the other levels with this one only.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Ask which level is the best.")] = False,
    over: Annotated[
        str | None, typer.Option(help="What seeds vary: seeds (one split), or splits (drawn anew for each).")
    ] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="At most so many runs.")] = None,
    changes: Changes = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch until it is decided.")] = True,
    as_json: AsJson = False,
) -> None:
    """Ask which level is better: writes the question, submits it, and watches it look by look until it is decided
    or the budget is spent."""
    from gradus.cli.question import levels_of, tuned
    from gradus.cli.submit import announce
    from gradus.cli.watch import follow_experiment
    from gradus.documents import read_spec

    document = read_spec(base, changes)
    dropped = [name for name in ("sweep", "compare") if document.get(name) is not None]
    if dropped:
        complain(f"note: {' and '.join(dropped)} of {base} left out; the question takes their place")
    experiment = connect().ask(
        document,
        factor,
        levels_of(levels),
        tune=dict(tuned(text) for text in tune or ()),
        points=points,
        tune_seeds=tune_seeds,
        metric=metric,
        delta=delta,
        looks="any" if looks == "any" else _whole_numbers(looks),
        budget=budget,
        control=control,
        best=best,
        over=over,
    )
    if not as_json:
        announce(experiment)
    if not wait:
        if as_json:
            print_json(experiment.to_json())
        return
    if as_json:
        status = FAILED if experiment.wait().unfinished else DONE
        print_json(experiment.compare().to_json())
    else:
        status = follow_experiment(experiment)
        console().print(experiment.compare())
    raise typer.Exit(status)


def _whole_numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--looks {text!r}: expected whole numbers such as 5,10,20") from error
