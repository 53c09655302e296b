"""Programs of the kind that tutorials have become the specs that `tests/data/keras_programs.md` says, with its notes."""

from __future__ import annotations

import contextlib
import random
import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.errors import SpecError
from experiments.keras_code import import_keras
from experiments.keras_code.marks import CLOCK, DRAWN, SHOWN, UNNEEDED
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml

ROOT = Path(__file__).resolve().parents[3]
SAID = ("slip", "changed", "left out")


class Tutorial(NamedTuple):
    code: str
    document: object
    remarks: list[str]


def tutorials() -> dict[str, Tutorial]:
    text = (ROOT / "tests/data/keras_programs.md").read_text()
    by_title = {}
    for part in re.split(r"(?m)^## ", text)[1:]:
        title, rest = part.split("\n", 1)
        blocks = re.fullmatch(r"```python\n(.*?)```\n```yaml\n(.*?)```\n(.*)", rest, re.DOTALL)
        assert blocks is not None, title
        remarks = [line.removeprefix("- ") for line in blocks[3].splitlines() if line]
        by_title[title] = Tutorial(blocks[1], parse_yaml(blocks[2]), remarks)
    return by_title


TUTORIALS = tutorials()


def test_there_are_thirty_of_every_style() -> None:
    assert len(TUTORIALS) >= 30
    assert {title[:7] for title in TUTORIALS} == {"keras 1", "keras 2", "keras 3"}


@pytest.mark.parametrize("title", TUTORIALS)
def test_a_tutorial_becomes_its_spec(title: str) -> None:
    code, document, remarks = TUTORIALS[title]
    imported = import_keras(code)
    assert {key: value for key, value in imported.document.items() if key != "name"} == document
    said = [str(note) for note in imported.notes if note.kind in SAID]
    said += [f"problem: {problem}" for problem in imported.problems]
    assert said == remarks
    assert parse_yaml(imported.yaml) == imported.document


@pytest.mark.parametrize(
    "title", [title for title, tutorial in TUTORIALS.items() if "problem" not in str(tutorial.remarks)]
)
def test_what_has_no_problem_is_a_spec(title: str) -> None:
    ExperimentSpec.parse(import_keras(TUTORIALS[title].code).yaml)


def printed(name: str) -> tuple[ExperimentSpec, list[str]]:
    imported = import_keras((ROOT / f"examples/keras/{name}.py").read_text(), name)
    assert not imported.problems
    return ExperimentSpec.parse(imported.yaml), [str(note) for note in imported.notes]


def test_the_regression_of_the_course() -> None:
    spec, notes = printed("regression")
    run = spec.expand()[0].spec
    # 160 of 200 points, all at once, 301 times; one neuron has a weight and a bias
    assert (run.data_shape.n_train, run.training.batch_size, run.training.epochs) == (160, 160, 301)
    assert run.forecast.parameters == 2
    assert run.dataset.model_dump()["slope"] == 0.5
    assert run.dataset.model_dump()["intercept"] == 2.0
    assert (
        "line 3: slip: KERAS_BACKENG: the variable is KERAS_BACKEND; Keras ignores the misspelt one without a word"
        in notes
    )
    assert any(note.startswith("line 8: slip: import matplotlib.pyplot as plt") for note in notes)


def test_the_classification_of_the_course() -> None:
    spec, notes = printed("classification")
    run = spec.expand()[0].spec
    assert run.architecture == "784-32-10"
    assert run.model.activations == ("relu", "softmax")
    assert (
        run.optimizer.model_dump() | {"rho": 0.9, "epsilon": 1e-8, "learning_rate": 0.001}
        == run.optimizer.model_dump()
    )
    assert (run.training.epochs, run.training.batch_size, run.data_shape.n_train) == (2, 32, 60_000)
    assert not [note for note in notes if any(f": {kind}:" in note for kind in SAID)]


def test_the_convolutional_network_of_the_course() -> None:
    spec, notes = printed("cnn")
    run = spec.expand()[0].spec
    shapes = [layer.output_shape for layer in run.forecast.layers]
    assert shapes == [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (3136,), (1024,), (10,)]
    # (25 + 1)·32 + (800 + 1)·64 + (3136 + 1)·1024 + (1024 + 1)·10
    assert run.forecast.parameters == 832 + 51_264 + 3_212_288 + 10_250
    assert "line 22: slip: filter=32: Convolution2D has no argument filter; read as filters=" in notes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "there is no network"),
        ("model = 1", "there is no network"),
        ("model = Sequential(\n", "line 1"),
        ("x：int = 1", "the full-width sign ："),
        ("while True:\n  pass\n", "there is no network"),
        ("for i in range(200):\n  for j in range(200):\n    m.add(Dense(1))", "repeats more than"),
        ("x = " + "(" * 300 + ")" * 300, "this is no Python"),
        ("def f():\n  return f()\nf()", "there is no network"),
        ("x = 9 ** 9 ** 9 ** 9\ny = 'a' * 10 ** 12", "there is no network"),
    ],
)  # fmt: skip
def test_what_is_no_program_is_refused(code: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        import_keras(code)


def test_a_program_is_never_run(tmp_path: Path) -> None:
    file = tmp_path / "written"
    code = f"open({str(file)!r}, 'w').write('x')\n__import__('os').system('touch {file}')\nfrom keras import Sequential\n"
    import_keras(code + "m = Sequential([Dense(1)])\nm.add(exec('raise SystemExit'))\n")
    assert not file.exists()


def test_a_spoilt_program_is_read_or_refused() -> None:
    """Lines left out, moved, or with another word: no error but SpecError, and always plain data."""
    draw = random.Random(0)
    lines = [line for tutorial in TUTORIALS.values() for line in tutorial.code.splitlines()]
    words = ("None", "1", "'x'", "[]", "(1, 2)", "model", "-2.5", "{}", "lambda z: z", "True", "range(3)")
    for _ in range(150):
        code = draw.choice(list(TUTORIALS.values())).code.splitlines()
        for _ in range(3):
            place = draw.randrange(len(code))
            parts = re.findall(r"\w+|\W", code[place]) or [""]
            parts[draw.randrange(len(parts))] = draw.choice(words)
            code[place] = draw.choice(("", draw.choice(lines), "".join(parts)))
        try:
            imported = import_keras("\n".join(code))
        except SpecError:
            continue
        assert parse_yaml(imported.yaml) == imported.document


GROWING = {
    "a string": "s = 'a'\n" + "s = s + s\n" * 40,
    "a list of lists": "x = [1]\n"
    + "x = [x, x]\n" * 40
    + "y = np.array(x) / 3\nmodel = Sequential(x)\nprint(str(x))\n",
    "a tuple times a number": "x = (1,)\n" + "x = (x * 100,)\n" * 9 + "y = np.array(x)\n",
    "a list of a range": "y = list(range(10 ** 9))\n",
    "a sum of a range": "y = sum(range(10 ** 12))\n",
    "a power": "x = 9 ** 9\n" + "x = x * x\n" * 40,
    "calls that call": "def f(n):\n" + "    f(n)\n" * 6 + "f(1)\n",
    "loops in loops": "".join(f"{' ' * n}for v{n} in range(60):\n" for n in range(6))
    + "      model.add(Dense(3))\n",
}


@pytest.mark.parametrize("program", GROWING.values(), ids=GROWING)
def test_a_program_whose_values_grow_without_end_is_read_in_no_time(program: str) -> None:
    began = time.process_time()
    head = "import numpy as np\nfrom keras.models import Sequential\nmodel = Sequential()\n"
    with contextlib.suppress(SpecError):
        import_keras(head + program, "growing")
    assert time.process_time() - began < 2.0


def test_one_note_lists_the_lines_of_which_nothing_is_needed() -> None:
    code = (
        'import os\nos.system("rm -rf /")\nos.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"\n'
        "from keras import Sequential\nfrom keras.layers import Dense\n"
        "def plot(history):\n    print(history)\n"
        "def add(model, units):\n    print(units)\n    model.add(Dense(units))\n"
        'model = Sequential()\nadd(model, 1)\nmodel.compile("sgd", "mse")\nmodel.summary()\n'
        'if False:\n    print(1)\nprint("a",\n      "b")\n'
    )
    system, printed = [note for note in import_keras(code).notes if "needed" in note.text]
    assert (system.line, system.kind, printed.line, printed.kind) == (2, "read", 9, "read")
    assert system.text == f"{UNNEEDED}: lines 2–3, 7, 16"
    assert printed.text == f"{SHOWN}: lines 9, 17–18"


def test_times_and_pictures_are_said_to_be_those_of_every_run() -> None:
    code = (
        "import time as clock\nfrom datetime import datetime\nimport matplotlib.pyplot as plt\n"
        "from keras import Sequential, layers\nbegan = clock.time()\n"
        'm = Sequential([layers.Dense(1)])\nm.compile("sgd", "mse")\n'
        "took = clock.time() - began\nnow = datetime.now()\nplt.show()\n"
    )
    notes = [note.text for note in import_keras(code).notes if "needed" in note.text]
    assert notes == [f"{CLOCK}: lines 5, 8–9", f"{DRAWN}: line 10"]


def test_a_program_whose_every_line_counts_has_no_such_note() -> None:
    code = (
        'from keras import Sequential, layers\nm = Sequential([layers.Dense(1)])\nm.compile("sgd", "mse")\n'
    )
    assert not [note for note in import_keras(code).notes if "needed" in note.text]


def test_metrics_need_data_that_were_not_trained_on() -> None:
    code = """
import numpy as np, keras
x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
model.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.AUC()])
model.fit(x, y)
"""
    imported = import_keras(code)
    assert imported.document["dataset"] == {"name": "xor"}
    assert "metrics" not in imported.document
    assert any("there are none; write dataset:" in note.text for note in imported.notes)
