"""Names in MLflow's views are those under which the fields were written."""

from __future__ import annotations

import json

import pytest

from service.tracking.urls import COMPARE, GROUPED, SHARED, TABLE, MlflowPages, param_name, views


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("model.layers[0].units", "model.layers.0.units"),
        ("activation", "activation"),
        ("a[1][2].b", "a.1.2.b"),
    ],
)
def test_views_name_fields_as_they_are_written(field: str, name: str) -> None:
    assert param_name(field) == name
    tags = views([field, "activation"], "test/accuracy")
    side_by_side, grouped = (json.loads(tags[SHARED + key]) for key in (COMPARE, GROUPED))
    assert side_by_side["compareRunCharts"][0]["selectedParams"][0] == name
    assert side_by_side["selectedColumns"][0] == f"params.`{name}`"
    assert grouped["groupBy"]["groupByKeys"][0]["groupByData"] == name
    assert "[" not in "".join(side_by_side["selectedColumns"])


def test_every_page_opens_for_model_training() -> None:
    """Within the fragment: there MLflow's own interface reads it."""
    pages = MlflowPages("http://127.0.0.1:5642/")
    addresses = {
        pages.experiment("1"): f"runs?viewStateShareKey={TABLE}&workflowType=machine_learning",
        pages.compare(
            "1"
        ): f"runs?compareRunsMode=CHART&viewStateShareKey={COMPARE}&workflowType=machine_learning",
        pages.grouped(
            "1"
        ): f"runs?compareRunsMode=CHART&viewStateShareKey={GROUPED}&workflowType=machine_learning",
        pages.run("1", "abc"): "runs/abc?workflowType=machine_learning",
        pages.artifact("1", "abc", "a/b.html"): "runs/abc/artifacts/a/b.html?workflowType=machine_learning",
    }
    for address, end in addresses.items():
        assert address == f"http://127.0.0.1:5642/#/experiments/1/{end}"
