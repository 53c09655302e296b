"""Commands that a worker answers: plot, predict."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradus.addresses import path_of
from gradus.cli.output import complain, number, print_json, say, short
from gradus.cli.session import AsJson, RunId, connect
from gradus.errors import FAILED, USAGE, CommandError

if TYPE_CHECKING:
    from gradus.client import Client

PATIENCE = 600.0  # seconds for a worker to answer a request


def register(app: typer.Typer) -> None:
    for command in (plot, predict):
        app.command()(command)


def plot(
    run: RunId,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; default: RUN-plots.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a run's pictures from what is stored (nothing is trained again), here and in MLflow."""
    client = connect()
    id = str(client.get(path_of("runs", run))["id"])
    result = _answered(client, f"/v1/runs/{id}/plot", {})
    written = _written(result["plots"], out or Path(f"{short(id)}-plots"))
    if as_json:
        print_json(written)
    else:
        for path in written:
            say(path)


def _written(plots: Mapping[str, str], folder: Path) -> list[str]:
    """Write pictures (base64) into a folder; their paths there. Raises CommandError."""
    written = []
    for path, content in plots.items():
        place = folder / PurePosixPath(path).name  # a name and nothing else: no path leaves the folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place.write_bytes(base64.b64decode(content))
        except OSError as error:
            raise CommandError(
                f"{place} cannot be written: {error.strerror}; choose another folder with --out DIR", USAGE
            ) from error
        written.append(str(place))
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
    255, the diabetes data standardised on either side. `gradus catalog` has each data set's formula.
    """
    from gradus.cli.inputs import batches, read_inputs

    client = connect()
    id = client.get(path_of("runs", run))["id"]
    outputs: list[Any] = []
    classes: list[int] = []
    for batch in batches(read_inputs(file)):
        result = _answered(client, f"/v1/runs/{id}/predict", {"inputs": batch})
        outputs += result["outputs"]
        classes += result.get("classes") or []
        for warning in result.get("warnings") or []:
            complain(f"warning: {warning}")
    if as_json:
        print_json({"outputs": outputs, "classes": classes or None})
        return
    for index, values in enumerate(outputs):
        shown = "  ".join(number(value) for value in (values if isinstance(values, list) else [values]))
        say(f"{index}: " + (f"class {classes[index]}   {shown}" if classes else shown))


def _answered(client: Client, path: str, body: object) -> Any:
    """The result of a request, waited for also where the service answers before a worker does."""
    work = client.post(path, body, params={"wait": 20})
    until = time.monotonic() + PATIENCE
    while work["status"] != "done":
        if time.monotonic() > until:
            raise CommandError(
                "no worker answered within ten minutes; is one alive? `gradus workers`", FAILED
            )
        work = client.get(f"/v1/requests/{work['id']}", wait=20)
    return work["result"]
