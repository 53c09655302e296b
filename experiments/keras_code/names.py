"""The names of Keras 1 and 2 and of today, and what has no counterpart here."""

from __future__ import annotations

from experiments.layers import LAYERS

POSITIONS: dict[str, tuple[str, ...]] = {
    "Dense": ("units", "activation", "use_bias", "kernel_initializer", "bias_initializer"),
    "Conv2D": (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "groups",
        "activation",
    ),
    "Conv1D": ("filters", "kernel_size", "strides", "padding"),
    "SeparableConv2D": ("filters", "kernel_size", "strides", "padding"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding"),
    "Conv2DTranspose": ("filters", "kernel_size", "strides", "padding"),
    "MaxPooling2D": ("pool_size", "strides", "padding", "data_format"),
    "AveragePooling2D": ("pool_size", "strides", "padding", "data_format"),
    "MaxPooling1D": ("pool_size", "strides", "padding"),
    "AveragePooling1D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("data_format",),
    "GlobalMaxPooling2D": ("data_format",),
    "GlobalAveragePooling1D": ("data_format",),
    "GlobalMaxPooling1D": ("data_format",),
    "PReLU": ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes"),
    "ZeroPadding2D": ("padding", "data_format"),
    "Dropout": ("rate",),
    "Reshape": ("target_shape",),
    "Activation": ("activation",),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "SimpleRNN": ("units", "activation"),
    "LSTM": ("units", "activation", "recurrent_activation"),
    "GRU": ("units", "activation", "recurrent_activation"),
    "Embedding": ("input_dim", "output_dim"),
    "Attention": ("use_scale",),
    "MultiHeadAttention": ("num_heads", "key_dim", "value_dim", "dropout", "use_bias"),
}
"""Arguments of a layer in the order of Keras 2 and 3."""
OLD_POSITIONS: dict[str, tuple[str, ...]] = {
    "Dense": ("units", "kernel_initializer", "activation"),
    "Conv2D": ("filters", "nb_row", "nb_col", "kernel_initializer", "activation"),
}
"""The order of Keras 1, where it was another."""
OTHER_NAMES = {
    "Convolution2D": "Conv2D", "Convolution1D": "Conv1D", "MaxPool2D": "MaxPooling2D", "AvgPool2D": "AveragePooling2D",
    "MaxPool1D": "MaxPooling1D", "AvgPool1D": "AveragePooling1D", "BatchNorm": "BatchNormalization",
    "GlobalAvgPool2D": "GlobalAveragePooling2D", "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalAvgPool1D": "GlobalAveragePooling1D", "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "SeparableConvolution1D": "SeparableConv1D", "Convolution2DTranspose": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D", "Deconvolution2D": "Conv2DTranspose", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
}  # fmt: skip
"""Another name of a layer -> the one that its class has."""
OLD_LAYERS = frozenset(
    {"Convolution2D", "Convolution1D", "SeparableConvolution2D", "Deconvolution2D", "CuDNNLSTM", "CuDNNGRU"}
)
OLD_ARGUMENTS = {
    "output_dim": "units", "nb_filter": "filters", "subsample": "strides", "border_mode": "padding", "dim_ordering": "data_format",
    "init": "kernel_initializer", "inner_init": "recurrent_initializer", "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer", "U_regularizer": "recurrent_regularizer", "bias": "use_bias", "p": "rate",
    "inner_activation": "recurrent_activation", "gamma_init": "gamma_initializer", "beta_init": "beta_initializer",
    "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "pool_length": "pool_size",
}  # fmt: skip
"""Argument of Keras 1 -> that of today."""
NOT_NEEDED = frozenset(
    {
        "name", "input_shape", "input_dim", "batch_input_shape", "batch_shape", "input_length", "trainable", "dtype",
        "implementation", "unroll", "seed", "noise_shape", "mode", "batch_size", "zero_output_for_mask", "input_dtype",
        "consume_less",
    }
)  # fmt: skip
"""Arguments of layers that a spec needs no field for: shapes follow the data set, draws the run's seed."""
NO_COUNTERPART = frozenset(
    {
        "dropout", "recurrent_dropout", "dropout_W", "dropout_U", "stateful", "return_state", "kernel_constraint",
        "bias_constraint", "recurrent_constraint", "embeddings_constraint", "alpha_constraint", "depthwise_constraint", "pointwise_constraint", "output_padding",
        "keepdims", "weights", "sparse", "mask_zero", "activity_regularizer", "renorm",
        "moving_mean_initializer", "moving_variance_initializer", "score_mode", "output_shape", "attention_axes",
    }
)  # fmt: skip
"""Arguments of Keras that are no slip and have no field here."""
JOINS = frozenset({"concatenate", "add", "multiply", "average", "maximum", "merge", "dot"})
"""Functions that join branches."""
READ_JOINS = {
    "sum": "add",
    "concat": "concatenate",
    "ave": "average",
    "concatenate": "concatenate",
    "add": "add",
    "average": "average",
}
"""Join, or mode of Keras 1's `merge` -> the join here."""
ATTENTION = ("Attention", "MultiHeadAttention")
"""Layers that are called with a query and a value."""
ACTIVATION_LAYERS = {
    "ReLU": "relu", "ELU": "elu", "Softmax": "softmax", "LeakyReLU": "leaky_relu", "SELU": "selu", "Softplus": "softplus",
}  # fmt: skip
"""Layers that are an activation -> its name."""
WRAPPERS = {"Bidirectional": ("simple_rnn", "lstm", "gru"), "TimeDistributed": ("dense", "activation")}
"""Layers that hold another -> the layers here that may be in them."""
INSTEAD = {
    "GaussianNoise": "dropout, which is noise on the units",
    "GaussianDropout": "dropout",
    "SpatialDropout2D": "dropout",
    "AlphaDropout": "dropout",
    "Bidirectional": "the layer within it, once forwards",
    "TimeDistributed": "the layer within it: dense over a sequence has the same weights at every step",
    "Lambda": "the layers that compute the same",
    "ThresholdedReLU": "activation: relu",
    "Permute": "reshape, where the order of the numbers stays",
    "RepeatVector": "a network without an encoder",
    "UpSampling2D": "conv2d_transpose with strides: an output of this kind is an image, and the data sets here have classes or numbers",
    "SeparableConv1D": "conv1d",
    "DepthwiseConv1D": "conv1d",
    "Conv1DTranspose": "conv1d, or conv2d_transpose over an image",
    "Conv3D": "conv2d",
    "GroupedQueryAttention": "multi_head_attention",
    "AdditiveAttention": "attention or multi_head_attention",
    "Rescaling": "leave it out: inputs are in [0, 1] here",
    "RandomFlip": "leave it out: images are trained on as they are",
    "RandomRotation": "leave it out: images are trained on as they are",
    "RandomZoom": "leave it out: images are trained on as they are",
}
"""Layers without a counterpart -> what to write instead."""
BY_CLASS = {entry.keras_name: kind for kind, entry in LAYERS.items() if entry.keras_name}
"""Class of Keras -> the layer here."""
OLD_INITIALIZERS = {
    "uniform": {"name": "random_uniform", "minval": -0.05, "maxval": 0.05},
    "normal": {"name": "random_normal", "stddev": 0.05},
    "zero": "zeros",
    "one": "ones",
}
"""Initialiser of Keras 1 -> today's with its figures."""
OLD_RATES = {"adagrad": 0.01, "adadelta": 1.0, "adamax": 0.002, "nadam": 0.002}
"""Learning rates that Keras 1 and 2 had by default, where Keras 3 has another."""
