"""The faults that can be put into a gradient on purpose, by name. No Keras: pages and help list them.

`injected_faults` puts them in.
"""

SENTENCES: dict[str, str] = {
    "scale": "the gradient of the first kernel times 1.01",
    "sign": "the gradient of the last kernel times −1",
    "drop-bias": "the gradient of every bias is 0",
    "transpose": "δ W in place of δ Wᵀ in the last dense layer",
    "off-by-one": "the first kernel's gradient shifted by one unit",
    "batch-sum": "the sum over the points in place of their mean",
    "slope": "the slope of the first activation taken as 1",
    "stop-gradient": "nothing passes back through the last layer",
    "pool-mean": "mean for sum (or sum for mean) on the way back through a pool",
    "stride": "a wrong stride on the way back through the first convolution or pool",
    "drop-shortcut": "nothing passes back through the last input of a sum or concatenation (of a residual layer: the shortcut)",
    "attention-scale": "1/√key_dim forgotten on the way back through the queries of an attention",
    "softmax-diagonal": "the softmax of an attention taken number by number: a(1 − a) alone",
    "wrong-row": "the gradient of an embedding's row given to the next row",
    "truncate": "nothing passes back through time in a recurrent layer",
    "drop-penalty": "the regularisers' gradient is 0",
}
