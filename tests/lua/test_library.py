"""The library of functions: what its flags say, and that it does what the scripts do."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from loco_redis._library import READING, WHEN_FULL, Library
from loco_redis._scripts import VERBS, Command, load
from tests.hardened import Hardened, hardened
from tests.lua.lockstep import NOW, Call, Lockstep
from tests.lua.test_model import Machine

__all__ = ["hardened"]


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_what_the_header_says(verb: str) -> None:
    """`no-writes` where it writes nothing, `allow-oom` where it works on a full server."""
    text = (resources.files("loco_redis") / "lua" / f"{verb}.lua").read_text()
    (cost,) = re.findall(r"^-- Cost: (.*)$", text, re.MULTILINE)
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
