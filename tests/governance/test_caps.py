"""Caps on how many slots an agent or a tenant holds at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loco_redis import AcquireTimeoutError, Agent
from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.schedulers import Schedulers
from tests.servers import Server


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    """One session and four slots."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=4))
    yield pair
    pair.close()


def ask(pair: Lockstep, *agents: bytes) -> list[bytes]:
    """Each asks once more; who holds a slot then, in order of slots."""
    for agent in agents:
        sequence = max([0, *(s.last for s in pair.state.sessions.values())]) + 1
        pair.do(ops.Acquire("a", 1, 0, sequence, agent, 1000))
    return holders(pair)


def holders(pair: Lockstep) -> list[bytes]:
    held = sorted(pair.state.holders(), key=lambda row: row[1].slot)
    return [request.agent for request, _ in held]


def govern(pair: Lockstep, sequence: int, **rules: str) -> None:
    changes = {field.encode(): value.encode() for field, value in rules.items()}
    pair.do(ops.Govern("a", 1, 0, sequence, ops.packed(changes)))


def release(pair: Lockstep, agent: bytes) -> None:
    request, lease = next(row for row in pair.state.holders() if row[0].agent == agent)
    sequence = int(request.rid.partition(":")[2])
    pair.do(ops.Release("a", 1, 0, sequence, lease.token))


def test_capped_agent_lets_others_pass(pair: Lockstep) -> None:
    """An agent at its cap leaves free slots to others and is next again when it has released."""
    govern(pair, 99, cx="1")
    assert ask(pair, b"x", b"x", b"y") == [b"x", b"y"]
    release(pair, b"x")
    assert holders(pair).count(b"x") == 1


def test_tenant_shares_its_cap_among_its_agents(pair: Lockstep) -> None:
    """The agents of a tenant hold no more together than it may, the oldest first."""
    govern(pair, 99, tacme="||2")
    assert ask(pair, b"acme/1", b"acme/2", b"acme/3", b"other") == [b"acme/1", b"acme/2", b"other"]
    release(pair, b"acme/2")
    assert b"acme/3" in holders(pair)


def test_caps_count_what_is_held_already(pair: Lockstep) -> None:
    """A cap set while more is held evicts nobody; one that is raised grants at once."""
    ask(pair, b"acme/1", b"acme/2", b"acme/3")
    govern(pair, 90, tacme="||2")
    assert len(ask(pair, b"acme/4")) == 3
    release(pair, b"acme/1")
    assert len(holders(pair)) == 2
    govern(pair, 91, tacme="||3")
    assert len(holders(pair)) == 3
    govern(pair, 92, tacme="||")
    assert len(ask(pair, b"acme/5")) == 4


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
def test_choice_over_lines_is_the_formula(pair: Lockstep, alpha: float) -> None:
    """With many tenants, some at their cap, the winner is the exact argmax; the model says so."""
    pair.do(ops.Reconfigure("a", 1, 0, 80, alpha=alpha, capacity=3))
    govern(pair, 81, **{f"tt{n}": f"||{n % 2 + 1}" for n in range(4)})
    for sequence in range(100, 140):
        agent = b"t%d/%d" % (sequence % 5, sequence % 3)
        pair.do(ops.Acquire("a", 1, 0, sequence, agent, 1000 + 700 * (sequence % 7)))
    while pair.state.holders():
        release(pair, holders(pair)[0])


async def test_agent_with_a_cap(schedulers: Schedulers) -> None:
    """`Agent(max_concurrency=)` holds in every process, until somebody changes it."""
    capped = Agent("batch", max_concurrency=1)
    async with schedulers(3, agents=[capped]) as one, schedulers(None) as other:
        handle = await one.acquire_start("batch")
        with pytest.raises(AcquireTimeoutError):
            await other.acquire_start("batch", timeout=0.05)
        await other.set_max_concurrency("batch", 2)
        second = await other.acquire_start("batch", timeout=1.0)
        await other.set_max_concurrency("batch", None)
        third = await one.acquire_start("batch", timeout=1.0)
        for scheduler, held in ((one, handle), (other, second), (one, third)):
            await scheduler.release_handle(held)


@pytest.mark.parametrize("most", [-1, 1.5, True, "2"])
async def test_odd_cap_is_refused(schedulers: Schedulers, most: object) -> None:
    """A cap that is no whole number from 0 is a ValueError that names it."""
    with pytest.raises(ValueError, match="max_concurrency"):
        Agent("a", max_concurrency=most)  # type: ignore[arg-type]
    async with schedulers() as scheduler:
        with pytest.raises(ValueError, match="max_concurrency"):
            await scheduler.set_max_concurrency("a", most)  # type: ignore[arg-type]


def test_bucket_that_has_emptied_does_not_lead_past_the_cap(pair: Lockstep) -> None:
    """Who joins a full tenant's line is not found through a bucket that others left before."""
    pair.do(ops.Reconfigure("a", 1, 0, 80, capacity=2))
    govern(pair, 81, tacme="||1", cnever="0")
    ask(pair, b"one", b"two", b"never")
    pair.do(ops.Acquire("a", 1, 0, 4, b"acme/1", 1100))
    release(pair, b"one")
    assert holders(pair) == [b"acme/1", b"two"]
    pair.do(ops.Acquire("a", 1, 0, 5, b"acme/2", 1120))  # Q of the same bucket
    ask(pair, b"other")
    release(pair, b"two")
    assert holders(pair) == [b"acme/1", b"other"]
