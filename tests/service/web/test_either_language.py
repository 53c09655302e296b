"""No page leaves a sentence in the other language: whatever a person does wrong, and whatever the code can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import experiments
from experiments.datasets.reading import OTHER_KINDS
from service import operations, reasons
from service.lifecycle import RunStatus
from service.store import queries
from service.words import KERAS_NOTE, Words
from tests.browser.test_own_pages import MISTAKES
from tests.service.scored_runs import World
from tests.service.web.readers import chinese, english, shown
from tests.service.web.test_words import FURTHER, source_of

ROOT = Path(experiments.__file__).parents[1]
ZH = Words("zh")
KERAS = ROOT / "experiments" / "keras_code"
WRITERS = ("exporting.py", "exported_data.py", "exported_weights.py", "own_code.py")
"""They write programs, and say nothing about one."""


def written(node: ast.expr) -> str | None:
    """A text that code writes, with 3 for each value; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "3" for part in node.values)


def calls(*paths: Path) -> Iterator[tuple[str, list[ast.expr]]]:
    """Every call in these files and folders: the last name of what is called, and its arguments."""
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    yield (
                        ast.unparse(node.func).rpartition(".")[2],
                        [*node.args, *(k.value for k in node.keywords)],
                    )


FROM_TABLES = (
    "the metric 3: 3",
    "training: 3 epochs, 3: train_on_batch is one update",
    "3: a file of one's own is no part of a program; write 3",
)
"""Notes whose second part is out of a table; PROGRAMS brings them about."""


def test_every_note_on_a_keras_program_is_in_chinese() -> None:
    """Whatever is said to `notes.add`: as a whole, out of a table, or put together from one."""
    said = [
        text
        for path in sorted(KERAS.glob("*.py"))
        if path.name not in WRITERS
        for name, arguments in calls(path)
        if name == "add" and len(arguments) == 3 and (text := written(arguments[2])) is not None
    ]
    assert len(said) > 60
    assert [text for text in said if english(ZH.said(text, KERAS_NOTE)) and text not in FROM_TABLES] == []
    for text in said:
        assert Words("en").said(text, KERAS_NOTE) == text


PROGRAMS = {
    "callbacks": "m.fit(x, y, callbacks=[ModelCheckpoint('a'), TensorBoard(), History(), TerminateOnNaN(), ReduceLROnPlateau(),"
    " LearningRateScheduler(f), LambdaCallback(), Strange(), EarlyStopping('acc', restore_best_weights=True)])",
    "methods": "m.summary(); m.evaluate(x); m.predict(x); m.save('a'); m.get_weights(); m.get_config(); m.build(); m.fti(x, y)",
    "layers": "m.add(Lambda(f)); m.add(GaussianNoise(1)); m.add(Bidirectional(Dense(2))); m.add(TimeDistributed(LSTM(2)));"
    " m.add(UpSampling2D()); m.add(Rescaling()); m.add(Dense(3, kernel_constraint=f, activation=f)); m.add(AdditiveAttention())",
    "metrics": "m.compile('sgd', 'mse', metrics=['mse', 'strange', 'Precision'])",
    "refused": "m.compile(SGD(use_ema=True, gradient_accumulation_steps=2, ema_momentum=1, loss_scale_factor=2), 'mse')",
    "clock": "import time\nt = time.time()\nprint(t)\nimport matplotlib.pyplot as plt\nplt.plot(t)\nunknown(t)",
    "joins": "a = Input((2,)); b = Dense(2)(a); c = Dense(3)(a); m = Model(a, multiply([b, c]))",
}
"""Lines of a program after which something is put together from the reader's tables."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_put_together_about_a_program_is_in_chinese(name: str, client: httpx.Client) -> None:
    code = f"m = Sequential([Dense(1)])\n{PROGRAMS[name]}\n"
    sent = {"do": "keras", "text": "name: x\n", "code": code}
    pages = {
        language: client.post("/new/edit", data=sent, params={"lang": language}).text
        for language in ("en", "zh")
    }
    notes = {language: re.findall(r"<br>([^<]*)</td>", page) for language, page in pages.items()}
    assert len(notes["en"]) == len(notes["zh"]) >= 3
    assert any(english(note) for note in notes["en"])
    assert [note for note in notes["zh"] if english(note)] == []
    assert [note for note in notes["en"] if chinese(note)] == []


REFUSING = ("Problem", "one", "refuse", "PydanticCustomError", "misfit", "problem")
ERRORS = (
    "Conflict",
    "NoPicture",
    "FilesAway",
    "RequestFailed",
    "FaultError",
    "DataError",
    "Unanswerable",
    "StoreUnavailable",
)
REFUSALS = [
    *(
        ROOT / "experiments" / name
        for name in ("spec", "datasets", "layers", "formulas", "gradient_check", "samples.py")
    ),
    *(
        ROOT / "experiments" / f"{name}.py"
        for name in ("optimizers", "schedules", "losses", "metrics", "fields", "film")
    ),
    *(ROOT / "experiments" / "keras_code" / f"{name}.py" for name in ("importing", "source", "reader")),
    *(
        ROOT / "service" / name
        for name in ("operations", "analysis", "tracking/pictures.py", "web", "errors.py")
    ),
    *(ROOT / "service" / "http" / f"{name}.py" for name in ("requests", "datasets", "reuse", "bounded")),
    ROOT / "workers" / "requests",
]
"""Where what a page refuses is written."""
PUT_TOGETHER = (
    "3 3 predictions",
    "3 runs of the epochs",
    "3this is no YAML",
    "the column 3 is missing3",
    "the range holds only ",
    "the 3 points of the range",
    "3, and an identity",
    "3: no step makes",
    "3 after 3: Keras",
)
"""How texts begin that code completes by more than a value; COMPLETED has some as they are said."""


def test_every_refusal_that_a_page_can_show_is_in_chinese() -> None:
    refused = [
        text
        for name, arguments in calls(*REFUSALS)
        if name in (*REFUSING, *ERRORS, "__init__")
        for argument in arguments
        if (text := written(argument)) is not None and english(text) and not text.startswith(PUT_TOGETHER)
    ]
    assert len(refused) > 250
    assert sorted({text for text in refused if english(ZH.problem(text))}) == []


COMPLETED = {
    "the range holds only 4 different values, which make 4 runs of the 9 to draw": "范围里只有 4 个不同的值，要抽取 9 次运行，只能得到 4 次",
    "the 5 points of the range are only 2 different whole numbers": "范围的 5 个点只有 2 个不同的整数",
    "you have 8 predictions and plots waiting, 8 are allowed (GRADUS_QUOTA_OPEN_REQUESTS); wait for some to be answered": (
        "您有 8 个预测和绘图请求在等待，最多允许 8 个（GRADUS_QUOTA_OPEN_REQUESTS）；请等一些得到回答"
    ),
    "pool-mean: mean for sum (or sum for mean) on the way back through a pool; this network has no place for it": (
        "pool-mean：反向经过池化时把和与平均弄混；这个网络里没有放它的地方"
    ),
    "line 1: this is no Python: '(' was never closed": "第 1 行：这不是 Python 代码：'(' 没有闭合",
    "line 2: this is no YAML: mapping values are not allowed here": "第 2 行：这不是 YAML：这里不能有“键: 值”",
    "1 of 2 input numbers lie outside [-3, 3], the range that moons was trained on (0: (cos t); 1: (1 - cos t)): scale them as "
    "there, or the outputs mean little": (
        "2 个输入数中有 1 个超出 moons 训练时的范围 [-3, 3]（0: (cos t); 1: (1 - cos t)）：请照样缩放，否则输出没有多大意义"
    ),
}  # fmt: skip


def test_what_an_uploaded_file_is_in_place_of_a_table_is_in_chinese() -> None:
    assert [
        what
        for what in OTHER_KINDS.values()
        if english(ZH.problem(f"is {what}")) or not chinese(ZH.problem(f"is {what}"))
    ] == []


@pytest.mark.parametrize("message", COMPLETED)
def test_a_refusal_is_said_in_either_language(message: str) -> None:
    assert Words("en").problem(message) == message
    assert ZH.problem(message) == COMPLETED[message]


def test_every_reason_of_a_run_is_in_chinese() -> None:
    codes = [text for text in source_of(reasons) if re.fullmatch("[a-z_]+", text)]
    said = {
        reasons.explain(status, code) for status in (RunStatus.FAILED, RunStatus.SCHEDULED) for code in codes
    }
    failed = {"gradus.certificate": "failed", "gradus.certificate.reason": "every step crosses a kink"}
    said |= {
        reasons.explain(RunStatus.FAILED, "epochs", failed),
        reasons.explain(RunStatus.FAILED, "data: MLflow has no 'a' of this run"),
    }
    sentences = [text for text in said if english(text)]
    assert len(sentences) >= 16
    assert [text for text in sentences if english(ZH.said(text))] == []


def sentences(path: Path) -> list[str]:
    """Every text that a file writes beside its docstrings, with 3 for each value."""
    tree = ast.parse(path.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.expr) and id(node) not in alone | inner)
    return [text for node in nodes if (text := written(node)) is not None and " " in text]


def test_every_reason_of_a_certificate_is_in_chinese() -> None:
    folder = ROOT / "experiments" / "gradient_check"
    at = "0-dense/kernel (loss)"
    of_tensors = [
        text for text in sentences(folder / "tensor_check.py") if not text.startswith("not assessed")
    ]
    said = [
        f"at the start, seed 7, 64 points: {at}: {text} (and 3 more)" for text in of_tensors if "3" in text
    ]
    said += [f"{at}, at the start: {text}" for text in of_tensors if "3" not in text]
    said += [
        text.replace("3: ", "after 100 steps: ", 1)
        for text in sentences(folder / "verdicts.py")
        if english(text) and text != "not assessed"
    ]
    assert len(said) > 12
    assert all(map(english, said))
    assert [text for text in said if english(ZH.said(text))] == []


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
        base_url=serve(), trust_env=False, timeout=120, headers=headers, follow_redirects=True
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
