"""Phrases that every refusal shares: the value that was found, and the name that was probably meant."""

from __future__ import annotations

import difflib
import itertools
import json
import re
import unicodedata
from collections.abc import Sequence

OTHER_NAMES = {
    # layers, also by the names of Keras 1 and of other libraries
    "convolution2d": "conv2d", "conv": "conv2d", "convolutional": "conv2d", "maxpooling2d": "max_pool2d",
    "maxpooling": "max_pool2d", "averagepooling2d": "average_pool2d", "avgpool2d": "average_pool2d",
    "meanpool2d": "average_pool2d", "globalaveragepooling2d": "global_average_pool2d",
    "globalmaxpooling2d": "global_max_pool2d", "separableconvolution2d": "separable_conv2d",
    "globalavgpool2d": "global_average_pool2d", "gap": "global_average_pool2d", "separableconv": "separable_conv2d",
    "depthwiseconv": "depthwise_conv2d", "convtranspose2d": "conv2d_transpose", "convolution1d": "conv1d",
    "maxpooling1d": "max_pool1d", "averagepooling1d": "average_pool1d", "globalaveragepooling1d": "global_average_pool1d",
    "globalmaxpooling1d": "global_max_pool1d", "parametricrelu": "prelu",
    "multiheadattention": "multi_head_attention", "multiheadselfattention": "multi_head_attention", "mha": "multi_head_attention",
    "selfattention": "multi_head_attention", "dotproductattention": "attention", "wordembedding": "embedding",
    "deconv2d": "conv2d_transpose", "deconvolution2d": "conv2d_transpose", "zeropadding": "zero_padding2d",
    "padding2d": "zero_padding2d", "batchnorm": "batch_normalization", "batchnorm2d": "batch_normalization",
    "bn": "batch_normalization", "layernorm": "layer_normalization", "fullyconnected": "dense", "fc": "dense",
    "rnn": "simple_rnn",
    # fields
    "lr": "learning_rate", "alpha": "learning_rate", "eta": "learning_rate", "nbepoch": "epochs",
    "nepoch": "epochs", "nepochs": "epochs", "numepochs": "epochs", "iterations": "epochs",
    "minibatch": "batch_size", "minibatchsize": "batch_size", "nbfilter": "filters", "nfilters": "filters",
    "outchannels": "filters", "kernel": "kernel_size", "filtersize": "kernel_size", "bordermode": "padding",
    "subsample": "strides", "init": "kernel_initializer", "kernelinit": "kernel_initializer",
    "weightinit": "kernel_initializer", "innerinit": "recurrent_initializer",
    "wregularizer": "kernel_regularizer", "bregularizer": "bias_regularizer", "bias": "use_bias",
    "outputdim": "units", "neurons": "units", "nodes": "units", "outfeatures": "units",
    "dimordering": "data_format", "imagedimordering": "data_format", "p": "rate", "dropoutrate": "rate",
    "earlystopping": "stop", "randomseed": "seed", "randomstate": "seed", "objective": "loss",
    "criterion": "loss", "data": "dataset", "hiddenlayers": "hidden", "hiddenlayersizes": "hidden",
    "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon",
    # entries of the tables
    "gradientdescent": "sgd", "gd": "sgd", "stochasticgradientdescent": "sgd", "logistic": "sigmoid",
    "rectifier": "relu", "heaviside": "step", "sign": "step", "hyperbolictangent": "tanh",
    "crossentropy": "categorical_crossentropy", "logloss": "binary_crossentropy", "l2loss": "mean_squared_error",
    "cifar": "cifar10", "xavier": "glorot_uniform", "xavieruniform": "glorot_uniform",
    "xaviernormal": "glorot_normal", "kaimingnormal": "he_normal", "kaiminguniform": "he_uniform",
    "normal": "random_normal", "uniform": "random_uniform", "gaussian": "random_normal",
}  # fmt: skip
"""Names from elsewhere, without capitals and signs -> the name here. Used only where that name is allowed."""
INSTEAD = {
    "decay": "a schedule: learning_rate: {name: inverse_time_decay, initial_learning_rate: …, decay_steps: …, decay_rate: …}",
    "inputshape": "nothing: the input's shape follows the data set",
    "inputdim": "nothing: the input's shape follows the data set",
    "batchinputshape": "nothing: the input's shape follows the data set",
    "input": "nothing: the input's shape follows the data set",
    "inputlayer": "nothing: the input's shape follows the data set",
    "dropout": "a layer of its own: {type: dropout, rate: 0.5}",
    "callbacks": "training: {stop: {patience: …}} to stop early",
    "verbose": "nothing: `gradus watch` shows the progress",
    "shuffle": "nothing: every epoch reads the training data in a new order",
}
"""Names from elsewhere that are no single field here -> what to write."""
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+([eE][-+]?[0-9]+)?")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")


def short(value: object, length: int = 60) -> str:
    """A value as it would be written in a spec, cut to `length` characters."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError, TypeError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else text[: length - 1] + "…"


def spelling(name: str) -> str:
    """A name without capitals, underscores and other signs: `MaxPool2D` and `max_pool2d` are the same."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).lower() if letter.isalnum())


def meant(name: str, names: Sequence[str]) -> str | None:
    """The one allowed name that this is another spelling of, or another library's name for."""
    spelled = spelling(name)
    same = [known for known in names if spelling(known) == spelled]
    if len(same) == 1:
        return same[0]
    other = OTHER_NAMES.get(spelled)
    return other if other in names else None


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant: its letters in another order, a similar spelling, the initials (`bs`), or the
    beginning of a name."""
    swapped = (known for known in names if sorted(known) == sorted(name))
    similar = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    initials = (known for known in names if "".join(part[:1] for part in known.split("_")) == name)
    longer = (known for known in names if len(name) > 1 and known.startswith(name))
    return next(itertools.chain(swapped, similar, initials, longer), None)


def unknown(kind: str, name: object, names: Sequence[str]) -> str:
    """`there is no activation "relo"; did you mean "relu"?`, `there is no layer "Dense"; write "dense"`."""
    start = f'there is no {kind} "{short(name)}"'
    if not isinstance(name, str) or len(name) > 200:
        return start
    if (known := meant(name, names)) is not None:
        return f'{start}; write "{known}"'
    if (instead := INSTEAD.get(spelling(name))) is not None:
        return f"{start}; write {instead}"
    guess = nearest(name, names)
    return f'{start}; did you mean "{guess}"?' if guess else start


def number_meant(value: object) -> str | None:
    """The number that a text stands for: `0,001` with a decimal comma, `"32"` in quotes, `50 %`, full-width digits."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    text = unicodedata.normalize("NFKC", value).strip()
    if _DECIMAL_COMMA.fullmatch(text):
        return text.replace(",", ".")
    if (percent := _PERCENT.fullmatch(text)) is not None:
        return f"{float(percent.group(1)) / 100:g}"
    plain = text.replace("_", "").replace(" ", "")
    return plain if _NUMBER.fullmatch(plain) else None
