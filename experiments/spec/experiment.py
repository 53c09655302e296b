"""ExperimentSpec: what a person submits. `expand()` gives the runs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from experiments.datasets import DatasetSpec, DataShape
from experiments.errors import Problem, SpecError
from experiments.fields import LongText, Seed, ShortText, Strict
from experiments.limits import Limits
from experiments.losses import LossSpec
from experiments.networks import ModelChoice
from experiments.optimizers import OptimizerSpec, RMSprop
from experiments.runs import Point, RunSpec
from experiments.sections import (
    ArtifactsSpec,
    Device,
    DiagnosticsField,
    DiagnosticsSpec,
    GradientCheckField,
    GradientCheckSpec,
    Priority,
    TrainingSpec,
)
from experiments.spec.compare import MEASURES, Compare
from experiments.spec.documents import parse_json, parse_yaml, plain, short
from experiments.spec.expansion import (
    Expansion,
    Factor,
    conflicts,
    count,
    equal_parameters,
    factor_name,
    factors_of,
    place,
    sweep_factors,
)
from experiments.spec.problems import explain, unknown
from experiments.spec.run_builder import Builder, Write
from experiments.spec.sweeps import SECTIONS, Level, Sweep, text


def _tag_name(name: str) -> str:
    """As MLflow takes them: it makes paths of names, each with one spelling."""
    if re.fullmatch(r"[\w.\-/ :]+", name) and posixpath.normpath(name) == name and name[0] not in "/.":
        return name
    raise PydanticCustomError(
        "tag_name",
        "MLflow takes no tag of this name",
        {
            "allowed": "letters, digits and _ - . / : and spaces, not beginning with . or /, nor // or /. within"
        },
    )


Tag = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_tag_name)]
TagValue = Annotated[str, Field(max_length=2000)]


class ExperimentSpec(Strict):
    """Data set, model, loss, optimizer, training and sweep axes of one experiment.

    Make it with `parse`, which also checks shapes, outputs, the sweep and the limits.
    """

    name: ShortText
    description: LongText = ""
    tags: Annotated[dict[Tag, TagValue], Field(max_length=50)] = Field(default_factory=dict)
    dataset: DatasetSpec
    model: ModelChoice
    loss: LossSpec | None = None
    optimizer: OptimizerSpec = RMSprop()
    training: TrainingSpec = TrainingSpec()
    seed: Seed = 0
    gradient_check: GradientCheckField = GradientCheckSpec()
    diagnostics: DiagnosticsField = DiagnosticsSpec()
    artifacts: ArtifactsSpec = ArtifactsSpec()
    device: Device = "auto"
    priority: Priority = 0
    sweep: Sweep | None = None
    compare: Compare | None = None

    _limits: Limits = PrivateAttr(default=Limits())
    _points: tuple[Point, ...] | None = PrivateAttr(default=None)
    _builder_: Builder | None = PrivateAttr(default=None)

    @classmethod
    def parse(cls, data: object, limits: Limits | None = None) -> Self:
        """A spec from plain data, or from YAML or JSON text. Raises SpecError with everything that is
        wrong.
        """
        if isinstance(data, str):
            data = parse_json(data) if data.lstrip().startswith("{") else parse_yaml(data)
        if not isinstance(data, dict):
            raise SpecError.one("", f"found {short(data)}", "a mapping with name, dataset and model")
        plain(data)
        try:
            spec = cls.model_validate(data)
        except ValidationError as error:
            raise explain(error, cls) from None
        spec._limits = limits or Limits()
        spec._points = spec._expanded()
        if spec.compare is not None:
            spec._check_question(spec.compare)
        return spec

    def document(self) -> dict[str, Any]:
        """The spec as plain data, only what was given: `parse(spec.document())` is the same spec."""
        return self.model_dump(mode="json", exclude_unset=True)

    def expand(self) -> tuple[Point, ...]:
        """Every run: grid x cases x seeds, or the random draw; one point without a sweep. Of `compare` only
        counts which axes it tunes: they are left out.
        """
        if self._points is None:
            self._points = self._expanded()
        return self._points

    def axes(self) -> dict[str, tuple[Level, ...]]:
        """Factor name -> its levels; `case` for the cases. Seeds are no factor."""
        drawn = {f.name: int if f.whole else float for f in self._factors() if not f.size}
        found = {f.name: f.levels() for f in self._factors() if f.size}
        for name, number in drawn.items():
            values = dict.fromkeys(point.levels[name] for point in self.expand())
            found[name] = tuple(Level(label, number(label)) for label in values)
        return found

    def tuned(self) -> dict[str, tuple[Level, ...]]:
        """The same for the fields that `compare.tune` names."""
        if self.compare is None or self.compare.tune is None:
            return {}
        factors, _ = factors_of(self.compare.tune.axes, "compare.tune")
        return {factor.name: factor.levels() for factor in factors}

    def warnings(self) -> tuple[str, ...]:
        """What is allowed and may yet surprise: axes of the sweep that belong to tuning."""
        tuned = {} if self.compare is None or self.compare.tune is None else self.compare.tune.axes
        names = {place(name): f"compare.tune.{name}" for name in tuned}
        return tuple(
            f"{axis.source} is left out of the sweep: {names[axis.path]} chooses that field for each level,"
            " on validation data"
            for axis in self._swept()[0]
            if self._is_tuned(axis)
        )

    def asked(self, factor: str) -> str | None:
        """The factor of the sweep that a question about `factor` compares: its axis by short or full name, or `case`
        where every case sets that field. None where nothing varies it.
        """
        path = place(factor)
        for one in self._factors():
            if one.name == factor or (path and one.path == path):
                return one.name
        cases = (self.sweep.cases if self.sweep is not None else None) or {}
        by_cases = all(path in [place(name) for name in fields] for fields in cases.values())
        return "case" if cases and path is not None and by_cases else None

    def seeds(self) -> tuple[int, ...]:
        """The seeds of the sweep, or the one of the spec."""
        given = self.sweep.seeds if self.sweep is not None else None
        if given is None:
            return (self.seed,)
        return tuple(given) if isinstance(given, list) else tuple(range(self.seed, self.seed + given))

    def point(self, levels: Mapping[str, object], seed: int) -> Point:
        """One point. levels: factor (short name, path or `case`) -> level value, for a case its label.

        Factors that are not named stay at the spec's own value. Raises SpecError.
        """
        known, writes, names = self.axes() | self.tuned(), [], {}
        factors = {factor.name: factor for factor in self._factors()}
        for name, value in levels.items():
            if name == "case":
                cases = factors.get(name)
                level = next((one for one in known.get(name, ()) if one.label == value), None)
                if cases is None or level is None:
                    raise SpecError.one(
                        "sweep.cases", unknown("case", value, [one.label for one in known.get(name, ())])
                    )
                writes += cases.writes(level, 0)
                names[name] = level.label
                continue
            path = place(name)
            if path is None:
                raise SpecError.one(name, unknown("field", name, list(known)), list(known))
            writes.append(Write(path, value, name))
            factor = factor_name(path)
            names[factor] = next(
                (one.label for one in known.get(factor, ()) if one.value == value), text(value)
            )
        return Point(self._builder().run(writes, seed), names | {"seed": str(seed)})

    def _factors(self) -> list[Factor]:
        """What varies in the grid: an axis whose field is also tuned belongs to tuning."""
        return [factor for factor in self._swept()[0] if not self._is_tuned(factor)]

    def _swept(self) -> tuple[list[Factor], list[Problem]]:
        return sweep_factors(self.sweep) if self.sweep is not None else ([], [])

    def _is_tuned(self, factor: Factor) -> bool:
        """Whether `compare.tune` names this axis' field too; the compared factor stays, and is refused there."""
        if self.compare is None or self.compare.tune is None:
            return False
        tuned = {place(name) for name in self.compare.tune.axes} - {place(self.compare.factor)}
        return factor.path in tuned

    def _builder(self) -> Builder:
        if self._builder_ is None:
            document = self.document()
            base = {name: document[name] for name in SECTIONS if document.get(name) is not None}
            base.setdefault("optimizer", {"name": self.optimizer.name})
            shared = {
                name: getattr(self, name) for name in ("gradient_check", "diagnostics", "artifacts", "device")
            }
            self._builder_ = Builder(base, shared, self._limits)
        return self._builder_

    def _expanded(self) -> tuple[Point, ...]:
        sweep = self.sweep or Sweep()
        factors, problems = self._factors(), self._swept()[1]
        draws = sweep.runs if sweep.strategy == "random" else None
        if sweep.strategy == "random" and draws is None:
            problems.append(
                Problem("sweep.runs", "strategy random needs to know how many runs to draw", "a count")
            )
        if sweep.strategy == "grid" and sweep.runs is not None:
            problems.append(
                Problem("sweep.runs", "only strategy random draws a number of runs", "strategy: random")
            )
        number = (
            1 if sweep.seeds is None else (len(sweep.seeds) if isinstance(sweep.seeds, list) else sweep.seeds)
        )
        problems += self._size_problems(factors, number, draws)
        if not problems:
            problems += conflicts(factors)
        if problems:
            raise SpecError(problems)
        expansion = Expansion(
            self._builder(), factors, self.seeds(), sweep.seeds is not None, draws, self.seed
        )
        points = expansion.points()
        if sweep.require is not None and sweep.require.equal_parameters is not None:
            equal_parameters(points, sweep.require.equal_parameters)
        return points

    def _size_problems(self, factors: list[Factor], seeds: int, draws: int | None) -> list[Problem]:
        """Runs against the limit and, for a draw, against what there is to draw from; nothing is expanded."""
        whole = count([factor.size or 1 for factor in factors]) * seeds
        product = " · ".join(
            [*(f"{factor.size or 1} ({factor.name})" for factor in factors), f"{seeds} (seeds)"]
        )
        limit = self._limits.max_runs
        if draws is None:
            if whole > limit:
                return [Problem("sweep", f"{product} = {whole:,} runs", f"at most {limit:,} runs")]
            return self._seed_problems(seeds)
        if draws > limit:
            return [Problem("sweep.runs", f"{draws:,} runs", f"at most {limit:,} runs")]
        if draws > whole and all(factor.size for factor in factors):
            return [
                Problem(
                    "sweep.runs", f"{draws:,} runs to draw from {product} = {whole:,}", f"at most {whole:,}"
                )
            ]
        too_long = [factor for factor in factors if factor.size > limit]
        found = [Problem(f.source, f"{f.size:,} levels", f"at most {limit:,} levels") for f in too_long]
        return found + (
            [Problem("sweep.seeds", f"{seeds:,} seeds", f"at most {limit:,}")] if seeds > limit else []
        )

    def _seed_problems(self, seeds: int) -> list[Problem]:
        if isinstance(self.sweep and self.sweep.seeds, int) and self.seed + seeds > 2**31:
            return [Problem("sweep.seeds", f"{seeds} seeds from {self.seed} on", "seeds below 2^31")]
        given = self.sweep.seeds if self.sweep is not None else None
        if isinstance(given, list) and len(set(given)) < len(given):
            return [Problem("sweep.seeds", "a seed is given twice", "each seed once")]
        return []

    def _check_question(self, question: Compare) -> None:
        """Raises SpecError where the question cannot be asked of this experiment."""
        factors = {factor.name: factor for factor in self._factors()}
        problems: list[Problem] = []
        name = self.asked(question.factor)
        if name is None:
            problems.append(
                Problem(
                    "compare.factor",
                    f"{short(question.factor)} is not swept",
                    sorted(factors) or "an axis of the sweep, or `case`; this spec has no sweep",
                )
            )
        elif factors[name].size == 1:
            problems.append(
                Problem("compare.factor", f"{name} has one level", "a factor with two levels or more")
            )
        if self.sweep is not None and self.sweep.strategy == "random":
            problems.append(
                Problem("compare", "a random draw does not give every level the same runs", "strategy: grid")
            )
        shape = self.expand()[0].spec.data_shape
        problems += self._metric_problems(question.metric, shape)
        problems += self._tune_problems(question, list(factors.values()), shape)
        if problems:
            raise SpecError(problems)

    def _metric_problems(self, metric: str, shape: DataShape) -> list[Problem]:
        """What is no metric, or is one that some run of the sweep does not measure."""
        part, measure = metric.split("/")
        if measure not in MEASURES:
            names = [f"{part}/{name}" for name in MEASURES]
            return [Problem("compare.metric", unknown("metric", metric, names), names)]
        if part == "val" and shape.n_validation == 0:
            return [Problem("compare.metric", f"{metric}: nothing is set aside", "dataset.validation_split")]
        runs = (point.spec for point in self.expand())
        without = next((run for run in runs if measure == "accuracy" and not run.measures_accuracy), None)
        if without is not None:
            regression = without.data_shape.kind == "regression"
            what = "regression" if regression else f"the loss {without.loss.name}"
            return [Problem("compare.metric", f"{metric}: {what} has no accuracy", "test/loss, val/loss")]
        return []

    def _tune_problems(self, question: Compare, factors: list[Factor], shape: DataShape) -> list[Problem]:
        size = count([factor.size or 1 for factor in factors])
        runs, product = size * question.looks[-1], f"{size} · {question.looks[-1]} seeds"
        if question.tune is not None:
            tuned, problems = factors_of(question.tune.axes, "compare.tune")
            if not question.tune.axes:
                problems.append(
                    Problem("compare.tune", "nothing is tuned", "at least one axis, as learning_rate")
                )
            if shape.n_validation == 0:
                problems.append(
                    Problem(
                        "compare.tune",
                        "tuning needs validation data, nothing is set aside",
                        "dataset.validation_split above 0",
                    )
                )
            points = count([factor.size for factor in tuned])
            runs += size * points * question.tune.seeds
            product += f" + {size} · {points} · {question.tune.seeds} tuning"
        else:
            tuned, problems = [], []
        if runs > self._limits.max_runs:
            problems.append(
                Problem("compare", f"up to {product} = {runs:,} runs", f"at most {self._limits.max_runs:,}")
            )
        if problems:
            return problems
        problems += conflicts([*factors, *tuned])
        for factor in tuned if not problems else []:
            problems += factor.repeated()
            for index, level in enumerate(factor.levels()):
                try:
                    self._builder().run(factor.writes(level, index), self.seed)
                except SpecError as error:
                    problems += error.problems
        return problems


__all__ = ["ExperimentSpec", "Level", "Limits", "Point", "RunSpec"]
