"""What must stay small and start fast does not load what is heavy. In a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LIGHT = "workers.app, workers.tasks, workers.maintenance, service.tracking.shipper"
HEAVY = ("tensorflow", "keras", "jax", "torch", "matplotlib", "mlflow", "pandas")


def test_loads_nothing_heavy() -> None:
    code = f"import sys, {LIGHT}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_no_worker_reads_a_wall_clock() -> None:
    """It may be wrong by an hour: moments are the database's, spans are monotonic."""
    wall = re.compile(
        r"time\.time(_ns)?\(|datetime\.(now|utcnow|today)\(|date\.today\(|from time import .*\btime\b"
    )
    root = Path(__file__).parents[2]
    files = [
        path
        for part in ("workers", "service/operations", "service/store")
        for path in (root / part).rglob("*.py")
    ]
    assert len(files) > 30
    assert [str(path) for path in files if wall.search(path.read_text())] == []
