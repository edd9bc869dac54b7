"""`loco-redis workers`: real processes, counted by what they say and by what becomes of tasks."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from loco_redis.cli.serve._child import Work
from loco_redis.cli.serve._child_inside import load, worded
from loco_redis.cli.serve._worker_fleet import Bounds, WorkerFleet
from loco_redis.cli.serve._worker_lines import line
from loco_redis.errors import BackendUnavailableError
from loco_redis.snapshots import Snapshot
from tests.cli.calls import invoke
from tests.cli.commands import needs_proc
from tests.cli.serve.worker_command import (
    HANDLERS,
    Gate,
    Workers,
    all_hold,
    results,
    running,
    submit,
)
from tests.clusters import cluster_url
from tests.servers import Server
from tests.snapshots import made
from tests.waiting import eventually

__all__ = ["cluster_url"]
pytestmark = needs_proc


_SMALL = ("--min=1", "--max=3", "--slo=500ms", "--cool-down=300ms", "--concurrency=2")


async def _grown(workers: Workers) -> None:
    """From one to three, one more by each look."""
    found = await workers.count("scaled", 2)
    assert [(event["before"], event["workers"]) for event in found[:2]] == [(1, 2), (2, 3)]


async def _shrunk(workers: Workers) -> None:
    """To one again, one after the other."""
    await eventually(lambda: workers.told("scaled")[-1]["workers"] == 1, what="one worker")
    assert [event["workers"] for event in workers.told("scaled")[-2:]] == [2, 1]
    assert len(await workers.count("ended", 2)) >= 2


async def _did(workers: Workers, count: int) -> None:
    """It ends well, and all workers say together that they did so many."""
    assert await workers.ended(signal.SIGTERM) == 0
    ended = workers.told("ended")
    assert len(ended) == len(workers.told("started")) >= 3
    assert sum(event["done"] for event in ended) == count
    assert workers.told("died") == workers.told("killed") == []


@pytest.mark.alone
async def test_a_backlog_makes_it_grow_and_its_end_makes_it_shrink(server: Server) -> None:
    """300 tasks of 20 ms: from one worker to three and back to one; each task ran once."""
    async with running(server.url, 6, *_SMALL) as (scheduler, workers):
        tasks = await submit(scheduler, 300, "quick")
        await _grown(workers)
        assert await results(scheduler, tasks) == [1] * 300
        await _shrunk(workers)
        await _did(workers, 300)
        assert b"a handler may print" in workers.errors


@pytest.mark.alone
async def test_workers_that_are_ended_amid_work_lose_and_repeat_nothing(server: Server) -> None:
    """The resource gets two slots instead of six, so one worker is enough: two of three are ended
    while they work and while tasks are queued."""
    async with running(server.url, 6, *_SMALL) as (scheduler, workers):
        tasks = await submit(scheduler, 400, "quick")
        await _grown(workers)
        await scheduler.reconfigure(capacity=2)
        await _shrunk(workers)
        assert (await scheduler.snapshot()).durable_tasks > 0
        assert await results(scheduler, tasks) == [1] * 400
        await _did(workers, 400)


async def test_a_worker_that_is_killed_is_replaced(server: Server, tmp_path: Path) -> None:
    """At once; what it had at hand is served again, by its second attempt."""
    options = ("--min=2", "--max=2", "--concurrency=1")
    gate = Gate(tmp_path)
    async with running(server.url, 2, *options) as (scheduler, workers):
        tasks = await submit(scheduler, 4, "held", gate)
        await gate.begun(2)
        victim = workers.told("started")[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        (died,) = await workers.count("died", 1)
        assert (died["pid"], died["error"], died["retry_in"]) == (victim, "SIGKILL", 0.0)
        await workers.count("started", 3)
        gate.open()
        assert sorted(await results(scheduler, tasks)) == [1, 1, 1, 2]
        assert await workers.ended(signal.SIGTERM) == 0


async def test_a_death_is_noticed_whatever_the_worker_leaves_behind(server: Server) -> None:
    """A process that a handler has forked lives on."""
    options = ("--min=1", "--max=1", "--concurrency=1")
    async with running(server.url, 1, *options) as (scheduler, workers):
        await scheduler.submit_task("forking", max_attempts=1)
        await eventually(lambda: len(workers.command.processes("_child_inside")) == 2)
        os.kill(workers.told("started")[0]["pid"], signal.SIGKILL)
        await workers.count("died", 1)
        await workers.count("started", 2)
        workers.process.terminate()
        await eventually(lambda: workers.process.poll() is not None)
        workers.command.kill()


async def test_an_import_error_is_shown_once_and_mended(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the module's own line; one worker at a time tries again, and serves once it can."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    module = tmp_path / "mended_later.py"
    module.write_text("handlers = {}\nhandlers['quick'] = missing\n")
    options = ("--min=2", "--max=2")
    async with running(server.url, 2, *options, handlers="mended_later:handlers") as (
        sched,
        workers,
    ):
        await workers.count("started", 3)
        module.write_text(f"from {HANDLERS} import handlers\n")
        tasks = await submit(sched, 5, "quick")
        assert await results(sched, tasks) == [1] * 5
        (died,) = workers.told("died")
        assert died["error"] == (f"NameError: name 'missing' is not defined ({module} line 2)")
        assert died["retry_in"] > 0.5
        assert await workers.ended(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("handlers", "error"),
    [
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        (f"{HANDLERS}:no_such_name", "has no attribute 'no_such_name'"),
        (f"{HANDLERS}:nothing", "must be a mapping of agents to handlers"),
    ],
)
async def test_what_cannot_be_served_is_said(server: Server, handlers: str, error: str) -> None:
    """In one line."""
    async with running(server.url, 2, "--min=1", handlers=handlers) as (_, workers):
        (died,) = await workers.count("died", 1)
        assert error in died["error"]
        assert await workers.ended(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("\nraise ValueError('no key')", "ValueError: no key ({} line 2)"),
        ("handlers = {\n\n", "SyntaxError: '{{' was never closed ({} line 1)"),
        ("handlers = []", "ValueError: {0.stem}:handlers must be a mapping of agents"),
    ],
)
async def test_an_error_has_the_line_that_raised_it(
    source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own, where it is theirs."""
    module = tmp_path / f"jobs_{len(source)}.py"
    module.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((ValueError, SyntaxError)) as caught:
        await load(f"{module.stem}:handlers")
    # pytest's own frames are none of the child's
    caught.value.__traceback__ = caught.tb.tb_next
    assert worded(caught.value).startswith(told.format(module))


@pytest.mark.parametrize("name", ["made", "made_in_the_loop"])
async def test_handlers_may_be_made_by_a_function(server: Server, name: str) -> None:
    """Also by an async one."""
    async with running(server.url, 2, "--min=1", handlers=f"{HANDLERS}:{name}") as (sched, workers):
        assert await results(sched, await submit(sched, 3, "quick")) == [1] * 3
        assert await workers.ended(signal.SIGTERM) == 0


async def test_they_serve_on_a_cluster(cluster_url: str) -> None:
    """Looks and tasks alike."""
    async with running(cluster_url, 2, "--min=1") as (scheduler, workers):
        assert await results(scheduler, await submit(scheduler, 3, "quick")) == [1] * 3
        assert await workers.ended(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_drains_all(server: Server, number: signal.Signals, tmp_path: Path) -> None:
    """What is at hand is finished, in the first attempt; what is queued stays queued."""
    options = ("--min=2", "--max=2", "--concurrency=2")
    gate = Gate(tmp_path)
    async with running(server.url, 4, *options) as (scheduler, workers):
        tasks = await submit(scheduler, 10, "held", gate)
        await gate.begun(4)
        await workers.drains(number, 2)
        gate.open()
        assert await workers.ended() == 0
        assert sum(event["done"] for event in workers.told("ended")) == 4
        now = await scheduler.snapshot()
        assert (now.held, now.durable_tasks) == (0, 6)
        assert await results(scheduler, tasks[:4]) == [1] * 4


async def test_a_second_signal_puts_tasks_back(server: Server) -> None:
    """At once, and without an attempt being counted."""
    async with running(server.url, 2, "--min=1", "--max=1") as (scheduler, workers):
        await submit(scheduler, 2, "endless")
        await all_hold(server, 2)
        await workers.drains(signal.SIGTERM, 1)
        assert await workers.ended(signal.SIGTERM) == 0
        now = await scheduler.snapshot()
        assert (now.held, now.durable_tasks, now.dead_tasks) == (0, 2, 0)


async def test_who_does_not_end_in_time_is_killed(server: Server, tmp_path: Path) -> None:
    """A thread that cannot be cancelled: after the grace, with exit status 1."""
    gate = Gate(tmp_path)
    async with running(server.url, 2, "--min=1", "--max=1", "--grace=200ms") as (
        scheduler,
        workers,
    ):
        await submit(scheduler, 1, "stuck", gate)
        await gate.begun(1)
        assert await workers.ended(signal.SIGTERM) == 1
        assert len(workers.told("killed")) == 1
        assert b"killed, as they did not end within 0.2 s: 1 workers" in workers.errors


async def test_workers_drain_when_the_command_is_killed(server: Server, tmp_path: Path) -> None:
    """They do not outlive it, and finish what they have."""
    gate = Gate(tmp_path)
    async with running(server.url, 2, "--min=2", "--max=2", "--concurrency=1") as (
        scheduler,
        workers,
    ):
        tasks = await submit(scheduler, 2, "held", gate)
        await gate.begun(2)
        workers.process.kill()
        workers.process.wait()
        gate.open()
        assert await workers.ended() == -signal.SIGKILL
        assert await results(scheduler, tasks) == [1, 1]


async def test_while_redis_cannot_be_read_nothing_changes() -> None:
    """It is said once, until it can be read again."""
    asked, told = 0, list[tuple[str, dict[str, object]]]()

    def look() -> Snapshot:
        nonlocal asked
        asked += 1
        if asked in (2, 3, 4, 7):
            raise BackendUnavailableError("redis://there", "gone")
        return made(server_time=float(asked))

    def tell(event: str, **facts: object) -> None:
        told.append((event, facts))

    bounds = Bounds(least=0, most=2, factor=2.0, slo=1.0, every=0.001, cool_down=0.0)
    fleet = WorkerFleet(Work("jobs:handlers", "llm", "redis://there", 1, 1.0), bounds, look, tell)
    run = asyncio.create_task(fleet.run())
    await eventually(lambda: asked >= 10)
    fleet.stop()
    await run
    assert [event for event, _ in told] == ["blind", "blind"]
    assert "gone" in line(*told[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["jobs"], "give MODULE:HANDLERS, such as jobs:handlers"),
        (["jobs:x.1"], "give MODULE:HANDLERS, such as jobs:handlers"),
        (["--min=3", "--max=2", "jobs:x"], "--min 3 is more than --max 2"),
        (["--factor=nan", "jobs:x"], "nan is not in the range"),
        (["--slo=soon", "jobs:x"], "'soon' is not a span of time"),
        (["--resource=a b", "jobs:x"], "resource name must be"),
        (["jobs:x"], "no resource"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_is_one_line(server: Server, options: list[str], message: str) -> None:
    """Before any process is started."""
    result = invoke("workers", "-u", server.url, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_events_in_words() -> None:
    """One line each, whatever an error holds."""
    who = {"worker": 3, "pid": 77}
    known = {"backlog": 90, "running": 5, "service": 2.0, "arrivals": 3.14159}
    cases = {
        "2 -> 3 workers: 90 queued, 5 running, 2.00s each, 3.14/s come in": (
            "scaled", {"before": 2, "workers": 3, **known},
        ),
        "2 -> 3 workers: 90 queued, 5 running": (
            "scaled", {"before": 2, "workers": 3, **known, "service": None, "arrivals": None},
        ),
        "worker 3 (pid 77) died: SIGKILL; the next starts now": (
            "died", {**who, "error": "SIGKILL", "retry_in": 0.0},
        ),
        "worker 3 (pid 77) died: a\\nb; the next starts in 4.00s": (
            "died", {**who, "error": "a\nb", "retry_in": 4.0},
        ),
        "worker 3 (pid 77) ended: 7 tasks done, 1 failed": (
            "ended", {**who, "done": 7, "failed": 1},
        ),
        "worker 3 (pid 77) was killed: it had not ended within 30s": (
            "killed", {**who, "grace": 30.0},
        ),
    }  # fmt: skip
    for words, (event, facts) in cases.items():
        assert line(event, facts) == words
