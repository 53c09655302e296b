"""What MLflow shows of an experiment: the answer as markdown, links, views, and which run is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from experiments.comparing.effects import lower_is_better
from experiments.comparing.from_spec import design_of
from experiments.errors import GradusError
from experiments.numbers import ABSENT, finite, short, signed
from service.analysis.comparison import compare_runs
from service.analysis.final_artifacts import ranking
from service.analysis.result import Comparison
from service.entities import Experiment, Run
from service.lifecycle import RunStatus
from service.report.page import render_comparison
from service.settings import Settings
from service.store import Store, queries
from service.tracking.records import REPORT, ExperimentNote
from service.tracking.urls import GROUPED, SHARED, MlflowPages, views

log = structlog.get_logger(__name__)
COMPARED = "tags.`gradus.stage` LIKE 'look-%'"
"""MLflow's search for the runs that a design compares, without those that only tuned."""


def describe_experiment(store: Store, settings: Settings, experiment: Experiment) -> ExperimentNote:
    """The experiment as MLflow is to show it: the answer so far, then the person's own description.

    The best run is the one with the best validation metric (`final_artifacts.ranking`), so that the test data did
    not choose it.
    """
    runs = queries.all_runs(store, experiment.id)
    try:
        shown = _views(experiment, runs)
        if experiment.design is None and not (runs and experiment.is_over):
            return ExperimentNote(experiment.description, shown)
        comparison = compare_runs(experiment, runs)
    except GradusError as error:  # an old spec that can no longer be read: its runs are shipped all the same
        log.warning("no comparison for MLflow's description", experiment=experiment.id, error=str(error))
        return ExperimentNote(experiment.description)
    over = experiment.is_over and (experiment.design is None or experiment.design["wait"] != "running")
    ranked = ranking(run for run in runs if run.status == RunStatus.FINISHED) if over else []
    best = ranked[0] if ranked else None
    report = render_comparison(store, comparison, settings) if best is not None else ""
    links = _links(experiment, best, shown, settings)
    return ExperimentNote(markdown(comparison, links), shown, best, report)


def _links(
    experiment: Experiment, best: Run | None, shown: Mapping[str, str], settings: Settings
) -> dict[str, str]:
    base, mlflow_id = settings.url.rstrip("/"), experiment.mlflow_experiment_id
    links = {
        "report": f"{base}/experiments/{experiment.id}/report",
        "Gradus": f"{base}/experiments/{experiment.id}",
    }
    if mlflow_id is not None:
        pages = MlflowPages(settings.public_mlflow_url)
        links["runs side by side"] = pages.compare(mlflow_id)
        if SHARED + GROUPED in shown:
            links["runs by level"] = pages.grouped(mlflow_id)
        if best is not None and best.mlflow_run_id is not None:
            links["report kept here"] = pages.artifact(mlflow_id, best.mlflow_run_id, REPORT)
    return links


def _views(experiment: Experiment, runs: Sequence[Run]) -> dict[str, str]:
    """The tags of MLflow's views. Raises SpecError where the spec is no longer read."""
    if not runs:
        return {}
    spec = experiment.experiment_spec
    factors, design = [*spec.axes(), *spec.tuned()], design_of(spec)
    if design is None:
        shape = runs[0].run_spec().data_shape
        part, measure = ("test" if shape.n_test else "train"), ("accuracy" if shape.classes else "loss")
        metric = f"{part}/{measure}"
        return views(factors, metric, lower=lower_is_better(metric))
    factors = list(dict.fromkeys([design.factor, *factors]))
    return views(factors, design.metric, chosen=COMPARED, lower=design.lower_is_better)


def markdown(comparison: Comparison, links: Mapping[str, str] | None = None) -> str:
    """The answer as MLflow's experiment description: a sentence, a table of verdicts, a table of levels, links.

    The answer comes before the person's own description, because MLflow folds all but the first line away. It is in
    italics where no question was fixed.
    """
    design, own = comparison.design, comparison.experiment.description
    asked = design is not None or comparison.experiment.search is not None
    lines = [f"**{comparison.answer}**" if asked else f"*{comparison.answer}*", ""]
    lines += [own, ""] if own else []
    if design is not None:
        lines += [
            "| A | B | verdict | A − B | interval | in favour of | A won |",
            "|---|---|---|---|---|---|---|",
        ]
        for effect in comparison.effects:
            judged = effect.judgement
            low, high = signed(judged.low), signed(judged.high)
            interval = f"{low} to {high}" if finite(judged.low) is not None else ABSENT
            lines.append(
                f"| {_cell(judged.a)} | {_cell(judged.b)} | {_cell(judged.text)} | {signed(judged.effect)} | {interval} "
                f"| {_cell(judged.favours or ABSENT)} | {judged.won} of {judged.seeds} |"
            )
        together = f"Intervals hold together with probability {1 - design.total_error:.1%}."
        if design.best:
            together = (
                f"The best level stays among those that may be with probability {1 - design.alpha:.0%}."
            )
        lines += ["", f"{together} {comparison.scope}", ""]
    for warning in comparison.warnings:
        lines += [f"> ⚠ {_cell(warning)}", ""]
    lines += [f"| {_cell(comparison.factor)} | {comparison.metric} | seeds | diverged |", "|---|---|---|---|"]
    for level in comparison.levels:
        estimate = level.estimate
        spread = f" ± {short(estimate.sd)}" if estimate.sd is not None else ""
        mean = f"{estimate.mean:.4g}{spread}" if estimate.mean is not None else ABSENT
        diverged = f"{estimate.diverged} of {estimate.runs}"
        lines.append(f"| {_cell(estimate.level)} | {mean} | {estimate.seeds} | {diverged} |")
    if shares := comparison.sensitivity.shares[:5]:
        said = ", ".join(f"{' with '.join(share.factors)} {share.share:.0%}" for share in shares)
        how = "share of variance, estimated" if shares[0].estimated else "share of variance"
        lines += ["", f"What matters for {comparison.metric} ({how}): {_cell(said)}"]
    if links:
        lines += ["", " · ".join(f"[{name}]({url})" for name, url in links.items())]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
