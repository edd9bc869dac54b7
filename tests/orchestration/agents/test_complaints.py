"""What is said of a configuration file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from loco_redis.orchestration.agents import (
    AgentScheduler,
    ConfigFileError,
)
from loco_redis.orchestration.agents._file import parse
from tests.orchestration.agents.configs import SAMPLE

ONE = "agents: [{id: a}]\n"


def complaints(text: str, **environment: str) -> list[str]:
    """All that is said of it, without the file's name."""
    with pytest.raises(ConfigFileError) as caught:
        parse(text, "c.yaml", environment)
    assert all(line.startswith("c.yaml:") for line in caught.value.complaints)
    return [line.removeprefix("c.yaml:") for line in caught.value.complaints]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            f"kafka:\n  topics: [x]\n{ONE}",
            "1:1: kafka is not needed, Redis carries the messages: write instead "
            "`redis: {url: redis://localhost:6379/0}`",
            id="kafka",
        ),
        pytest.param(
            f"{ONE}scalling:\n  min_agents: 2",
            "2:1: scalling is unknown: did you mean scaling?",
            id="unknown section",
        ),
        pytest.param(
            f"{ONE}scaling:\n  min_agent: 2",
            "3:3: scaling.min_agent is unknown: did you mean min_agents?",
            id="unknown key",
        ),
        pytest.param(
            f"{ONE}load_balancing:\n  zzz: 2",
            "3:3: load_balancing.zzz is unknown: known are strategy",
            id="nothing near",
        ),
        pytest.param(
            "agents:\n  - id: a\n    weight: heavy",
            "3:13: agents[0].weight must be a number from 1 to 1e9, got 'heavy'",
            id="type",
        ),
        pytest.param(
            "agents:\n  - id: a\n    max_attempts: true",
            "3:19: agents[0].max_attempts must be an int from 1, got 'true'",
            id="a boolean is no number",
        ),
        pytest.param(
            f"{ONE}scaling: {{min_agents: 0}}",
            "2:23: scaling.min_agents must be an int from 1 to 10000, got '0'",
            id="range",
        ),
        pytest.param(
            f"{ONE}load_balancing:\n  strategy: round_robbin",
            "3:13: load_balancing.strategy must be one of round_robin, weighted, least_loaded, "
            "lowest_latency, sticky, cost_aware, got 'round_robbin' (did you mean round_robin?)",
            id="choice",
        ),
        pytest.param(
            f"{ONE}scaling: {{min_agents: 5, max_agents: 2}}",
            "2:26: scaling.max_agents makes max_agents 2, below min_agents 5",
            id="order",
        ),
        pytest.param(
            "agents:\n  - model: x",
            "2:5: agents[0].id is missing: it must be a text that is not empty",
            id="missing",
        ),
        pytest.param(
            "scaling: {}",
            "1:1: agents is missing: it must be a list of agents, at least one",
            id="no agents",
        ),
        pytest.param(
            "agents: []",
            "1:9: agents must be a list of agents, at least one, got an empty list",
            id="empty list",
        ),
        pytest.param(
            "agents:\n  - id: a\n  - id: a",
            "3:5: agents[1].id 'a' is there twice: give each id once",
            id="agent twice",
        ),
        pytest.param(
            "agents:\n  - x", "2:5: agents[0] must be a section with keys, got 'x'", id="entry"
        ),
        pytest.param(
            f"{ONE}scaling:", "2:9: scaling must be a section with keys, got nothing", id="empty"
        ),
        pytest.param(
            "agents:\n  - {id: a, handler: answer}",
            '2:22: agents[0].handler must be "module:function", such as "my_agents:answer", '
            "got 'answer'",
            id="handler",
        ),
        pytest.param(
            "agents: [{id: a, model: m}]\nbackends:\n  - {name: b, capacity: 1, model: n}",
            "1:18: agents[0].model 'm' is served by no backend: add one with this model",
            id="model",
        ),
        pytest.param(
            f"{ONE}backends: [{{name: b, capacity: 1}}]\nload_balancing: {{strategy: cost_aware}}",
            "2:1: backends have no price, which cost_aware needs: give price_in, price_out",
            id="prices",
        ),
        pytest.param(f"{ONE}agents: []", "2:1: 'agents' is there twice: keep one of them", id="2"),
        pytest.param(f"{ONE}1: x", "2:1: 1 is unknown: ", id="key that is no text"),
        pytest.param("", "1:1: is empty: write at least agents", id="empty file"),
        pytest.param("[1]", "1:1: must have sections, such as agents", id="list"),
        pytest.param("agents: [", "1:10: is no YAML: ", id="no YAML"),
        pytest.param("agents:\n\t- id: a", "2:1: is no YAML: ", id="tab"),
        pytest.param(f"{ONE}---\n{ONE}", "2:1: is no YAML: ", id="two documents"),
        pytest.param(
            "agents: !!python/name:os.sep x", "1:9: has a tag: use plain values", id="tag"
        ),
        pytest.param(f"{ONE}redis: !x {{}}", "2:8: has a tag: use plain values", id="own tag"),
        pytest.param(
            f"{ONE}redis: {{url: 'http://h'}}",
            "2:9: redis.url is no URL of Redis: Redis URL 'http://h': unknown scheme",
            id="url",
        ),
        pytest.param(
            f"{ONE}redis: {{url: 'redis://h', host: h}}",
            "2:27: redis.host stands beside url: give one of them",
            id="url and host",
        ),
        pytest.param(
            f"{ONE}redis: {{port: 1}}",
            "2:9: redis.port needs host beside it: give host, or all of it in url",
            id="port alone",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    """One complaint, with line and column, the key, the value and the remedy."""
    (line,) = complaints(text)
    assert line.startswith(said)


def test_all_complaints_come_at_once() -> None:
    """In the order of the file."""
    text = "agents:\n  - id: 1\n    modell: x\nscaling: {max_agents: ten}\n"
    assert [line.split(" ")[1] for line in complaints(text)] == [
        "agents[0].id",
        "agents[0].modell",
        "scaling.max_agents",
    ]


def test_a_variable_that_is_not_set_is_named() -> None:
    """With its place, and what to do."""
    assert complaints(f"{ONE}redis: {{url: '${{NO_SUCH}}'}}") == [
        "2:14: the variable NO_SUCH is not set: set it, or write ${NO_SUCH:-default}"
    ]


@pytest.mark.parametrize(
    "section",
    [
        "{url: 'http://user:sesame@h'}",
        "{url: 'redis://user:sesame@h', host: x}",
        "{host: h, password: [sesame]}",
        "{host: h, username: {sesame: 1}, password: sesame, prot: 1}",
        "{host: h, password: sesame, port: '${SECRET}'}",
        "{host: h, password: *sesame}",
        "{host: h, password: !sesame x}",
        "'redis://:sesame@h'",
    ],
)
def test_no_complaint_shows_a_secret(section: str) -> None:
    """Neither a password nor what a variable stands for, whatever is wrong with it."""
    said = complaints(f"{ONE}redis: {section}", SECRET="sesame")
    assert "sesame" not in "\n".join(said).replace("redis.username.sesame", "")


def test_aliases_may_not_multiply_without_end() -> None:
    """Ten lines that say a billion values are refused; one alias is fine."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    assert complaints(bomb)[0].endswith("says too much: leave out aliases")
    assert complaints("agents: &a [*a]")[0].endswith("says too much: leave out aliases")
    text = "agents:\n  - {id: a, backoff: &b {base: 2}}\n  - {id: b, backoff: *b}\n"
    assert [agent.backoff.base for agent in parse(text).agents] == [2, 2]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8; one with a byte order mark is fine."""
    with pytest.raises(ConfigFileError, match="c.yaml: No such file"):
        AgentScheduler(config_path=tmp_path / "c.yaml")
    with pytest.raises(ConfigFileError, match="Is a directory"):
        AgentScheduler(config_path=tmp_path)
    path = tmp_path / "c.yaml"
    path.write_bytes(b"agents: [{id: \xff}]")
    with pytest.raises(ConfigFileError, match="is not UTF-8 at byte 14"):
        AgentScheduler(config_path=path)
    path.write_bytes(b"\xef\xbb\xbf" + SAMPLE.encode())
    assert AgentScheduler(config_path=str(path)).config == parse(SAMPLE)
