"""Commands between Keras programs and specs: import-keras, export-keras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradus.cli.output import complain, print_json, say
from gradus.cli.session import FAILED, AsJson, Changes, SpecFile
from gradus.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command("import-keras")(import_keras)
    app.command("export-keras")(export_keras)


def import_keras(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.py", help="A Keras program; `-` reads standard input.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the spec; default: that of the file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a Keras program, of any version, into a spec. The program is never run. The spec goes to standard output, what
    was made of each line to standard error."""
    from experiments import keras_code
    from gradus.documents import program_text

    stem = "keras-code" if str(file) == "-" else file.stem
    imported = keras_code.import_keras(program_text(file), name or stem)
    if as_json:
        print_json(imported.to_json())
    else:
        say(imported.yaml.rstrip("\n"))
        for note in imported.notes:
            complain(str(note))
        for problem in imported.problems:
            complain(f"the spec cannot be run yet: {problem}")
    if imported.problems:
        raise typer.Exit(FAILED)


def export_keras(
    spec: SpecFile,
    run: Annotated[
        int, typer.Option(help="Which run of a sweep, from 0, in the order of `gradus validate --json`.")
    ] = 0,
    changes: Changes = None,
) -> None:
    """Print a program that trains a run's network with Keras and NumPy alone: same initial weights, same order of the data."""
    from experiments import keras_code
    from experiments.spec import ExperimentSpec
    from gradus.documents import read_spec

    experiment = ExperimentSpec.parse(read_spec(spec, changes))
    points = experiment.expand()
    if not 0 <= run < len(points):
        raise UsageError(f"there is no run {run} (allowed: 0 to {len(points) - 1})")
    say(keras_code.export_keras(points[run].spec, experiment.name).rstrip("\n"))
