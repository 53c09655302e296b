"""Work for another process that goes wrong there."""

from __future__ import annotations

import os
import re

from experiments.errors import Problem, SpecError


def spin() -> None:
    while True:
        pass


def spin_in_c() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")  # backtracks for ages within one call


class Costly:
    """An answer that never ends being pickled."""

    def __reduce__(self) -> str:
        spin()
        return ""


def refuse() -> None:
    raise SpecError([Problem("model.hidden", "is empty", ["one", "two"]), Problem("", "and more")])


def leave() -> None:
    os._exit(3)
