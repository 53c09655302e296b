"""What must stay small and start fast does not load what is heavy. In processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "matplotlib", "mlflow", "pandas")


@pytest.mark.parametrize(
    "module", ["workers.app", "workers.tasks", "workers.maintenance", "service.shipping"]
)
def test_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
