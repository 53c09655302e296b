"""The builder: form and YAML are two views of one text; faults stand at their field and line."""

from __future__ import annotations

import html
import random
import re
import unicodedata
from typing import Any

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.field_paths import write_path
from experiments.spec import ExperimentSpec
from experiments.spec.examples import examples
from service.store import queries
from service.web import form, spec_text
from service.web.builder import START
from tests.service.scored_runs import World

EXAMPLES = {name: text for name, text in examples().items() if "/" not in name}
SWEEP_MODELS = ("depth-vs-width", "vanishing-gradient", "pooling", "plain-vs-residual")
"""Their sweeps change `hidden`, `pool` or `pattern`, which a list of layers has not."""
SHOWN = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))
WORD = st.text(SHOWN, min_size=1, max_size=12).map(lambda word: unicodedata.normalize("NFC", word))
"""Hidden characters and keys in another normal form are refused at the door."""
SCALAR: Any = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORD
)
VALUE: Any = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3), max_leaves=6
)
LAYER = st.fixed_dictionaries(
    {"type": st.sampled_from(["dense", "conv2d", "dropout", "nonsense"])},
    optional={"units": VALUE, "activation": VALUE, "rate": VALUE, "kernel_initializer": VALUE, "odd": VALUE},
)
DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "name": WORD, "description": VALUE, "tags": VALUE, "loss": VALUE, "seed": VALUE, "diagnostics": VALUE,
        "dataset": st.fixed_dictionaries({"name": st.sampled_from(["digits", "xor", "nonsense"])}, optional={"samples": VALUE, "low": VALUE}),
        "model": st.fixed_dictionaries({}, optional={"hidden": VALUE, "activation": VALUE, "layers": st.lists(LAYER, max_size=3)}),
        "optimizer": st.sampled_from(["sgd", {"name": "adam"}, {"name": "sgd", "momentum": 0.9}]),
        "training": st.fixed_dictionaries({}, optional={"epochs": VALUE, "stop": VALUE, "class_weight": VALUE}),
        "sweep": st.fixed_dictionaries({}, optional={"activation": VALUE, "training.batch_size": VALUE, "seeds": VALUE, "cases": VALUE}),
        "compare": st.fixed_dictionaries({}, optional={"factor": VALUE, "delta": VALUE, "looks": VALUE, "over": VALUE}),
    },
)  # fmt: skip


def text_of(document: dict[str, Any]) -> str:
    text = "# a comment that stays\n"
    for name, value in document.items():
        text = spec_text.write(text, (name,), value)
    return text


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(DOCUMENT)
def test_spec_to_form_to_spec_loses_nothing(document: dict[str, Any]) -> None:
    """What the form shows, sent back as it is, changes no character; each entry alone means what the spec says."""
    text = text_of(document)
    assert spec_text.read(text) == document
    shown = form.form_of(document)
    assert form.apply(text, {entry.name: entry.shown for entry in shown.fields()}) == text
    for entry in shown.fields():
        if entry.shown:
            emptied = spec_text.remove(text, entry.path)
            # Without it the form may have no such entry: an axis of the sweep, a setting of an unknown layer.
            others = {(other.name, other.text) for other in form.form_of(spec_text.read(emptied)).fields()}
            if (entry.name, entry.text) in others:
                again = form.apply(emptied, {entry.name: entry.shown})
                assert value_at(spec_text.read(again), entry.path) == value_at(document, entry.path)


@pytest.mark.parametrize("width", range(88, 106))
def test_a_key_of_two_words_at_the_end_of_a_line_stays_one_key(width: int) -> None:
    tags = {"x" * width: 1, "two words": [[1]], "and more": {"of them": 2}}
    text = spec_text.write("", ("tags",), tags)
    assert spec_text.read(text) == {"tags": tags}
    assert spec_text.read(spec_text.write(text, ("seed",), 1)) == {"tags": tags, "seed": 1}


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = {"name": document} if isinstance(document, str) else document
        document = document[step]
    return document


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_edit_of_an_example_changes_its_field_alone(name: str) -> None:
    text = EXAMPLES[name]
    before = spec_text.read(text)
    after = form.apply(text, {"training.epochs": "7"})
    training = before.get("training", {})
    assert spec_text.read(after) == {**before, "training": {**training, "epochs": 7}}
    comments = re.findall(r"#.*", text)
    assert re.findall(r"#.*", after) == comments
    shown = form.form_of(before)
    assert form.apply(text, {entry.name: entry.shown for entry in shown.fields()}) == text


def test_the_form_of_a_question_asks_for_the_best_or_against_one_level() -> None:
    text = "name: q\ndataset: {name: digits}\nmodel: {hidden: [8]}\nsweep: {activation: [relu, tanh, elu]}\n"
    for sent, expected in (
        ({"compare.best": "true"}, {"best": True}),
        ({"compare.control": "relu"}, {"control": "relu"}),
        ({"compare.over": "splits"}, {"over": "splits"}),
    ):
        written = form.apply(text, {"compare.factor": "activation", **sent})
        assert spec_text.read(written)["compare"] == {"factor": "activation", **expected}
        assert ExperimentSpec.parse(written).compare is not None


@pytest.mark.parametrize("name", EXAMPLES)
def test_layers_mean_what_hidden_or_pattern_meant(name: str) -> None:
    if "layers" in spec_text.read(EXAMPLES[name]).get("model", {}) or name in SWEEP_MODELS:
        return
    text = form.act(EXAMPLES[name], "as-layers")
    before, after = (ExperimentSpec.parse(source).expand() for source in (EXAMPLES[name], text))
    assert [point.spec.fingerprint() for point in after] == [point.spec.fingerprint() for point in before]


def test_what_only_a_pattern_has_cannot_be_swept_over_layers() -> None:
    with pytest.raises(SpecError, match="only a pattern uses this field"):
        form.act(EXAMPLES["pooling"], "as-layers")


def test_buttons_change_the_text() -> None:
    text = EXAMPLES["xor-mlp"]
    added = spec_text.read(form.act(text, "add-layer:dropout"))["model"]["layers"]
    assert [layer["type"] for layer in added] == ["dense", "dropout", "dense"], (
        "the output layer stays the last"
    )
    moved = spec_text.read(form.act(text, "down:model.layers[0]"))["model"]["layers"]
    assert [layer["units"] for layer in moved] == [1, 4]
    assert form.act(text, "up:model.layers[0]") == text
    dragged = spec_text.read(form.act(EXAMPLES["mnist-cnn"], "move:model.layers[4]:-3"))["model"]["layers"]
    assert [layer["type"] for layer in dragged][:4] == ["conv2d", "flatten", "max_pool2d", "conv2d"]
    assert form.act(text, "move:model.layers[0]:2") == text, "there is no such place"
    with pytest.raises(SpecError, match="there is no button"):
        form.act(text, "move:model.layers[0]:far")
    removed = spec_text.read(form.act(text, "remove:model.layers[1]"))["model"]["layers"]
    assert [layer["units"] for layer in removed] == [4]
    swept = form.act(text, "add-axis:training.batch_size")
    assert spec_text.read(swept)["sweep"]["training.batch_size"] == [16, 64]
    assert spec_text.read(form.act(swept, "remove:sweep.training.batch_size"))["sweep"] == {"seeds": 5}


@pytest.mark.parametrize("kind", sorted(form.table("layers")))
def test_every_layer_of_the_table_can_be_added(kind: str) -> None:
    layer = form.new_layer(kind)
    shown = form.form_of({"model": {"layers": [layer]}})
    assert shown.layers
    assert shown.layers[0].type.shown == kind
    names = {entry.path[-1] for entry in (*shown.layers[0].fields, *shown.layers[0].more)}
    assert names == form.table("layers")[kind]["schema"]["properties"].keys() - {"type"}


def test_fields_have_their_line() -> None:
    text = "name: a\nmodel:\n  layers:\n    - {type: dense, units: 4}\n    - type: dense\n      units: 1\n"
    lines = spec_text.lines(text)
    assert lines["model.layers[0].units"] == 4
    assert lines["model.layers[1].units"] == 6
    assert spec_text.line_of("model.layers[1].activation.name", lines) == 5
    assert spec_text.line_of("sweep", lines) is None
    assert spec_text.lines("a: [") == {}


@pytest.mark.parametrize("text", ["", "name: a\n# ü 中\n", "x" * 5000])
def test_a_spec_survives_its_address(text: str) -> None:
    packed = spec_text.to_address(text)
    assert packed is not None
    assert re.fullmatch(r"[\w-]+", packed)
    assert spec_text.from_address(packed) == text


@pytest.mark.parametrize("packed", ["!", "AAAA", "eJw", spec_text.to_address("name: a")[:-3]])  # type: ignore[index]
def test_an_address_that_was_cut_off_is_refused(client: httpx.Client, packed: str) -> None:
    page = client.get("/new", params={"spec": packed})
    assert page.status_code == 200
    assert "the address holds no spec" in page.text


def edit(client: httpx.Client, text: str, deed: str = "text", **entries: str) -> str:
    sent = {
        "text": text,
        "do": deed,
        "part": "builder",
        **{f"f:{name}": value for name, value in entries.items()},
    }
    answer = client.post("/new/edit", files={name: (None, value) for name, value in sent.items()})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_fault_stands_at_its_field_and_line(client: httpx.Client) -> None:
    shown = edit(client, "name: x\ndataset: {name: digits}\nmodel: {hidden: [3]}\ntraining:\n  epochs: -1\n")
    assert re.search(r'name="f:training.epochs" value="-1"[^>]*aria-invalid="true"', shown)
    assert 'data-line="5"' in shown
    assert '<span class="wrong">5</span>' in shown


def test_a_spec_is_previewed_with_shapes_and_formulas(client: httpx.Client) -> None:
    shown = edit(client, "name: x\ndataset: {name: digits}\nmodel: {hidden: [32]}\n")
    assert "(64 + 1)·32 = 2,080 parameters" in shown
    assert "8 × 8 × 1" in shown
    assert "less than 0.1 MB" in shown


def test_the_form_is_submitted_once(world: World, client: httpx.Client) -> None:
    page = client.get("/new", params={"example": "xor-mlp"}).text
    token = re.search(r'name="form" value="(\w+)"', page)
    assert token
    sent = {"form": token[1], "text": EXAMPLES["xor-mlp"], "f:sweep.seeds": "2"}
    parts = {name: (None, value) for name, value in sent.items()}
    first, second = (client.post("/new", files=parts) for _ in range(2))
    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    (experiment,), _ = queries.list_experiments(world.store)
    assert first.headers["location"] == f"/experiments/{experiment.id}"
    assert experiment.n_runs == 2, "an entry that was changed counts, also without the script"
    refused = client.post(
        "/new", files={"form": (None, "a"), "text": (None, "name: x\ndataset: {name: mnits}")}
    )
    assert refused.status_code == 422
    assert "mnist" in refused.text


def test_an_experiment_can_be_done_again_with_changes(world: World, client: httpx.Client) -> None:
    experiment = world.submit(world.QUESTION)
    page = client.get("/new", params={"from": experiment.id}).text
    text = re.search(r'<textarea id="text"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert text
    again = ExperimentSpec.parse(html.unescape(text[1]))
    assert again.document() == experiment.experiment_spec.document()


def test_a_large_spec_is_taken(client: httpx.Client) -> None:
    """Nearly as large as the API takes: 900 kB, most of them a comment."""
    noise = random.Random(0).randbytes(450_000).hex()
    text = f"name: x\ndataset: {{name: xor}}\nmodel: {{hidden: [2]}}\n# {noise}\n"
    shown = edit(client, text)
    assert "too long for a link" in shown
    assert 'class="fine"' in shown


def test_paths_are_written_as_they_are_read() -> None:
    assert write_path(("model", "layers", 0, "units")) == "model.layers[0].units"


@pytest.mark.parametrize(("given", "name"), [({}, "rmsprop"), ({"optimizer.name": "sgd"}, "sgd")])
def test_a_setting_of_the_default_optimizer_names_it(given: dict[str, str], name: str) -> None:
    text = form.apply(START, {**given, "optimizer.learning_rate": "0.01"})
    assert spec_text.read(text)["optimizer"] == {"name": name, "learning_rate": 0.01}


def test_weights_of_classes_are_a_field() -> None:
    """Numbers or texts as classes: the text keeps what was written, and the spec reads both."""
    text = "name: weighed\ndataset: xor\nmodel: {hidden: [4]}\n"
    assert "training.class_weight" in {entry.name for entry in form.form_of(spec_text.read(text)).training}
    for entry in ("{0: 1, 1: 5}", '{"0": 1, "1": 5}'):
        written = form.apply(text, {"training.class_weight": entry})
        (run,) = ExperimentSpec.parse(written).expand()
        assert dict(run.spec.training.class_weight or ()) == {0: 1, 1: 5}
        shown = {field.name: field.shown for field in form.form_of(spec_text.read(written)).fields()}
        assert form.apply(written, shown) == written


def test_an_embedding_is_added_before_all_other_layers() -> None:
    text = "dataset: recall\nmodel:\n  layers:\n    - {type: flatten}\n    - {type: dense, units: 1}\n"
    after = form.act(text, "add-layer:embedding")
    layers = spec_text.read(after)["model"]["layers"]
    assert layers == [
        {"type": "embedding", "output_dim": 16},
        {"type": "flatten"},
        {"type": "dense", "units": 1},
    ]
