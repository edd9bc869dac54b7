"""Serving and results while hints, scripts, data or the connection get lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis.errors import LeaseLostError, UnknownTaskError
from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.orchestration.serving.backlog import AT_ONCE, apart, serve_next
from tests.orchestration.serving.processes import Processes, processes
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["processes"]


async def test_a_result_whose_hint_is_lost(schedulers: Schedulers) -> None:
    """A subscription that brings nothing: the heartbeat shows that something was told, and the
    session asks again."""
    async with schedulers(lease_ttl=1.2) as server, proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        async with schedulers(None, redis=proxy.url, lease_ttl=None) as asking:
            for value in range(3):
                task_id = await server.submit_task("a", result_ttl=60)
                waiting = asyncio.create_task(asking.result(task_id, timeout=20))
                await eventually(lambda: _asked(schedulers))
                began = time.monotonic()
                await serve_next(server, value)
                assert await waiting == value
                assert time.monotonic() - began < 0.3 + 2.0  # a heartbeat comes each 0.3 s


async def test_a_task_whose_hint_is_lost(schedulers: Schedulers) -> None:
    """An idle server that is not told of its task finds it by the heartbeat."""
    async with schedulers(lease_ttl=1.2) as submitter, proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        async with schedulers(None, redis=proxy.url, lease_ttl=None) as server:
            served = asyncio.create_task(serve_next(server, timeout=20))
            await eventually(lambda: schedulers.waiting() == 1)
            task_id = await submitter.submit_task("a")
            assert await served == task_id


async def test_replies_that_are_lost(schedulers: Schedulers) -> None:
    """Each script's reply gets lost once: it is sent again, and nothing happens twice."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            scripts = (await scheduler._use()).scripts
            for number, verb in enumerate(("submit", "serve", "complete", "result")):
                proxy.lose_reply_of(scripts.sha(verb))
                task_id = await scheduler.submit_task("a", result_ttl=60, max_attempts=1)
                async with scheduler.serve(timeout=10) as lease:
                    assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)
                    lease.complete(number)
                assert await scheduler.result(task_id, timeout=10) == number
            assert proxy.awaited == []
        assert schedulers.dump().vars[b"granted"] == b"4"


async def test_scripts_that_are_flushed(schedulers: Schedulers) -> None:
    """They are loaded again wherever one is missing."""
    client = schedulers.server.client
    async with schedulers() as scheduler:
        client.script_flush()
        task_id = await scheduler.submit_task("a", result_ttl=60, backoff=AT_ONCE)
        waiting = asyncio.create_task(scheduler.result(task_id))
        for outcome in ("fail", "complete"):
            client.script_flush()
            async with scheduler.serve(timeout=5) as lease:
                client.script_flush()
                getattr(lease, outcome)("now")
        assert await asyncio.wait_for(waiting, 5) == "now"


async def test_a_server_that_was_emptied(schedulers: Schedulers) -> None:
    """Tasks are gone: who waits for a result learns it, a body is lost, servers wait on and are
    given what comes then."""
    async with schedulers(2, lease_ttl=1.2) as scheduler, schedulers(None, lease_ttl=None) as other:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
            async with scheduler.serve():
                waiting = asyncio.create_task(other.result(task_id))
                idle = apart(serve_next(other, timeout=20))
                await eventually(lambda: schedulers.waiting() == 1 and _asked(schedulers))
                schedulers.server.client.flushall()
                await asyncio.sleep(30)
        with pytest.raises(UnknownTaskError):
            await asyncio.wait_for(waiting, 10)
        again = await scheduler.submit_task("a")
        assert await asyncio.wait_for(idle, 10) == again


async def test_a_holder_that_dies(schedulers: Schedulers, processes: Processes) -> None:
    """Its task is served again, with its age, a higher token and the next attempt; or is dead, and
    who waits for the result is told why."""
    schedulers.at_rest = False
    async with schedulers(2, lease_ttl=1.0) as scheduler:
        task_id = await scheduler.submit_task("hang", payload=b"forever", result_ttl=60)
        last = await scheduler.submit_task(
            "hang", payload=b"forever", max_attempts=1, result_ttl=60
        )
        holder = processes("2", "30")
        began = {holder.expect("began")["task"], holder.expect("began")["task"]}
        assert began == {task_id, last}
        holder.kill()
        async with scheduler.serve(timeout=10) as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 2)
            lease.complete("by another")
        assert await scheduler.result(task_id) == "by another"
        with pytest.raises(Exception, match="its holders died"):
            await scheduler.result(last, timeout=10)
        await scheduler.cancel_task(last)


async def test_two_processes_wait_for_a_result(
    schedulers: Schedulers, processes: Processes
) -> None:
    """It comes to both, from a third."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        waiting = [processes("result", task_id) for _ in range(2)]
        key = b"w" + task_id.encode()
        await eventually(lambda: schedulers.dump().orders.get(key, b"").count(b",") == 2)
        await serve_next(scheduler, {"of": "a third"})
        for process in waiting:
            assert process.expect("result")["value"] == {"of": "a third"}
            assert process.end() == 0


def test_a_grant_that_nobody_took_after_the_deadline(server: Server) -> None:
    """A task that is given back without having begun does not come back to life: it dies, and its
    deadline is not forgotten."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=10_000_000))
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, order=b"|+1000|0|"))
    reply = pair.do(ops.Serve("a", 2, 0, 2))
    pair.now += 2000
    pair.do(ops.Heartbeat("a", 0, reply.grants[0].token))  # the deadline rings while it runs
    assert not pair.state.timers
    pair.do(ops.Cancel("a", 2, 0, 2, is_late=False))
    (task,) = pair.state.tasks.values()
    assert (task.state, task.attempt) == ("D", 0)
    pair.close()


def test_a_clock_that_is_set_back(server: Server) -> None:
    """A deadline that has rung while its task ran is watched again, if it is still to come when the
    task is put back."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=10_000_000))
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, order=b"|+1000|0|"))
    token = pair.do(ops.Serve("a", 2, 0, 2)).grants[0].token
    for step in (2000, -1500):
        pair.now += step
        pair.do(ops.Heartbeat("a", 0, token))
    pair.do(ops.Complete("a", 2, 0, 2, token, outcome="f", value=b"no"))
    assert [*pair.state.timers] == ["xa:000000000001"]
    pair.now += 1000
    pair.do(ops.Heartbeat("a", 0, token))
    assert [task.state for task in pair.state.tasks.values()] == ["D"]
    pair.close()


def _asked(schedulers: Schedulers) -> bool:
    return any(field[:1] == b"w" for field in schedulers.dump().orders)
