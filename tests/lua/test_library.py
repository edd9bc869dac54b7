"""The library of functions: what its flags say, and that it does what the scripts do."""

from __future__ import annotations

import re
from functools import cache

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from loco_redis._library import READING, WHEN_FULL, Library
from loco_redis._scripts import VERBS, Command, load
from loco_redis.orchestration._scripts import sources
from tests.hardened import Hardened, hardened
from tests.lua.lockstep import NOW, Call, Lockstep
from tests.lua.test_model import Machine

__all__ = ["hardened"]


SCRIPTS = {verb: load(verb) for verb in VERBS}


def test_names_are_distinct() -> None:
    """A library has one function of a name: the core's and orchestration's stand in one."""
    assert not SCRIPTS.keys() & sources().keys()
    assert {*READING, *WHEN_FULL} <= {*SCRIPTS, *sources()}


@pytest.mark.parametrize("verb", [*SCRIPTS, *sources()])
def test_flags_are_what_the_header_says(verb: str) -> None:
    """`no-writes` where it writes nothing, `allow-oom` where it works on a full server."""
    text = {**SCRIPTS, **sources()}[verb]
    cost = re.findall(r"^-- Cost: (.*)$", text, re.MULTILINE)[0]
    assert ("Writes nothing" in cost) == (verb in READING)
    assert ("Works on a full server" in cost) == (verb in WHEN_FULL)


@cache
def build(limits: str) -> Library:
    """The test build of all scripts."""
    return Library.of({verb: load(verb, {"now": NOW, "limits": limits}) for verb in VERBS})


class FunctionLockstep(Lockstep):
    """The model beside functions."""

    def call(self, command: Command[object], is_known: bool = True) -> Call:
        keys, built = self.scripts.keys.all, build(self.limits.lua)
        return (*built.call(command.script), len(keys), *keys, *command.args)


class FunctionMachine(Machine):
    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.pair.close()
        self.pair = FunctionLockstep(client)


def test_functions_do_what_the_model_says(hardened: Hardened) -> None:
    """The same replies, hints and state as EVAL: both are held against one model."""
    hardened.client.function_load(build(Lockstep.limits.lua).text)
    run_state_machine_as_test(
        lambda: FunctionMachine(hardened.client),
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
