"""What is shipped for operating agrees with the code: settings table, alerts, runbook, log limits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from ruamel.yaml import YAML

from service.api.measures import Measures
from service.api.metrics import render
from service.planner.measures import PlanningMeasures
from service.settings import Settings, markdown_table
from service.store import Store
from service.store.migrate import upgrade
from tests.empty_environments import variables

ROOT = Path(__file__).resolve().parent.parent
ALERTS = YAML(typ="safe").load((ROOT / "deploy/monitoring/alerts.yml").read_text())["groups"][0]["rules"]


def test_the_settings_table_is_that_of_the_code() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    assert text[text.index("| setting |") :] == markdown_table()
    assert all(field.description for field in Settings.model_fields.values())


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('metrics') / 'gradus.db'}"
    upgrade(url)
    store = Store(url)
    text = render(store, Measures(), Settings(_env_file=None)).decode()
    store.close()
    return text + generate_latest(PlanningMeasures().registry).decode()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_metrics_that_exist_and_has_a_runbook_entry(
    rule: dict[str, str], scraped: str
) -> None:
    names = set(re.findall(r"\bgradus_\w+", rule["expr"]))
    known = set(re.findall(r"^# TYPE (\w+)", scraped, re.MULTILINE))
    for name in names:
        assert (
            name in known or name.removesuffix("_count") in known or name.removesuffix("_total") in known
        ), name
    assert f"\n## {rule['alert']}\n" in (ROOT / "docs/runbook.md").read_text()


DASHBOARD = json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())["panels"]


@pytest.mark.parametrize("panel", DASHBOARD, ids=lambda panel: panel["title"])
def test_every_panel_of_the_dashboard_shows_metrics_that_exist(panel: dict[str, Any], scraped: str) -> None:
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)", scraped, re.MULTILINE))
    assert panel["targets"]
    for target in panel["targets"]:
        names = re.findall(r"\bgradus_\w+", target["expr"])
        assert names, target["expr"]
        for name in names:
            histogram = re.fullmatch(r"(\w+)_(?:bucket|count|sum)", name)
            assert name in kinds or (histogram and kinds.get(histogram[1]) == "histogram"), name


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    folder = ROOT / "deploy/monitoring"
    (source,) = YAML(typ="safe").load((folder / "grafana/datasource.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD} == {source["uid"]}
    (provider,) = YAML(typ="safe").load((folder / "grafana/dashboards.yml").read_text())["providers"]
    mounted = YAML(typ="safe").load((folder / "compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert any(f":{provider['options']['path']}/dashboard.json:" in volume for volume in mounted)
    for volume in mounted:
        if volume.startswith("./"):
            assert (ROOT / volume.split(":")[0]).is_file()


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    entries = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert entries == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/worker.yml", "deploy/monitoring/compose.yml"])
def test_every_container_has_a_limit_on_its_log(file: str) -> None:
    services = YAML(typ="safe").load((ROOT / file).read_text())["services"]
    for name, service in services.items():
        assert service["logging"]["options"]["max-size"], name


@pytest.mark.slow
def test_the_list_of_an_images_packages_has_every_pin() -> None:
    command = [sys.executable, "requirements/environment.py", "--sbom"]
    subprocess.run(command, cwd=ROOT, env=variables(), check=True, timeout=600)
    for image in ("api", "mlflow", "worker", "worker-gpu", "worker-jax", "worker-jax-gpu"):
        pins = (ROOT / "requirements" / f"{image}.txt").read_text()
        listed = json.loads((ROOT / "dist" / "sbom" / f"{image}.cdx.json").read_text())["components"]
        pinned = {
            name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([\w.+-]+)", pins, re.M)
        }
        assert {part["name"].lower(): part["version"] for part in listed} == pinned
        assert all(part["externalReferences"][0]["hashes"] for part in listed)


# ---- deploy/kubernetes

KUBERNETES = ROOT / "deploy" / "kubernetes"
OPTIONAL = {"keda.yaml", "workers-gpu.yaml"}
"""What is applied or added where the cluster has what it needs."""
MANIFESTS = [
    document
    for path in sorted(KUBERNETES.glob("*.yaml"))
    if path.name not in ("kustomization.yaml", "keda.yaml")
    for document in YAML(typ="safe").load_all(path.read_text())
]
PODS = {
    f"{manifest['kind']}/{manifest['metadata']['name']}": manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if "template" in manifest["spec" if "spec" in manifest else "metadata"]
}


def test_kustomize_names_every_manifest() -> None:
    named = YAML(typ="safe").load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(named) == files - OPTIONAL


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_every_pod_is_contained_limited_and_probed(pod: dict[str, Any]) -> None:
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["runAsNonRoot"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert pod.get("restartPolicy") == "OnFailure" or container["livenessProbe"]
        volumes = {mount["name"] for mount in container.get("volumeMounts", ())}
        claims = {"state"}  # of the workers' StatefulSet
        assert volumes <= {volume["name"] for volume in pod.get("volumes", ())} | claims


def test_a_worker_has_time_to_drain_and_every_setting_exists() -> None:
    grace = PODS["StatefulSet/worker"]["terminationGracePeriodSeconds"]
    assert grace > Settings.model_fields["drain_seconds"].default
    known = {f"GRADUS_{name.upper()}" for name in Settings.model_fields}
    for name in ("settings.env", "secret.env.example"):
        keys = {line.split("=")[0] for line in (KUBERNETES / name).read_text().splitlines() if line}
        assert keys <= known, name


def test_every_image_has_the_version_of_the_package_which_the_changelog_describes() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(
        r"^## (\d\S*) - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released[0] == version
    tags = []
    for file in (*ROOT.glob("docker-compose*.yml"), *(ROOT / "deploy").rglob("*.y*ml")):
        tags += re.findall(r"GRADUS_VERSION:-([\w.]+)\}|newTag: ([\w.]+)", file.read_text())
    assert {"".join(pair) for pair in tags} == {version}
