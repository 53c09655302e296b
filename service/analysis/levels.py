"""What the runs of each level say beside the effects: estimates, certificates, diagnoses, warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.comparing.effects import Score
from experiments.comparing.estimates import estimate
from experiments.spec import ExperimentSpec
from service.analysis.result import CERTIFICATE, DIAGNOSIS, Level
from service.entities import Run

SEED = "seed"
EVERY_SEED = "every seed"
"""Seeds are replicates, not a factor. A comparison by seed puts all runs into this one level."""


def level_of(run: Run, factor: str) -> str | None:
    """A run's level of a factor, swept or not; None where it has no such level or parameter."""
    if factor == SEED:
        return EVERY_SEED
    if factor in run.levels:
        return run.levels[factor]
    value = run.params.get(factor)
    return None if value is None else str(value)


def levels_of(
    scores: Sequence[Score],
    names: Sequence[str],
    chance: float | None,
    used: Sequence[Run],
    factor: str,
    tuned: Mapping[str, tuple[dict[str, str], ...]],
) -> tuple[Level, ...]:
    """Each level with its estimate.

    Args:
        scores: The scores of all levels.
        names: The levels, in the order in which they are shown.
        chance: The score of a diverged run; None for a loss.
        used: The runs behind the scores.
        factor: The compared factor.
        tuned: Level to the settings it is compared at.
    """
    certificates: dict[str, Counter[str]] = {name: Counter() for name in names}
    diagnoses: dict[str, Counter[str]] = {name: Counter() for name in names}
    for run in used:
        level = level_of(run, factor) or ""
        if verdict := run.tags.get(CERTIFICATE):
            certificates[level][verdict] += 1
        if (noticed := run.kept.get("diagnoses")) is None:
            noticed = [tag.removeprefix(DIAGNOSIS) for tag in run.tags if tag.startswith(DIAGNOSIS)]
            run.kept["diagnoses"] = noticed
        if noticed:
            diagnoses[level].update(noticed)
    return tuple(
        Level(
            estimate(scores, name, chance=chance),
            tuned.get(name, ()),
            dict(certificates[name]),
            dict(diagnoses[name]),
        )
        for name in names
    )


def warnings_of(levels: Sequence[Level]) -> tuple[str, ...]:
    """What a reader must know before trusting a level's number."""
    warnings = []
    for level in levels:
        own = level.estimate
        if level.certificates.get("failed"):
            warnings.append(f"{own.level}: the gradient check failed; its numbers are not to be trusted")
        if own.diverged:
            warnings.append(f"{own.level}: {own.diverged} of {own.runs} runs diverged")
        if own.failed:
            warnings.append(f"{own.level}: {own.failed} of {own.runs} runs failed or were cancelled")
    return tuple(warnings)


def scope_of(spec: ExperimentSpec) -> str:
    """What the answer holds for (Bouthillier et al. 2021: the data are sampled too)."""
    if spec.compare is not None and spec.compare.over == "splits":
        names = ", ".join(dict.fromkeys(point.spec.dataset.title for point in spec.expand()))
        return (
            f"This holds for data like {names}: every seed draws training, validation and test data anew, beside initial "
            "weights and order. The intervals allow for training data that overlap (Nadeau & Bengio 2003)."
        )
    *others, last = dict.fromkeys(point.spec.dataset.title for point in spec.expand())
    if others:
        where = f"the data sets {', '.join(others)} and {last} and the one split of each"
    else:
        where = f"the data set {last} and the one split of it"
    return (
        f"This holds for {where} that was used. Seeds vary the initial weights and the order of the data, not which "
        "samples were drawn: another sample may order the levels differently."
    )
