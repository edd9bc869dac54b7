"""docker-compose.yml, the dashboard and the alerts: valid, and about what is really served."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from loco_redis.cli.serve.dashboard import dashboard_json
from tests.metrics.scraping import scrape
from tests.metrics.stack import (
    PASSWORD,
    ROOT,
    SAMPLES,
    Stack,
    alert_queries,
    compose,
    filled_in,
    names_in,
    panel_queries,
    running,
)

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="needs prometheus and promtool, of Debian's package prometheus",
)


def _compose_clients() -> list[list[str]]:
    """What on this machine can check a compose file."""
    found = [["docker-compose"]] if shutil.which("docker-compose") else []
    if shutil.which("docker"):
        version = subprocess.run(["docker", "compose", "version"], capture_output=True)
        found += [["docker", "compose"]] if version.returncode == 0 else []
    return found


# docker-compose.yml


@pytest.mark.skipif(not _compose_clients(), reason="needs docker compose, the client is enough")
def test_compose_accepts_the_file() -> None:
    """With both passwords; without them it says which one is missing."""
    passwords = {"REDIS_PASSWORD": PASSWORD, "GRAFANA_PASSWORD": "x"}
    for client in _compose_clients():
        command = [*client, "config", "--quiet"]
        environment = {**os.environ, **passwords}
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode != 0
        assert "_PASSWORD" in run.stderr


def test_services_are_complete() -> None:
    """Pinned images, files that exist, no password in the file, ports on this host only."""
    found = compose()
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(found["services"]) == {"redis", "worker", "exporter", "prometheus", "grafana"}
    for name, service in found["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), name
        assert "container_name" not in service, "a service with a name cannot be scaled"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            is_file = source.startswith("./")
            assert (ROOT / source).exists() if is_file else source in found["volumes"], volume
        for needed in service.get("depends_on", ()):
            assert needed in found["services"]
    assert "ports" not in found["services"]["worker"], "replicas cannot share a port of the host"
    assert re.search(r"--scale worker=\d", text)
    redis = found["services"]["redis"]["command"]
    for option, value in (("--appendonly", "yes"), ("--maxmemory-policy", "noeviction")):
        assert redis[redis.index(option) + 1] == value
    assert redis[redis.index("--requirepass") + 1].startswith("${REDIS_PASSWORD:?")


def test_the_dockerfile_copies_what_the_build_needs() -> None:
    """From a pinned image; .dockerignore lets those files through; not as root."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text()
    assert re.search(r"^FROM python:3\.\d+\.\d+-", text, re.MULTILINE)
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    copied = [
        word
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed.splitlines()
    project = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', project, re.MULTILINE):
        assert name in copied


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    """What is provisioned agrees with what compose mounts and runs."""
    folder = ROOT / "deploy/grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert sources[0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((folder / "dashboards/loco-redis.yml").read_text())["providers"][0]
    mounts = [v.split(":")[1] for v in compose()["services"]["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/loco-redis.json" in mounts
    assert "/etc/grafana/provisioning" in mounts


# Dashboard and alerts


def test_the_dashboard_is_shipped_and_deployed() -> None:
    """The package's file and that of deploy/ are the same."""
    assert dashboard_json() == (ROOT / "deploy/grafana/loco-redis.json").read_text()


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """A fixed uid, a variable for the data source that all panels use, and no two panels at one
    place."""
    found = json.loads(dashboard_json())
    assert found["uid"] == "loco-redis"
    assert "datasource" in [v["name"] for v in found["templating"]["list"]]
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels:
        for part in (panel, *panel["targets"]):
            assert part["datasource"]["uid"] == "${datasource}", panel["title"]


def test_queries_are_about_metrics_that_are_served() -> None:
    """Of the dashboard and of the alerts."""
    expressions = [query[-1] for query in (*panel_queries(), *alert_queries())]
    assert len(expressions) > 40
    for expression in expressions:
        names = names_in(expression)
        assert names or expression.startswith("up{"), expression
        assert names <= SAMPLES, expression


@needs_prometheus
def test_promtool_accepts_rules_and_configuration() -> None:
    """As they are deployed."""
    folder = ROOT / "deploy/prometheus"
    for command in (("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")):
        run = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


@needs_prometheus
def test_alerts_fire_when_they_should() -> None:
    """By `promtool test rules`: all of them on a fleet in trouble, none on one that works."""
    path = Path(__file__).with_name("alerts_test.yml")
    for alert, _ in alert_queries():
        assert alert in path.read_text()
    run = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


# The services as processes


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as stack:
        stack.until_at_work()
        yield stack


@pytest.mark.slow
def test_the_services_work_together(stack: Stack) -> None:
    """Workers on a Redis with a password do work that the exporter tells of."""
    assert scrape(stack.exporter_url()).one("loco_redis_sessions") == 2
    with stack.client() as client:
        assert client.config_get("appendonly")["appendonly"] == "yes"  # type: ignore[index]
    for worker in ("worker", "worker-2"):
        assert scrape(stack.exporter_url(worker)).all("loco_redis_capacity") == {}
    for name in stack.processes:
        assert PASSWORD not in stack.said(name)


@pytest.mark.slow
@needs_prometheus
def test_every_query_of_the_dashboard_has_an_answer(stack: Stack) -> None:
    """Asked of a real Prometheus that scrapes the exporter and the workers; and every alert can be
    evaluated."""
    stack.start_prometheus()
    stack.eventually("Prometheus", lambda: stack.ask("loco_redis_up"))
    for title, _, expression in panel_queries():
        query = filled_in(expression)
        stack.eventually(f"data for {title}: {query}", lambda query=query: stack.ask(query))
    for _, expression in alert_queries():
        stack.ask(expression)
    assert [row["value"][1] for row in stack.ask("up")] == ["1"] * 3


@pytest.mark.slow
def test_all_end_well_by_sigterm(stack: Stack) -> None:
    """Status 0, no traceback, nothing held. Runs last: it stops the stack."""
    for name in ("worker", "worker-2", "exporter"):
        stack.processes[name].terminate()
        assert stack.processes[name].wait(20) == 0, stack.said(name)
        assert "Traceback" not in stack.said(name)
    with stack.client() as client:
        assert client.hlen("loco:{llm_api}:holders") == 0
        assert client.hlen("loco:{llm_api}:sessions") == 0
