"""From the spec's `compare` to a design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from experiments.comparing.confounding import confounded_pairs
from experiments.comparing.design import Design, PlannedRun
from experiments.comparing.effects import chance_level
from experiments.comparing.tuning import TuneAxis
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.sweep_checks import MAX_SEED

SPARE_FROM = 1_000_000
"""How far the further tuning seeds lie behind the first seed: no look reaches them."""


def design_of(spec: ExperimentSpec) -> Design | None:
    """The design that a spec fixes under `compare`; None where it fixes none."""
    compare = spec.compare
    if compare is None:
        return None
    factors = spec.axes()
    name = spec.asked(compare.factor) or compare.factor
    named = spec.sweep is not None and isinstance(spec.sweep.seeds, list)
    seeds: Sequence[int] = spec.seeds() if named else range(spec.seeds()[0], MAX_SEED)
    tuning_seeds = compare.tune.seeds if compare.tune is not None else 0

    def allows(run: PlannedRun) -> bool:
        try:
            spec.point(run.levels, run.seed)
        except SpecError:
            return False
        return True

    design = Design(
        factor=name,
        about=compare.factor if name == "case" else name,
        metric=compare.metric,
        delta=compare.delta,
        alpha=compare.alpha,
        looks=compare.look_seeds,
        levels={level.label: level.value for level in factors[name]},
        others={
            other: {level.label: level.value for level in levels}
            for other, levels in factors.items()
            if other != name
        },
        axes=tuple(
            TuneAxis.of(axis, [level.value for level in levels]) for axis, levels in spec.tuned().items()
        ),
        tune_seeds=tuple(seeds[:tuning_seeds]),
        fresh=seeds[tuning_seeds:],
        spare=() if named else seeds[SPARE_FROM:],
        control=compare.control,
        best=compare.best,
        anytime=isinstance(compare.looks, str),
        test_share=_test_share(spec) if compare.over == "splits" else None,
        further=len(compare.further),
        automatic=compare.planned_seeds,
        chance=chance_level(compare.metric, spec.expand()[0].spec.data_shape.classes),
        budget=compare.budget,
        allows=allows,
    )
    return replace(design, confounded=confounded_pairs(spec, design))


def _test_share(spec: ExperimentSpec) -> float:
    """The largest n_test / n_train of its runs. Validation data are not trained on, so they count as neither."""
    shapes = [point.spec.data_shape for point in spec.expand()]
    return max(shape.n_test / shape.n_train for shape in shapes)
