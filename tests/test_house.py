"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gradus", "experiments", "service", "workers", "migrations")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
IMAGES = [lock for lock in LOCKS if lock.stem not in ("dev", "openapi", "sbom")]  # tools of one purpose
# Split, so that this file does not find itself.
FOREIGN = re.compile(
    "|".join(
        [
            "/" + r"work/\w",  # folders of somebody's machine
            "/" + r"root/\w",
            "/" + r"home/\w+/",
            "/" + r"Users/\w+/",
            r"--(?:extra-)?index-" + r"url[ =]\S*://",  # a package index's address
            "python" + "hosted",
            r"https?://\S+/" + "simple",
        ]
    )
)
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Which test runs the commands in `console` blocks; those in `bash` blocks are run by tests/e2e/test_docs.py.
RUN_BY = {
    "docker compose up --build -d": "tests/e2e/compose.py",
    "cp .env.example .env": "tests/e2e/compose.py",
    "docker compose -f docker-compose.yml -f deploy/reachable.yml up -d": "tests/e2e/test_elsewhere.py",
    "docker compose --env-file stack.env -f docker-compose.yml -f deploy/secrets.yml up -d": "tests/test_secrets_from_files.py",
    "docker compose -f deploy/worker.yml --env-file worker.env up -d": "tests/e2e/test_elsewhere.py",
    "pip install 'gradus-….whl[local,frames,weights]'": "tests/test_wheel.py",
    "gradus up": "tests/test_wheel.py",
    "gradus submit examples/two-backends.yaml": "tests/e2e/test_backends.py",
    "gradus gradcheck examples/two-backends.yaml --backends": "tests/experiments/gradient_check/test_across_backends.py",
    "gradus keys create --local": "tests/gradus/cli/test_commands.py",
    "GRADUS_AUTH_REQUIRED=true": "tests/service/store/test_replicas.py",
    "GRADUS_ADDRESS=": "tests/service/store/test_replicas.py",
    "gradus backup": "tests/e2e/test_backup.py",
    "docker compose stop worker maintenance": "tests/e2e/test_backup.py",
    "docker compose start worker maintenance": "tests/e2e/test_backup.py",
    "docker compose exec -T postgres": "tests/e2e/test_backup.py",
    "docker compose exec -T mlflow": "tests/e2e/test_backup.py",
    "docker compose run --rm -T --no-deps mlflow": "tests/e2e/test_backup.py",
    "docker compose up -d": "tests/e2e/test_backup.py",
}


def tracked() -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def commands() -> list[tuple[str, str]]:
    """(document, command) for every line of a console block in a document."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (str(document.relative_to(ROOT)), line)
        for document in documents
        for block in CONSOLE.findall(document.read_text())
        for line in block.splitlines()
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_dependency_owns_a_name_of_ours(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"gradus"}, f"{owners} would shadow the package {package}"


def test_no_file_names_a_machine_or_a_package_index() -> None:
    foreign = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        foreign += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FOREIGN.finditer(text)]
    assert not foreign


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_hashes(lock: Path) -> None:
    for entry in re.split(r"\n(?=[a-z0-9])", lock.read_text())[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


@pytest.mark.parametrize("lock", IMAGES, ids=lambda path: path.stem)
def test_every_image_has_the_versions_that_are_tested(lock: Path) -> None:
    tested = dict(PIN.findall((ROOT / "requirements" / "dev.txt").read_text()))
    pinned = dict(PIN.findall(lock.read_text()))
    assert {name: pin for name, pin in pinned.items() if tested.get(name, pin) != pin} == {}


@pytest.mark.parametrize(("document", "command"), commands())
def test_every_command_in_a_document_is_run_by_a_test(document: str, command: str) -> None:
    if command.startswith("make "):
        target = command.split()[1]
        assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
        return
    by = next((test for start, test in RUN_BY.items() if command.startswith(start)), None)
    assert by is not None, f"{document} shows `{command}`; no test runs it"
    assert (ROOT / by).exists()


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def environment_reads(tree: ast.AST) -> list[int]:
    """Lines of a module that read the environment. Writing is `os.environ[name] = …`, `os.environ.update(…)` and a
    `setdefault` whose value nobody uses; every other mention of `environ` or `getenv` reads."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    def writes(node: ast.AST) -> bool:
        around = parents[node]
        if isinstance(around, ast.Subscript):
            return not isinstance(around.ctx, ast.Load)
        call = parents.get(around)
        statement = isinstance(call, ast.Call) and isinstance(parents.get(call), ast.Expr)
        return statement and isinstance(around, ast.Attribute) and around.attr in ("update", "setdefault")

    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
            lines += [node.lineno] if names & {"environ", "environb", "getenv", "getenvb"} else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            reading = node.attr in ("environ", "environb") and not writes(node)
            lines += [node.lineno] if reading or node.attr in ("getenv", "getenvb") else []
    return lines


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("os.environ['A'] = 'b'", False),
        ("os.environ.update({})", False),
        ("os.environ.setdefault('A', 'b')", False),
        ("del os.environ['A']", False),
        ("x = os.environ.setdefault('A', 'b')", True),
        ("x = os.environ['A']", True),
        ("x = os.environ.get('A')", True),
        ("f(os.environ)", True),
        ("'A' in os.environ", True),
        ("{**os.environ}", True),
        ("os.getenv('A')", True),
        ("from os import environ", True),
    ],
)
def test_a_read_of_the_environment_is_told_from_a_write(code: str, reads: bool) -> None:
    assert bool(environment_reads(ast.parse(code))) is reads


def test_only_settings_read_the_environment() -> None:
    """Other modules may set it, for a library or a child process."""
    reads = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in environment_reads(ast.parse(path.read_text()))
        if str(path.relative_to(ROOT)) not in ("service/settings.py", "gradus/settings.py")
    }
    assert not reads


def test_the_compose_stack_starts_with_no_default_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRADUS_API_KEY"):
        uses = re.findall(r"\$\{" + name + r"[^}]*\}", text)
        assert uses, name
        assert all(":?" in use for use in uses), name
        assert re.search(rf"^{name}=$", (ROOT / ".env.example").read_text(), re.MULTILINE), name


def test_light_processes_never_load_tensorflow() -> None:
    """Those of the workers and what else they do not load: tests/workers/test_light.py."""
    code = (
        "import sys, service.api.app, gradus.cli.main, service.embedded.stack;"
        " bad = {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules); sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_api_image_has_what_the_api_imports() -> None:
    """Here everything is installed; what api.txt does not pin is made to look as if it were not."""

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = {plain(name) for name, _ in PIN.findall((ROOT / "requirements" / "api.txt").read_text())}
    owners = importlib.metadata.packages_distributions()
    absent = {
        name for name, owned in owners.items() if not pinned & {plain(package) for package in owned}
    } - {*PACKAGES}
    assert {"tensorflow", "scipy"} <= absent
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(absent)}));"
        " import service.api.__main__, gradus.cli.main, service.prepare, service.alive, workers.maintenance"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_runs_what_it_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    lines = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert lines[0] == "make check"
    assert lines[-1] == "make test"
