"""Dots in the colours of a metric, and the answers on the list of experiments."""

from __future__ import annotations

import re

import httpx
import pytest

from experiments.numbers import figure
from service.analysis import extension
from service.entities import Experiment
from service.store import Store
from service.web import answers
from service.web.dots import SHADES, Shaded
from tests.service.scored_runs import World

PLAIN = "name: plain\ndataset: {name: digits}\nmodel: {hidden: [2]}\nsweep: {activation: [relu, tanh], seeds: 2}\n"


def by_index(run: object) -> float | None:
    index = run.index  # type: ignore[attr-defined]
    return None if index == 3 else 0.5 + 0.1 * index


@pytest.mark.parametrize("address", ["/", "/experiments/{id}"])
def test_dots_take_the_colours_of_the_metric(world: World, client: httpx.Client, address: str) -> None:
    experiment = world.submit(PLAIN)
    world.work(experiment.id, by_index)
    address = address.format(id=experiment.id)
    page = client.get(f"{address}?colour=metric&lang=en").text
    dots = re.findall(r'class="dot ([a-z_]+)(?: shade-(\d))?" title="([^"]+)"', page)
    assert [(state, shade) for state, shade, _ in dots] == [
        ("finished", "0"), ("finished", "3"), ("finished", "5"), ("diverged", ""),
    ]  # fmt: skip
    assert dots[1][2].endswith(f"· test/accuracy {figure(0.6)}")
    assert "test/accuracy (more is better):" in page
    assert "shade-" not in client.get(address).text


def test_a_shade_is_a_share_of_the_range() -> None:
    shown = Shaded("test/loss", 1.0, 2.0, {"low": 1.0, "middle": 1.5, "high": 2.0})
    assert [shown.shade(id) for id in ("low", "middle", "high", "none")] == [0, 3, SHADES - 1, None]
    assert shown.less_is_better
    assert Shaded("test/loss", 1.0, 1.0, {"only": 1.0}).shade("only") == 0


def test_the_list_has_the_answer_of_what_was_only_explored(
    world: World, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    explore = answers._explored

    def counted(store: Store, experiment: Experiment) -> str:
        compared.append(experiment.id)
        return explore(store, experiment)

    monkeypatch.setattr(answers, "_explored", counted)
    experiment = world.submit(PLAIN)
    assert "exploratory" not in client.get("/?lang=en").text, "it is not over"
    world.work(experiment.id, lambda run: 0.9 if run.levels["activation"] == "relu" else 0.5)
    words = "activation relu has the highest test/accuracy, 0.9"
    assert words in client.get("/?lang=en").text
    assert words in client.get("/?lang=en").text
    assert compared == [experiment.id], "once, while nothing happens"
    extension.extend(world.store, experiment.id, seeds=1, quota=100, max_runs=100)
    assert words not in client.get("/?lang=en").text, "it goes on"
    world.work(experiment.id, lambda run: 0.1 if run.levels["activation"] == "relu" else 0.5)
    assert words + "," not in client.get("/?lang=en").text
    assert compared == [experiment.id] * 2


def test_few_comparisons_are_made_for_one_request(
    world: World, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_AT_ONCE", 1)
    for name in ("first", "second"):
        world.work(world.submit(PLAIN.replace("plain", name)).id)
    assert client.get("/?lang=en").text.count("has the highest") == 1
    assert client.get("/?lang=en").text.count("has the highest") == 2
