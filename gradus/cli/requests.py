"""Commands that a worker answers: plot, predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from gradus.cli.output import complain, print_json, say
from gradus.cli.session import AsJson, RunId, connect
from gradus.errors import UsageError
from gradus.text import number, short_id


def register(app: typer.Typer) -> None:
    for command in (plot, predict):
        app.command()(command)


def plot(
    run: RunId,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; default: RUN-plots.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a run's pictures from what is stored (nothing is trained again), here and in MLflow."""
    drawn = connect().run(run)
    written = _written(drawn.plot(), out or Path(f"{short_id(drawn.id)}-plots"))
    if as_json:
        print_json(written)
    else:
        for path in written:
            say(path)


def _written(plots: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write pictures into a folder; their paths there. Raises UsageError."""
    written = []
    for path, content in plots.items():
        file = folder / PurePosixPath(path).name  # a name and nothing else: no path leaves the folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            raise UsageError(
                f"{file} cannot be written: {error.strerror}; choose another folder with --out DIR"
            ) from error
        written.append(str(file))
    return written


def predict(
    run: RunId,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Inputs, scaled as in training (MNIST: 0 to 1): .json, .csv (a sample a row), .npy or .npz.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """The outputs of a run's trained network for the inputs of a file, computed by a worker.

    Inputs are scaled as in training, and outputs are on the scale of the training targets: MNIST's pixels are byte /
    255, the diabetes data standardised on either side. `gradus catalog` has each data set's formula. For a file of your
    own, a CSV has its columns by name, and both sides are in its own units and labels.
    """
    from experiments.datasets.table import UPLOAD
    from gradus.cli.inputs import read_inputs

    asked = connect().run(run)
    named = asked.spec["dataset"]["name"] == UPLOAD
    prediction = asked.predict(read_inputs(file, named=named))
    for warning in prediction.warnings:
        complain(f"warning: {warning}")
    outputs = prediction.outputs.tolist()
    classes = None if prediction.classes is None else prediction.classes.tolist()
    if as_json:
        labels = {} if prediction.labels is None else {"labels": list(prediction.labels)}
        print_json({"outputs": outputs, "classes": classes, **labels})
        return
    for index, values in enumerate(outputs):
        shown = "  ".join(number(value) for value in (values if isinstance(values, list) else [values]))
        label = (
            prediction.labels[index] if prediction.labels else f"class {classes[index]}" if classes else ""
        )
        say(f"{index}: " + (f"{label}   {shown}" if label else shown))
