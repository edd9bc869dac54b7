"""When the model may grant next: rates, holds, adaptive capacity; and alpha that tunes itself."""

from __future__ import annotations

import math

from loco_redis.testing.model_money import gcra
from loco_redis.testing.model_state import State, Terms

MINUTE = 60_000_000


def limit(state: State) -> int:
    """Slots that may be held: none while paused, else the capacity, or less after a throttling."""
    if state.configured.paused:
        return 0
    capacity = state.configured.capacity
    return min(capacity, state.effective // 1000) if state.effective else capacity


def pause(state: State) -> int:
    """How long no grant at all may be made, in microseconds."""
    wait, config = max(state.hold - state.vnow, 0), state.configured
    if config.rpm:
        rate = gcra(state.requests_at, state.vnow, 1, config.rpm_burst, config.rpm, MINUTE)[1]
        wait = max(wait, rate)
    return wait


def pause_for(state: State, tokens: int) -> int:
    config = state.configured
    if not config.tpm:
        return 0
    return gcra(state.tokens_at, state.vnow, tokens, config.tpm_burst, config.tpm, MINUTE)[1]


def left(state: State) -> tuple[float, float]:
    """What the rates let through at once: requests and tokens."""
    config = state.configured
    return (
        _left(state, state.requests_at, config.rpm_burst, config.rpm),
        _left(state, state.tokens_at, config.tpm_burst, config.tpm),
    )


def _left(state: State, at: int, burst: int, limit: int) -> float:
    if not limit:
        return 0.0
    return (math.ceil(burst * MINUTE / limit) - max(at - state.vnow, 0)) * limit / 60e6


def take_rate(state: State, terms: Terms | None) -> None:
    config, tokens = state.configured, terms.tokens if terms else 0
    if config.rpm:
        state.requests_at = max(state.requests_at, state.vnow) + MINUTE // config.rpm
    if config.tpm:
        share = math.floor(float(tokens) * MINUTE / config.tpm)
        state.tokens_at = max(state.tokens_at, state.vnow) + share


def give_rate_back(state: State, terms: Terms | None) -> None:
    config, tokens = state.configured, terms.tokens if terms else 0
    if config.rpm:
        state.requests_at = max(state.requests_at - MINUTE // config.rpm, 0)
    if config.tpm:
        share = math.floor(float(tokens) * MINUTE / config.tpm)
        state.tokens_at = max(state.tokens_at - share, 0)


def correct_tokens(state: State, estimated: int, actual: int) -> None:
    config = state.configured
    if not config.tpm:
        return
    moved = math.floor(float(abs(actual - estimated)) * MINUTE / config.tpm)
    if actual > estimated:
        state.tokens_at = max(state.tokens_at, state.vnow) + moved
    else:
        state.tokens_at = max(state.tokens_at - moved, 0)


def throttle(state: State, token: int, span: int) -> None:
    """Nobody is granted for a while; with adaptive capacity half as many at once."""
    state.throttled = True
    state.hold = max(state.hold, state.vnow + span)
    if state.configured.adaptive and token > state.cut:
        most = 1000 * state.configured.capacity
        effective = min(state.effective, most) if state.effective else most
        state.effective, state.cut = max(effective // 2, 1000), state.fence


def recover(state: State, token: int) -> None:
    """Work that went well adds its part of a slot."""
    if state.effective and token > state.cut:
        state.effective += 1_000_000 // state.effective
        if state.effective >= 1000 * state.configured.capacity:
            state.effective = 0


def ages(state: State) -> list[int]:
    return [state.tick - load.tick for load in state.loads().values()]


def total(state: State) -> int:
    return sum(load.q for load in state.loads().values())


def adapt_alpha(state: State) -> None:
    """At each release: 0.01 down where waits differ much, else up where the queues have grown."""
    waits, queued, step, reason = ages(state), total(state), 0.0, "above 0.5"
    squares, whole = float(sum(age * age for age in waits)), float(sum(waits))
    if len(waits) > 1 and len(waits) * squares - whole * whole > 0.25 * whole * whole:
        step, reason = -0.01, "waits differ"
    elif queued > state.last_total:
        step, reason = 0.01, "queues grow"
    state.last_total = queued
    alpha = min(max(state.alpha + step, 0.0), 0.5)
    if alpha != state.alpha:
        state.alpha = alpha
        state.tunings = [*state.tunings, f"{state.tick}:{alpha:.17g}:{reason};"][-20:]
