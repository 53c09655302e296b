"""`gradus data`: files of your own: upload, list, show, remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradus.cli.output import complain, print_json, print_table, say
from gradus.cli.session import AsJson, connect
from gradus.text import ago, number, quantity

if TYPE_CHECKING:
    from gradus.dataset import Dataset

app = typer.Typer(help="Files of your own to train on: CSV, NPZ, Parquet.", rich_markup_mode=None)
Kind = Literal["classification", "binary", "regression"]
Key = Annotated[str, typer.Argument(metavar="NAME", help="Name or digest of a file.")]
FULLEST = "▁▂▃▄▅▆▇█"


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, NPZ or Parquet file.")],
    name: Annotated[str | None, typer.Option(help="What specs call it. [the file's name]")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="What the target is. [as its values suggest]")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a file and say what is in it. What cannot be used is named by row and column."""
    dataset = connect().upload(file, name=name, target=target, kind=kind)
    if as_json:
        print_json(dataset.to_json())
    else:
        describe(dataset)


@app.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """The uploaded files, the newest first."""
    datasets = connect().datasets()
    if as_json:
        print_json([dataset.to_json() for dataset in datasets])
        return
    columns = ("name", "id", "rows", "columns", "target", "kind", "size", "uploaded")
    rows = [
        (
            dataset.name,
            dataset.id[:12],
            dataset.rows,
            len(dataset.columns),
            dataset.target,
            dataset.kind,
            quantity(dataset.size_bytes, "B"),
            ago(dataset.created_at),
        )
        for dataset in datasets
    ]
    print_table("", columns, rows, empty="no files yet; upload one: gradus data upload FILE --target COLUMN")


@app.command()
def show(name: Key, as_json: AsJson = False) -> None:
    """A file: its columns with range and distribution, and the spec that trains on it."""
    dataset = connect().dataset(name)
    if as_json:
        print_json(dataset.to_json())
    else:
        describe(dataset)


@app.command()
def rm(name: Key) -> None:
    """Remove a file that no experiment uses."""
    dataset = connect().dataset(name)
    dataset.delete()
    say(f"removed {dataset.name}")


def describe(dataset: Dataset) -> None:
    """A file for people."""
    rows = [
        (
            column.name,
            "text" if column.text else " × ".join(map(str, column.shape)) if column.shape else "number",
            "" if column.text else f"{number(column.low)} … {number(column.high)}",
            column.n_values,
            ", ".join(map(str, (column.values or [])[:4])) if column.text else bars(column.bins or []),
            "target" if column.name == dataset.target else "input" if column.usable else "left out",
        )
        for column in dataset.columns
    ]
    title = f"{dataset.name}  {dataset.id[:12]}  {dataset.rows:,} rows"
    print_table(title, ("column", "type", "range", "values", "distribution", "use"), rows)
    target = dataset.target or "COLUMN"
    say(f"in a spec: dataset: {{name: upload, id: {dataset.name}, target: {target}}}")
    for warning in dataset.warnings:
        complain(f"warning: {warning}")


def bars(bins: list[int]) -> str:
    """A distribution in one line of text."""
    most = max(bins, default=0) or 1
    return "".join(FULLEST[(len(FULLEST) - 1) * count // most] for count in bins)
