"""Corners that random sequences seldom reach, on the model and the scripts side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model_state import Terms, rid_of, sequence_of
from tests.lua.lockstep import Lockstep
from tests.servers import Server

LEASE = 10_000_000
PART = 4_000_000  # of a lease: three of them outlast it


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    """Two sessions, `a` and `b`, and two slots."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=2, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def acquire(pair: Lockstep, session: str, sequences: range, agent: bytes = b"x") -> None:
    for sequence in sequences:
        pair.do(ops.Acquire(session, 1, 0, sequence, agent, 1000 + sequence))


def outlive(pair: Lockstep, survivor: str) -> None:
    """The survivor beats twice, and stands just before the deadline of everybody else."""
    for _ in range(2):
        pair.now += PART
        pair.do(ops.Heartbeat(survivor, 1, 0))
    pair.now += PART


@pytest.mark.parametrize("requests", [30, 31, 32, 33, 80])
def test_reaping_takes_32_units_a_script(pair: Lockstep, requests: int) -> None:
    """A large session goes in parts, one unit a request and one for itself, until all is gone."""
    acquire(pair, "a", range(1, requests + 1))
    outlive(pair, "b")
    reaped, is_left = 0, True
    while is_left:
        reply = pair.do(ops.Reap())
        assert reply.reaped <= 32
        reaped, is_left = reaped + reply.reaped, reply.more
    assert reaped == requests + 1
    assert set(pair.state.sessions) == {"b"}


def test_expired_session_is_refused_though_its_reaping_is_not_done(pair: Lockstep) -> None:
    """A session past its deadline does nothing more, also while part of it is still there."""
    acquire(pair, "a", range(1, 49))
    outlive(pair, "b")
    for late in (ops.Heartbeat("a", 1, 0), ops.Acquire("a", 1, 0, 49, b"x", 1000)):
        assert pair.do(late).status is Status.EXPIRED
    assert "a" not in pair.state.sessions


def test_closing_takes_32_units_a_script(pair: Lockstep) -> None:
    """A session with more than 32 requests is closed by calling again."""
    acquire(pair, "a", range(1, 49))
    acquire(pair, "b", range(1, 2))
    assert pair.do(ops.Close("a", 0)).more
    assert not pair.do(ops.Close("a", 0)).more
    assert pair.do(ops.Close("a", 0)).status is Status.FINISHED
    assert [request.session for request, _ in pair.state.holders()] == ["b"]


def test_slot_above_a_lowered_capacity_is_not_given_again(pair: Lockstep) -> None:
    """What is freed above the capacity stays free; the next lease gets a slot below it."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, capacity=4))
    acquire(pair, "a", range(1, 5))
    acquire(pair, "b", range(2, 3))
    pair.do(ops.Reconfigure("b", 1, 0, 3, capacity=1))
    pair.do(ops.Close("a", 0))
    assert [lease.slot for _, lease in pair.state.holders()] == [0]


def test_repeated_submit_after_reopening_makes_no_second_task(pair: Lockstep) -> None:
    """The task itself tells that it was submitted, when the tombstone went with the session."""
    submit = ops.Submit("a", 1, 0, 1, b"x", 1000)
    pair.do(submit)
    pair.do(ops.Close("a", 0))
    pair.do(ops.Open("a", 0, "h|1"))
    pair.do(submit)
    assert len(pair.state.tasks) == 1


def test_age_is_not_negative_after_a_step_back_of_the_clock(pair: Lockstep) -> None:
    """A holder granted in the future of the server's clock has age 0."""
    acquire(pair, "a", range(1, 2))
    pair.now -= 3_600_000_000
    snapshot = pair.do(ops.Snapshot(limit=10)).snapshot
    assert [holder.age for holder in snapshot.holders] == [0.0]


CALLS: list[Callable[[], ops.Op]] = [
    lambda: ops.Heartbeat("b", 1, 0),
    lambda: ops.Submit("b", 1, 0, 9, b"y", 1000),
    lambda: ops.Register("b", 1, 0, 9, b"y"),
    lambda: ops.Unregister("b", 1, 0, 9, b"nobody"),
    lambda: ops.Open("b", 0, "h|2"),
    lambda: ops.Settle("b", 9, 1, 0),
    lambda: ops.Cancel("b", 1, 0, 9),
    lambda: ops.Release("b", 1, 0, 9, 1),
    lambda: ops.Acquire("b", 1, 0, 9, b"y", 1000),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call().verb)
def test_grant_by_reaping_is_told_to_the_caller(pair: Lockstep, call: Callable[[], ops.Op]) -> None:
    """A call that reaps a dead holder tells its own session's grant, in the reply or by a hint."""
    acquire(pair, "a", range(1, 3))
    acquire(pair, "b", range(1, 2))
    outlive(pair, "b")
    pair.do(call())
    assert "b" in {request.session for request, _ in pair.state.holders()}


def test_costs_beyond_10000_agents_share_an_entry(pair: Lockstep) -> None:
    """New agents are charged under `__other__` once 10,000 have a cost of their own."""
    for number in range(10_000):
        pair.state.costs[b"agent%d" % number] = 1
    key = pair.scripts.keys.costs
    pair.client.hset(key, mapping=dict.fromkeys(pair.state.costs, 1))
    for sequence in (1, 2):
        token = pair.do(ops.Acquire("a", 1, 0, sequence, b"new", 1500)).grants[0].token
        pair.do(ops.Settle("a", sequence, token, 700))
        pair.do(ops.Settle("a", sequence, token, 400))
        pair.do(ops.Release("a", 1, 0, sequence, token))
    assert pair.state.costs[b"__other__"] == 800
    assert b"new" not in pair.state.costs


def test_unsettled_leases_beyond_10000_drop_the_oldest(pair: Lockstep) -> None:
    """The lease that nobody settled for longest is forgotten."""
    for token in range(1, 10_001):
        pair.state.unsettled[token] = (Terms(1000, 0), b"x")
    key = pair.scripts.keys.all[20]
    pair.client.zadd(key, {b"%016d|1000||x" % token: 0 for token in pair.state.unsettled})
    acquire(pair, "a", range(1, 3))
    pair.do(ops.Close("a", 0))
    assert pair.do(ops.Settle("b", 1, 1, 10)).status is Status.FINISHED
    assert pair.do(ops.Settle("b", 1, 3, 10)).status is Status.LATE


def test_figures_beyond_10000_values_share_one(pair: Lockstep) -> None:
    """A dimension keeps 10,000 values; what comes then is counted as `__other__`."""
    names = {b"team%05d" % number: 1 for number in range(10_000)}
    pair.state.tallies[b"t"] = dict(names)
    fields = {b"t\0" + name: 1 for name in names} | {b"#t": len(names)}
    pair.client.hset("loco:{lockstep}:tallies", mapping=fields)  # type: ignore[arg-type]
    acquire(pair, "a", range(1, 3))
    for sequence, team in ((1, b"new"), (2, b"team00007")):
        lease = next(held for row, held in pair.state.holders() if row.rid == f"a:{sequence:012d}")
        labels = b"\x1f%b\x1f\x1f" % team
        pair.do(ops.Release("a", 1, 0, sequence, lease.token, True, "0000", labels))
    assert pair.state.tallies[b"t"][b"__other__"] == 1001
    assert pair.state.tallies[b"t"][b"team00007"] == 1003


def evict(pair: Lockstep, session: str, sequence: int, target: str) -> Status:
    status: Status = pair.do(ops.Evict(session, 1, 0, sequence, target)).status
    return status


def kinds(pair: Lockstep) -> list[str]:
    """Of the log, which the script has and the model."""
    return [entry[b"kind"].decode() for _, entry in pair.before.events]


def test_evicted_request_is_not_revived_by_a_late_duplicate(pair: Lockstep) -> None:
    """Its owner's tombstone ends a waiting request and a lease for good, whoever evicted them."""
    acquire(pair, "a", range(1, 4))
    for number, sequence in enumerate((1, 3, 2), start=1):
        assert evict(pair, "b", number, rid_of("a", sequence)) is Status.OK
        late = pair.do(ops.Acquire("a", 1, 0, sequence, b"x", 1000 + sequence))
        assert late.status is Status.FINISHED
    assert not pair.state.requests
    assert pair.state.sessions["a"].delivered == 6  # three grants, three losses


def test_eviction_below_the_floor_needs_no_tombstone(pair: Lockstep) -> None:
    """An owner that has moved on knows the request by its number alone."""
    acquire(pair, "a", range(1, 2))
    pair.do(ops.Heartbeat("a", 2, 0))
    assert evict(pair, "b", 1, rid_of("a", 1)) is Status.OK
    assert pair.state.tombstones == {rid_of("b", 1)}


def test_eviction_is_done_once(pair: Lockstep) -> None:
    """A repeat replies OK and ends nothing more; what is not there is FINISHED and may come yet."""
    assert evict(pair, "b", 1, rid_of("a", 1)) is Status.FINISHED
    acquire(pair, "a", range(1, 2))
    assert evict(pair, "b", 1, rid_of("a", 1)) is Status.OK
    acquire(pair, "a", range(2, 3))
    assert evict(pair, "b", 1, rid_of("a", 2)) is Status.OK
    assert set(pair.state.requests) == {rid_of("a", 2)}


def test_owner_hears_of_its_loss_before_of_what_follows(pair: Lockstep) -> None:
    """The hint `gone` goes out before the grant that the eviction makes room for, to the caller
    itself, too; `Lockstep` compares the order."""
    acquire(pair, "a", range(1, 4))
    acquire(pair, "b", range(1, 2))
    assert evict(pair, "b", 2, rid_of("a", 1)) is Status.OK
    acquire(pair, "b", range(3, 4))
    assert evict(pair, "a", 4, rid_of("a", 2)) is Status.OK
    assert evict(pair, "a", 5, rid_of("a", 3)) is Status.OK
    assert {request.session for request, _ in pair.state.holders()} == {"b"}


def test_a_grant_by_reaping_can_be_evicted_by_the_same_script(pair: Lockstep) -> None:
    """The reply still tells the grant: `gone`, and the count of deliveries, say that it is over."""
    acquire(pair, "a", range(1, 3))
    acquire(pair, "b", range(1, 2))
    outlive(pair, "b")
    reply = pair.do(ops.Evict("b", 1, 0, 2, rid_of("b", 1)))
    assert [grant.sequence for grant in reply.grants] == [1]
    assert not pair.state.requests
    assert pair.state.sessions["b"].delivered == 2


def test_dead_task_has_its_age_and_all_its_attempts_again(pair: Lockstep) -> None:
    """Requeued, it is served with the ticks that it has waited since it was submitted."""
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 2000, max_attempts=1, body=b"body"))
    task = rid_of("a", 1)
    requeue = ops.Requeue("b", 1, 0, 1, task)
    assert pair.do(requeue).status is Status.TASK_ALIVE
    pair.do(ops.Acquire("a", 1, 0, 2, b"x"))
    assert pair.do(requeue).status is Status.TASK_ALIVE
    assert evict(pair, "b", 2, rid_of("a", 2)) is Status.OK
    assert pair.state.tasks[task].state == "D"
    assert pair.do(requeue).status is Status.OK
    grant = pair.do(ops.Acquire("a", 1, 0, 3, b"x")).grants[0]
    assert (grant.attempt, grant.waited_ticks, grant.has_body) == (1, 1, True)
    assert pair.do(ops.Requeue("b", 1, 0, 3, rid_of("a", 9))).status is Status.UNKNOWN_TASK


def test_paused_scheduler_grants_nothing_and_forgets_no_age(pair: Lockstep) -> None:
    """Holders go on; who waits keeps age and place, and is granted when somebody resumes."""
    acquire(pair, "a", range(1, 2))
    assert pair.do(ops.Reconfigure("b", 1, 0, 1, paused=1)).config.paused == 1
    pair.now += 2_000_000
    acquire(pair, "a", range(2, 3))
    pair.now += 1_000_000
    token = next(lease.token for _, lease in pair.state.holders())
    released = pair.do(ops.Release("a", 1, 0, 1, token))
    assert (released.held, released.grants) == (0, ())
    snapshot = pair.do(ops.Snapshot(limit=10)).snapshot
    assert (snapshot.paused, snapshot.effective_capacity, snapshot.capacity) == (True, 0, 2)
    assert [(w.waited_ticks, w.age) for w in snapshot.waiters] == [(1, 1.0)]
    pair.do(ops.Reconfigure("b", 1, 0, 2, paused=0))
    assert [lease.waited for _, lease in pair.state.holders()] == [1]


def test_pause_outlasts_adaptive_capacity(pair: Lockstep) -> None:
    """Neither a throttling nor work that goes well gives slots while the scheduler is paused."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, capacity=4, adaptive=1))
    acquire(pair, "a", range(1, 5))
    last = max(lease.token for _, lease in pair.state.holders())
    assert pair.do(ops.Throttle("a", 1, 0, 20, last, 0)).limit == 2
    for sequence in range(1, 5):
        pair.do(ops.Cancel("a", 1, 0, sequence))
    acquire(pair, "a", range(5, 9))
    pair.do(ops.Reconfigure("b", 1, 0, 2, paused=1))
    assert pair.do(ops.Throttle("a", 1, 0, 21, last, 0)).limit == 0
    for request, lease in pair.state.holders():
        end = ops.Release("a", 1, 0, sequence_of(request.rid), lease.token)
        assert pair.do(end).grants == ()
    assert pair.state.effective > 2000
    pair.do(ops.Reconfigure("b", 1, 0, 3, paused=0))
    assert len(pair.state.holders()) == 2


def test_request_that_loses_its_task_keeps_the_time_of_its_arrival(pair: Lockstep) -> None:
    """An open request that becomes a bound one has waited as long as before."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, paused=1))
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 2000))
    asked = pair.do(ops.Acquire("a", 1, 0, 2, b"x"))
    assert asked.depth == 2.0
    pair.now += 3_000_000
    pair.do(ops.CancelTask("b", 1, 0, 2, rid_of("a", 1)))
    waiters = pair.do(ops.Snapshot(limit=10)).snapshot.waiters
    assert [(waiter.weight, waiter.age) for waiter in waiters] == [(1.0, 3.0)]


def test_poll_lists_what_waits_page_by_page(pair: Lockstep) -> None:
    """A session with more than 500 requests learns all of them, granted and waiting."""
    pair.is_quick = True
    acquire(pair, "a", range(1, 1003))
    granted, waiting, after, pages = [], [], "", 0
    while after or not pages:
        page = pair.run(ops.Poll("a", after))
        granted += [grant.sequence for grant in page.grants]
        waiting += page.waiting
        after, pages = page.after, pages + 1
    assert (granted, waiting, pages) == ([1, 2], list(range(3, 1003)), 3)


def test_log_keeps_the_last_entries(pair: Lockstep) -> None:
    """It is cut while it grows, to about what was asked for and never below it."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, events=50))
    for sequence in range(2, 402):
        token = pair.do(ops.Acquire("a", 1, 0, sequence, b"x", 1000)).grants[0].token
        pair.do(ops.Release("a", sequence, 0, sequence, token))
    assert pair.state.kept == 50
    assert len(pair.state.log) == 801
    assert 50 <= len(pair.before.events) < 200
    pair.do(ops.Reconfigure("b", 1, 0, 2, events=200))
    assert pair.state.kept == 51


def test_log_begins_and_ends_with_its_setting(pair: Lockstep) -> None:
    """What a script decided before it switched the log on is not in it; no entry outlives it."""
    acquire(pair, "a", range(1, 4))
    outlive(pair, "b")
    pair.do(ops.Reconfigure("b", 1, 0, 1, events=9, alpha=0.3, capacity=1))
    assert [entry for _, entry in pair.before.events] == [
        {
            b"at": b"%d" % pair.now,
            b"tick": b"2",
            b"kind": b"reconfigured",
            b"version": b"2",
            b"by": b"b",
            b"capacity": b"1",
            b"alpha": b"0.29999999999999999",
            b"events": b"9",
        }
    ]
    acquire(pair, "b", range(2, 4))
    assert kinds(pair) == ["reconfigured", "granted", "submitted"]
    pair.do(ops.Open("c", 0, "h|3"))
    outlive(pair, "b")
    pair.do(ops.Reconfigure("b", 1, 0, 4, events=0, adaptive=1))
    assert set(pair.state.sessions) == {"b"}
    assert not pair.before.events
    pair.do(ops.Cancel("b", 1, 0, 3))
    assert not pair.before.events
    pair.do(ops.Reconfigure("b", 1, 0, 5, events=9))
    assert kinds(pair) == ["reconfigured"]


def test_log_has_the_order_of_decisions(pair: Lockstep) -> None:
    """A script that reaps a worn-out task, ends a lease and grants says so in this order."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, events=100))
    pair.do(ops.Submit("a", 1, 0, 1, b"once", 1000, max_attempts=1))
    pair.do(ops.Submit("a", 1, 0, 2, b"twice", 1000, max_attempts=2))
    pair.do(ops.Acquire("a", 1, 0, 3, b"once"))
    pair.do(ops.Acquire("a", 1, 0, 4, b"twice"))
    acquire(pair, "b", range(2, 5))
    pair.do(ops.Cancel("b", 1, 0, 4, True))
    before = len(kinds(pair))
    outlive(pair, "b")
    assert evict(pair, "b", 5, rid_of("b", 2)) is Status.OK
    assert kinds(pair)[before:] == [
        *("reclaimed", "died", "reclaimed", "requeued", "expired"),
        *("granted", "granted", "evicted"),
    ]
    assert pair.before.events[-1][0].endswith(b"-8")
    assert pair.state.tallies[b"f"] == {b"timeout": 1}


def test_refusals_are_counted_and_logged(pair: Lockstep) -> None:
    """By what refused: a policy of the rules, or the limit of waiters."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, events=100, max_waiters=0))
    rules = {b"b": b"1500|r|", b"ax": b"public", b"By": b"9000"}
    pair.do(ops.Govern("b", 1, 0, 2, ops.packed(rules)))
    pair.do(ops.Acquire("a", 1, 0, 1, b"x", 1000, b"::secret"))
    for sequence in (2, 3):
        pair.do(ops.Submit("a", 1, 0, sequence, b"x", 1000))
    for sequence in (4, 5, 6):
        pair.do(ops.Acquire("a", 1, 0, sequence, b"y", 1000))
    assert pair.state.tallies[b"f"] == {b"access": 1, b"budget": 1, b"backpressure": 1}
    told = [(e[b"why"], e[b"facts"]) for _, e in pair.before.events if b"why" in e]
    assert told == [
        (b"access", b"secret"),
        (b"budget", b"1500 1000 1000"),
        (b"backpressure", b""),
    ]
    governed = next(entry for _, entry in pair.before.events if entry[b"kind"] == b"governed")
    assert governed[b"rules"] == b"By\x1fax\x1fb"


def test_depth_is_that_of_the_moment_of_asking(pair: Lockstep) -> None:
    """What the agent has queued with the new request in it, granted or not; a repeat tells none."""
    depths = [pair.do(ops.Acquire("a", 1, 0, n, b"x", 1500)).depth for n in (1, 2, 3, 4)]
    assert depths == [1.5, 1.5, 1.5, 3.0]
    assert pair.do(ops.Acquire("a", 1, 0, 4, b"x", 1500)).depth == 0.0
    pair.do(ops.Submit("a", 1, 0, 5, b"z", 4000))
    assert pair.do(ops.Acquire("a", 1, 0, 6, b"z")).depth == 4.0


def test_held_is_counted_before_the_grants_of_a_release(pair: Lockstep) -> None:
    """The slot that came free counts as free, though the same script gives it on."""
    acquire(pair, "a", range(1, 4))
    token = next(lease.token for row, lease in pair.state.holders() if row.rid == rid_of("a", 1))
    first = pair.do(ops.Release("a", 1, 0, 1, token))
    assert (first.held, len(first.grants)) == (1, 1)
    assert pair.do(ops.Release("a", 1, 0, 1, token)).held == 2


def test_requeued_task_costs_again(pair: Lockstep) -> None:
    """What it is expected to cost is reserved for the new attempt, beside what is unsettled."""
    pair.do(ops.Govern("b", 1, 0, 1, ops.packed({b"b": b"9000|r|"})))
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 2000, max_attempts=1))
    pair.do(ops.Acquire("a", 1, 0, 2, b"x"))
    assert evict(pair, "b", 2, rid_of("a", 2)) is Status.OK
    account = pair.state.accounts[b"ax"]
    assert (account.unsettled, account.reserved) == (2000, 0)
    pair.do(ops.Requeue("b", 1, 0, 3, rid_of("a", 1)))
    account = pair.state.accounts[b"ax"]
    assert (account.unsettled, account.reserved) == (2000, 2000)


def test_expiry_is_logged_when_nothing_is_left(pair: Lockstep) -> None:
    """A large session goes in parts; the script that takes the last of it says so."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, events=100))
    acquire(pair, "a", range(1, 49))
    outlive(pair, "b")
    assert pair.do(ops.Reap()).more
    assert "expired" not in kinds(pair)
    pair.do(ops.Reap())
    assert kinds(pair)[-1] == "expired"


def test_snapshot_tells_how_long_the_rates_hold(pair: Lockstep) -> None:
    """Until a grant of one token may be made; a hold is told apart from it."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, tpm=60, tpm_burst=10))
    token = pair.do(ops.Acquire("a", 1, 0, 1, b"x", 1000, b":10:")).grants[0].token
    pair.do(ops.Throttle("a", 1, 0, 2, token, PART))
    snapshot = pair.do(ops.Snapshot(limit=10)).snapshot
    assert (snapshot.rate_wait(), snapshot.paused_for) == (1.0, 4.0)
    pair.do(ops.Reconfigure("b", 1, 0, 2, rpm=30, rpm_burst=1))
    pair.do(ops.Cancel("a", 1, 0, 1))
    pair.now += PART
    pair.do(ops.Acquire("a", 1, 0, 3, b"x", 1000))
    snapshot = pair.do(ops.Snapshot(limit=10)).snapshot
    assert (snapshot.rate_wait(), snapshot.paused_for) == (2.0, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        ops.Reconfigure("b", 1, 0, 4, events=0, paused=1),
        ops.Reconfigure("b", 1, 0, 4, events=0, adaptive=1),
        ops.Reconfigure("b", 1, 0, 4, events=0),
    ],
    ids=["paused", "adaptive", "nothing"],
)
def test_last_feature_may_give_way_to_another(pair: Lockstep, change: ops.Reconfigure) -> None:
    """What the rates have come to is kept while anything is on, be it something else now."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, rpm=30, rpm_burst=1, events=5))
    acquire(pair, "a", range(1, 2))
    pair.do(ops.Reconfigure("b", 1, 0, 3, rpm=0))
    pair.do(change)
    assert (pair.state.requests_at > 0) == bool(change.paused or change.adaptive)


def test_last_rule_may_give_way_to_another(pair: Lockstep) -> None:
    """The same when one rule goes and another comes."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, rpm=30, rpm_burst=1))
    pair.do(ops.Govern("b", 1, 0, 2, ops.packed({b"b": b"9000|r|"})))
    acquire(pair, "a", range(1, 2))
    pair.do(ops.Reconfigure("b", 1, 0, 3, rpm=0))
    pair.do(ops.Govern("b", 1, 0, 4, ops.packed({b"b": b"", b"ax": b"public"})))
    assert pair.state.requests_at > 0
