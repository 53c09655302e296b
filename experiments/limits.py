"""How large a spec may be. The service fills this from its settings; the defaults suit one machine."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one experiment.

    max_runs: runs of the experiment
    max_parameters, max_memory_bytes, max_flops, max_epochs, max_layers: of one run; memory while training
    max_layers_in_all: layers of all different networks of an experiment together
    """

    max_runs: int = 10_000
    max_parameters: int = 50_000_000
    max_memory_bytes: int = 8 * 2**30
    max_flops: float = 1e16
    max_epochs: int = 100_000
    max_layers: int = 200
    max_layers_in_all: int = 10_000


UNLIMITED = Limits(
    max_runs=sys.maxsize,
    max_parameters=sys.maxsize,
    max_memory_bytes=sys.maxsize,
    max_flops=math.inf,
    max_epochs=sys.maxsize,
    max_layers=sys.maxsize,
    max_layers_in_all=sys.maxsize,
)
"""For what was accepted before, whatever was allowed then."""
