"""What a plan says of itself: what is wrong with it, its order, its picture, its JSON."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis import AsyncLOCOScheduler, LOCOScheduler, SharedResource
from loco_redis.backoff import Backoff
from loco_redis.errors import PlanError
from loco_redis.orchestration.plans import Plan, Step

CHAIN = Plan([Step("fetch"), Step("analyze", depends_on=["fetch"])])

#: What a name may hold: no surrogates, no NUL.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)


@st.composite
def graphs(draw: st.DrawFn, is_acyclic: bool) -> list[Step]:
    """Steps in any order; acyclic: each depends on names before its own only."""
    size = draw(st.integers(1, 12))
    texts = draw(st.lists(TEXTS, min_size=size, max_size=size))
    names = [f"{place}{text}" for place, text in enumerate(texts)]
    steps = []
    for place, name in enumerate(names):
        below = names[:place] if is_acyclic else names
        needs = draw(st.lists(st.sampled_from(below), unique=True)) if below else []
        steps.append(Step(name, depends_on=needs))
    return draw(st.permutations(steps))


@given(graphs(is_acyclic=True))
def test_the_order_is_right(steps: list[Step]) -> None:
    """Each once, after all that it depends on; the same again for the sorted plan (stable)."""
    order = Plan(steps).topological_sort()
    assert sorted(order) == sorted(step.name for step in steps)
    places = {name: place for place, name in enumerate(order)}
    assert all(places[need] < places[step.name] for step in steps for need in step.depends_on)
    by_name = {step.name: step for step in steps}
    assert Plan([by_name[name] for name in order]).topological_sort() == order


@given(graphs(is_acyclic=True))
def test_ready_steps_lead_to_the_end(steps: list[Step]) -> None:
    """Doing whatever is ready completes the plan, and nothing is ready afterwards."""
    plan, completed = Plan(steps), set[str]()
    while not plan.is_complete(completed):
        ready = plan.ready_steps(completed)
        assert ready
        assert all(completed.issuperset(step.depends_on) for step in ready)
        assert completed.isdisjoint(step.name for step in ready)
        completed.add(ready[0].name)
    assert plan.ready_steps(completed) == []


@given(graphs(is_acyclic=False))
def test_a_cycle_is_named_if_and_only_if_there_is_one(steps: list[Step]) -> None:
    """The ring that is named is one: each depends on the next. Ready steps find out whether there
    is one in another way."""
    plan, completed = Plan(steps), set[str]()
    while ready := plan.ready_steps(completed):
        completed.update(step.name for step in ready)
    if plan.is_complete(completed):
        plan.validate()
        return
    with pytest.raises(PlanError, match="these steps wait for each other: ") as caught:
        plan.validate()
    ring = str(caught.value).removeprefix("these steps wait for each other: ").split(" -> ")
    assert ring[0] == ring[-1]
    by_name = {step.name: step for step in steps}
    if all(name in by_name for name in ring):  # no name holds an arrow
        assert all(b in by_name[a].depends_on for a, b in itertools.pairwise(ring))
        assert len(set(ring)) == len(ring) - 1


@given(graphs(is_acyclic=True), TEXTS)
def test_a_plan_survives_json(steps: list[Step], name: str) -> None:
    plan = Plan(steps, name)
    twin = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert twin == plan
    assert twin.digest == plan.digest
    assert twin.difference(plan) == ""


def test_all_that_is_wrong_is_named() -> None:
    steps = [Step("a", depends_on=["b", "x"]), Step("b", depends_on=["a"]), Step("c"), Step("c")]
    with pytest.raises(PlanError) as caught:
        Plan(steps).validate()
    assert str(caught.value) == (
        "2 steps are named 'c': rename them; step 'a' depends on 'x', which is not in the plan; "
        "these steps wait for each other: a -> b -> a"
    )
    for call in (Plan(steps).topological_sort, Plan([]).validate):
        with pytest.raises(PlanError):
            call()
    with pytest.raises(PlanError, match="a -> a"):
        Plan([Step("a", depends_on=["a"])]).validate()


def test_a_plan_has_a_limit() -> None:
    """1,000 steps; a chain of that length is no problem."""
    chain = [Step("0"), *(Step(str(n), depends_on=[str(n - 1)]) for n in range(1, 1000))]
    assert Plan(reversed(chain)).topological_sort() == [step.name for step in chain]
    with pytest.raises(PlanError, match=r"1,001 steps .* at most 1,000"):
        Plan([*chain, Step("x")]).validate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "name of a step must not be empty"),
        ({"name": 7}, "name of a step must be a str, got 7"),
        ({"agent": ""}, "step 'a': agent id must not be empty"),
        ({"weight": 0}, "step 'a': weight must be a number from 1 to 1e+09, got 0"),
        ({"retries": -1}, "step 'a': retries must be an int from 0 to 1,000, got -1"),
        ({"backoff": -1}, "step 'a': base must be a number of seconds"),
        ({"timeout": 0}, "step 'a': timeout must be a number of seconds"),
        ({"on_failure": "stop"}, "on_failure must be 'cancel', 'skip' or 'continue', got 'stop'"),
        ({"depends_on": "b"}, "depends_on must be a list of names, got 'b'"),
        ({"depends_on": ["b", "b"]}, "depends_on names the same twice"),
        ({"resources": [""]}, "resources must be a list of names"),
    ],
)
def test_a_step_is_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=re.escape(message)):
        Step(**{"name": "a", **arguments})


def test_what_is_left_out_of_a_step() -> None:
    step = Step("a", depends_on=["b"], backoff=2)
    assert (step.agent, step.weight, step.retries) == ("a", 1.0, 0)
    assert step.backoff == Backoff(2.0)
    assert step == Step("a", "a", ("b",), backoff=Backoff(2))


@pytest.mark.parametrize(
    "data",
    [
        7,
        {},
        {"steps": {}},
        {"steps": [], "x": 1},
        {"steps": [7]},
        {"steps": [{}]},
        {"steps": [{"name": "a", "x": 1}]},
        {"steps": [{"name": "a", "backoff": {"x": 1}}]},
        {"steps": [{"name": "a", "backoff": {"base": -1}}]},
        {"steps": [{"name": "a"}], "name": 7},
    ],
)
def test_what_is_no_plan_is_refused(data: Any) -> None:
    with pytest.raises(PlanError):
        Plan.from_dict(data)


def test_steps_must_be_steps() -> None:
    with pytest.raises(PlanError, match="steps must be Step objects, got 'a'"):
        Plan(["a"])  # type: ignore[list-item]


def test_mermaid() -> None:
    """Names are quoted so that they cannot mean anything."""
    plan = Plan([Step('say "hi"]'), Step("b", depends_on=['say "hi"]'])])
    assert plan.to_mermaid() == (
        'flowchart TD\n    s0["say #34;hi#34;#93;"]\n    s1["b"]\n    s0 --> s1\n'
    )
    coloured = plan.to_mermaid({"b": "done", 'say "hi"]': "done", "gone": "failed"})
    assert coloured.endswith(
        "    classDef done fill:#d1e7dd,stroke:#198754\n    class s0,s1 done\n"
    )
    assert "failed" not in coloured


async def test_what_a_plan_runs_with_is_checked() -> None:
    """Before anything is sent: nobody is there to get it."""
    scheduler = AsyncLOCOScheduler(resource=SharedResource("llm", 1), redis="redis://127.0.0.1:1")
    blocking = LOCOScheduler(resource=SharedResource("llm", 1), redis="redis://127.0.0.1:1")
    handlers: Any = {"*": print}
    for message, call in [
        ("an AsyncLOCOScheduler or a ResourcePool", CHAIN.run(blocking, handlers)),  # type: ignore[arg-type]
        ("must be a mapping", CHAIN.run(scheduler, print)),  # type: ignore[arg-type]
        ("handler of step 'fetch' is not callable", CHAIN.run(scheduler, {"*": 7})),  # type: ignore[dict-item]
        ("there are no steps", Plan([]).run(scheduler, handlers)),
        ("inputs must be a JSON value", CHAIN.run(scheduler, handlers, {1, 2})),
        ("concurrency must be", CHAIN.run(scheduler, handlers, concurrency=0)),
        ("claim_ttl must be", CHAIN.run(scheduler, handlers, claim_ttl=0)),
        ("ttl must be", CHAIN.run(scheduler, handlers, ttl=0)),
        ("with a ResourcePool", Plan([Step("a", resources=["x"])]).run(scheduler, handlers)),
    ]:
        with pytest.raises(ValueError, match=message):
            await call
