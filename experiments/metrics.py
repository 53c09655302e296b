"""The table of metrics beside loss and accuracy: what is measured on validation and test data where a spec asks for it.

Classes are counted in one confusion matrix per run, targets that are numbers in sums of errors per output, both inside the
compiled program; what needs every score gets every score. Everything here is computed from those in double precision, by scikit-learn's definitions and with its
conventions: a macro mean is over the classes that occur as truth or as answer, and 0/0 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

Array = npt.NDArray[Any]
Of = Literal["classes", "scores", "numbers"]


@dataclass(frozen=True)
class Errors:
    """Errors y − t of one part of the data, per output.

    count: samples; absolute, squared: Σ|e|, Σe², (outputs,); spread: Σ(t − mean t)², (outputs,)
    """

    count: int
    absolute: Array
    squared: Array
    spread: Array


@dataclass(frozen=True)
class Scores:
    """How much the outputs speak for class 1 of two, sample by sample.

    truth: whether a sample is of class 1, (samples,); score: the larger the more, (samples,)
    """

    truth: Array
    score: Array


@dataclass(frozen=True)
class Metric:
    """One metric.

    of: `classes`: `value` takes a confusion matrix (truth, answer) of counts; `scores`: it takes Scores; `numbers`: Errors
    value: a number, or one per class
    """

    name: str
    of: Of
    formula: str
    reference: str
    value: Callable[[Any], float | Array]


def _share(part: Array, whole: Array) -> Array:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole != 0)


def _right(matrix: Array) -> Array:
    return np.diagonal(matrix).astype(np.float64)


def precision_per_class(matrix: Array) -> Array:
    return _share(_right(matrix), matrix.sum(axis=0))


def recall_per_class(matrix: Array) -> Array:
    return _share(_right(matrix), matrix.sum(axis=1))


def f1_per_class(matrix: Array) -> Array:
    return _share(2 * _right(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def _macro(per_class: Callable[[Array], Array]) -> Callable[[Array], float]:
    def mean(matrix: Array) -> float:
        occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
        return float(np.mean(per_class(matrix)[occurs]))

    return mean


def balanced_accuracy(matrix: Array) -> float:
    return float(np.mean(recall_per_class(matrix)[matrix.sum(axis=1) > 0]))


def matthews(matrix: Array) -> float:
    """The correlation of truth and answer over any number of classes; 0 where one of them is constant."""
    counts = matrix.astype(np.float64)
    truth, answer, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    covariance = np.trace(counts) * total - truth @ answer
    spread = (total**2 - answer @ answer) * (total**2 - truth @ truth)
    return float(covariance / np.sqrt(spread)) if spread else 0.0


def auc(scores: Scores) -> float:
    """The area under the ROC curve by ranks, those of equal scores their mean (Mann & Whitney 1947); 1/2 where a class is
    missing, as for scores that say nothing."""
    _, inverse, counts = np.unique(scores.score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones = int(np.count_nonzero(scores.truth))
    zeros = len(ranks) - ones
    if not ones or not zeros:
        return 0.5
    return float((ranks[scores.truth.astype(bool)].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _mae(errors: Errors) -> float:
    return float(np.mean(errors.absolute / errors.count))


def _rmse(errors: Errors) -> float:
    return float(np.mean(np.sqrt(errors.squared / errors.count)))


def _r2(errors: Errors) -> float:
    """Where an output's targets are all equal: 1 if they are met, else 0."""
    flat = errors.spread == 0
    explained = 1 - errors.squared / np.where(flat, 1.0, errors.spread)
    return float(np.mean(np.where(flat, errors.squared == 0, explained)))


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric("balanced_accuracy", "classes", "mean over the classes of their recall", "Brodersen et al. 2010",
               balanced_accuracy),
        Metric("precision", "classes", "mean over classes c of right answers c / answers c", "van Rijsbergen 1979",
               _macro(precision_per_class)),
        Metric("recall", "classes", "mean over classes c of right answers c / samples of c", "van Rijsbergen 1979",
               _macro(recall_per_class)),
        Metric("f1", "classes", "mean over classes c of 2 · right answers c / (answers c + samples of c)",
               "van Rijsbergen 1979; macro mean", _macro(f1_per_class)),
        Metric("precision_per_class", "classes", "right answers c / answers c", "van Rijsbergen 1979",
               precision_per_class),
        Metric("recall_per_class", "classes", "right answers c / samples of c", "van Rijsbergen 1979",
               recall_per_class),
        Metric("f1_per_class", "classes", "2 · right answers c / (answers c + samples of c)", "van Rijsbergen 1979",
               f1_per_class),
        Metric("mcc", "classes", "(right · n - Σ samples answers) / sqrt((n² - Σ answers²)(n² - Σ samples²))",
               "Matthews 1975; Gorodkin 2004", matthews),
        Metric("auc", "scores", "share of the pairs of classes 1 and 0 in which the first has the higher score, ties half",
               "Mann & Whitney 1947; Hanley & McNeil 1982", auc),
        Metric("mae", "numbers", "mean|t - y|", "Gauss 1809", _mae),
        Metric("rmse", "numbers", "sqrt(mean((t - y)²))", "Gauss 1809", _rmse),
        Metric("r2", "numbers", "1 - Σ(t - y)² / Σ(t - mean t)²", "Wright 1921", _r2),
    )
}  # fmt: skip


def measured(names: Sequence[str], of: Array | Scores | Errors) -> dict[str, float]:
    """Name -> value of these metrics, which are all of one kind; of one per class `NAME_c` for each class c."""
    values: dict[str, float] = {}
    for name in names:
        value = METRICS[name].value(of)
        if isinstance(value, np.ndarray):
            base = name.removesuffix("_per_class")
            values |= {f"{base}_{index}": float(number) for index, number in enumerate(value)}
        else:
            values[name] = value
    return values


def measures(names: Sequence[str]) -> list[str]:
    """Those of the metrics that are one number, which runs can be compared by."""
    return [name for name in names if not name.endswith("_per_class")]


def spread(targets: Array) -> Array:
    """Σ(t − mean t)² per output. targets: (samples, outputs)"""
    exact = targets.astype(np.float64)
    return np.asarray(np.sum((exact - exact.mean(axis=0)) ** 2, axis=0))


def _known(name: str) -> str:
    if name not in METRICS:
        raise PydanticCustomError("unknown_metric", "no metric is called so", {"names": list(METRICS)})
    return name


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


MetricName = Annotated[
    str,
    Field(strict=True),
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": sorted(METRICS)}),
]
MetricNames = Annotated[tuple[MetricName, ...], Field(max_length=20), AfterValidator(_once)]
