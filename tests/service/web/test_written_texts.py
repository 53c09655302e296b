"""Whatever the code can say to a person is in the catalogues: read out of the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

import experiments
from experiments import causes, diagnostics
from experiments.datasets.reading import OTHER_KINDS, found
from experiments.layers import attention, sequences, windows
from service import reasons
from service.lifecycle import RunStatus
from service.words import DIAGNOSIS, KERAS_NOTE, Words, catalogue
from tests.service.web.readers import chinese, english, english_left

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


def test_a_reason_that_is_put_together_is_in_chinese() -> None:
    failed = {"gradus.certificate": "failed", "gradus.certificate.reason": "every step crosses a kink"}
    missing = "data: mnist.npz cannot be had: tried GRADUS_DATA_DIR (not set), /data/mnist.npz (cache). Put the file into the folder that GRADUS_DATA_DIR names, "
    missing += "or use the data set `digits`, which needs no download"
    said = [reasons.explain(RunStatus.FAILED, "epochs", failed), reasons.explain(RunStatus.FAILED, missing)]
    assert all(map(english, said))
    assert [text for text in said if english(ZH.said(text))] == []


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


def made_in(module: ModuleType) -> list[str]:
    """Every text that a module's f-strings make, with 3 for each value."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "3" for part in node.values)
        for node in joined
    ]


def test_every_warning_about_a_layer_or_a_column_is_in_chinese() -> None:
    """What the code of these modules writes, whichever spec or file brings it about."""
    for module in (windows, sequences, attention):
        warned = [
            text
            for text in (*made_in(module), *source_of(module))
            if " never read (3)" in text or "attends to itself" in text
        ]
        assert warned
        for text in warned:
            assert not english_left(Words("zh").problem(f"1-conv2d: {text}")), text
    columns = [
        text for text in made_in(found) if re.match(r"columns? (3 |without)", text) and text[-1] != " "
    ]
    assert len(columns) >= 5
    for text in columns:
        assert not english_left(Words("zh").problem(text)), text


DIAGNOSED = """\
The gradient vanishes: before training the first layer (0-dense) gets 1e-06, the last 0.2, a share of 5e-06 (bound 0.001). The \
first layers hardly learn. ReLU or tanh in place of sigmoid, batch normalisation, shortcuts around layers (type: residual) or fewer \
layers usually help.
Dead units: in layer 0-dense, 60% of the units are 0 for every point that was looked at after epoch 3 (bound 50%); they pass no \
gradient and cannot come back. The initial weights of layer 0-dense multiply the size of what they are given by 12; about 1 is usual. \
Smaller initial weights (he_normal for relu, glorot_uniform for tanh) help.
Diverged: the loss is inf after epoch 2, no number to learn from. Each step overshoots. The inputs reach 16, and the initial weights \
are made for inputs around 1: inputs divided by their largest value, or standardised, help.
Never converged: 100 epochs did not meet training.stop.train_errors, at most 0. In epoch 100 2 of 4 answers were wrong, counted while \
the weights still changed: the finished network may answer otherwise. More epochs or another learning rate usually help. Where they do \
not, the network cannot do it: a single neuron separates only what a straight line separates, and needs a hidden layer before it for \
the rest."""


def test_every_diagnosis_is_in_chinese() -> None:
    """Whole sentences, with a cause and with advice; and each beginning and each piece of advice that the code writes."""
    for text in DIAGNOSED.splitlines():
        assert Words("en").said(text, DIAGNOSIS) == text
        assert not english_left(Words("zh").said(text, DIAGNOSIS)), text
    known = [text for key, text in catalogue("en").items() if key.startswith(DIAGNOSIS)]
    beginning = re.compile(r"[A-Z][a-z]+(?: [a-z]+){0,3}: (?=[a-z3])")
    begun = {match[0] for text in made_in(diagnostics) if (match := beginning.match(text))}
    assert len(begun) >= 8
    assert [text for text in begun if not any(have.startswith(text) for have in known)] == []
    advice = {
        text for text in source_of(diagnostics, causes) if re.search(r"helps?\.$", text) and text[0].isupper()
    }
    assert len(advice) >= 5
    assert [text for text in advice if english_left(Words("zh").said(text, DIAGNOSIS))] == []
    assert [
        rule.name for rule in diagnostics.RULES if f"diagnosis_name.{rule.name}" not in catalogue("en")
    ] == []


def source_of(*modules: ModuleType) -> list[str]:
    """Every string that these modules write."""
    trees = (ast.parse(Path(str(module.__file__)).read_text("utf-8")) for module in modules)
    constants = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in constants if isinstance(node.value, str) and node.value]
