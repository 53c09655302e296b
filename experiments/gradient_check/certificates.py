"""The report of a gradient check and the key it is stored under. No Keras: the service reads these.

A certificate belongs to a program (network, loss, data set, precision, device, library versions), not to a run.
It is made at one canonical point, once per key, and every run of the program carries it.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from pydantic import BaseModel, ConfigDict

from experiments.runs import RunSpec
from experiments.sections import DEFAULT_BACKEND

Verdict = Literal["certified", "failed", "refused", "not assessed"]
Status = Literal["passed", "failed", "not assessed"]
Part = Literal["loss", "penalty"]

RULES = "2"
"""Raised when the rules of the check change, so that no old certificate is taken for a new one."""
PACKAGES = {
    "tensorflow": ("keras", "tensorflow", "tensorflow-cpu", "numpy"),
    "jax": ("keras", "jax", "jaxlib", "numpy"),
}
"""Backend -> the libraries that compute gradients on it."""
BANDS = ((1e-2, "wrong"), (1e-4, "suspicious"), (1e-7, "acceptable"))
"""A relative error above the bound has this name; an error below all bounds is good (Stanford CS231n)."""


def band(error: float) -> str:
    """The name of a relative error: `wrong`, `suspicious`, `acceptable` or `good`. NaN is wrong."""
    return next((name for bound, name in BANDS if not error <= bound), "good")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class Coordinate(_Frozen):
    """One coordinate with its raw values: autodiff's derivative, the quotient, the step h it was taken with."""

    index: tuple[int, ...]
    autodiff: float
    numerical: float
    step: float
    error: float


class Direction(_Frozen):
    """The derivative along a direction of unit length. `uncertainty`: how far the quotient itself may be off."""

    autodiff: float
    numerical: float
    step: float
    error: float
    uncertainty: float
    status: Status


class TensorReport(_Frozen):
    """The check of one parameter tensor.

    part: of the loss on the data, or of the regularisers alone. checked = assessed + flat + discarded +
    not_assessable. flat: the loss does not move at all and autodiff gives 0. discarded: every step crosses a
    kink. not_assessable: the derivative is smaller than 100 times the rounding in its quotient.
    """

    name: str
    shape: tuple[int, ...]
    part: Part
    status: Status
    checked: int
    assessed: int
    flat: int
    discarded: int
    not_assessable: int
    median: float | None = None
    p95: float | None = None
    max: float | None = None
    worst: Coordinate | None = None
    direction: Direction | None = None
    by_hand: float | None = None
    """max |by hand − autodiff| over the tensor's largest |autodiff|; None where there is no formula by hand."""
    reason: str = ""
    extrapolated: bool = False
    """Judged by quotients extrapolated to h = 0, after those of h itself failed."""

    @property
    def band(self) -> str:
        return "—" if self.max is None else band(self.max)


class StateReport(_Frozen):
    """All tensors at one point: `at the start` or `after 100 steps`."""

    name: str
    loss: float
    penalty: float
    repeatable: bool
    slope: float | None
    """Of the Taylor remainder in log h: 2 where the gradient is right, 1 where it is wrong."""
    slope_note: str
    tensors: tuple[TensorReport, ...]


class EngineReport(_Frozen):
    """The training engine's own single-precision gradient beside autodiff's in double precision."""

    error: float
    """The largest |float32 − float64| over the tensor's largest |float64|, of the tensor nearest to its bound."""
    tensor: str
    width: int
    status: Status
    bound: float = 1e-4
    """What the error may be; above 1e-4 where the network magnifies single precision's rounding."""


class GradientReport(_Frozen):
    """A certificate, or why there is none."""

    verdict: Verdict
    reason: str
    key: str
    mode: str
    step: float
    dtype: str
    seed: int
    points: int
    device: str
    versions: dict[str, str]
    states: tuple[StateReport, ...] = ()
    engine: EngineReport | None = None
    max_rel_err: float | None = None
    median_rel_err: float | None = None
    discarded: float = 0.0
    """The discarded share of the coordinates that were checked, 0 to 1."""
    not_assessable: float = 0.0
    by_hand: float | None = None
    injected: str | None = None
    seconds: float = 0.0

    def metrics(self) -> dict[str, float]:
        """The run's metrics: `gradcheck/max_rel_err` and `gradcheck/median_rel_err`, where something was assessed."""
        values = {"max_rel_err": self.max_rel_err, "median_rel_err": self.median_rel_err}
        return {f"gradcheck/{name}": value for name, value in values.items() if value is not None}

    def tags(self) -> dict[str, str]:
        """The run's tags: the verdict, its reason, and the key under which the whole report is found."""
        return {
            "gradus.certificate": self.verdict,
            "gradus.certificate.reason": self.reason[:500],
            "gradus.certificate.key": self.key,
        }


def certificate_key(spec: RunSpec, device: str, backend: str = DEFAULT_BACKEND) -> str:
    """The key of a program's certificate.

    It depends on the network with activations, initialisers, regularisers and data format; the loss; the data set;
    mode and step of the check; the kind of device; library versions; and RULES. It does not depend on seed,
    optimizer, epochs or batch size.

    Args:
        spec: A run of the program.
        device: `cpu`, `gpu` or a name that begins so (`gpu:0`).
        backend: what computes, one of PACKAGES. It is in the key with its own libraries.

    Returns:
        A sha256 in hexadecimal.
    """
    digest = hashlib.sha256(f"gradus-certificate-{RULES}".encode())
    parts = [spec.model.canonical, spec.loss.canonical, spec.dataset.canonical, spec.gradient_check.canonical]
    for part in [*parts, device.split(":")[0].lower(), repr(sorted(versions(backend).items()))]:
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()


@functools.cache
def versions(backend: str) -> dict[str, str]:
    """Package -> version, of the installed libraries that compute gradients on a backend."""
    installed = {}
    for package in PACKAGES[backend]:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
