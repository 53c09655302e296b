"""What a spec may measure, and what it may compare by."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec


def parsed(**fields: Any) -> ExperimentSpec:
    document = {"name": "n", "dataset": {"name": "digits"}, "model": {"hidden": [4]}, "metrics": ["f1"]}
    return ExperimentSpec.parse(document | fields)


def refusal(**fields: Any) -> str:
    with pytest.raises(SpecError) as error:
        parsed(**fields)
    return str(error.value)


def test_hashes_change_only_where_metrics_are_asked_for() -> None:
    plain, asked = (parsed(metrics=names).expand()[0].spec for names in ([], ["f1"]))
    assert plain.fingerprint() == parsed(metrics=[]).expand()[0].spec.fingerprint() != asked.fingerprint()
    document = plain.model_dump(mode="json")
    del document["metrics"]
    assert type(plain).model_validate(document).fingerprint() == plain.fingerprint()
    assert type(asked).model_validate(asked.model_dump(mode="json")) == asked


def test_what_the_data_cannot_give_is_refused() -> None:
    assert refusal(metrics=["r2"]).startswith(
        "metrics[0]: r2 is a metric of numbers; digits: its targets are classes"
    )
    regression = refusal(dataset={"name": "diabetes"})
    assert regression.startswith("metrics[0]: f1 is a metric of classes; diabetes: its targets are numbers")
    assert "it has 10 classes, and the scores are those of two" in refusal(metrics=["auc"])
    assert "its targets are numbers" in refusal(dataset={"name": "diabetes"}, metrics=["auc"])
    assert 'did you mean "rmse"' in refusal(metrics=["rmsd"])
    assert "a list" in refusal(metrics="f1")
    assert "validation" in refusal(dataset={"name": "and"}) or "test" in refusal(dataset={"name": "and"})


def test_a_question_takes_a_measured_metric() -> None:
    asked = {"sweep": {"activation": ["relu", "tanh"]}}
    spec = parsed(**asked, compare={"factor": "activation", "metric": "test/f1"})
    assert spec.compare is not None
    assert spec.compare.metric == "test/f1"
    assert "metrics: [mcc]" in refusal(**asked, compare={"factor": "activation", "metric": "test/mcc"})
    assert "validation and test" in refusal(**asked, compare={"factor": "activation", "metric": "train/f1"})
    assert "is not measured" in refusal(**asked, compare={"factor": "activation", "metric": "test/r2"})
    linear = {"dataset": {"name": "linear"}, "metrics": ["mae"], "sweep": {"learning_rate": [0.1, 0.2]}}
    assert "delta is missing" in refusal(**linear, compare={"factor": "learning_rate", "metric": "test/mae"})


def test_a_metric_to_stop_by() -> None:
    def stop(**fields: Any) -> dict[str, Any]:
        return {"training": {"epochs": 3, "stop": fields}}

    spec = parsed(**stop(patience=2, monitor="val/f1")).expand()[0].spec
    assert spec.training.stop.monitor == "val/f1"
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec
    assert "val/mcc is not measured" in refusal(**stop(patience=2, monitor="val/mcc"))
    assert "training.stop.monitor" in refusal(**stop(patience=2, monitor="test/f1"))
    assert "without patience" in refusal(**stop(monitor="val/f1"))
    assert parsed(metrics=[], **stop(patience=2, monitor="val/accuracy")).expand()


def test_a_stop_without_a_monitor_is_written_as_before() -> None:
    spec = parsed(metrics=[], training={"epochs": 3, "stop": {"patience": 2}}).expand()[0].spec
    assert spec.training.stop.model_dump(mode="json") == {"error": None, "train_errors": None, "patience": 2}


def test_a_run_stops_by_its_metric() -> None:
    """F1 of 0.5, 0.6, 0.6, 0.55 with a patience of 2: no better for two epochs after the second."""
    from experiments.engine.progress import Progress

    (point,) = parsed(training={"epochs": 9, "stop": {"patience": 2, "monitor": "val/f1"}}).expand()
    lane = Progress(lane=0, spec=point.spec, lane_position=0, until=9)
    ended = [
        lane.ended({"train/loss": 1.0, "val/loss": 1.0 / epoch, "val/f1": f1}, None, epoch)
        for epoch, f1 in enumerate((0.5, 0.6, 0.6, 0.55), start=1)
    ]
    assert ended == [None, None, None, "patience"]
