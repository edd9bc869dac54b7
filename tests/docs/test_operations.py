"""The users of docs/security.md: their rights suffice, and the one that looks cannot write."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from loco_redis import AsyncLOCOScheduler, SharedResource, Task
from tests.cli.calls import invoke
from tests.cli.every_command import CALLS, Operator, governed_fleet
from tests.docs.test_documents import ROOT
from tests.servers import Server

RULES = dict(
    re.findall(
        r"^    ACL SETUSER (\w+) (on .*)$", (ROOT / "docs/security.md").read_text(), re.MULTILINE
    )
)
LOOKING = [path for path in CALLS if not re.match("config set|pause|resume|drain|release", path)]
LOOKING = [path for path in LOOKING if not re.search("cancel|requeue|reap|purge| set| rm", path)]
LOOKING = [path for path in LOOKING if path != "budgets reset"]


@pytest.fixture
def urls(any_server: Server) -> Iterator[dict[str, str]]:
    """By name: the server's URL as that user."""
    for name, rule in RULES.items():
        any_server.client.execute_command("ACL", "SETUSER", name, "reset", *rule.split())
    yield {name: any_server.url.replace("unix://", f"unix://{name}:secret@") for name in RULES}
    for name in RULES:
        any_server.client.execute_command("ACL", "DELUSER", name)
    any_server.client.delete("loco:resources")


async def test_a_fleet_works_with_its_rights(urls: dict[str, str]) -> None:
    """Also with everything governed and with the decision log on."""
    resource = SharedResource("llm_api", capacity=2, rpm=6000)
    async with AsyncLOCOScheduler(resource=resource, redis=urls["worker"], events=100) as scheduler:
        await scheduler.submit_task("batch", Task(payload=b"x"))
        async with scheduler.acquire("batch") as lease:
            await lease.settle(cost=2.0)
            await lease.throttled(0.01)
        await scheduler.operations.drain(1.0)
        await scheduler.operations.resume()
        assert (await scheduler.snapshot()).released == 1


def test_operators_work_with_their_rights(any_server: Server, urls: dict[str, str]) -> None:
    """The viewer looks at everything and changes nothing; the operator may do all."""
    with governed_fleet(any_server.url) as fleet:
        before = fleet.observer.snapshot()
        for path in LOOKING:
            result = invoke(*path.split(), *CALLS[path].split(), "-u", urls["viewer"])
            assert result.exit_code == 0, (path, result.output)
        refused = invoke("pause", "-n", "llm_api", "-u", urls["viewer"])
        assert refused.exit_code == 2
        assert not fleet.observer.snapshot().paused
        assert fleet.observer.snapshot().version == before.version
        operator = Operator(fleet, urls["operator"], [any_server.client])
        for path in [*(path for path in CALLS if path not in (*LOOKING, "purge")), "purge"]:
            result = operator.call(path)
            assert result.exit_code == 0, (path, result.output)


def test_the_viewer_has_no_right_to_write(any_server: Server) -> None:
    """So looking never writes, whatever a command may try."""
    writing = {name.decode() for name in any_server.client.execute_command("ACL", "CAT", "write")}
    allowed = {word[1:] for word in RULES["viewer"].split() if word.startswith("+")}
    assert allowed & writing <= {"eval", "evalsha"}
