"""The engine's tests on JAX. Keras has one backend in a process, so they run in a second one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="the extra train-jax is not installed")
HERE = Path(__file__).resolve().parent
FEW = [
    "test_initial_weights.py::test_stored_numbers",
    "test_noise.py::test_the_hash_is_its_formula_in_plain_integers",
    "test_noise.py::test_one_mask_eagerly_in_a_graph_under_xla_and_mapped_over_lanes",
    "test_lanes.py::test_a_lane_is_the_single_run",
    "test_lanes.py::test_neighbours_change_no_bit[4]",
    "test_lanes.py::test_resumed_equals_uninterrupted_bit_for_bit[lanes]",
    "test_equal_to_fit.py::test_every_optimizer_as_lanes_with_their_own_numbers[adam-few]",
    "test_restore_and_go_on.py::test_a_drained_run_restores_the_same_epoch",
    "test_products.py",
]
"""Of every kind one. All of them are in `make test-slow`."""

ALL = [
    "engine/test_initial_weights.py",
    "engine/test_noise.py",
    "engine/test_products.py",
    "engine/test_lanes.py",
    "engine/test_equal_to_fit.py",
    "engine/test_restore_and_go_on.py",
    "engine/test_kinds_of_layers.py::test_attention_is_keras_own",
    "engine/test_kinds_of_layers.py::test_lanes_over_tokens_equal_fit",
    "gradient_check/test_backprop.py",
    "gradient_check/test_gradient_check.py",
    "keras_ext",
]
"""What knows its backend only through `engine/backend`."""


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments],
        cwd=HERE.parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_a_test_of_every_kind_on_jax() -> None:
    run(*(str(HERE / name) for name in FEW))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ALL)
def test_all_of_them_on_jax(name: str) -> None:
    run(str(HERE.parent / name), "-m", "slow or not slow")
