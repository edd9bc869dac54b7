"""What of a plan is in Redis: claims, fences, replies that are lost, ends, lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._rights import OPTIONAL, WORKER, acl_rules
from loco_redis.errors import (
    BackendPermissionError,
    BackendUnavailableError,
    PlanError,
    PlanFailedError,
    UnknownPlanError,
)
from loco_redis.orchestration._scripts import source
from loco_redis.orchestration.plans import Plan, Step, StepContext
from loco_redis.orchestration.plans._store import Store, opened
from tests.clusters import cluster_url
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["cluster_url"]

PAIR = Plan([Step("a", retries=1), Step("b", depends_on=["a"])], name="pair")
DAY = 86_400


async def claim(store: Store, owner: str, ttl: float = 10.0, room: int = 9, **more: Any) -> Any:
    return await store.claim(owner, ttl, room, more.get("held", ()), more.get("adopt", False))


@pytest.fixture
async def store(any_server: Server) -> AsyncIterator[Store]:
    """Of a plan in which b depends on a."""
    async with opened(any_server.url, "p") as store:
        await store.open(PAIR, PAIR.digest, "{}", DAY)
        yield store


async def test_a_step_is_given_once(store: Store) -> None:
    """The second one who asks learns when to ask again: when the claim expires."""
    (given,) = (await claim(store, "one")).claims
    look = await claim(store, "two")
    assert (given.place, given.attempt, given.failures) == (0, 1, 0)
    assert look.claims == ()
    assert 9 < look.wait <= 10
    assert (look.state, look.left) == ("running", 2)


async def test_an_expired_claim_goes_to_another_and_its_finish_is_refused(store: Store) -> None:
    """By its fencing number, which is lower; a renewal of it is refused, too."""
    (old,) = (await claim(store, "one", ttl=0.02)).claims
    await asyncio.sleep(0.03)
    (new,) = (await claim(store, "two")).claims
    assert (new.attempt, new.failures) == (2, 0)
    assert new.fence > old.fence
    assert await store.renew(10, [old]) == {0}
    assert await store.renew(10, [new]) == set()
    for outcome in ("done", "failed", "back"):
        found = await store.finish(old, outcome, "1")
        assert (found.verdict, found.state) == ("stale", "running")
    assert (await store.finish(new, "done", "2")).verdict == "ok"
    assert (await store.finish(old, "done", "1")).verdict == "stale"
    assert await store.results([0, 1]) == {0: 2}


async def test_fencing_numbers_grow_although_the_keys_were_lost(
    any_server: Server, store: Store
) -> None:
    """Who still runs a step of a plan that is gone cannot end one of its successor."""
    (old,) = (await claim(store, "one")).claims
    any_server.client.delete(*store.keys.all)
    await store.open(PAIR, PAIR.digest, "{}", DAY)
    (new,) = (await claim(store, "two")).claims
    assert new.fence > old.fence
    assert (await store.finish(old, "done", "1")).verdict == "stale"


async def test_a_renewed_claim_stays(store: Store) -> None:
    """Also one that has expired, as long as nobody has taken it."""
    (given,) = (await claim(store, "one", ttl=0.02)).claims
    await asyncio.sleep(0.03)
    assert await store.renew(10, [given]) == set()
    assert (await claim(store, "two")).claims == ()
    await store.renew(0.001, [given])
    await asyncio.sleep(0.01)
    assert (await claim(store, "one", held=[given.fence])).claims == ()
    assert (await store.finish(given, "done", "1")).verdict == "ok"


async def test_saying_it_twice_is_harmless(store: Store) -> None:
    """Whatever a finish is repeated as, the first counts."""
    (given,) = (await claim(store, "one")).claims
    assert (await store.finish(given, "failed", "no")).state == "pending"
    assert (await store.finish(given, "done", "1")).verdict == "already"
    status, _ = await store.status()
    assert [(step.state, step.failures, step.error) for step in status.steps] == [
        ("pending", 1, "no"),
        ("pending", 0, None),
    ]
    (again,) = (await claim(store, "one")).claims
    assert (again.attempt, again.failures) == (2, 1)
    assert (await store.finish(again, "failed", "no")).state == "failed"
    status, _ = await store.status()
    assert [step.state for step in status.steps] == ["failed", "cancelled"]
    assert status.state == "failed"


async def test_what_failed_waits_for_its_next_attempt(store: Store) -> None:
    """By the server's clock."""
    (given,) = (await claim(store, "one")).claims
    await store.finish(given, "failed", "no", delay=60)
    look = await claim(store, "one")
    assert look.claims == ()
    assert 59 < look.wait <= 60


async def test_what_is_given_back_is_free_at_once(store: Store) -> None:
    (given,) = (await claim(store, "one")).claims
    await store.finish(given, "back")
    (again,) = (await claim(store, "two")).claims
    assert (again.attempt, again.failures) == (2, 0)


async def test_a_claim_whose_reply_was_lost_is_given_again(store: Store) -> None:
    """To its owner, when it asks so; nothing that it has in hand is."""
    (lost,) = (await claim(store, "one")).claims
    assert (await claim(store, "two", adopt=True)).claims == ()
    (found,) = (await claim(store, "one", adopt=True)).claims
    assert found.fence > lost.fence
    assert (await claim(store, "one", adopt=True, held=[found.fence])).claims == ()


@pytest.mark.parametrize("script", ["plan_open", "plan_claim", "plan_finish", "plan_status"])
async def test_lost_replies_do_no_harm(server: Server, script: str) -> None:
    """Each step still runs once, and without waiting for claims to expire."""
    calls: list[str] = []
    sha = redis.asyncio.Redis().register_script(source(script)).sha
    async with (
        AsyncLOCOScheduler(resource=SharedResource("llm", 2), redis=server.url) as scheduler,
        proxied(server) as proxy,
    ):
        plan = Plan([Step("a"), Step("b"), Step("c", depends_on=["a", "b"])])
        server.client.script_load(source(script))
        proxy.lose_reply_of(sha, times=2)
        near = Near(scheduler, proxy.url)
        async with asyncio.timeout(10):
            await plan.run(near, {"*": lambda c: calls.append(c.step.name)})
        assert proxy.awaited == []
    assert sorted(calls) == ["a", "b", "c"]


class Near:
    """A pool for tests: slots of a scheduler, the plan's state by another way."""

    def __init__(self, scheduler: AsyncLOCOScheduler, url: str) -> None:
        self.scheduler, self.url = scheduler, url
        self.primary = self

    def acquire(self, agent: str, **options: Any) -> Any:
        return self.scheduler.acquire(agent, **options)

    def acquire_multiple(self, agent: str, names: list[str], **options: Any) -> Any:
        raise AssertionError("no step has resources")

    @property
    def _endpoint(self) -> Any:
        from loco_redis._endpoint import resolve

        return resolve(self.url)


async def test_without_hints_it_is_noticed_later(server: Server) -> None:
    """What was published is only a reason to look: a slow look finds it."""
    async with (
        AsyncLOCOScheduler(resource=SharedResource("llm", 2), redis=server.url) as scheduler,
        proxied(server) as proxy,
    ):
        proxy.mute = b"SUBSCRIBE"
        gate = asyncio.Event()

        async def wait(context: StepContext) -> None:
            await gate.wait()

        near = asyncio.create_task(
            PAIR.run(scheduler, {"*": wait}, plan_id="p"), name="the one that works"
        )
        await eventually(lambda: server.client.exists("loco:{plan:p}:due"))
        far = asyncio.create_task(PAIR.run(Near(scheduler, proxy.url), {"*": wait}, plan_id="p"))
        gate.set()
        results = await asyncio.gather(near, far)
    assert {result.state for result in results} == {"done"}


async def test_redis_that_stays_away_is_an_error() -> None:
    async with opened("redis://u:secret@127.0.0.1:1", "p", patience=0.1) as store:
        with pytest.raises(BackendUnavailableError, match=r"no Redis at redis://\*\*\*@127"):
            await store.status()


async def test_what_a_user_must_be_allowed(any_server: Server) -> None:
    """What a scheduler needs, and PEXPIRE; who lacks that is told before anything is written."""
    url = any_server.url.replace("unix://", "unix://plans:x@")
    worker, allow = (*WORKER, *OPTIONAL), ("ACL", "SETUSER", "plans", "reset", "on", ">x")
    try:
        for rights in (worker, (*worker, "PEXPIRE")):
            any_server.client.execute_command(*allow, *acl_rules(rights).split())
            resource = SharedResource("llm", 2)
            async with AsyncLOCOScheduler(resource=resource, redis=url) as scheduler:
                run = PAIR.run(scheduler, {"*": lambda _: 1}, plan_id="p")
                if "PEXPIRE" in rights:
                    assert (await run).state == "done"
                else:
                    with pytest.raises(BackendPermissionError):
                        await run
                    assert any_server.client.keys("loco:{plan:*") == []
    finally:
        any_server.client.execute_command("ACL", "DELUSER", "plans")


async def test_on_a_cluster(cluster_url: str) -> None:
    """All keys of a plan share one slot."""
    resource = SharedResource("llm", 2)
    async with AsyncLOCOScheduler(resource=resource, redis=cluster_url) as scheduler:
        result = await PAIR.run(scheduler, {"*": lambda c: c.step.name}, plan_id="p")
        assert result.results == {"a": "a", "b": "b"}
        assert (await Plan.status(cluster_url, "p")).state == "done"


async def test_a_given_client_is_used_and_left_open(server: Server) -> None:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        with pytest.raises(UnknownPlanError, match="no plan 'p' at"):
            await Plan.load(client, "p")
        assert await client.ping()


async def test_another_plan_under_the_same_id_is_refused(schedulers: Schedulers) -> None:
    """The error says what differs; the order of the steps does not."""
    scheduler = schedulers()
    await PAIR.run(scheduler, {"*": lambda _: 1}, {"n": 1}, plan_id="p")
    twin = Plan(reversed(PAIR.steps), name="pair")
    assert twin == PAIR
    assert hash(twin) == hash(PAIR)
    await twin.run(scheduler, {"*": lambda _: 1}, plan_id="p")
    for other, why in [
        (Plan(PAIR.steps), "its name is 'pair', not ''"),
        (Plan(PAIR.steps[:1], "pair"), "it has a step 'b'"),
        (Plan([*PAIR.steps, Step("c")], "pair"), "it has no step 'c'"),
        (
            Plan([Step("a", retries=2), PAIR.steps[1]], "pair"),
            "retries of its step 'a' is 1, not 2",
        ),
        (
            Plan([PAIR.steps[0], Step("b")], "pair"),
            r"depends_on of its step 'b' is \['a'\], not \[\]",
        ),
    ]:
        with pytest.raises(PlanError, match=f"'p' is another plan already: {why}"):
            await other.run(scheduler, {"*": lambda _: 1}, plan_id="p")
    with pytest.raises(PlanError, match=r"has the inputs \{'n': 1\} already, not \{'n': 2\}"):
        await PAIR.run(scheduler, {"*": lambda _: 1}, {"n": 2}, plan_id="p")


async def test_a_plan_is_read_as_it_was_given(schedulers: Schedulers) -> None:
    scheduler = schedulers()
    await PAIR.run(scheduler, {"*": lambda _: None}, plan_id="p")
    loaded = await Plan.load(scheduler, "p")
    assert loaded == PAIR
    assert repr(loaded) == "<Plan 'pair' of 2 steps>"
    status = await loaded.status(scheduler, "p")
    assert (status.name, status.state, status.finished, status.total) == ("pair", "done", 2, 2)
    assert status.created <= status.steps[0].started <= status.steps[0].ended <= status.ended
    assert status.steps[1].owner.count(":") == 2
    assert status.steps[1].depends_on == ["a"]


async def test_cancel_ends_it_for_all(schedulers: Schedulers) -> None:
    """Handlers are cancelled, runs raise, what waited is cancelled; a second time is False."""
    scheduler, begun, ended = schedulers(capacity=2), asyncio.Event(), []

    async def wait(context: StepContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(context.step.name)

    run = asyncio.create_task(PAIR.run(scheduler, {"*": wait}, plan_id="p"))
    await begun.wait()
    assert await PAIR.cancel(scheduler, "p") is True
    async with asyncio.timeout(1.5):
        with pytest.raises(PlanFailedError, match="'p' has been cancelled: 0 of 2 steps") as caught:
            await run
    assert caught.value.result.states == {"a": "cancelled", "b": "cancelled"}
    assert ended == ["a"]
    assert await Plan.cancel(scheduler, "p") is False
    with pytest.raises(UnknownPlanError):
        await Plan.cancel(scheduler, "q")


async def test_who_is_cancelled_gives_its_steps_back(schedulers: Schedulers) -> None:
    """Another takes them at once, not when the claim expires."""
    scheduler, begun = schedulers(capacity=2), asyncio.Event()

    async def wait(context: StepContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    run = asyncio.create_task(PAIR.run(scheduler, {"*": wait}, plan_id="p"))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with asyncio.timeout(5):
        result = await PAIR.run(scheduler, {"*": lambda c: c.attempt}, plan_id="p")
    assert result.results == {"a": 2, "b": 1}


async def test_keys_live_for_ttl_after_the_end(server: Server, schedulers: Schedulers) -> None:
    """Not before; the list of all plans forgets them, too."""
    scheduler, keys = schedulers(), []

    def look(context: StepContext) -> None:
        keys.extend(server.client.keys("loco:{plan:*"))
        assert all(server.client.ttl(key) == -1 for key in keys)
        assert server.client.zscore("loco:plans", "p") == float("inf")

    await PAIR.run(scheduler, {"*": look}, plan_id="p", ttl=60)
    assert len(keys) >= 4
    left = server.client.keys("loco:{plan:*")
    assert left
    assert all(0 < server.client.ttl(key) <= 60 for key in left)
    now = server.client.time()[0]
    assert now + 50 < server.client.zscore("loco:plans", "p") <= now + 61
    server.client.zadd("loco:plans", {"old": now - 1})
    await PAIR.run(scheduler, {"*": lambda _: 1}, plan_id="q")
    assert server.client.zrange("loco:plans", 0, -1) == [b"p", b"q"]


async def test_a_plan_whose_keys_are_lost_ends_the_run(
    server: Server, schedulers: Schedulers
) -> None:
    """It cannot go on, and says so."""

    def lose(context: StepContext) -> None:
        server.client.delete(*server.client.keys("loco:{plan:*"))

    with pytest.raises(UnknownPlanError, match="there is no plan 'p'"):
        await PAIR.run(schedulers(), {"*": lose}, plan_id="p")


@pytest.mark.parametrize("plan_id", ["", "a}b", "a b", "x" * 129, 7])
async def test_an_id_is_part_of_a_key(plan_id: Any) -> None:
    with pytest.raises(ValueError, match="plan_id must be 1 to 128 characters"):
        await Plan.load("redis://127.0.0.1:1", plan_id)
