"""Chat models whose scheduler is the configured one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import loco_redis
from loco_redis.adapters.langchain import schedule
from tests.defaults import Defaults, defaults
from tests.frameworks.langchain.langchain_fakes import (
    USAGE,
    Events,
    OneInTheOther,
    OnlyPlain,
    calls_of_all_kinds,
)

__all__ = ["defaults"]

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")


@pytest.mark.parametrize("make", [OnlyPlain, OneInTheOther, Events])
async def test_each_kind_of_call_has_the_scheduler_of_its_kind(
    make: Any, defaults: Defaults
) -> None:
    defaults.configure()
    await calls_of_all_kinds(schedule(make()))
    assert defaults.released() == 6


async def test_a_pickled_model_is_scheduled_where_it_is_loaded(defaults: Defaults) -> None:
    """If the model itself can be pickled."""
    defaults.configure()
    options: Any = {"agent_id": "of the pickle", "fallback_models": {"a": "b"}, "weight": 2.0}
    model = pickle.loads(pickle.dumps(schedule(OnlyPlain(model="gpt-5"), **options)))
    assert isinstance(model, OnlyPlain)
    assert model.model == "gpt-5"
    await model.ainvoke("?")
    tokens = await loco_redis.get_scheduler().metrics.actual_tokens_by_agent()
    assert tokens == {"of the pickle": USAGE["total_tokens"]}
