"""No page leaves a sentence in the other language, whatever a person does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import experiments
from service import operations
from service.store import queries
from tests.browser.test_builder import MISTAKES
from tests.service.scored_runs import World
from tests.service.web.readers import chinese, english, shown
from tests.service.web.test_words import FURTHER

ROOT = Path(experiments.__file__).parents[1]
KERAS_CODE = {
    "no Python": "model = (",
    "no network": "x = 1",
    "full-width signs": "model = Sequential（）",
    "a loop": "for i in range(10**6):\n    for j in range(10**6):\n        model = Sequential([Dense(1)])\n        model.add(Dense(1))",
}
ASKED = {
    **{name: ("POST", "/new/edit", {"do": "text", "text": text}) for name, (text, _) in MISTAKES.items()},
    **{name: ("POST", "/new/edit", {"do": "text", "text": text}) for name, text in FURTHER.items()},
    **{name: ("POST", "/new/edit", {"do": "keras", "text": "name: x\n", "code": code}) for name, code in KERAS_CODE.items()},
    "a page that only takes forms": ("GET", "/experiments/{plain}/delete", None),
    "a file that is too large": ("POST", "/data", {"file": "x" * 9_000}),
    "a button that is none": ("POST", "/new/edit", {"do": "nothing:x", "text": "name: x\n"}),
    "a link that was cut off": ("GET", "/new?spec=abc", None),
    "an experiment that is none": ("GET", "/experiments/none", None),
    "a page that is none": ("GET", "/nowhere", None),
    "a file that is none": ("GET", "/static/none", None),
    "a cursor that is none": ("GET", "/?cursor=abc", None),
    "a search without a hit": ("GET", "/?q=zzzz", None),
    "a run that is over": ("POST", "/runs/{finished}/retry", {}),
    "pictures of nothing": ("POST", "/runs/{cancelled}/draw", {}),
    "a picture that is none": ("GET", "/runs/{finished}/pictures/x.png", None),
    "a search that is extended": ("POST", "/experiments/{searched}/extend", {"seeds": "2"}),
    "too many seeds": ("POST", "/experiments/{plain}/extend", {"seeds": "9999"}),
    "no number of seeds": ("POST", "/experiments/{plain}/extend", {"seeds": "0"}),
    "a class that is none": ("GET", "/classes/none", None),
    "a code that is none": ("POST", "/join", {"code": "x", "student": "y"}),
    "a finished run": ("GET", "/runs/{finished}", None),
    "a diverged run": ("GET", "/runs/{diverged}", None),
    "a cancelled run": ("GET", "/runs/{cancelled}", None),
    "a failed run": ("GET", "/runs/{failed}", None),
    "an experiment": ("GET", "/experiments/{plain}", None),
    "a network that is checked": ("GET", "/gradient-check?run={finished}", None),
    **{path: ("GET", path, None) for path in ("/", "/lessons", "/data", "/new", "/workers", "/vocabulary", "/gradient-check", "/login", "/join", "/classes")},
}  # fmt: skip
"""What a person does: method, address, and what is sent."""
PLAIN = (
    "name: plain\ndataset: {name: digits}\nmodel: {hidden: [2]}\ntraining: {epochs: 3}\nsweep: {seeds: 4}\n"
)
SEARCH = PLAIN.replace(
    "sweep: {seeds: 4}", "sweep: {learning_rate: {log: [0.01, 1.0], points: 4}, strategy: halving}"
).replace("epochs: 3", "epochs: 4")


def filled(world: World) -> dict[str, str]:
    """Runs in every end, by its name."""
    experiment = world.submit(PLAIN)
    runs = queries.all_runs(world.store, experiment.id)
    operations.cancel_run(world.store, runs[3].id)
    world.work(experiment.id, score=lambda run: 0.9, most=1)
    world.work(experiment.id, score=lambda run: None, most=1)
    world.work(experiment.id, score=lambda run: 0.5, status=lambda run: "FAILED")
    ids = dict(zip(("finished", "diverged", "failed", "cancelled"), (run.id for run in runs), strict=True))
    return {**ids, "plain": experiment.id, "searched": world.submit(SEARCH).id}


def test_nothing_that_a_person_meets_is_in_the_other_language(
    world: World, serve: Callable[..., str]
) -> None:
    """Each state in both: what is Chinese on one is English on the other, so that a state without texts does not pass."""
    places = filled(world)
    left: list[tuple[str, str]] = []
    headers = {"accept": "text/html"}
    with httpx.Client(
        base_url=serve(max_dataset_bytes=8_000),
        trust_env=False,
        timeout=120,
        headers=headers,
        follow_redirects=True,
    ) as browser:
        for name, (method, address, sent) in ASKED.items():
            texts = {}
            for language in ("en", "zh"):
                browser.cookies.set("gradus_language", language)
                answer = browser.request(method, address.format(**places), data=sent)
                assert answer.headers["content-type"].startswith("text/html"), (name, answer.text)
                assert f'lang="{language}"' in answer.text or "/new/edit" in address, name
                texts[language] = shown(answer.text)
            assert any(map(english, texts["en"])), name
            assert any(map(chinese, texts["zh"])), name
            left += [(name, text) for text in texts["zh"] if english(text)]
            left += [(name, text) for text in texts["en"] if chinese(text) and not text.startswith("中文")]
    assert left == []


DIAGNOSED = {
    "gradus.certificate": "failed",
    "gradus.certificate.reason": "at the start: 0-dense/kernel (loss): median relative error 1e-2 (gate 1e-6)",
    "gradus.diagnosis.step_size": "The steps are too small: one update changes a layer's weights by a share of 1e-6 in the median, "
    "below 1e-5 whenever it was measured; about 1e-3 is usual. A larger learning rate usually helps.",
}  # fmt: skip


@pytest.mark.parametrize(
    "text", [World.QUESTION, PLAIN, World.QUESTION.replace("looks: [5, 10]", "looks: any")]
)
def test_a_report_is_in_the_language_of_the_page(text: str, world: World, client: httpx.Client) -> None:
    """Of a question with looks, of one that is looked at at any time, and of runs that nothing was asked about."""
    text = re.sub("description: .*\n", "", text)
    experiment = world.submit(text)
    world.work(experiment.id, score=lambda run: 0.9, tags=lambda run: DIAGNOSED)
    experiment = world.ask(text, score=lambda run: None if run.spec["seed"] == 1 else 0.9)
    for id in (experiment.id, queries.list_experiments(world.store)[0][-1].id):
        pages = {
            language: client.get(f"/experiments/{id}/report?lang={language}").text
            for language in ("en", "zh")
        }
        texts = {language: shown(page) for language, page in pages.items()}
        assert 'lang="zh"' in pages["zh"]
        assert sum(map(english, texts["en"])) > 10
        assert sum(map(chinese, texts["zh"])) > 30
        assert [text for text in texts["zh"] if english(text)] == []
        assert [text for text in texts["en"] if chinese(text)] == []


FILES = {
    "an empty file": b"",
    "too few rows": b"a,b\n1,2\n",
    "texts among numbers": b"a,b\n1,x\n" + b"2,y\n" * 40 + b"z,y\n",
    "a value that is missing": b"a,b\n" + b"1,2\n" * 40 + b",2\n",
    "rows of different widths": b"a,b\n" + b"1,2\n" * 40 + b"1\n",
    "one name twice": b"a,a\n" + b"1,2\n" * 40,
    "a picture": b"\x89PNG" + b"0" * 40,
    "no text": b"\xff\xfe\x00" * 40,
}


def test_what_is_wrong_with_a_file_is_in_the_language_of_the_page(client: httpx.Client) -> None:
    for name, content in FILES.items():
        for language in ("en", "zh"):
            client.cookies.set("gradus_language", language)
            page = client.post("/data", files={"file": ("own.csv", content)})
            assert page.status_code == 422, name
            refused = re.search('<div class="problems".*?</div>', page.text, re.DOTALL)
            assert refused, name
            texts = shown(refused[0])
            assert any(map(english if language == "en" else chinese, texts)), (name, texts)
            assert not any(map(chinese if language == "en" else english, texts)), (name, texts)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_who_logs_in_and_who_teaches_meets_one_language(
    language: str, world: World, serve: Callable[..., str]
) -> None:
    _, admin = operations.create_key(world.store, owner="lin", scopes=["admin"])
    _, reader = operations.create_key(world.store, owner="ada", scopes=["read"])
    code = operations.create_class(world.store, "nn", most=1)[1]
    places = filled(world)
    own, other = (english, chinese) if language == "en" else (chinese, english)
    with httpx.Client(
        base_url=serve(auth_required=True), trust_env=False, timeout=120, headers={"accept": "text/html"}
    ) as browser:
        browser.cookies.set("gradus_language", language)
        answers = [
            browser.post("/login", data={"key": "x"}),
            browser.post(f"/experiments/{places['plain']}/cancel"),
        ]
        answers += [
            browser.post("/join", data={"code": code, "student": name})
            for name in (" ", "wang", "wang", "li")
        ]
        answers += [browser.get("/lessons"), browser.get("/classes/nn"), browser.post("/logout")]
        browser.post("/login", data={"key": reader})
        answers += [browser.post(f"/experiments/{places['plain']}/cancel"), browser.get("/classes")]
        browser.post("/login", data={"key": admin})
        answers += [browser.get(path) for path in ("/classes", "/classes/nn", "/")]
        texts = [text for answer in answers for text in shown(answer.text)]
    assert sum(map(own, texts)) > 40
    assert [text for text in texts if other(text) and not text.startswith("中文")] == []


def test_a_prediction_is_refused_and_warned_in_the_language_of_the_page(
    world: World, client: httpx.Client
) -> None:
    places = filled(world)
    client.cookies.set("gradus_language", "zh")
    for run, inputs in (
        (places["failed"], [[1.0]]),
        (places["finished"], [["a"]]),
        (places["finished"], [[1.0, 2.0]]),
    ):
        answer = client.post(f"/runs/{run}/predict", json={"inputs": inputs})
        assert answer.status_code in (409, 422)
        assert chinese(answer.json()["problem"])
        assert not english(answer.json()["problem"])


def test_what_is_drawn_on_a_canvas_comes_from_the_page() -> None:
    """A canvas has no texts that could be read: its script has none of its own."""
    for path in sorted((ROOT / "service" / "web" / "static").glob("*.js")):
        for text in re.findall(
            r"""(?:fillText|textContent = )\(?\s*["'`]([^"'`]*)["'`]""", path.read_text("utf-8")
        ):
            assert not re.search("[A-Za-z]{3,}", re.sub(r"\$\{[^}]*\}", "", text)), (path.name, text)
