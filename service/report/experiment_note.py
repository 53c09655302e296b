"""What MLflow's page of an experiment says: the answer as markdown, links, views, and which run is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from experiments.comparing.design import question_of
from experiments.comparing.effects import lower_is_better
from experiments.comparing.statistics import number
from experiments.errors import GradusError
from service.analysis.comparison import compare_runs
from service.analysis.final_artifacts import ranking
from service.analysis.result import Comparison, finite, signed
from service.entities import Experiment, Run
from service.lifecycle import RunStatus
from service.report import page as report
from service.settings import Settings
from service.store import Store, queries
from service.tracking.records import REPORT, ExperimentNote
from service.tracking.urls import GROUPED, SHARED, MlflowPages, views

log = structlog.get_logger(__name__)
COMPARED = "tags.`gradus.stage` LIKE 'look-%'"
"""MLflow's search for the runs that a question compares, without those that only tuned it."""


def describe_experiment(store: Store, settings: Settings, experiment: Experiment) -> ExperimentNote:
    """The experiment as MLflow is to show it: the answer so far, then a person's own description.

    The best run is that with the best validation metric (`keepsakes.ranking`), so that the test data did
    not choose it.
    """
    runs = queries.all_runs(store, experiment.id)
    try:
        shown = _views(experiment, runs)
        if experiment.design is None and not (runs and experiment.is_over):
            return ExperimentNote(experiment.description, shown)
        found = compare_runs(experiment, runs)
    except GradusError as error:  # an old spec that is no longer read: its runs are carried all the same
        log.warning("no comparison for MLflow's description", experiment=experiment.id, error=str(error))
        return ExperimentNote(experiment.description)
    over = experiment.is_over and (experiment.design is None or experiment.design["wait"] != "running")
    ranked = ranking(run for run in runs if run.status == RunStatus.FINISHED) if over else []
    best = ranked[0] if ranked else None
    page = report.whole(store, found, settings) if best is not None else ""
    return ExperimentNote(markdown(found, _links(experiment, best, shown, settings)), shown, best, page)


def _links(
    experiment: Experiment, best: Run | None, shown: Mapping[str, str], settings: Settings
) -> dict[str, str]:
    base, there = settings.url.rstrip("/"), experiment.mlflow_experiment_id
    links = {"report": f"{base}/experiments/{experiment.id}/report", "Gradus": f"{base}/#{experiment.id}"}
    if there is not None:
        pages = MlflowPages(settings.public_mlflow_url)
        links["runs side by side"] = pages.compare(there)
        if SHARED + GROUPED in shown:
            links["runs by level"] = pages.grouped(there)
        if best is not None and best.mlflow_run_id is not None:
            links["report kept here"] = pages.artifact(there, best.mlflow_run_id, REPORT)
    return links


def _views(experiment: Experiment, runs: Sequence[Run]) -> dict[str, str]:
    """The tags of MLflow's views. Raises SpecError where the spec is no longer read."""
    if not runs:
        return {}
    spec = experiment.experiment_spec
    factors, question = [*spec.axes(), *spec.tuned()], question_of(spec)
    if question is None:
        metric = "test/accuracy" if runs[0].run_spec().data_shape.classes else "test/loss"
        return views(factors, metric, lower=lower_is_better(metric))
    factors = list(dict.fromkeys([question.factor, *factors]))
    return views(factors, question.metric, chosen=COMPARED, lower=question.lower)


def markdown(comparison: Comparison, links: Mapping[str, str] | None = None) -> str:
    """The answer as MLflow's experiment description: a sentence, a table of verdicts, a table of levels,
    links. The answer comes before a person's own description: MLflow folds all but the first line away.
    """
    question, own = comparison.question, comparison.experiment.description
    lines = [f"**{comparison.answer}**", ""] if question is not None else []
    lines += [own, ""] if own else []
    if question is not None:
        lines += ["| A | B | verdict | A − B | interval | seeds won |", "|---|---|---|---|---|---|"]
        for effect in comparison.effects:
            one = effect.judgement
            interval = f"{signed(one.low)} to {signed(one.high)}" if finite(one.low) is not None else "–"
            lines.append(
                f"| {_cell(one.a)} | {_cell(one.b)} | {_cell(one.text)} | {signed(one.effect)} | {interval} "
                f"| {one.won} of {one.seeds} |"
            )
        together = f"Intervals hold together with probability {1 - question.alpha:.0%}."
        lines += ["", f"{together} {comparison.scope}", ""]
    lines += [f"| {_cell(comparison.factor)} | {comparison.metric} | seeds | diverged |", "|---|---|---|---|"]
    for level in comparison.levels:
        e = level.estimate
        spread = f" ± {number(e.sd)}" if e.sd is not None else ""
        mean = f"{e.mean:.4g}{spread}" if e.mean is not None else "–"
        lines.append(f"| {_cell(e.level)} | {mean} | {e.seeds} | {e.diverged} of {e.runs} |")
    if question is None:
        lines += ["", f"*{comparison.answer}*"]
    if links:
        lines += ["", " · ".join(f"[{name}]({url})" for name, url in links.items())]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
