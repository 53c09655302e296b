"""Where lanes lie in a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.engine import backend, lane_axis
from experiments.engine.lane_axis import LaneAxis
from experiments.engine.layouts import Layout


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("layout", [Layout(1, 4), Layout(2, 2), Layout(4, 1)], ids=str)
def test_equal_lanes_are_carried_alike_however_they_are_copied(
    shape: tuple[int, ...], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One array for all lanes, copied on the device, and an array of each lane's own, copied on the host."""
    axis = LaneAxis(layout)
    value = np.random.default_rng(0).standard_normal(shape)
    on_host = backend.array(axis.carry([value.copy() for _ in range(layout.width)]))
    monkeypatch.setattr(lane_axis, "COPIED_ON_DEVICE", 0)
    on_device = backend.array(axis.carry([value] * layout.width))
    np.testing.assert_array_equal(on_device, on_host, strict=True)
    for position in range(layout.width):
        np.testing.assert_array_equal(axis.slice(on_device, position), value)
