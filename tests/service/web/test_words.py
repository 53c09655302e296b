"""English and Chinese have the same texts with the same places, and every text that a page names exists."""

from __future__ import annotations

import ast
import copy
import math
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from string import Formatter
from typing import Any

import httpx
import pytest

import experiments
import service.web
from experiments.catalog import catalog
from experiments.comparing.verdicts import Verdict, verdict_text
from experiments.errors import SpecError
from experiments.layers import LAYERS
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.examples import examples
from service import reasons
from service.lifecycle import RunStatus
from service.report.pictures import captioned
from service.store import queries
from service.web import spec_text
from service.web.builder import lessons
from service.web.form import _properties, table
from service.words import LANGUAGES, PROBLEM, Words, _patterns, catalogue
from tests.browser.test_builder import MISTAKES
from tests.service.scored_runs import World
from tests.service.web.readers import english_left

FOLDER = Path(service.web.__file__).parent


def places(text: str) -> set[str]:
    return {name for form in text.split("|") for _, name, _, _ in Formatter().parse(form) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogues_are_equal(language: str) -> None:
    english, other = catalogue("en"), catalogue(language)
    assert other.keys() == english.keys()
    assert {key: places(text) for key, text in other.items()} == {
        key: places(text) for key, text in english.items()
    }
    assert all(text.strip() for text in other.values())


def test_why_a_run_ended_or_waits_is_said_in_chinese() -> None:
    codes = [*reasons._SENTENCES, "error", "data: x", "error: x"]
    said = [reasons.explain(RunStatus.FAILED, code) for code in codes]
    waits = ["memory_limit", "error", "waits for a gpu worker: none is up"]
    said += [reasons.explain(RunStatus.SCHEDULED, code) for code in waits]
    kept = [sentence for sentence in said if Words("zh").said(sentence) == sentence]
    assert kept == []


def test_every_picture_that_a_worker_draws_has_a_caption() -> None:
    source = (Path(experiments.__file__).parent.parent / "workers/requests/draw.py").read_text()
    drawn = set(re.findall(r"plots/(\w+)\.png", source))
    assert drawn == {key.removeprefix("picture.") for key in catalogue("en") if key.startswith("picture.")}
    for name in drawn:
        assert captioned(f"{name}.png", "", Words("zh")).says
    assert captioned("my_own.png", "", Words("en")).title == "my own"


def test_every_text_that_a_page_names_exists() -> None:
    sources = [*FOLDER.glob("templates/*.html"), *FOLDER.glob("*.py"), *FOLDER.parent.glob("report/*.py")]
    named = {
        key
        for path in sources
        for key in re.findall(r'(?:\bt|words|say)\(f?"([\w.]+)"', path.read_text("utf-8"))
    }
    assert len(named) > 60
    beginnings = tuple(key for key in named if key.endswith((".", "_")))
    known = catalogue("en").keys()
    assert {key for key in named if key not in beginnings} <= known
    assert all(any(key.startswith(beginning) for key in known) for beginning in beginnings)


def test_one_and_several() -> None:
    english = Words("en")
    assert english("dots.label", n=1) == "1 run"
    assert english("dots.label", n=2) == "2 runs"
    assert Words("zh")("dots.label", n=1) == "1 次运行"


def test_the_language_is_the_address_then_the_choice_then_the_wish(client: httpx.Client) -> None:
    def language(path: str = "/", wish: str = "") -> str:
        match = re.search(r'<html lang="(\w+)"', client.get(path, headers={"accept-language": wish}).text)
        assert match
        return match[1]

    assert language() == "en"
    assert language(wish="fr, zh-CN;q=0.9, en;q=0.8") == "zh"
    assert language("/?lang=en", wish="zh") == "en"
    assert language(wish="zh") == "en", "the switch was used"
    assert language("/?lang=zh") == "zh"
    assert "新建实验" in client.get("/new").text


def test_every_link_to_a_word_has_its_line(client: httpx.Client) -> None:
    page = client.get("/vocabulary").text
    linked = {
        word
        for path in FOLDER.glob("templates/*.html")
        for word in re.findall(r"/vocabulary#(\w+)", path.read_text("utf-8"))
    }
    assert len(linked) >= 4
    assert all(f'id="{word}"' in page for word in linked)


ANSWERS = {
    "tanh better than sigmoid; whether by 0.005 or more is open; relu better than sigmoid": (
        "tanh 优于 sigmoid，但是否至少高出 0.005 尚无定论；relu 优于 sigmoid"
    ),
    "relu and tanh undecided: about 12 seeds in all": "relu 与 tanh 未定：总共约需 12 个种子",
    "a better than 1 of the 3 others (b), undecided against 2 (c, d)": (
        "a 优于其余 3 个中的 1 个（b），与 2 个（c, d）未定"
    ),
    "a better than 1 of the 5 others (b), worse than 1 (e), equivalent to 1 (f), undecided against 2 (c, d)": (
        "a 优于其余 5 个中的 1 个（b），差于 1 个（e），与 1 个（f）等价，与 2 个（c, d）未定"
    ),
    "The last planned look is done; `gradus extend ID --looks 8 --seeds 5..8` asks on, at a further error.": (
        "最后一次计划的检验已完成；用 `gradus extend ID --looks 8 --seeds 5..8` 可以继续，但会增加误差。"
    ),
    "no answer yet (tune: 3 of 8 runs)": "还没有答案（tune：8 次运行中已完成 3 次）",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_said_in_either_language(answer: str) -> None:
    assert Words("en").said(answer) == answer
    assert Words("zh").said(answer) == ANSWERS[answer]


START = "name: x\ndataset: {name: digits}\nmodel: {hidden: [8]}\n"
CONVOLUTION = "name: x\ndataset: digits\nmodel: {layers: [{type: conv2d, filters: 4, kernel_size: 20}, {type: dense, units: 3}]}\n"
FURTHER = {
    "an optimizer": START + "optimizer: {name: Adamm}\n",
    "a loss": START + "loss: crossentropi\n",
    "a metric": START + "metrics: [F1]\n",
    "bounds": START + "optimizer: {name: rmsprop, learning_rate: -1, rho: 1.5}\ntraining: {epochs: 0}\n",
    "a bound above": "name: x\ndataset: {name: digits, validation_split: 0.95}\nmodel: {hidden: [8]}\n",
    "yes": START + "optimizer: {name: sgd, nesterov: yes}\n",
    "a mapping": START + "training: 3\n",
    "text": "name: 3\ndataset: digits\nmodel: {hidden: [8]}\n",
    "a comma": START + "optimizer: {name: sgd, learning_rate: 0,001}\n",
    "a window": CONVOLUTION,
    "outputs": START.replace("hidden: [8]", "layers: [{type: dense, units: 3}]"),
    "no mapping": "- a\n",
    "twice": "name: x\nname: y\n",
    "no YAML": "name: [x\n",
    "a typo": START + "trainig: {epochs: 3}\n",
}


def problems(text: str) -> list[str]:
    """What is said of a spec that is wrong: messages, and what is allowed where that is no list of names."""
    try:
        ExperimentSpec.parse(spec_text.read(text)).expand()
    except SpecError as error:
        return [
            part
            for problem in error.problems
            for part in (problem.message, problem.allowed)
            if isinstance(part, str)
        ]
    raise AssertionError("nothing is wrong with it")


def test_what_is_wrong_in_a_spec_is_said_in_chinese() -> None:
    """The typical mistakes and some more. Every text of the catalogue is brought about by one of them, or stands in the code."""
    used: set[str] = set()
    for name, text in {**{name: text for name, (text, _) in MISTAKES.items()}, **FURTHER}.items():
        for message in problems(text):
            assert Words("en").problem(message) == message
            chinese = Words("zh").problem(message)
            assert re.search("[\u4e00-\u9fff]", chinese) or message == "name: …, dataset: …, model: …", name
            said = [message, *message.split("; "), re.sub(r"^line \d+: ", "", message)]
            used.update(
                key for key, pattern in _patterns(PROBLEM) for part in said if pattern.fullmatch(part)
            )
    written = strings(Path(experiments.__file__).parent) + strings(FOLDER.parent) + strings(REQUESTS)
    left = {
        key
        for key, text in catalogue("en").items()
        if key.startswith(PROBLEM) and key not in used and not stands_in(text, written)
        if not key.startswith(ELSEWHERE)
    }
    assert [key for key in left if not catalogue("en")[key].startswith(COMPOSED)] == []


ELSEWHERE = "problem.why_"
"""How the keys of texts begin that Python's parser and YAML's write."""
REQUESTS = FOLDER.parents[1] / "workers" / "requests"
COMPOSED = (
    *("there is no ", "write nothing", "a whole number, or ", "a list, or ", "is a", "is HTML", "this belongs to nobody", "this service asks"),
    *("the key is not known", "the question compares", "the search chooses", "{name} holds too many", "{a} outputs or "),
)  # fmt: skip
"""How texts begin that the code puts together."""


def strings(folder: Path) -> str:
    """Every string that the Python files of a folder write."""
    trees = (
        ast.parse(path.read_text("utf-8")) for path in folder.rglob("*.py") if "engine" not in path.parts
    )
    constants = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return "\n".join(node.value for node in constants if isinstance(node.value, str))


def stands_in(text: str, written: str) -> bool:
    """Whether a part of a text between its places is in what the code writes: one of eight letters or more, or the longest."""
    pieces = [part[0].strip() for part in Formatter().parse(text)]
    longest = max(map(len, pieces))
    return any(piece in written for piece in pieces if len(piece) >= min(8, longest))


BAD: tuple[object, ...] = (
    *(-1, 0, 0.5, 3, 100, 10**9, True, None, math.nan, "x", "relu", "softmax", "sgd", "digits", "hidden", "0,5"),
    *("mean_squared_error", "categorical_crossentropy", "tpe", "halving", "random", "val/loss", "INPUT-CONV-OUTPUT"),
    *([], {}, [1], ["a", "a"], [8, 8], {"name": "x"}, {"log": [2, 1], "points": 3}, {"linear": [0, 1]}),
    *([{"type": "dense", "units": 3}], {"type": "conv2d"}),
)  # fmt: skip
"""What a field is changed to: of a wrong kind, out of range, or a name from somewhere else."""


def holders(value: Any) -> Iterator[Any]:
    """Every mapping and list in plain data that has entries."""
    if isinstance(value, dict | list) and value:
        yield value
        for entry in value.values() if isinstance(value, dict) else value:
            yield from holders(entry)


def spoilt(text: str, random: Random) -> Any:
    """A spec with two fields changed or taken away."""
    document = spec_text.read(text)
    for _ in range(2):
        if found := list(holders(document)):
            holder = random.choice(found)
            key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if random.random() < 0.2:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(random.choice(BAD))
    return document


def test_nothing_that_is_wrong_in_a_spoilt_example_is_said_in_english() -> None:
    """Random changes of the examples: what is said of them has no English sentence on a Chinese page."""
    random, left, said = Random(7), set(), 0
    texts = [text for text in examples().values() if "mnist" not in text]
    for _ in range(300):
        try:
            ExperimentSpec.parse(spoilt(random.choice(texts), random)).expand()
        except SpecError as error:
            parts = [part for problem in error.problems for part in (problem.message, problem.allowed)]
            for message in (part for part in parts if isinstance(part, str)):
                said += 1
                if english_left(re.sub(r'"[^"]*"|\([^)]*\)', "", Words("zh").problem(message))):
                    left.add(message)
    assert said > 300
    assert left == set()


@pytest.mark.parametrize("kind", ["datasets", "layers", "optimizers"])
def test_every_hint_of_the_builder_is_in_chinese(kind: str) -> None:
    for name, entry in table(kind).items():
        for field in _properties((), {}, entry, skip=()):
            if len(field.hint) > 24:
                assert Words("en").said(field.hint, "hint.") == field.hint
                assert re.search("[\u4e00-\u9fff]", Words("zh").said(field.hint, "hint.")), (name, field.hint)


def test_every_example_says_in_chinese_what_it_does() -> None:
    for name, sentence in lessons():
        assert Words("en").said(sentence, "example.") == sentence
        assert re.search("[\u4e00-\u9fff]", Words("zh").said(sentence, "example.")), name


def test_the_formulas_of_layers_are_in_chinese() -> None:
    drawn = {
        layer.formula
        for text in examples().values()
        for point in expanded(text)
        for layer in point.spec.forecast.layers
    }
    for formula in {kind.formula for kind in LAYERS.values()} | drawn:
        assert Words("en").said(formula, "formula.") == formula
        chinese = Words("zh").said(formula, "formula.")
        assert not re.search(
            r"\b(with|over|each|of|the|parameters|used|times|trained|connected|scores)\b", chinese
        )


def expanded(text: str) -> Sequence[Point]:
    try:
        return ExperimentSpec.parse(spec_text.read(text)).expand()[:1]
    except SpecError:
        return ()


def test_every_data_set_says_in_chinese_what_it_is() -> None:
    for entry in catalog()["datasets"]:
        about = entry["description"]
        assert Words("en").said(about, "about.") == about
        assert bool(about) == bool(re.search("[\u4e00-\u9fff]", Words("zh").said(about, "about.")))


@pytest.mark.parametrize("verdict", typing.get_args(Verdict)[:4])
@pytest.mark.parametrize(("needed", "least"), [(None, None), (7, 0.001), (None, 0.5)])
def test_every_verdict_has_its_sentence(verdict: Verdict, needed: int | None, least: float | None) -> None:
    text = verdict_text(verdict, "relu", "tanh", 0.01, needed, least)
    assert not english_left(Words("zh").said(text))


def test_a_comparison_in_chinese_has_no_english_sentence(world: World, client: httpx.Client) -> None:
    """Answer, stages and figures of a question and of an exploration, and the curves of a run."""
    asked = world.ask(world.QUESTION)
    swept = world.submit(examples()["activations"].split("compare:")[0])
    world.work(swept.id, score=lambda run: 0.5)
    run = queries.all_runs(world.store, asked.id)[0]
    for path in (f"/experiments/{asked.id}", f"/experiments/{swept.id}", f"/runs/{run.id}", "/"):
        page = client.get(path, params={"lang": "zh"}).text
        drawn = re.findall(r"<(?:title|desc|figcaption[^>]*|p class=\"answer[^>]*|h2[^>]*)>([^<]*)<", page)
        axes = re.findall(r"<text[^>]*>([^<]*)</text>", page)
        assert drawn
        assert [text for text in (*drawn, *axes) if english_left(text)] == []
