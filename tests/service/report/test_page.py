"""The report is one page that needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from service.analysis.comparison import compare
from service.report import page as report
from service.report.experiment_note import describe_experiment
from service.settings import load_settings
from service.store import queries
from tests.service.scored_runs import World

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: Any, attrs: Any) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]


@pytest.fixture
def page(world: World) -> Any:
    experiment = world.ask(world.QUESTION.replace("name: activations", "name: '<script>alert(1)</script>'"))
    return report.render(world.store, experiment.id, load_settings())


def test_it_is_well_formed_and_loads_nothing(page: Any) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    loading = [
        attribute
        for attribute in parser.attributes
        if attribute[1] in ("src", "srcset", "data", "style") or attribute[0] == "link"
    ]
    assert loading == []
    assert "script" not in parser.tags
    assert "url(" not in page
    assert any(
        "default-src 'none'" in str(value) for _, name, value in parser.attributes if name == "content"
    )


def test_every_picture_has_its_text(page: Any) -> None:
    pictures = re.findall(r'<svg class="chart".*?</svg>', page, re.S)
    assert len(pictures) >= 5
    assert all("<title>" in picture and "<desc>" in picture for picture in pictures)
    assert page.count("<figcaption>") == len(pictures)


@pytest.mark.parametrize(
    "words",
    [
        "relu better than sigmoid", "Learning rate, level by level", "test/accuracy during training",
        "Gradient norm over depth", "certified (5)", "Every run", "gradus submit", "log: [0.001, 1.0]",
        "This holds for the data set digits", "look-1", "<dt>Keras</dt><dd>3.15.0</dd>",
    ],
)  # fmt: skip
def test_it_says_what_it_must(page: Any, words: Any) -> None:
    assert words in page


ALONE = "name: alone\ndataset: {name: digits}\nmodel: {hidden: [16]}\n"


def submitted(world: World, text: Any, score: Any, **asked: Any) -> Any:
    """The report of a spec whose runs all ended with these scores."""
    made = world.submit(text)
    world.work(made.id, score)
    return report.render(world.store, made.id, load_settings(), **asked)


def test_without_a_factor_it_is_a_mean_over_the_seeds(world: World) -> None:
    """No seed is better than another, and there are no differences to show."""
    page = submitted(world, ALONE + "sweep: {seeds: 3}\n", lambda run: 0.5 + 0.1 * run.params["seed"])
    assert "test/accuracy, mean over the seeds" in page
    for wrong in ("Which seed", "Differences", "only one level", "Exploratory", "question fixed"):
        assert wrong not in page


def test_without_a_question_it_says_that_none_was_fixed(world: World) -> None:
    page = submitted(world, ALONE + "sweep: {activation: [relu, tanh], seeds: 3}\n", lambda run: 0.5)
    assert "the spec fixed no question" in page
    assert "not the question fixed" not in page


def test_one_seed_has_no_interval(world: World) -> None:
    page = submitted(world, ALONE + "sweep: {activation: [relu, tanh]}\n", lambda run: 0.5)
    assert page.count("one seed: no interval") == 3, "of the difference and of both levels"
    assert "– to –" not in page


def test_training_curves_say_how_many_runs_they_are_of(world: World) -> None:
    """A mean over the one run that did not diverge is no mean of five."""
    text = ALONE + "training: {epochs: 3}\nsweep: {activation: [relu, tanh], seeds: 5}\n"
    page = submitted(
        world, text, lambda run: None if run.params["activation"] == "relu" and run.params["seed"] else 0.9
    )
    assert "At the end: relu 0.9 (1 of 5 runs; 4 diverged); tanh 0.9 (5 runs)." in page


def test_a_run_that_diverged_is_called_so_in_the_list(world: World) -> None:
    made = world.submit(ALONE + "sweep: {activation: [relu, tanh]}\n")
    grew = {"gradus.diagnosis.diverged": "Diverged: the loss is 91 after epoch 20."}
    world.work(made.id, tags=lambda run: grew if run.params["activation"] == "relu" else {})
    page = report.render(world.store, made.id, load_settings())
    rows = re.findall(r"<tr><td><a href=.*?</tr>", page)
    assert [("diverged" in row, "FINISHED" in row) for row in rows] == [(True, False), (False, True)]


def test_any_other_factor_is_shown_without_a_verdict(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    page = report.render(world.store, experiment.id, load_settings(), factor="learning_rate")
    assert "Exploratory" in page
    assert "this was not the question fixed before the results" in page
    assert "better than" not in page


def test_the_best_is_asked_for(world: World) -> None:
    """The answer, the table and the method are those of the set; sigmoid has left it."""
    question = world.QUESTION.replace("  delta: 0.01", "  delta: 0.0001\n  best: true")
    experiment = world.ask(question)
    page = report.render(world.store, experiment.id, load_settings())
    assert "Which activation is the best by" in page
    assert "may be the best" in page
    assert "2 planned looks (5, 10 seeds), 3 levels" in page
    body = compare(world.store, experiment.id).to_json()
    assert body["best"]["text"] == body["answer"] == body["plan"]["answer"]
    assert [entry["level"] for entry in body["best"]["levels"]][-1] != "sigmoid"
    assert "sigmoid" not in {entry["level"] for entry in body["best"]["levels"]}


def test_looking_at_any_time_has_a_price_that_is_said(world: World) -> None:
    experiment = world.ask(world.QUESTION.replace("looks: [5, 10]", "looks: any"))
    page = report.render(world.store, experiment.id, load_settings())
    assert "One may look after every seed, 3 pairs of levels: each interval is a confidence sequence" in page
    assert re.search(r"The price at \d+ seeds: 1\.\d\d times as wide", page)


def test_a_failed_gradient_check_is_marked_in_report_note_and_pages(world: World, serve: Any) -> None:
    """relu's gradient is wrong: at the top, at each of its runs, and why; tanh has no mark."""

    def tags(run: Any) -> dict[str, str]:
        failed = {
            "gradus.certificate": "failed",
            "gradus.certificate.reason": "1-dense/bias is off by 5.4e-1",
        }
        return failed if run.params["activation"] == "relu" else {}

    experiment = world.submit(ALONE + "sweep: {activation: [relu, tanh], seeds: 3}\n")
    world.work(experiment.id, lambda run: 0.9, tags=tags)
    page = report.render(world.store, experiment.id, load_settings())
    assert "relu: the gradient check failed; its numbers are not to be trusted" in page
    assert page.count("FINISHED <strong") == 3
    assert page.count("✗") == 3 + 1
    assert "check of 3 runs failed: the numbers are not to be trusted (1-dense/bias is off by 5.4e-1)" in page
    note = describe_experiment(
        world.store, load_settings(), queries.get_experiment(world.store, experiment.id)
    )
    assert "> ⚠ relu: the gradient check failed; its numbers are not to be trusted" in note.description
    assert note.description.count("⚠") == 1
    with httpx.Client(base_url=serve(), trust_env=False) as client:
        shown = client.get(f"/experiments/{experiment.id}").text
        assert shown.count('class="dot check_failed"') == 3 + 1, "and one beside their number"
        assert shown.count("gradient check failed") >= 3 + 1
        wrong = next(run for run in queries.all_runs(world.store, experiment.id) if tags(run))
        own = client.get(f"/runs/{wrong.id}").text
        assert "gradient check failed</strong>" in own
        assert "The gradient check failed, its numbers are not to be trusted (1-dense/bias" in own
