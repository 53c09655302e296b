"""Typical mistakes are answered with what to write instead."""

from __future__ import annotations

import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec

START = "name: a\ndataset: {name: digits}\nmodel: {hidden: [16]}\n"
DENSE = "{type: dense, units: 10}"


def with_layers(*layers: str) -> str:
    return START.replace("{hidden: [16]}", f"{{layers: [{', '.join([*layers, DENSE])}]}}")


MISTAKES = {
    "capitals in a data set": (START.replace("digits", "MNIST"), "dataset.name", 'write "mnist"'),
    "capitals in an activation": (
        START.replace("[16]", "[16], activation: ReLU"), "model.activation", 'write "relu"'
    ),
    "capitals in a layer": (with_layers("{type: Dense, units: 3}"), "model.layers[0].type", 'write "dense"'),
    "capitals in an optimizer": (START + "optimizer: Adam", "optimizer.name", 'write "adam"'),
    "capitals in a level": (
        START + "sweep: {activation: [tanh, LeakyReLU]}", "sweep.activation[1]", 'write "leaky_relu"'
    ),
    "capitals in an axis": (START + "sweep: {Activation: [tanh]}", "sweep.Activation", 'write "activation"'),
    "a class of Keras": (
        START + "loss: SparseCategoricalCrossentropy", "loss.name", 'write "sparse_categorical_crossentropy"'
    ),
    "an old name of a layer": (
        with_layers("{type: Convolution2D, filters: 3, kernel_size: 3}"), "model.layers[0].type", 'write "conv2d"'
    ),
    "Keras' name of a layer": (
        with_layers("{type: MaxPooling2D}"), "model.layers[0].type", 'write "max_pool2d"'
    ),
    "a number where a list is meant": (START.replace("[16]", "16"), "model.hidden", "write [16]"),
    "a level where a list is meant": (START + "sweep: {activation: relu}", "sweep.activation", "write [relu]"),
    "lr": (START + "optimizer: {name: sgd, lr: 0.1}", "optimizer.lr", 'write "learning_rate"'),
    "decay": (START + "optimizer: {name: sgd, decay: 0.1}", "optimizer.decay", "inverse_time_decay"),
    "nb_epoch": (START + "training: {nb_epoch: 3}", "training.nb_epoch", 'write "epochs"'),
    "batchsize": (START + "training: {batchsize: 3}", "training.batchsize", 'write "batch_size"'),
    "a field in the wrong place": (START + "epochs: 3", "epochs", "`training.epochs` is the field"),
    "input_shape": (
        with_layers("{type: dense, units: 3, input_shape: [64]}"), "model.layers[0].input_shape", "follows the data"
    ),
    "dropout as a field": (
        with_layers("{type: dense, units: 3, dropout: 0.5}"), "model.layers[0].dropout", "{type: dropout"
    ),
    "padding as a number": (
        with_layers("{type: conv2d, filters: 3, kernel_size: 3, padding: 1}"),
        "model.layers[0].padding", "zero_padding2d",
    ),
    "a decimal comma": (
        START + "optimizer:\n  name: sgd\n  learning_rate: 0,001", "optimizer.learning_rate", "write 0.001"
    ),
    "a decimal comma between braces": (
        START + "optimizer: {name: sgd, learning_rate: 0,001}", "optimizer.001", "a decimal point, not a comma"
    ),
    "full-width digits": (
        START + "optimizer:\n  name: sgd\n  learning_rate: ０．１", "optimizer.learning_rate", "write 0.1"
    ),
    "a number in quotes": (START + "training: {epochs: '3'}", "training.epochs", "write 3"),
    "a whole number with a point": (START + "seed: 1.0", "seed", "write 1"),
    "yes": (START + "optimizer: {name: sgd, nesterov: yes}", "optimizer.nesterov", "write true"),
    "a Tab": (START + "training:\n\tepochs: 3", "", "line 5: a Tab"),
    "a full-width colon": ("name：a\ndataset：mnist\n", "", "line 1: the full-width sign ："),
    "a full-width colon between braces": (
        START + "training: {epochs：3}", "training.epochs：3", "the full-width sign ："
    ),
    "Python": ("import keras\nmodel = keras.Sequential()\n", "", "line 1: this is Python code"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_answered_with_what_to_write(mistake: str) -> None:
    text, path, words = MISTAKES[mistake]
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(text)
    messages = [str(problem) for problem in caught.value.problems if problem.path == path]
    assert any(words in message for message in messages), caught.value.problems


@pytest.mark.parametrize(
    ("name", "answer"),
    [("Convolution2D", "conv2d"), ("convolution_2d", "conv2d"), ("CONV2D", "conv2d"), ("conv2", "conv2d")],
)
def test_a_name_of_another_library_is_known_only_where_it_means_something(name: str, answer: str) -> None:
    from experiments.messages import unknown

    assert f'"{answer}"' in unknown("layer", name, ["conv2d", "dense"])
    assert answer not in unknown("layer", "Convolution2D", ["dense"])
