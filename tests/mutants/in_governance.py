"""Defects of the scripts: of money, rates and caps."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

BUDGETS = "tests/governance/test_budgets.py"

GOVERNANCE = (
    Mutant(
        "budget-checked-not-reserved",
        "lua/include/admission.lua",
        "  post(agent, plan.flags, plan.cost, 0, 0, not string.find(plan.flags, '[de]'))\n",
        "",
        "many at once spend more than the limit",
        (f"{BUDGETS}::test_concurrent_acquires_of_several_schedulers",),
    ),
    Mutant(
        "refund-forgotten",
        "lua/include/withdraw.lua",
        "    settle_terms(request.agent, request.terms, 0)\n",
        "",
        "who gives up waiting has spent what it had reserved",
        (f"{BUDGETS}::test_refunded",),
    ),
    Mutant(
        "lost-reservation-forgotten",
        "lua/include/reclaim.lua",
        "post(request.agent, flags, -cost, 0, cost)",
        "post(request.agent, flags, -cost, 0, 0)",
        "what a dead holder may have spent counts as nothing",
        (f"{BUDGETS}::test_lost_holder_is_unsettled",),
    ),
    Mutant(
        "late-settlement-charged-twice",
        "lua/settle.lua",
        "redis.call('ZREM', K.unsettled, entry)\n",
        "",
        "a late settlement that is sent again is charged again",
        ("tests/session/test_expiry.py::test_late_settlement_is_accounted_once",),
    ),
    Mutant(
        "rate-not-charged",
        "lua/include/pacing.lua",
        "    S.requests_at = sign *",
        "    S.requests_at = 0 *",
        "grants are made faster than the rate allows",
        ("tests/governance/test_pacing.py::test_a_thousand_requests_keep_the_schedule",),
    ),
    Mutant(
        "burst-unbounded",
        "lua/include/gcra.lua",
        "math.ceil(burst * period / limit)",
        "math.ceil(2 * burst * period / limit)",
        "twice the burst goes through at once",
        ("tests/governance/test_pacing.py::test_a_thousand_requests_keep_the_schedule",),
    ),
    Mutant(
        "cap-counted-wrongly",
        "lua/include/cap_limits.lua",
        "(redis.call('HGET', K.accounts, field) or 0) + 0 >= cap",
        "(redis.call('HGET', K.accounts, field) or 0) + 0 > cap",
        "an agent holds one slot more than it may",
        ("tests/governance/test_caps.py::test_capped_agent_lets_others_pass",),
    ),
)
