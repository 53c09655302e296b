"""Commands that show what there is to choose from: catalog, examples."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import AsJson
from gradus.errors import UsageError

Kind = Literal["activations", "optimizers", "layers", "losses", "metrics", "datasets"]


def register(app: typer.Typer) -> None:
    app.command()(catalog)
    app.command()(examples)


def catalog(
    kind: Annotated[Kind | None, typer.Argument(help="Only this kind.")] = None, as_json: AsJson = False
) -> None:
    """What a spec can choose from: activations, optimizers, layers, losses, metrics, data sets."""
    from experiments.catalog import catalog as whole_catalog

    tables = whole_catalog()
    if kind is not None:
        tables = {kind: tables[kind]}
    if as_json:
        print_json(tables)
        return
    for name, entries in tables.items():
        rows = [(entry["name"], entry["formula"], entry["reference"]) for entry in entries]
        print_table(name, ("name", "formula", "reference"), rows)


def examples(
    name: Annotated[str | None, typer.Argument(help="Print this example; `refused/…` too.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the example specs that come with the package, or print one: gradus examples xor-mlp > xor.yaml"""
    from experiments.spec.examples import examples as all_examples
    from experiments.spec.examples import summary

    texts = all_examples()
    if name is not None:
        text = texts.get(name.removesuffix(".yaml"))
        if text is None:
            raise UsageError(f"there is no example {name!r} (allowed: {', '.join(texts)})")
        say(text.rstrip("\n"))
    elif as_json:
        print_json([{"name": name, "summary": summary(text)} for name, text in texts.items()])
    else:
        print_table("", ("name", "what it shows"), [(name, summary(text)) for name, text in texts.items()])
