"""deploy/kubernetes: valid by the schemas of Kubernetes and of KEDA, and about what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import kubernetes_validate
import pytest
import yaml

from loco_redis.cli import main
from loco_redis.metrics.catalogue import METRICS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"
KEDA = json.loads(Path(__file__).with_name("keda.schema.json").read_text())


def _documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


def _containers(name: str) -> list[dict[str, Any]]:
    found = [d for d in _documents(name) if d["kind"] == "Deployment"]
    return [c for d in found for c in d["spec"]["template"]["spec"]["containers"]]


def _parsed(container: dict[str, Any]) -> dict[str, Any]:
    """The options of the command that a container runs, as the command line understands them."""
    program, name = container["command"]
    assert program == "loco-redis"
    context = click.Context(main, info_name="loco-redis", **main.context_settings)
    command = main.get_command(context, name)
    assert command is not None
    return command.make_context(name, [*container["args"]], parent=context).params


@pytest.mark.parametrize("version", ["1.29", "1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", ["workers", "exporter", "hpa"])
def test_kubernetes_accepts_it(name: str, version: str) -> None:
    """Of several versions; unknown fields are mistakes."""
    for document in _documents(name):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_find_mistakes() -> None:
    """A misspelt field, and one of the wrong type."""
    (workers,) = _documents("workers")
    workers["spec"]["template"]["spec"]["terminationGracePeriod"] = 75
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(workers, "1.31", strict=True)
    (scaled,) = _documents("keda")
    scaled["spec"]["triggers"][0]["metadata"]["threshold"] = 1
    with pytest.raises(jsonschema.ValidationError, match="is not of type 'string'"):
        jsonschema.validate(scaled, KEDA)


def test_keda_accepts_it() -> None:
    """By a schema of what its documentation names."""
    jsonschema.Draft202012Validator.check_schema(KEDA)
    (scaled,) = _documents("keda")
    jsonschema.validate(scaled, KEDA)


def test_every_file_is_checked() -> None:
    """None is left out here."""
    assert {path.stem for path in FOLDER.iterdir()} == {"workers", "exporter", "keda", "hpa"}


def test_both_scalers_are_about_the_workers_and_the_metric() -> None:
    """The deployment that there is, and a metric that is served; one pod for each worker asked."""
    (workers,), (scaled,), (hpa,) = map(_documents, ("workers", "keda", "hpa"))
    (trigger,), (external,) = scaled["spec"]["triggers"], hpa["spec"]["metrics"]
    for found in (scaled, hpa):
        assert found["spec"]["scaleTargetRef"]["name"] == workers["metadata"]["name"]
    query = trigger["metadata"]["query"]
    assert re.findall(r"loco_redis_\w+", query) == ["loco_redis_desired_workers"]
    metric = external["external"]["metric"]
    assert metric["name"] in query
    assert metric["name"] in METRICS
    assert trigger["metadata"]["threshold"] == "1"
    assert external["external"]["target"]["averageValue"] == "1"
    behaviours = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"], hpa["spec"]
    assert behaviours[0]["behavior"] == behaviours[1]["behavior"]


def test_what_containers_run_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command takes its options; the exporter reckons with the workers' concurrency; a pod is
    one worker, which has time to drain."""
    (worker,), (exporter,) = _containers("workers"), _containers("exporter")
    for name, value in ((e["name"], e.get("value")) for e in exporter["env"]):
        if value is not None:
            monkeypatch.setenv(name, value)
    told, reckoned = _parsed(worker), _parsed(exporter)
    assert reckoned["worker_concurrency"] == told["concurrency"]
    assert reckoned["slo"] == 30.0
    assert told["least"] == told["most"] == 1
    (document,) = _documents("workers")
    grace = document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > told["grace"] + 5
    assert f'resource="{told["name"]}"' in (FOLDER / "keda.yaml").read_text()
    assert "replicas" not in document["spec"]
