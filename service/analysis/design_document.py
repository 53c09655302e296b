"""A design as people see it: its stages so far and to come, and the present answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.comparing.best_set import BestSet
from experiments.comparing.design import MOST, Design
from experiments.comparing.progress import Progress
from experiments.comparing.stages import Wait
from experiments.numbers import finite
from service.analysis.headline import NO_ANSWER, headline, no_answer
from service.entities import Experiment
from service.lifecycle import RunStatus

FURTHEST = 8
"""A look that is suggested has at most so many times the seeds of the last one: a forecast of thousands of seeds is a rough
one, and thousands of runs may be more than an experiment may have."""
_STATE_OF_THE_REST = {"decided": "not needed", "nothing to decide": "not needed", "budget": "not paid for"}
"""The state of the stages that were still planned, by why the design is over."""
_PROGRESS_SENTENCES: dict[Wait, str] = {
    "running": "The question goes on by itself.",
    "decided": "Every pair of levels that can be decided is, so no further look is needed.",
    "last look": "The last planned look is done; `gradus extend ID {more}` asks on, at a further error.",
    "budget": "The budget of {budget} runs does not pay for the next stage; `gradus extend` queues it all the same.",
    "incomplete": "A run failed or was cancelled; once it is retried (`gradus retry`), the question goes on.",
    "nothing to decide": "No pair of levels can be claimed about.",
}


def design_document(design: Design, progress: Progress) -> dict[str, Any]:
    """The `plan` of the REST API: the design, its stages so far and to come, and the present answer."""
    rest = _STATE_OF_THE_REST.get(progress.wait, "planned") if progress.over else "planned"
    stages: list[dict[str, Any]] = [
        {
            "name": step.name,
            "runs": step.n_runs,
            "ended": step.ended,
            "state": rest if step.state == "planned" else step.state,
        }
        for step in progress.steps
    ]
    known = {step.name for step in progress.steps}
    for look, seeds in enumerate(design.looks, 1):
        if (name := f"look-{look}") not in known and seeds <= design.automatic:
            stages.append({"name": name, "runs": len(design.arms) * seeds, "ended": 0, "state": rest})
    names = [axis.name for axis in progress.axes]
    return {
        "factor": design.factor,
        "metric": design.metric,
        "delta": design.delta,
        "alpha": design.alpha,
        "looks": [look for look in design.looks if look <= design.automatic],
        "further": list(design.looks[len(design.looks) - design.further :]) if design.further else [],
        "total_error": design.total_error,
        "anytime": design.anytime,
        "control": design.control,
        "best": best_document(progress.best),
        "budget": design.budget,
        "stages": stages,
        "wait": progress.wait,
        "standing": _standing(design, progress),
        "advice": advice(design, progress),
        "tuned": [
            {"level": level, "cell": list(cell), **dict(zip(names, tuned.setting, strict=False))}
            for (level, cell), tuned in progress.tuned.items()
            if tuned.setting
        ],
        "answer": headline(design, progress),
    }


def _standing(design: Design, progress: Progress) -> str:
    suggested = advice(design, progress)
    if progress.wait == "last look" and not suggested:
        if design.anytime:
            return "The last look that is queued by itself is done; `gradus extend ID` queues further seeds."
        return f"The last planned look is done, and no look may have more than {MOST:,} seeds."
    more = options(suggested) if suggested else ""
    return _PROGRESS_SENTENCES[progress.wait].format(budget=design.budget, more=more)


def advice(design: Design, progress: Progress) -> dict[str, Any] | None:
    """What lets an undecided question that is over go on, as the body of `POST …/extend`; None where nothing does.

    The next look that the budget does not pay for, or a look with as many seeds as the undecided pairs need, at least
    twice and at most `FURTHEST` times those there are. Where seeds are named, it names the new ones too, counted on from
    the largest.
    """
    if progress.wait not in ("last look", "budget"):
        return None
    last = design.looks[-1]
    if progress.wait == "budget" or design.anytime:
        return {}
    if last >= MOST:
        return None
    needed = [
        judgement.needed
        for judgement in progress.judgements
        if judgement.verdict == "undecided" and judgement.needed is not None
    ]
    look = min(MOST, FURTHEST * last, max([2 * last, *needed]))
    if not design.named_seeds:
        return {"looks": [look]}
    first = max(*design.fresh, *design.tune_seeds) + 1
    return {"looks": [look], "seeds": list(range(first, first + look - last))}


def options(body: Mapping[str, Any]) -> str:
    """The body of a request to extend as options of `gradus extend`."""
    words = [f"--looks {','.join(map(str, body['looks']))}"] if body.get("looks") else []
    if seeds := body.get("seeds"):
        words.append(f"--seeds {seeds[0]}..{seeds[-1]}")
    return " ".join(words)


def best_document(best: BestSet | None) -> dict[str, Any] | None:
    """The levels that may be the best, as JSON; None where that is not asked."""
    if best is None:
        return None
    return {
        "levels": [{"level": level, "behind": finite(best.behind[level])} for level in best.levels],
        "seeds": best.seeds,
        "decided": best.decided,
        "text": best.text,
    }


def live_document(experiment: Experiment) -> dict[str, Any] | None:
    """The stored document with the present stage's progress.

    The document is stored when a stage begins or ends. While a stage runs, its own runs are the only open ones, so
    their number says how far it is.
    """
    document = experiment.design
    if document is None:
        return None
    open_runs = sum(experiment.counts.get(status, 0) for status in (RunStatus.SCHEDULED, RunStatus.RUNNING))
    stages = [
        _live(stage, open_runs, experiment.counts) if stage["name"] == experiment.stage else stage
        for stage in document.get("stages", ())
    ]
    present = next((stage for stage in stages if stage["name"] == experiment.stage), None)
    live = {**document, "stages": stages}
    if present is not None and str(document["answer"]).startswith(NO_ANSWER):
        live["answer"] = no_answer(present["name"], present["ended"], present["runs"])
    return live


def _live(stage: Mapping[str, Any], open_runs: int, counts: Mapping[str, int]) -> dict[str, Any]:
    ended = max(0, stage["runs"] - open_runs)
    begun = ended > 0 or counts.get(RunStatus.RUNNING, 0) > 0
    return {**stage, "ended": ended, "state": "running" if begun and open_runs else stage["state"]}
