"""Recurrent layers over sequences (steps, features). An image is read row by row."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.activations import ActivationName
from experiments.fields import Flag
from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, OneKernel, Shape, Units, Wanted
from experiments.regularizers import RegularizerSpec


class Recurrent(OneKernel):
    """The same weights at every step; `gates` blocks of (features + units) · units."""

    default_activation: ClassVar[str | None] = "tanh"
    wants: ClassVar[Wanted] = "sequence"
    gates: ClassVar[int]
    kernels: ClassVar[dict[str, str]] = {
        "kernel": "kernel_initializer",
        "recurrent_kernel": "recurrent_initializer",
    }
    activation: ActivationName | None = None
    units: Units
    recurrent_initializer: InitializerSpec | None = None
    recurrent_regularizer: RegularizerSpec | None = None
    return_sequences: Flag = False
    go_backwards: Flag = False

    @property
    def biases(self) -> int:
        """Bias vectors per gate."""
        return int(self.use_bias)

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        outputs = self.gates * self.units
        shapes: dict[str, Shape] = {
            "kernel": (shape[-1], outputs),
            "recurrent_kernel": (self.units, outputs),
        }
        if self.biases:
            shapes["bias"] = (outputs,) if self.biases == 1 else (self.biases, outputs)
        return shapes

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        steps, features = shape
        block = (features + self.units + self.biases) * self.units
        per_step = self.gates * (2 * (features + self.units) - 1 + self.biases) * self.units
        elementwise = 3 * (self.gates - 1) * self.units
        return Forecast(
            output_shape=(steps, self.units) if self.return_sequences else (self.units,),
            parameters=self.gates * block,
            flops=steps * (per_step + elementwise),
            formula=f"{self.gates}·({features} + {self.units} + {self.biases})·{self.units} = "
            f"{self.gates * block:,} parameters, used {steps} times",
        )

    @property
    def label(self) -> str:
        return f"{self.type.replace('_', '')}{self.units}"


class SimpleRNN(Recurrent):
    keras_name: ClassVar[str] = "SimpleRNN"
    formula: ClassVar[str] = "h_t = f(x_t W + h_{t-1} U + b)"
    reference: ClassVar[str] = "Elman 1990"
    gates: ClassVar[int] = 1
    type: Literal["simple_rnn"] = "simple_rnn"


class LSTM(Recurrent):
    keras_name: ClassVar[str] = "LSTM"
    formula: ClassVar[str] = "c_t = σ(f) c_{t-1} + σ(i) tanh(g); h_t = σ(o) tanh(c_t)"
    reference: ClassVar[str] = "Hochreiter & Schmidhuber 1997; Gers et al. 2000"
    gates: ClassVar[int] = 4
    type: Literal["lstm"] = "lstm"
    recurrent_activation: ActivationName = "sigmoid"
    unit_forget_bias: Flag = True


class GRU(Recurrent):
    keras_name: ClassVar[str] = "GRU"
    formula: ClassVar[str] = "h_t = σ(z) h_{t-1} + (1 - σ(z)) tanh(x W + r (h_{t-1} U + b))"
    reference: ClassVar[str] = "Cho et al. 2014, arXiv:1406.1078"
    gates: ClassVar[int] = 3
    type: Literal["gru"] = "gru"
    recurrent_activation: ActivationName = "sigmoid"
    reset_after: Flag = True

    @property
    def biases(self) -> int:
        return 2 if self.use_bias and self.reset_after else int(self.use_bias)
