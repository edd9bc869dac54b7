"""Defects of the scripts: of requests, leases and sessions."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TASKS = "tests/lua/test_tasks.py"
REPEATS = "tests/lua/test_repeats.py"
SEVERAL = "tests/lua/test_several.py"
CORNERS = "tests/lua/test_corners.py"

SCRIPTS = (
    Mutant(
        "request-id-ignored",
        "lua/include/acquire_slot.lua",
        "if sequence <= session.last or sequence <= session.tombs or sequence < session.floor then",
        "if false then",
        "a repeat of an acquire is another request",
        (f"{SEVERAL}::test_a_step_that_came_before_changes_nothing",),
    ),
    Mutant(
        "plain-incr-tokens",
        "lua/include/hold.lua",
        "S.fence = math.max(S.fence + 1, S.raw)",
        "S.fence = S.fence + 1",
        "an emptied server gives the same tokens again",
        (f"{REPEATS}::test_tokens_rise_on_an_emptied_server",),
    ),
    Mutant(
        "seen-tokens-ignored",
        "lua/include/upkeep.lua",
        "if seen > S.fence then S.fence = seen end",
        "",
        "a server whose clock went back gives tokens again that clients have seen",
        (f"{REPEATS}::test_tokens_rise_above_what_was_seen",),
    ),
    Mutant(
        "heartbeat-resurrects",
        "lua/heartbeat.lua",
        "local session = enter(floor, seen)\n",
        "local session = enter(floor, seen)\n"
        "if S and not session then\n"
        "  sessions[SESSION] = { floor = 0, last = 0, tombs = 0, delivered = 0, info = '' }\n"
        "  session = sessions[SESSION]\n"
        "end\n",
        "a session that was reaped comes back, without what it held",
        (f"{REPEATS}::test_heartbeat_of_a_reaped_session_is_told_so",),
    ),
    Mutant(
        "barging",
        "lua/include/at_once.lua",
        " or redis.call('EXISTS', K.ready) == 1",
        "",
        "a newcomer takes a slot before those who wait for the rate",
        (f"{REPEATS}::test_newcomer_does_not_pass_who_waits_for_the_rate",),
    ),
    Mutant(
        "freed-slot-left-to-chance",
        "lua/include/upkeep.lua",
        "local function conclude(status, ...)\n  grant_all()\n",
        "local function conclude(status, ...)\n",
        "a freed slot is for whoever comes next, not for who waits",
        (f"{SEVERAL}::test_each_step_has_its_reply",),
    ),
    Mutant(
        "backlog-not-looked-at",
        "lua/include/select.lua",
        "  if S.servers > 0 then\n",
        "  if false then\n",
        "who serves any agent is never given a task",
        (f"{TASKS}::test_the_best_agent_is_served",),
    ),
    Mutant(
        "result-not-counted",
        "lua/include/orders.lua",
        "      session.delivered, session.changed = session.delivered + 1, true\n",
        "",
        "a lost hint about a result is never noticed",
        (f"{TASKS}::test_who_asks_for_a_result_is_told",),
    ),
    Mutant(
        "attempts-without-end",
        "lua/include/put_back.lua",
        "local too_often = task.max_attempts > 0 and task.attempt >= task.max_attempts",
        "local too_often = false",
        "a task that always fails is tried for ever",
        (f"{TASKS}::test_attempts_come_to_an_end",),
    ),
    Mutant(
        "cancel-leaves-no-tombstone",
        "lua/cancel.lua",
        "leave_tombstone(rid)\n",
        "if request then leave_tombstone(rid) end\n",
        "an acquire that arrives after its cancel is granted to nobody",
        (f"{REPEATS}::test_acquire_after_its_cancel_is_finished",),
    ),
    Mutant(
        "floor-not-respected",
        "lua/include/once.lua",
        "return sequence < session.floor or sequence <= session.tombs",
        "return sequence <= session.tombs",
        "a late duplicate whose tombstone has gone is carried out",
        (f"{REPEATS}::test_acquire_below_the_floor_is_finished",),
    ),
    Mutant(
        "release-ignores-the-token",
        "lua/include/release_slot.lua",
        " or request.token ~= token then",
        " then",
        "a stale release ends the lease of a later grant",
        (f"{REPEATS}::test_release_with_another_token_changes_nothing",),
    ),
    Mutant(
        "reaping-leaves-the-row",
        "lua/include/reclaim.lua",
        "  finish(request, 1)\n",
        "  freed[#freed + 1] = request.slot\n  S.held, S.tick = S.held - 1, S.tick + 1\n",
        "the slot of a dead holder is free, and the holder is still there",
        (f"{CORNERS}::test_reaping_takes_32_units_a_script[30]",),
    ),
    Mutant(
        "outage-counts",
        "lua/include/upkeep.lua",
        "if gap > 0 and gap <= S.lease / 2 then",
        "if gap > 0 and S.raw > 0 then",
        "whatever the server slept, or its clock was set on, expires everybody",
        (f"{REPEATS}::test_nobody_expires_by_an_outage",),
    ),
    Mutant(
        "release-moves-no-tick",
        "lua/include/release_slot.lua",
        "finish(request, 1)",
        "finish(request, 0)",
        "nobody ages while work goes on",
        (f"{SEVERAL}::test_each_step_has_its_reply",),
    ),
    Mutant(
        "given-back-grant-ages",
        "lua/cancel.lua",
        "finish(request, 0)",
        "finish(request, 1)",
        "a grant that was given back counts as work done",
        (f"{REPEATS}::test_a_grant_given_back_is_no_work_done",),
    ),
    Mutant(
        "several-forgets-a-grant",
        "lua/several.lua",
        "reply = conclude_with_grants(release_slot(",
        "reply = conclude(release_slot(",
        "the grants of a release are told by the step after it, or by nobody",
        (f"{SEVERAL}::test_each_step_has_its_reply",),
    ),
    Mutant(
        "grants-not-published",
        "lua/include/hold.lua",
        "    redis.call('PUBLISH', CHANNEL .. id, grant_text(r, has_body))\n",
        "",
        "others learn of their grants by heartbeats only",
        (f"{SEVERAL}::test_other_sessions_are_told_at_once",),
    ),
    Mutant(
        "grants-not-counted",
        "lua/include/hold.lua",
        "session.delivered, session.changed = session.delivered + 1, true",
        "session.changed = true",
        "no heartbeat shows that a hint was lost",
        (f"{SEVERAL}::test_other_sessions_are_told_at_once",),
    ),
    Mutant(
        "schema-not-checked",
        "lua/open.lua",
        "if stored_schema and stored_schema ~= schema then",
        "if false then",
        "an older version writes into the state of a newer one",
        ("tests/faults/test_stored.py::test_newer_schema_is_left_alone_by_openers",),
    ),
    Mutant(
        "backpressure-not-checked",
        "lua/include/acquire_slot.lua",
        "    return BACKPRESSURE, S.tick, 0, 0\n",
        "",
        "the queue grows beyond max_waiters",
        ("tests/client/test_acquire.py::test_full_queue_refuses",),
    ),
    Mutant(
        "newest-first",
        "lua/include/next_head.lua",
        "lane_head(load.agent, 'b') or nil",
        "lane_head(load.agent, 'b', true) or nil",
        "of an agent's requests the last to come is served first",
        (f"{REPEATS}::test_an_agents_requests_are_served_in_order",),
    ),
)
