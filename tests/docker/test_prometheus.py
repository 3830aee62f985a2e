"""Alert rules and the Grafana dashboard: valid, tried by promtool, and about metrics that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from app.settings import Role, Settings
from tests.conftest import StartWorker
from tests.docs.pages import table

DOCKER = Path(__file__).parents[2] / "docker"
RULES = DOCKER / "prometheus/alerts.yml"
DASHBOARD = DOCKER / "grafana/event-counter.json"
METRIC = re.compile(r"\b(?:event_counter|process)_\w+|\bup\b")
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
OF_PROMETHEUS = {"up"}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return the program; without it the tests are left out, on the automatic checks they fail."""
    beside = Path(sys.executable).with_name("promtool")
    found = str(beside) if beside.exists() else shutil.which("promtool")
    if found is None:
        reason = "no promtool: make promtool, or install Debian's package prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> list[str]:
    """Return every expression of the dashboard, as Prometheus would get it."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*")
        for panel in panels
        for target in panel["targets"]
    ]


def run(*command: str | Path) -> None:
    """Run a program; fail with what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should(promtool: str) -> None:
    run(promtool, "check", "config", DOCKER / "prometheus/prometheus.yml")
    run(promtool, "test", "rules", DOCKER / "prometheus/alerts_test.yml")
    tried = (DOCKER / "prometheus/alerts_test.yml").read_text("utf-8")
    assert [rule["alert"] for rule in rules() if f'"{rule["alert"]}"' not in tried] == []


def test_each_expression_of_the_dashboard_is_one(promtool: str, tmp_path: Path) -> None:
    recorded = [{"record": f"r{n}", "expr": expr} for n, expr in enumerate(expressions())]
    assert recorded
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    run(promtool, "check", "rules", file)


def test_each_alert_says_what_to_do() -> None:
    told = [row[0].strip("`") for row in table("alert", "docs/operating/monitoring.md")]
    assert told == [rule["alert"] for rule in rules()]


@pytest.mark.usefixtures("topics")
async def test_each_metric_is_shown_by_a_real_worker(
    settings: Settings, start_worker: StartWorker
) -> None:
    shown: set[str] = set()
    roles: list[Role] = ["collect", "count", "store", "archive"]
    async with aiohttp.ClientSession() as http:
        for role in roles:
            worker = await start_worker(settings, role)
            async with http.get(f"{worker.url}/metrics") as answer:
                for name, kind in TYPE.findall(await answer.text()):
                    shown |= {name, f"{name}_bucket"} if kind == "histogram" else {name}
    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    asked |= {name for expr in expressions() for name in METRIC.findall(expr)}
    assert asked - shown - OF_PROMETHEUS == set()
