"""What is shipped for operating agrees with the code: settings table, alerts, runbook, log limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from service.api.measures import Measures
from service.api.metrics import render
from service.settings import Settings, markdown_table
from service.store import Store
from service.store.migrate import upgrade

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
    text = render(store, Measures()).decode()
    store.close()
    return text


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


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    entries = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert entries == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/worker.yml"])
def test_every_container_has_a_limit_on_its_log(file: str) -> None:
    services = YAML(typ="safe").load((ROOT / file).read_text())["services"]
    for name, service in services.items():
        assert service["logging"]["options"]["max-size"], name
