"""Errors have one base, keep their facts, word them with a remedy, and cross processes."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from loco_redis import errors
from loco_redis.errors import LocoRedisError

EXAMPLES: list[LocoRedisError] = [
    errors.BackpressureError("llm", 7, 7),
    errors.ResourceFullError("sessions", 100_000),
    errors.PolicyViolationError("rate", "batch", "10 tasks in 60 s", 1.5),
    errors.BudgetExceededError("batch", 100.0, 95.0, 10.0),
    errors.TenantCostExceededError("acme", "acme/batch", 100.0, 95.0, 10.0),
    errors.TenantLimitError("acme", 3),
    errors.UnknownTenantError("acme"),
    errors.ShutdownError("llm"),
    errors.AcquireTimeoutError("llm", "batch", 2.5),
    errors.NoTaskError("llm", "", 2.5),
    errors.TaskFailedError("t1", "ValueError: no"),
    errors.TaskExpiredError("t1"),
    errors.ResultNotKeptError("t1"),
    errors.EvictedError("s1:000000000001", "batch"),
    errors.LeaseLostError("llm", 42),
    errors.SessionExpiredError("llm", "s1"),
    errors.ConfigMismatchError("capacity", 3, 5),
    errors.ConfigConflictError("llm", 1, 2),
    errors.UnknownResourceError("llm", "redis://h"),
    errors.UnknownAgentError("batch"),
    errors.AgentBusyError("batch"),
    errors.UnknownRequestError("s1:000000000001"),
    errors.UnknownTaskError("t1"),
    errors.TaskRunningError("t1"),
    errors.TaskAliveError("t1"),
    errors.ReentrantAcquireError("llm"),
    errors.ForkedError("llm"),
    errors.BackendError("odd reply"),
    errors.BackendUnavailableError("redis://h", "refused"),
    errors.BackendMemoryError("redis://h"),
    errors.BackendPermissionError("redis://h", "EVALSHA", "NOPERM no permissions"),
    errors.BackendLibraryError("redis://h", "loco_redis_0123456789"),
    errors.BackendVersionError("redis://h", "6.0.16"),
    errors.PlanError("steps wait for each other: a -> b -> a"),
    errors.PlanFailedError("nightly", "failed", "step 'fetch': OSError"),
    errors.UnknownPlanError("nightly", "redis://h"),
    errors.NoBackendError("models", 1, 2, 9.5),
    errors.ContextFullError("team", "keys", 10_001, 10_000),
    errors.ContextContendedError("team", "hits", 100),
    errors.ConfigFileError("c.yaml", ["c.yaml:3:5: redis.prot is unknown: did you mean port?"]),
    errors.ReplyTimeoutError("agent1", "t-1"),
]


def name_of(error: LocoRedisError) -> str:
    return type(error).__name__


def test_every_error_has_an_example_and_is_drawn() -> None:
    """The tree in the module's docstring names exactly the classes there are."""
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and "Error" in name
    }
    assert defined == {name_of(e) for e in EXAMPLES} | {"LocoRedisError"}
    assert all(f" {name} " in f"{errors.__doc__} ".replace("\n", " ") for name in defined)


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_facts_survive(error: LocoRedisError) -> None:
    """An error keeps its type, message and facts when pickled or copied."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_message_is_one_line_with_the_facts(error: LocoRedisError) -> None:
    """The message is one line in which every fact can be read."""
    assert "\n" not in str(error)
    for fact in vars(error).values():
        assert str(fact) in str(error)


def test_also_builtin() -> None:
    """Some errors can be caught as the built-in they specialise."""
    assert issubclass(errors.AcquireTimeoutError, TimeoutError)
    assert issubclass(errors.UnknownAgentError, ValueError)
    assert issubclass(errors.UnknownTaskError, ValueError)
    assert all(
        issubclass(type(e), errors.BackendError)
        for e in EXAMPLES
        if name_of(e).startswith("Backend")
    )


def test_mismatch_says_both_values() -> None:
    """A configuration mismatch says what is stored, what was asked, and both ways out."""
    assert str(errors.ConfigMismatchError("capacity", 3, 5)) == (
        "capacity is 3 in Redis but 5 was asked for: leave it out to adopt the stored value, "
        "or change it for everybody with reconfigure()"
    )
