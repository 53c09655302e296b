"""MLflow's pages: their addresses, and views of an experiment that open ready to compare.

MLflow keeps a view that somebody shares as a tag of the experiment, `mlflow.sharedViewState.<key>`, and opens it
at `?viewStateShareKey=<key>`. Ours are such views, so nobody has to pick columns, charts and axes by hand: what
MLflow shows by itself is the metric that comes first by name. The form is that of MLflow 3.17's own interface
(`ExperimentPageUIState`); what it does not know it leaves out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

COMPARE, GROUPED, TABLE = "gradus", "gradus-grouped", "gradus-runs"
SHARED = "mlflow.sharedViewState."
_PRIMARY = "mlflow.experiment.primaryMetric.name"
_SECTION = "gradus"


@dataclass(frozen=True)
class MlflowPages:
    """Addresses below that of MLflow's server, as people reach it."""

    base: str

    def _at(self, path: str, **query: str) -> str:
        """An address that opens MLflow for model training. By itself MLflow 3 opens for language models, where runs are
        hard to find; the kind of the experiment (its tag) does not change that."""
        parameters = urlencode({**query, "workflowType": "machine_learning"})
        return f"{self.base.rstrip('/')}/#/experiments/{path}?{parameters}"

    def experiment(self, experiment_id: str) -> str:
        """The table of its runs, with what was swept and the metric. (Without `/runs` it is an overview of language models.)"""
        return self._at(f"{experiment_id}/runs", viewStateShareKey=TABLE)

    def compare(self, experiment_id: str) -> str:
        """Its runs side by side: parallel coordinates, and the metric over the epochs."""
        return self._at(f"{experiment_id}/runs", compareRunsMode="CHART", viewStateShareKey=COMPARE)

    def grouped(self, experiment_id: str) -> str:
        """The same with runs grouped by the levels of the factor."""
        return self._at(f"{experiment_id}/runs", compareRunsMode="CHART", viewStateShareKey=GROUPED)

    def run(self, experiment_id: str, run_id: str) -> str:
        return self._at(f"{experiment_id}/runs/{run_id}")

    def download(self, run_id: str, path: str) -> str:
        """A file among a run's artifacts, as a program downloads it."""
        return f"{self.base.rstrip('/')}/get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"

    def artifact(self, experiment_id: str, run_id: str, path: str) -> str:
        return self._at(f"{experiment_id}/runs/{run_id}/artifacts/{path}")


def param_name(field: str) -> str:
    """A field's name in MLflow, which allows no brackets: `model.layers[0].units` is `model.layers.0.units`.

    Whatever is written to MLflow and whatever is linked there takes its name from here.
    """
    return re.sub(r"\[(\d+)\]", r".\1", field)


def views(factors: Sequence[str], metric: str, *, chosen: str = "", lower: bool = False) -> dict[str, str]:
    """The experiment's tags that make these views.

    factors: names of the fields that vary, the one asked about first; without one nothing is grouped
    metric: what runs are sorted by and drawn
    chosen: a search by which runs are left out, such as those of a tuning stage
    lower: whether a lower value is better
    """
    factors = [param_name(factor) for factor in factors]
    epochs = _card("LINE", "epochs", metricKey=metric, selectedMetricKeys=[metric], xAxisKey="step",
                   selectedXAxisMetricKey="", lineSmoothness=0, scaleType="linear", xAxisScaleType="linear",
                   range={}, yAxisKey="metric", yAxisExpressions=[], ignoreOutliers=False,
                   useGlobalXaxisKey=True, useGlobalLineSmoothing=True)  # fmt: skip
    bars = _card("BAR", "bars", metricKey=metric, selectedMetricKeys=[metric])
    if not factors:
        alone = _state(f"{metric} of every run", [bars, epochs], [], metric, chosen, lower)
        return _tags(metric, {COMPARE: alone})
    lines = _card("PARALLEL", "parallel", displayName=f"{', '.join(factors)}: {metric}", showAllRuns=True,
                  selectedParams=list(factors), selectedMetrics=[metric])  # fmt: skip
    title = f"{metric} by {', '.join(factors)}"
    side_by_side = _state(title, [lines, epochs], factors, metric, chosen, lower)
    grouped = _state(f"{metric} by {factors[0]}", [bars, epochs], factors, metric, chosen, lower) | {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": factors[0]}],
        }
    }
    return _tags(metric, {COMPARE: side_by_side, GROUPED: grouped})


def _tags(metric: str, states: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """The views as tags. The table is the first one with every run, also those that a design does not compare."""
    shown = {**states, TABLE: states[COMPARE] | {"searchFilter": ""}}
    return {_PRIMARY: metric, **{SHARED + key: json.dumps(state) for key, state in shown.items()}}


def _card(kind: str, name: str, **more: object) -> dict[str, Any]:
    own = {"type": kind, "uuid": f"{_SECTION}-{name}", "metricSectionId": _SECTION, "runsCountToCompare": 100}
    return {**own, "deleted": False, "isGenerated": False, **more}


def _state(
    title: str, charts: Sequence[object], factors: Sequence[str], metric: str, chosen: str, lower: bool
) -> dict[str, Any]:
    section = {"uuid": _SECTION, "name": title, "display": True, "isReordered": False, "deleted": False,
               "isGenerated": False, "columns": 1, "cardHeight": 400}  # fmt: skip
    return {
        "searchFilter": chosen,
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": lower,
        "selectedColumns": [*(f"params.`{name}`" for name in factors), f"metrics.`{metric}`"],
        "compareRunCharts": list(charts),
        "compareRunSections": [section],
        "isAccordionReordered": True,  # ours stays in front of those that MLflow adds
        "runsHiddenMode": "SHOW_ALL",
    }
