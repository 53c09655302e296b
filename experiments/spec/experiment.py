"""ExperimentSpec: what a person submits. `expand()` gives the runs."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from experiments.datasets import DatasetSpec
from experiments.errors import Problem, SpecError
from experiments.fields import LongText, Seed, ShortText, Strict
from experiments.limits import Limits
from experiments.losses import LossSpec
from experiments.messages import short, unknown
from experiments.metrics import MetricNames
from experiments.networks import ModelChoice
from experiments.optimizers import OptimizerSpec, RMSprop
from experiments.runs import Point, RunSpec
from experiments.sections import (
    DEFAULT_BACKEND,
    ArtifactsSpec,
    Backend,
    Device,
    DiagnosticsField,
    DiagnosticsSpec,
    GradientCheckField,
    GradientCheckSpec,
    Priority,
    TrainingSpec,
)
from experiments.spec.compare import Compare
from experiments.spec.documents import parse_json, parse_yaml, plain, slip
from experiments.spec.expansion import Expansion, check_equal_parameters
from experiments.spec.factors import CASE, Factor, conflicts, factors_of, sweep_factors
from experiments.spec.levels import Level, column_texts, level_label
from experiments.spec.measured import metric_problems
from experiments.spec.problems import explain
from experiments.spec.question_checks import SPLIT_SEED, question_problems, tuned_level_problems
from experiments.spec.run_builder import Builder
from experiments.spec.sweep_checks import search_problems, sweep_problems
from experiments.spec.sweeps import STRATEGIES, Sweep
from experiments.spec.swept_fields import SECTIONS, factor_name, field_path
from experiments.spec.warnings import MAX_WARNINGS, warnings_of
from experiments.spec.writes import Write

RESERVED = ("gradus.", "mlflow.")


def _tag_name(name: str) -> str:
    """A tag name that MLflow takes: it makes paths of names, each with one spelling."""
    if name.lower().startswith(RESERVED):
        raise PydanticCustomError(
            "tag_name",
            "tags whose names begin with {starts} are the service's own",
            {"starts": " or ".join(RESERVED), "allowed": "another name"},
        )
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
TagValue = Annotated[LongText, Field(max_length=2000)]


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
    metrics: MetricNames = ()
    training: TrainingSpec = TrainingSpec()
    seed: Seed = 0
    gradient_check: GradientCheckField = GradientCheckSpec()
    diagnostics: DiagnosticsField = DiagnosticsSpec()
    artifacts: ArtifactsSpec = ArtifactsSpec()
    device: Device = "auto"
    backend: Backend = DEFAULT_BACKEND
    priority: Priority = 0
    sweep: Sweep | None = None
    compare: Compare | None = None
    reuse: Annotated[tuple[ShortText, ...], Field(max_length=20)] = ()
    """Experiments whose equal runs are taken over instead of trained again, by their ids; the service looks them up."""

    _limits: Limits = PrivateAttr(default=Limits())
    _points: tuple[Point, ...] | None = PrivateAttr(default=None)

    @classmethod
    def parse(cls, data: object, limits: Limits | None = None) -> Self:
        """A spec from plain data, or from YAML or JSON text.

        Args:
            data: a mapping, or text
            limits: how large the experiment may be; None: the defaults

        Raises:
            SpecError: with every problem that was found.
        """
        if isinstance(data, str):
            text, data = data, parse_json(data) if data.lstrip().startswith("{") else parse_yaml(data)
            if not isinstance(data, dict) and (error := slip(text)) is not None:
                raise error
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
        """Every run: grid x cases x seeds, or the random draw; one point without a sweep. Axes that the question
        tunes are left out.
        """
        if self._points is None:
            self._points = self._expanded()
        return self._points

    def axes(self) -> dict[str, tuple[Level, ...]]:
        """Factor name -> its levels; `case` for the cases. Seeds are no factor."""
        return dict(self._axes)

    @cached_property
    def _axes(self) -> dict[str, tuple[Level, ...]]:
        levels = {factor.name: factor.levels() for factor in self._factors if factor.size}
        for factor in self._factors:
            if not factor.size:
                number = int if factor.whole else float
                drawn = dict.fromkeys(point.levels[factor.name] for point in self.expand())
                levels[factor.name] = tuple(Level(label, number(label)) for label in drawn)
        return levels

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What varies between the runs; seeds are no factor."""
        return tuple(self._factors)

    def tuned(self) -> dict[str, tuple[Level, ...]]:
        """The same for the fields that `compare.tune` names."""
        return dict(self._tuned_levels)

    @cached_property
    def _tuned_levels(self) -> dict[str, tuple[Level, ...]]:
        return {factor.name: factor.levels() for factor in self._tuned}

    def warnings(self) -> tuple[str, ...]:
        """What is allowed and will probably surprise, up to 50 sentences."""
        texts: dict[str, None] = {}
        for text in itertools.chain(self._question_warnings(), warnings_of(self.expand())):
            texts[text] = None
            if len(texts) == MAX_WARNINGS:
                break
        return tuple(texts)

    def _question_warnings(self) -> Iterator[str]:
        """Seeds and axes that the question decides, and a choice by a single tuning seed."""
        if self.compare is None:
            return
        if self.sweep is not None and isinstance(self.sweep.seeds, int):
            yield "sweep.seeds is left out: the looks of the question say how many seeds there are"
        if self.compare.tune is not None and self.compare.tune.seeds < 2:
            yield (
                "compare.tune.seeds is 1: one seed cannot tell a better setting from a lucky one, so the two best "
                "settings of a level are tuned on more seeds; 2 or more say so from the start"
            )
        sources = {factor.path: factor.source for factor in self._tuned}
        for axis in self._swept[0]:
            if self._is_tuned(axis):
                yield (
                    f"{axis.source} is left out of the sweep: {sources[axis.path]} chooses that field for each level,"
                    " on validation data"
                )

    def asked(self, factor: str) -> str | None:
        """The factor of the sweep that a question about `factor` compares. None where nothing varies it.

        Args:
            factor: the short name or the path of an axis, or a field that every case sets: then it is `case`
        """
        path = field_path(factor)
        for candidate in self._factors:
            if candidate.name == factor or (path and candidate.path == path):
                return candidate.name
        cases = (self.sweep.cases if self.sweep is not None else None) or {}
        by_cases = all(path in [field_path(name) for name in fields] for fields in cases.values())
        return CASE if cases and path is not None and by_cases else None

    def written_layers(self) -> tuple[str, ...]:
        """The types of the layers under `model.layers`; empty where the network is given in another form."""
        return tuple(layer.type for layer in self.model.layers or ())

    def seeds(self) -> tuple[int, ...]:
        """The seeds of the sweep in the order given, or the one of the spec."""
        return (self.sweep or Sweep()).seed_list(self.seed)

    def point(self, levels: Mapping[str, object], seed: int) -> Point:
        """One point. Factors that are not named stay at the spec's own value.

        Args:
            levels: factor (short name, path or `case`) -> level value, for a case its label
            seed: the run's seed

        Raises:
            SpecError: no such factor, case or value.
        """
        known, writes, labels = self.axes() | self.tuned(), [], {}
        for name, value in levels.items():
            if name == CASE:
                case = self._case(value, known.get(CASE, ()))
                writes += next(factor for factor in self._factors if factor.name == CASE).writes(case, 0)
                labels[CASE] = case.label
                continue
            path = field_path(name)
            if path is None:
                raise SpecError.one(name, unknown("field", name, list(known)), list(known))
            writes.append(Write(path, value, name))
            factor = factor_name(path)
            levels_known = known.get(factor, ())
            label = next((level.label for level in levels_known if level.value == value), None)
            labels[factor] = level_label(value) if label is None else label
        if self.compare is not None and self.compare.over == "splits":
            writes.append(Write(SPLIT_SEED, seed, "compare.over"))
        columns = {
            name: column_texts(known.get(name, ())).get(label, label) for name, label in labels.items()
        }
        return Point(self._builder.run(writes, seed), labels | {"seed": str(seed)}, columns)

    @staticmethod
    def _case(label: object, cases: tuple[Level, ...]) -> Level:
        case = next((level for level in cases if level.label == label), None)
        if case is None:
            raise SpecError.one("sweep.cases", unknown("case", label, [level.label for level in cases]))
        return case

    @cached_property
    def _swept(self) -> tuple[list[Factor], list[Problem]]:
        """Everything that the sweep varies, and what is wrong with it."""
        return sweep_factors(self.sweep) if self.sweep is not None else ([], [])

    @cached_property
    def _tuned(self) -> list[Factor]:
        if self.compare is None or self.compare.tune is None:
            return []
        return factors_of(self.compare.tune.axes, "compare.tune")[0]

    @cached_property
    def _factors(self) -> list[Factor]:
        """What varies between the runs: an axis whose field is also tuned belongs to tuning."""
        return [factor for factor in self._swept[0] if not self._is_tuned(factor)]

    def _is_tuned(self, factor: Factor) -> bool:
        """Whether `compare.tune` names this axis' field too. The compared factor stays, and is refused there."""
        if self.compare is None or self.compare.tune is None:
            return False
        tuned = {field_path(name) for name in self.compare.tune.axes} - {field_path(self.compare.factor)}
        return factor.path in tuned

    @cached_property
    def _builder(self) -> Builder:
        document = self.document()
        base = {name: document[name] for name in SECTIONS if document.get(name) is not None}
        base.setdefault("optimizer", {"name": self.optimizer.name})
        parsed = {name: getattr(self, name) for name in SECTIONS}
        shared = {
            name: getattr(self, name)
            for name in ("gradient_check", "diagnostics", "artifacts", "device", "metrics")
        }
        return Builder(base, parsed, shared, self._limits)

    def _expanded(self) -> tuple[Point, ...]:
        sweep, factors = self.sweep or Sweep(), self._factors
        problems = [*self._swept[1], *sweep_problems(sweep, factors, self.seed, self._limits)]
        problems = problems or conflicts(factors)
        if problems:
            raise SpecError(problems)
        draws = sweep.runs if sweep.draws else None
        seeds_swept = sweep.seeds is not None
        repeats = STRATEGIES[sweep.strategy].repeats
        points = Expansion(
            self._builder, factors, self.seeds(), seeds_swept, draws, self.seed, repeats
        ).points()
        if problems := [*metric_problems(self.metrics, points), *search_problems(sweep, factors, points)]:
            raise SpecError(problems)
        if sweep.require is not None and sweep.require.equal_parameters is not None:
            check_equal_parameters(points, sweep.require.equal_parameters)
        return points

    def _check_question(self, question: Compare) -> None:
        """Raises SpecError where the question cannot be asked of this experiment."""
        name = self.asked(question.factor)
        factor = next((factor for factor in self._factors if factor.name == name), None)
        problems = question_problems(
            question, factor, self.sweep or Sweep(), self._factors, self.expand(), self._limits
        )
        problems = problems or tuned_level_problems(self._factors, self._tuned, self._builder, self.seed)
        if problems:
            raise SpecError(problems)


__all__ = ["ExperimentSpec", "Level", "Limits", "Point", "RunSpec"]
