"""From the spec's `compare` to a design."""

from __future__ import annotations

from dataclasses import replace

from experiments.comparing.confounding import confounded_pairs
from experiments.comparing.design import Design, PlannedRun
from experiments.comparing.effects import chance_level
from experiments.comparing.tuning import TuneAxis
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec


def design_of(spec: ExperimentSpec) -> Design | None:
    """The design that a spec fixes under `compare`; None where it fixes none."""
    compare = spec.compare
    if compare is None:
        return None
    factors = spec.axes()
    name = spec.asked(compare.factor) or compare.factor
    start = spec.seeds()[0]
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
        looks=tuple(compare.looks),
        levels={level.label: level.value for level in factors[name]},
        others={
            other: {level.label: level.value for level in levels}
            for other, levels in factors.items()
            if other != name
        },
        axes=tuple(
            TuneAxis.of(axis, [level.value for level in levels]) for axis, levels in spec.tuned().items()
        ),
        tune_seeds=tuple(range(start, start + tuning_seeds)),
        first_seed=start + tuning_seeds,
        chance=chance_level(compare.metric, spec.expand()[0].spec.data_shape.classes),
        budget=compare.budget,
        allows=allows,
    )
    return replace(design, confounded=confounded_pairs(spec, design))
