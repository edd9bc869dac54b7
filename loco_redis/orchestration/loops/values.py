"""What an agent loop is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loco_redis import _validate as validate
from loco_redis.errors import LeaseLostError, LocoRedisError, SessionExpiredError

Errors = tuple[type[Exception], ...]

_YEAR = 365 * 86400.0
#: Another attempt would fail in the same way. Not ValueError: what a model answers may be malformed
#: once, and well-formed the next time.
BUGS: Errors = (TypeError, NameError, AttributeError, ImportError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class AsyncLoopConfig:
    """How an AsyncAgentLoop runs its calls.

    Attributes:
        max_concurrency: calls that run at once in this loop, 1 to 1,000,000; with a scheduler its
            slots are the limit instead.
        timeout_seconds: for each attempt, from the slot on; for a stream all the time that it is
            waited for. None: no limit.
        retry_on_timeout: try again after a TimeoutError, of this loop or of the work's own.
        max_retries: attempts after the first, 0 to 1,000,000; not used for streams.
        collect_metrics: count latencies for `get_latency_stats`.
        backoff_base, backoff_cap: seconds; before retry n the loop waits a random time of up to
            min(backoff_cap, backoff_base * 2**(n-1)), without a slot.
        retry_on, no_retry_on: which errors of the work are tried again, and which of these are
            not. LocoRedisErrors, such as refusals, never are, except a lost lease or session.
        idle_timeout_seconds: for each item of a stream. None: no limit but `timeout_seconds`.

    Raises:
        ValueError: any of them out of range.
    """

    max_concurrency: int = 10
    timeout_seconds: float | None = 300.0
    retry_on_timeout: bool = True
    max_retries: int = 3
    collect_metrics: bool = True
    backoff_base: float = 1.0
    backoff_cap: float = 300.0
    retry_on: Errors = (Exception,)
    no_retry_on: Errors = BUGS
    idle_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        validate.count("max_concurrency", self.max_concurrency, 1, 10**6)
        validate.count("max_retries", self.max_retries, 0, 10**6)
        for name in ("timeout_seconds", "idle_timeout_seconds"):
            if (value := getattr(self, name)) is not None:
                validate.seconds(name, value, 0.001, _YEAR)
        for name in ("backoff_base", "backoff_cap"):
            validate.seconds(name, getattr(self, name), 0, _YEAR)
        for name in ("retry_on_timeout", "collect_metrics"):
            if not isinstance(getattr(self, name), bool):
                shown = validate.shown(getattr(self, name))
                raise ValueError(f"{name} must be True or False, got {shown}")
        for name in ("retry_on", "no_retry_on"):
            object.__setattr__(self, name, _errors(name, getattr(self, name)))

    def retries(self, error: BaseException) -> bool:
        """Whether an attempt that ended with `error` is worth another."""
        if isinstance(error, LeaseLostError | SessionExpiredError):
            return True
        if isinstance(error, TimeoutError):
            return self.retry_on_timeout
        if isinstance(error, (LocoRedisError, *self.no_retry_on)):
            return False
        return isinstance(error, self.retry_on)


@dataclass(frozen=True, slots=True)
class AsyncInvocationResult:
    """How one call ended.

    Attributes:
        output: what the work returned; None if it failed.
        error: type and text of the last attempt's error; None if it succeeded.
        latency_ms: from the first slot to the end, back-offs and waits for further slots included;
            0.0 if it never got one.
        retries: attempts made after the first.
        waited_ms: spent waiting for slots.
        exception: the error itself.
    """

    agent_id: str
    success: bool
    output: Any = None
    error: str | None = None
    latency_ms: float = 0.0
    retries: int = 0
    waited_ms: float = 0.0
    exception: BaseException | None = field(default=None, repr=False, compare=False)


def _errors(name: str, given: object) -> Errors:
    """One exception type, or a tuple of them, as `except` takes them."""
    types = given if isinstance(given, tuple) else (given,)
    if not all(isinstance(one, type) and issubclass(one, Exception) for one in types):
        raise ValueError(f"{name} must be a tuple of exception types, got {validate.shown(given)}")
    return types
