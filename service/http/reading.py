"""What is computed from a spec that somebody sent, without HTTP or database: `service.http.bounded` runs it."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.limits import Limits
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml, plain
from experiments.spec.preview import preview
from service.analysis import design
from service.entities import Json


@dataclass(frozen=True)
class Prepared:
    """A spec that was accepted, and the runs of its first stage.

    stage: the name of that stage
    plan: the question's plan; None without a question
    """

    spec: ExperimentSpec
    points: tuple[Point, ...]
    stage: str
    plan: Json | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What submitting a spec would do, with the first stage's name and the fingerprints of its runs.

    reuse: ids of the experiments that equal runs are taken from
    """

    document: Json
    stage: str
    fingerprints: tuple[str, ...]
    reuse: tuple[str, ...]


def prepared(document: object, limits: Limits) -> Prepared:
    """A spec with the runs of its first stage. Raises SpecError."""
    spec = ExperimentSpec.parse(document, limits)
    return Prepared(spec, *design.initial_points(spec), tuple(spec.warnings()))


def previewed(document: object, limits: Limits) -> Preview:
    """What submitting a spec would do. Refuses what `prepared` refuses. Raises SpecError."""
    spec = ExperimentSpec.parse(document, limits)
    points, stage, _ = design.initial_points(spec)
    fingerprints = tuple(point.spec.fingerprint() for point in points)
    return Preview(preview(spec), stage, fingerprints, tuple(spec.reuse))


def plain_yaml(text: str) -> object:
    """The document of a text. Raises SpecError."""
    document = parse_yaml(text)
    plain(document)
    return document
