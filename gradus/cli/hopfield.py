"""`gradus hopfield`: an interconnected network on this machine, with digits as its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import AsJson
from gradus.errors import UsageError

LOADS = (0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2)


def register(app: typer.Typer) -> None:
    app.command()(hopfield)


def hopfield(
    digits: Annotated[str, typer.Option(help="The digits that are stored, one image of each.")] = "0,1",
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share of pixels turned before recall.")] = 0.15,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise and the order of updates.")] = 0,
    capacity: Annotated[
        int | None, typer.Option(min=10, max=2000, help="Measure the capacity of so many units instead.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw it as a PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store digits in a Hopfield network and recall them from noise, or measure how many patterns it holds."""
    if capacity is not None:
        _capacity(capacity, seed, picture, as_json)
        return
    chosen = [int(text) if text.strip().isdigit() else -1 for text in digits.split(",")]
    if not all(0 <= digit <= 9 for digit in chosen):
        raise UsageError(f"--digits {digits}: expected digits with commas between them, such as 0,1,7")
    _recall(chosen, noise, seed, picture, as_json)


def _recall(digits: list[int], noise: float, seed: int, picture: Path | None, as_json: bool) -> None:
    import numpy as np

    from experiments.datasets import DATASETS, Source
    from experiments.hopfield import binary, disturbed, hebbian, overlap, recall

    data = DATASETS["digits"].model_validate({"name": "digits"}).load(Source())
    patterns = binary(np.stack([data.x_train[data.y_train == digit][0] for digit in digits]))
    weights, random = hebbian(patterns), np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    states = []
    for digit, pattern in zip(digits, patterns, strict=True):
        start = disturbed(pattern, noise, random)
        result = recall(weights, start, random)
        states.append((pattern, start, result.state))
        rows.append(
            {
                "digit": digit, "overlap_before": overlap(start, pattern),
                "overlap_after": overlap(result.state, pattern), "sweeps": result.sweeps, "energies": result.energies,
            }
        )  # fmt: skip
    if picture is not None:
        from experiments.hopfield_plots import recalled

        picture.write_bytes(recalled([state.reshape(8, 8) for row in states for state in row]))
    if as_json:
        print_json(rows)
        return
    columns = ("digit", "overlap before", "overlap after", "sweeps", "energy per sweep")
    cells = [
        (
            str(row["digit"]), f"{row['overlap_before']:.2f}", f"{row['overlap_after']:.2f}", str(row["sweeps"]),
            " → ".join(f"{value:.1f}" for value in row["energies"]),
        )
        for row in rows
    ]  # fmt: skip
    print_table(f"{len(digits)} digits in 64 units, {noise:.0%} of the pixels turned", columns, cells)
    say(
        "An overlap of 1 is the stored digit. Digits look alike, so that few of them fit; random patterns: --capacity 200."
    )


def _capacity(units: int, seed: int, picture: Path | None, as_json: bool) -> None:
    from experiments.hopfield import capacity

    shares = capacity(units, LOADS, trials=3, seed=seed)
    if picture is not None:
        from experiments.hopfield_plots import held

        picture.write_bytes(held(shares, units))
    if as_json:
        print_json(
            [{"load": load, "patterns": round(load * units), "held": share} for load, share in shares.items()]
        )
        return
    cells = [(f"{load:.2f}", str(round(load * units)), f"{share:.0%}") for load, share in shares.items()]
    print_table(
        f"Random patterns that stay where they are, {units} units", ("load P/N", "patterns", "held"), cells
    )
    say(
        "For many units the share falls from nearly all to none at 0.138 (Amit, Gutfreund & Sompolinsky 1985)."
    )
