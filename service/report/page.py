"""The report: one HTML page with everything in it, that opens without a network and prints well."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import jinja2

from experiments.comparing.effects import lower_is_better
from experiments.comparing.estimates import Estimate
from experiments.comparing.verdicts import Judgement
from experiments.numbers import ABSENT, figure, signed
from experiments.spec.written import as_yaml
from service.analysis.comparison import compare_runs
from service.analysis.design_document import best_document
from service.analysis.headline import answers
from service.analysis.levels import SEED, level_of
from service.analysis.observations import diverged
from service.analysis.result import CERTIFICATE, DIAGNOSIS, SEEDS, Comparison, Level
from service.entities import Run, shown_state
from service.html import templates
from service.report.borders import border_figure
from service.report.figures import drawn
from service.report.method import flip_table, method_of
from service.report.pictures import Shown, best_pictures
from service.settings import Settings
from service.store import Store, queries
from service.tracking.urls import MlflowPages
from service.words import DIAGNOSIS as SAID_DIAGNOSIS
from service.words import Words

MOST_RUNS_SHOWN = 2000
MOST_SENTENCES = 20
ENGLISH = Words("en")
_VERSIONS = {
    "gradus.version": "version_runs",
    "gradus.python": "Python",
    "gradus.keras": "Keras",
    "gradus.tensorflow": "TensorFlow",
    "gradus.numpy": "NumPy",
    "gradus.device": "version_device",
    "gradus.threads": "version_threads",
    "gradus.tile_width": "version_width",
}
"""The tags that say how a run was made, and their names on the page, of which the catalogue has some."""


@cache
def _templates() -> jinja2.Environment:
    environment = templates("service.report")
    environment.filters |= {
        "signed": signed,
        "figure": figure,
        "signed_interval": partial(_interval, write=signed),
        "interval": partial(_interval, write=figure),
    }
    return environment


def _interval(of: Judgement | Estimate, say: Words, write: Callable[[float | None], str]) -> str:
    """The ends of an interval, or why there are none."""
    if of.seeds == 1:
        return say("report.one_seed")
    return ABSENT if of.low is None else say("report.between", low=write(of.low), high=write(of.high))


def render(
    store: Store,
    experiment_id: str,
    settings: Settings,
    say: Words = ENGLISH,
    *,
    factor: str | None = None,
    metric: str | None = None,
) -> str:
    """The report of an experiment.

    Args:
        store: The database.
        experiment_id: The experiment's id.
        settings: They give the addresses that the page links to.
        say: The texts, in the reader's language.
        factor: The factor to compare; None: the design's, or the first swept one.
        metric: The metric to compare by; None: the design's, or the first that the runs have.

    Raises:
        NotFound: There is no such experiment.
        SpecError: No run has a level of that factor, or such a metric.
    """
    experiment = queries.get_experiment(store, experiment_id)
    runs = queries.all_runs(store, experiment.id)
    comparison = compare_runs(experiment, runs, factor=factor, metric=metric)
    return render_comparison(store, comparison, settings, best_pictures(comparison, settings, say), say)


def render_comparison(
    store: Store,
    comparison: Comparison,
    settings: Settings,
    pictures: Sequence[Shown] = (),
    say: Words = ENGLISH,
) -> str:
    """The report of a comparison. The same results give the same page, to the byte.

    Args:
        store: The database.
        comparison: The comparison.
        settings: They give the addresses that the page links to.
        pictures: Of the best runs, to be embedded.
        say: The texts, in the reader's language.
    """
    style = _templates().get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    design, progress = comparison.design, comparison.progress
    shown = drawn(partial(queries.metric_values, store), comparison, say)
    if pictures and (border := border_figure(comparison, settings, say)):
        shown.insert(1, border)
    return (
        _templates()
        .get_template("report.html")
        .render(
            comparison=comparison,
            t=say,
            named=partial(_named, say=say),
            style=style,
            csp=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
            answers=[
                say.said(answer)
                for answer in (answers(design, progress) if design and progress else [comparison.answer])
            ],
            figures=shown,
            pictures=pictures,
            home=settings.url.rstrip("/"),
            rows=[_row(run, comparison, settings, say) for run in comparison.runs[:MOST_RUNS_SHOWN]],
            left_out=max(0, len(comparison.runs) - MOST_RUNS_SHOWN),
            spec=as_yaml(comparison.spec.document()),
            versions=_versions(comparison.runs, say),
            failed_checks=_failed_checks(comparison.runs),
            sentences=_diagnoses(comparison, say),
            settings={level.estimate.level: _settings(level, comparison, say) for level in comparison.levels},
            command=_command(comparison),
            links=_links(comparison, settings, say),
            plan=comparison.plan,
            flips=flip_table(comparison.sensitivity.flips),
            method=method_of(design, comparison, say) if design else "",
            best=best_document(progress.best) if progress else None,
            as_of=_as_of(comparison.runs),
            lower=lower_is_better(comparison.metric),
            repeated=comparison.factor == SEED,
        )
    )


def _as_of(runs: Iterable[Run]) -> str:
    """The time of the latest result on the page."""
    times = [time for run in runs for time in (run.created_at, run.ended_at) if time is not None]
    return f"{max(times):%Y-%m-%d %H:%M} UTC" if times else ""


def _versions(runs: Iterable[Run], say: Words) -> dict[str, str]:
    """The version of this service, and the versions with which the runs were made."""
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for tag, name in _VERSIONS.items():
            if tag in run.tags:
                values[say(f"report.{name}") if say.has(f"report.{name}") else name].add(run.tags[tag])
    known = {name: ", ".join(sorted(own)) for name, own in sorted(values.items())}
    return {"gradus": importlib.metadata.version("gradus"), **known}


def _command(comparison: Comparison) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", comparison.experiment.name.lower()).strip("-") or "spec"
    return f"gradus submit {name}.yaml --wait"


def _links(comparison: Comparison, settings: Settings, say: Words) -> dict[str, str]:
    base, id = settings.url.rstrip("/"), comparison.experiment.id
    path = f"{base}/v1/experiments/{id}"
    links = {say("report.link_api"): path, say("report.link_comparison"): f"{path}/comparison"}
    if mlflow_id := comparison.experiment.mlflow_experiment_id:
        pages = MlflowPages(settings.public_mlflow_url)
        links |= {"MLflow": pages.experiment(mlflow_id), say("report.link_compare"): pages.compare(mlflow_id)}
    return links


def _row(run: Run, comparison: Comparison, settings: Settings, say: Words) -> dict[str, Any]:
    link = f"{settings.url.rstrip('/')}/runs/{run.id}"
    others = {name: label for name, label in run.levels.items() if name not in (comparison.factor, SEED)}
    value = run.metrics.get(comparison.metric)
    return {
        "id": run.id,
        "link": link,
        "level": level_of(run, comparison.factor) or ABSENT,
        "others": ", ".join(f"{name} = {label}" for name, label in others.items()),
        "seed": run.spec.get("seed"),
        "stage": run.stage,
        "status": _status(run, say),
        "check_failed": run.tags.get(CERTIFICATE) == "failed",
        "value": say("report.diverged") if diverged(run, comparison.metric) else figure(value),
    }


def _status(run: Run, say: Words) -> str:
    """A run's status; `diverged` where it has one of success and its loss grew without end."""
    if run.reason == "diverged" or f"{DIAGNOSIS}diverged" in run.tags:
        state = shown_state(run.status, "diverged", committed=run.committed_at is not None, certificate="")
        return say(f"status.{state}")
    return str(run.status.value)


def _settings(level: Level, comparison: Comparison, say: Words) -> list[str]:
    """The settings of a level: a line for each, led by the cells of the other factors that share it."""
    fields = comparison.tuning.fields if comparison.tuning else ()
    cells: dict[str, list[str]] = {}
    for combination in level.tuned:
        setting = ", ".join(f"{name} {combination[name]}" for name in fields)
        if SEEDS in combination:
            setting = say("report.setting_seeds", setting=setting, seeds=combination[SEEDS])
        others = (label for name, label in combination.items() if name not in (*fields, SEEDS))
        cells.setdefault(setting, []).append(" ".join(others))
    return [f"{', '.join(names)}: {setting}" if any(names) else setting for setting, names in cells.items()]


def _failed_checks(runs: Iterable[Run]) -> dict[str, int]:
    """Why gradient checks failed, and of how many runs each."""
    return Counter(
        run.tags.get(f"{CERTIFICATE}.reason", "") for run in runs if run.tags.get(CERTIFICATE) == "failed"
    )


def _named(diagnosis: str, say: Words) -> str:
    """A diagnosis by its name, in another language than English as people say it there."""
    key = f"diagnosis_name.{diagnosis}"
    return say(key) if say.language != ENGLISH.language and say.has(key) else diagnosis


def _diagnoses(comparison: Comparison, say: Words) -> list[str]:
    """Each diagnosis with the number of its runs and the sentence of the first of them."""
    used = set(comparison.used)
    seen: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for run in comparison.runs:
        for tag, text in run.tags.items():
            if tag.startswith(DIAGNOSIS):
                name = f"{level_of(run, comparison.factor)}", tag.removeprefix(DIAGNOSIS)
                seen[name].append((text, run.id in used))
    ordered = sorted(seen.items(), key=lambda entry: f"{entry[0][0]}: {entry[0][1]}")
    return [_diagnosis(*name, texts, say) for name, texts in ordered][:MOST_SENTENCES]


def _diagnosis(level: str, name: str, texts: Sequence[tuple[str, bool]], say: Words) -> str:
    compared = sum(is_used for _, is_used in texts)
    others = len(texts) - compared
    which = "compared" if not others else ("both" if compared else "others") + ("_one" if others == 1 else "")
    given = {
        "level": say.said(level),
        "name": _named(name, say),
        "text": say.said(texts[0][0], SAID_DIAGNOSIS),
    }
    given |= {"n": str(compared)} if compared else {}
    return say(f"report.diagnosis_{which}", **given, **({"others": str(others)} if others else {}))
