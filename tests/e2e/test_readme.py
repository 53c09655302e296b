"""The README's first spec, run as a newcomer would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def test_the_first_spec_is_valid_and_trains(service: Any, stack: Any, tmp_path: Path) -> None:
    spec = re.search(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert spec is not None
    (tmp_path / "first.yaml").write_text(spec.group(1))
    environment = {**os.environ, "GRADUS_URL": stack.url, "GRADUS_HOME": str(tmp_path / "home")}
    environment |= {"GRADUS_API_KEY": stack.key} if stack.key else {}
    for words in (["validate", "first.yaml"], ["submit", "first.yaml", "--wait"]):
        command = [str(Path(sys.executable).parent / "gradus"), *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
