"""Every command of a `bash` block of README and docs, page by page, against a running stack.

`ID` and `RUN` stand for the experiment that was submitted last and its first run. `make` targets are looked up in
the Makefile: running them from a test would run the suite inside itself. Commands in `console` blocks have tests of
their own, which tests/test_house.py names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
REFUSES = "# exit status 1"
"""A command whose line ends so is expected to say no."""


def commands(page: Path) -> list[str]:
    lines = "\n".join(FENCE.findall(page.read_text())).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_of_the_page_work(page: Path, stack: Any, service: Any, tmp_path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    environment = {
        **os.environ,
        "GRADUS_URL": stack.url,
        **({"GRADUS_API_KEY": stack.key} if stack.key else {}),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for line in commands(page):
        words = line.split()
        if words[0] == "make":
            assert words[1] in targets, line
            continue
        if re.search(r"\b(ID|RUN)\b", line):
            newest = service.get("/v1/experiments", limit=1)["items"][0]["id"]
            line = re.sub(r"\bRUN\b", service.runs(newest)[0]["id"], re.sub(r"\bID\b", newest, line))
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        expected = 1 if line.endswith(REFUSES) else 0
        assert done.returncode == expected, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
