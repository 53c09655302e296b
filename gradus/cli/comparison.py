"""Commands about the answer: compare, ask, extend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gradus.addresses import path_of
from gradus.cli.output import complain, counts, number, print_json, print_table, say, short
from gradus.cli.session import AsJson, Changes, ExperimentId, connect
from gradus.errors import USAGE, CommandError

MORE = "Further seeds, where the spec fixes no question."


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
    found = connect().get(path_of("experiments", id, "comparison"), factor=factor, metric=metric)
    if as_json:
        print_json(found)
    else:
        show(found)


def show(found: Mapping[str, Any]) -> None:
    """A comparison as tables."""
    rows = [
        (
            one["level"],
            number(one["mean"]),
            _interval(one),
            number(one["sd"]),
            one["seeds"],
            f"{one['diverged']} of {one['runs']}",
        )
        for one in found["levels"]
    ]
    title = f"{found['factor']} by {found['metric']} ({found['kind']})"
    print_table(title, (found["factor"], "mean", "95 % interval", "sd over seeds", "seeds", "diverged"), rows)
    beside = [
        (
            one["level"],
            _settings(one["tuned"]) or "as in the spec",
            _counted(one["certificates"]) or "none yet",
            _counted(one["diagnoses"]) or "none",
        )
        for one in found["levels"]
    ]
    print_table("", (found["factor"], "compared at", "gradient check", "diagnoses"), beside)
    pairs = found["verdicts"] or found.get("effects", [])
    columns = ("a", "b", "a − b", "interval", "in favour of", "seeds", "a won", "verdict")
    if pairs:
        print_table("", columns, [_pair(one) for one in pairs])
    standing = found["plan"]["standing"] if found["plan"] else found["answer"]
    for sentence in (standing, *found["warnings"], found["scope"]):
        say(sentence)


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in names.items())


def _settings(tuned: Sequence[Mapping[str, str]]) -> str:
    """What a level is compared at, a setting after the other."""
    return "; ".join(", ".join(f"{name} {value}" for name, value in one.items()) for one in tuned)


def _interval(one: Mapping[str, Any]) -> str:
    return "" if one["low"] is None else f"[{number(one['low'])}, {number(one['high'])}]"


def _pair(one: Mapping[str, Any]) -> tuple[object, ...]:
    verdict = one.get("text") or one.get("note") or "no verdict: exploratory"
    return (
        one["a"],
        one["b"],
        number(one["effect"]),
        _interval(one),
        one.get("favours") or "",
        one["seeds"],
        number(one["won"]),
        verdict,
    )


def extend(
    id: ExperimentId,
    seeds: Annotated[int | None, typer.Option(min=1, help=MORE)] = None,
    as_json: AsJson = False,
) -> None:
    """Queue the next planned look, or further seeds. Equal runs are used again, never trained twice."""
    answer = connect().post(path_of("experiments", id, "extend"), {} if seeds is None else {"seeds": seeds})
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['name']} ({short(answer['id'])}), {answer['stage']}: {counts(answer['status'])}")


def ask(
    base: Annotated[
        str, typer.Option("--base", metavar="SPEC.yaml", help="The spec that everything else is from.")
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
    looks: Annotated[str | None, typer.Option(help="Seeds per level at the planned looks: 5,10,20")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="At most so many runs.")] = None,
    changes: Changes = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch until it is decided.")] = True,
    as_json: AsJson = False,
) -> None:
    """Ask which level is better: writes the question, submits it, and watches it look by look until it is decided
    or the budget is spent."""
    from pathlib import Path

    from gradus.cli.documents import read_spec
    from gradus.cli.question import with_question
    from gradus.cli.submit import announce, send
    from gradus.cli.watch import follow_experiment

    below = read_spec(Path(base), changes)
    dropped = [name for name in ("sweep", "compare") if below.get(name) is not None]
    if dropped:
        complain(f"note: {' and '.join(dropped)} of {base} left out; the question takes their place")
    document = with_question(
        below,
        factor=factor,
        levels=levels,
        tune=tune or (),
        points=points,
        tune_seeds=tune_seeds,
        question={"metric": metric, "delta": delta, "looks": _whole(looks), "budget": budget},
    )
    experiment = send(document)
    if not as_json:
        announce(experiment)
    if not wait:
        if as_json:
            print_json(experiment)
        return
    client = connect()
    status = (
        follow_experiment(client, experiment["id"], as_json=False)
        if not as_json
        else _quietly(client, experiment)
    )
    found = client.get(f"/v1/experiments/{experiment['id']}/comparison")
    if as_json:
        print_json(found)
    else:
        show(found)
    raise typer.Exit(status)


def _quietly(client: Any, experiment: Mapping[str, Any]) -> int:
    for _ in client.events(f"/v1/experiments/{experiment['id']}/events"):
        pass
    status = client.get(f"/v1/experiments/{experiment['id']}")["status"]
    return 1 if status["FAILED"] + status["KILLED"] else 0


def _whole(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise CommandError(f"--looks {text!r}: expected whole numbers such as 5,10,20", USAGE) from error
