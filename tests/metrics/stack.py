"""The services of docker-compose.yml as plain processes, and a Prometheus that scrapes them.

`python -m tests.metrics.stack` runs them and prints what each panel's query answers, as
docs/metrics.md shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import yaml

from loco_redis._server import _free_port
from loco_redis.cli.serve.dashboard import dashboard_json
from loco_redis.metrics.catalogue import METRICS, Kind
from tests.metrics.scraping import scrape
from tests.servers import BINARIES, DEFAULT
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PASSWORD = "s3cret"
_SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_count", "_sum"), Kind.SUMMARY: ("_count", "_sum")}

#: Every sample name that an exporter can serve.
SAMPLES = {m.name + suffix for m in METRICS.values() for suffix in _SUFFIXES.get(m.kind, ("",))}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def names_in(expression: str) -> set[str]:
    """The metrics of this project that a PromQL expression is about."""
    return set(re.findall(r"\bloco_redis_\w+", expression))


def panel_queries() -> list[tuple[str, str, str]]:
    """Of the dashboard: title of the panel, legend, expression."""
    return [
        (panel["title"], target["legendFormat"], target["expr"])
        for panel in json.loads(dashboard_json())["panels"]
        for target in panel.get("targets", ())
    ]


def alert_queries() -> list[tuple[str, str]]:
    """Name of the alert, expression."""
    loaded = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    return [(rule["alert"], rule["expr"]) for g in loaded["groups"] for rule in g["rules"]]


def filled_in(expression: str) -> str:
    """As Grafana would ask, with all resources and a short window."""
    return expression.replace("$resource", ".*").replace("$__rate_interval", "6s")


class Stack:
    """Redis, two workers, the exporter and, where it is installed, Prometheus.

    Attributes:
        processes: by service, in the order of their start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services = compose()["services"]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.redis_port = _free_port()
        self.ports = {name: _free_port() for name in ("worker", "worker-2", "exporter")}
        self.prometheus_port = _free_port()

    def start_redis(self) -> None:
        arguments = self._command("redis")[1:]
        binary = BINARIES.get("system", BINARIES[DEFAULT])
        data = self._folder / "data"
        data.mkdir()
        self._start(
            "redis", [str(binary), *arguments, "--port", str(self.redis_port), "--dir", str(data)]
        )
        wait_until(self._redis_answers, what="Redis")

    def start_loco(self) -> None:
        for service in self.ports:
            command = self._command(service.partition("-")[0])
            port = {"9464": str(self.ports[service]), "0.0.0.0": "127.0.0.1"}
            command = [port.get(word, word) for word in command]
            program = {"python": [sys.executable], "loco-redis": [sys.executable, "-m"]}
            rest = ["loco_redis.cli", *command[1:]] if command[0] != "python" else command[1:]
            self._start(service, [*program[command[0]], *rest])

    def start_prometheus(self) -> None:
        """With the deployment's own configuration, only quicker."""
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
        config["rule_files"] = [str(ROOT / "deploy/prometheus/alerts.yml")]
        fleet, workers = config["scrape_configs"]
        fleet["static_configs"] = [{"targets": [f"127.0.0.1:{self.ports['exporter']}"]}]
        del workers["dns_sd_configs"]
        targets = [f"127.0.0.1:{self.ports[name]}" for name in ("worker", "worker-2")]
        workers["static_configs"] = [{"targets": targets}]
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        binary = shutil.which("prometheus")
        assert binary is not None
        self._start(
            "prometheus",
            [
                binary,
                f"--config.file={path}",
                f"--storage.tsdb.path={self._folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
                "--log.level=error",
            ],
        )

    def exporter_url(self, service: str = "exporter") -> str:
        return f"http://127.0.0.1:{self.ports[service]}/metrics"

    def ask(self, expression: str) -> list[Any]:
        """What Prometheus answers now: a list of {"metric": labels, "value": [time, text]}."""
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?{query}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            found: list[Any] = json.load(reply)["data"]["result"]
        return found

    def eventually(self, what: str, predicate: Callable[[], object], timeout: float = 30) -> None:
        """Wait for what may not be up, or not be told, yet."""

        def holds() -> object:
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} has ended: {self.said(name)}"
            with contextlib.suppress(OSError, KeyError):
                return predicate()
            return False

        wait_until(holds, timeout, what)

    def until_at_work(self) -> None:
        """Both workers do work that the exporter tells of."""

        def is_at_work() -> bool:
            found = scrape(self.exporter_url())
            grants = found.one("loco_redis_grants_total")
            own = [scrape(self.exporter_url(worker)) for worker in ("worker", "worker-2")]
            return grants > 20 and all(o.one("loco_redis_handoff_seconds_count") > 0 for o in own)

        self.eventually("work", is_at_work)

    def said(self, service: str) -> str:
        return (self._folder / f"{service}.log").read_text(errors="replace")

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _command(self, service: str) -> list[str]:
        return [
            re.sub(r"\$\{REDIS_PASSWORD:[^}]*\}", PASSWORD, str(word))
            for word in self._services[service]["command"]
        ]

    def _start(self, name: str, command: list[str]) -> None:
        told = self._services.get(name.partition("-")[0], {}).get("environment", {})
        environment = {
            key: re.sub(r"\$\{REDIS_PASSWORD:[^}]*\}", PASSWORD, value).replace(
                "@redis:6379", f"@127.0.0.1:{self.redis_port}"
            )
            for key, value in told.items()
        }
        with (self._folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.redis_port, password=PASSWORD)

    def _redis_answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def running() -> Iterator[Stack]:
    """Redis, workers and exporter; whatever still runs at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        stack = Stack(Path(folder))
        try:
            stack.start_redis()
            stack.start_loco()
            yield stack
        finally:
            stack.kill()


def _shown(row: Any) -> str:
    labels = ", ".join(v for k, v in sorted(row["metric"].items()) if k != "resource")
    value = float(row["value"][1])
    return f"{labels}: {value:.3g}" if labels else f"{value:.3g}"


def main() -> None:
    with running() as stack:
        stack.start_prometheus()
        stack.eventually("figures", lambda: stack.ask("loco_redis_up"))
        scrapes = "count_over_time(loco_redis_up[1m]) >= 60"  # rates have something to go by
        stack.eventually("a minute of figures", lambda: stack.ask(scrapes), 90)
        lines = ["| panel | query | answer |", "|---|---|---|"]
        for title, _, expression in panel_queries():
            rows = stack.ask(filled_in(expression))
            answer = "; ".join(map(_shown, rows[:3])) + ("; ..." if len(rows) > 3 else "")
            query = expression.replace('resource=~"$resource"', "").replace("{}", "")
            lines.append(f"| {title} | `{query}` | {answer} |")
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
