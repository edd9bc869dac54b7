"""A call of each command that looks or changes, and a fleet on which all of them succeed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from click.testing import Result

from loco_redis import BudgetPolicy, SLOBudget, Task, TrustScorer
from loco_redis._rights import acl_rules
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.cli.look.plans import plant

# Command -> a call of it that succeeds on the fleet below; `{waiting}` is a request's id.
CALLS = {
    "resources": "",
    "status": "-n llm_api",
    "top": "--no-stream -n llm_api",
    "agents": "-n llm_api",
    "holders": "-n llm_api",
    "waiters": "-n llm_api",
    "sessions": "-n llm_api",
    "tasks": "-n llm_api",
    "dead": "-n llm_api",
    "why": "batch -n llm_api",
    "events": "-n llm_api",
    "costs": "-n llm_api",
    "slo": "-n llm_api",
    "trust": "-n llm_api",
    "plan list": "",
    "plan status": "nightly",
    "plan graph": "nightly",
    "config get": "-n llm_api",
    "config set": "capacity=3 -n llm_api -y",
    "pause": "-n llm_api",
    "resume": "-n llm_api",
    "drain": "--timeout 0 --resume -n empty",
    "release": "--slot 0 -n llm_api -y",
    "cancel": "{waiting} -n llm_api -y",
    "requeue": "--all -n llm_api -y",
    "reap": "-n llm_api -y",
    "budgets list": "-n llm_api",
    "budgets set": "--limit 50 -n llm_api",
    "budgets reset": "--all -n llm_api -y",
    "tenants list": "-n llm_api",
    "tenants set": "acme --max-slots 3 -n llm_api",
    "tenants rm": "gone -n llm_api -y",
    "policies list": "-n llm_api",
    "policies set": "cap other 1 -n llm_api",
    "policies rm": "cap batch -n llm_api -y",
    "purge": "-n empty -y",
}


@dataclass
class Operator:
    """A user `op` of the fleet's servers, who calls commands.

    Attributes:
        url: as that user.
        servers: all nodes; each keeps its own list of users.
    """

    fleet: Fleet
    url: str
    servers: list[redis.Redis]

    def may(self, rights: tuple[str, ...], *without: str) -> None:
        """From now on only this; and no script is loaded any more."""
        rules = acl_rules(tuple(right for right in rights if right not in without)).split()
        for server in self.servers:
            server.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)
            server.script_flush()

    def call(self, command: str) -> Result:
        rest = CALLS[command]
        if "{waiting}" in rest:
            rest = rest.format(waiting=self.fleet.observer.requests().waiters[-1].request_id)
        return invoke(*command.split(), *rest.split(), "-u", self.url)


@contextlib.contextmanager
def governed_fleet(url: str) -> Iterator[Fleet]:
    """The resource `llm_api` in which everything is governed, with a dead task, and `empty`."""
    governed = {
        "budget": BudgetPolicy(default_limit=100),
        "trust_scorer": TrustScorer(),
        "slo": SLOBudget(),
    }
    with Fleet(url, "empty", capacity=1):
        pass
    with Fleet(url, "llm_api", capacity=2, events=1000, **governed) as fleet:
        task = fleet.holder.submit_task("fragile", Task(max_attempts=1))
        token = fleet.hold("fragile").lease.token
        assert invoke("release", str(token), "-n", "llm_api", "-y", "-u", url).exit_code == 0
        assert [row.task_id for row in fleet.observer.tasks() if row.state == "dead"] == [task]
        fleet.holder.budget.record_spend("batch", 3.0)
        for words in (("tenants", "set", "gone"), ("policies", "set", "cap", "batch", "2")):
            assert invoke(*words, "-n", "llm_api", "-u", url).exit_code == 0
        fleet.hold("webhook", weight=2.0)
        fleet.hold("batch")
        for agent in ("report", "acme/report", "report"):
            fleet.wait(agent)
        plant(url, "nightly")
        yield fleet
