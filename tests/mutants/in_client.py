"""Defects of the client."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CLIENT = (
    Mutant(
        "hint-as-truth",
        "_grants.py",
        "            if ledger.uncertain:\n",
        "            if False:\n",
        "a hint of a session that may have expired begins a body beside another's",
        ("tests/session/test_inbox.py::test_a_grant_that_comes_after_the_lease_is_not_begun",),
    ),
    Mutant(
        "hint-for-nobody-is-counted",
        "_ledger.py",
        "        if request is None:\n            return False\n        request.ackn",
        "        if request is None:\n            return True\n        request.ackn",
        "a copy of a grant counts again, and hides that another was lost",
        ("tests/session/test_ledger.py::test_first_of_several_grants_wins",),
    ),
    Mutant(
        "grant-taken-twice",
        "_ledger.py",
        "request = self.requests.pop(grant.sequence, None)\n        if request is None:",
        "request = self.requests.get(grant.sequence)\n        if request is None:",
        "the reply and the hint of one grant are two",
        ("tests/session/test_ledger.py::test_first_of_several_grants_wins",),
    ),
    Mutant(
        "floor-too-high",
        "_ledger.py",
        "self.floor = next(iter(self._unanswered), self._last + 1)",
        "self.floor = self._last + 1",
        "Redis takes commands that are on their way for carried out",
        ("tests/session/test_ledger.py::test_floor_is_the_lowest_sequence_without_reply",),
    ),
    Mutant(
        "count-of-grants-ignored",
        "_grants.py",
        "if beat.delivered > ledger.received:",
        "if False:",
        "who has lost a hint waits for ever",
        (
            "tests/faults/test_subscriptions.py"
            "::test_blackholed_subscription_is_made_up_for_by_the_heartbeat",
        ),
    ),
    Mutant(
        "inbox-not-resubscribed",
        "_inbox.py",
        "            backoff = min(_BACKOFF_MOST, 2 * backoff)\n",
        "            return\n",
        "a subscription that ends is not made again",
        ("tests/faults/test_subscriptions.py::test_blackholed_subscription_that_was_killed",),
    ),
    Mutant(
        "resent-with-a-new-id",
        "_outbox.py",
        "            entry.retried = entry.sent_at > 0.0\n",
        "            entry.retried = entry.sent_at > 0.0\n"
        "            if entry.retried and entry.script in ('acquire', 'submit'):\n"
        "                args = list(entry.what.args)\n"
        "                args[4] = args[4][:-4] + '9999'\n"
        "                entry.what = Command(entry.script, tuple(args), entry.decode)\n",
        "a lost reply makes a second request, or task",
        ("tests/faults/test_replies.py::test_reset_inside_a_reply_of_each_call",),
    ),
    Mutant(
        "never-resent",
        "_outbox.py",
        "        self._queue.extendleft(reversed(again))\n\n    async def _read(",
        "        for entry in again:\n"
        "            entry.finish(self.unavailable('the connection is gone'))\n\n"
        "    async def _read(",
        "a broken connection is the caller's trouble",
        ("tests/faults/test_replies.py::test_reset_inside_a_reply_of_each_call",),
    ),
    Mutant(
        "deadline-forgotten",
        "_outbox.py",
        "            if entry.deadline >= moment:\n",
        "            if True:\n",
        "a call waits for ever for a server that is away",
        ("tests/faults/test_refusals.py::test_busy_or_stopped_for_too_long",),
    ),
    Mutant(
        "heartbeat-needs-the-loop",
        "_heartbeat.py",
        "                pause = self._beat(self.ledger) if self._turns() else self.period\n",
        "                turned = threading.Event()\n"
        "                self._loop.call_soon_threadsafe(turned.set)\n"
        "                turned.wait(60)\n"
        "                pause = self._beat(self.ledger) if self._turns() else self.period\n",
        "a body that blocks the event loop loses its lease",
        ("tests/faults/test_loop.py::test_blocked_loop_keeps_its_lease",),
    ),
    Mutant(
        "heartbeat-stays-where-it-failed",
        "_heartbeat.py",
        "            self._disconnect()\n            return error\n",
        "            return error\n",
        "a busy server and a connection that falls silent meanwhile cost a lease together",
        (
            "tests/session/test_heartbeat.py"
            "::test_a_beat_that_failed_is_sent_again_by_another_connection",
        ),
    ),
    Mutant(
        "ending-cut-off",
        "_tasks.py",
        "                interruption = error\n",
        "                raise error\n",
        "who is cancelled twice leaves handlers behind that go on",
        ("tests/client/test_ending.py::test_who_ends_others_is_ended_after_them",),
    ),
    Mutant(
        "max-stall-ignored",
        "_heartbeat.py",
        "        if silence <= self._max_stall:\n",
        "        if True:\n",
        "a process that hangs keeps its slots for ever",
        ("tests/faults/test_loop.py::test_blocked_loop_beyond_max_stall",),
    ),
    Mutant(
        "strict-ignored",
        "_session.py",
        "        if self.strict:\n",
        "        if False:\n",
        "a body goes on though its lease may be over",
        ("tests/session/test_heartbeat.py::test_strict_cancels_when_uncertain",),
    ),
    Mutant(
        "fork-unguarded",
        "_fork.py",
        "        if self._generation != _generation:\n",
        "        if False:\n",
        "a child reads the replies of its parent",
        ("tests/faults/test_fork.py::test_fork_and_use",),
    ),
    Mutant(
        "withdrawal-forgotten",
        "_requests.py",
        "            self._cancel(ledger, request.sequence, is_late)\n",
        "            pass\n",
        "what a cancelled caller had asked for is granted to nobody",
        ("tests/client/test_acquire.py::test_timeout_withdraws_the_request",),
    ),
    Mutant(
        "lease-lost-unnoticed",
        "_grants.py",
        "        if beat.status is Status.EXPIRED:\n            self._session.expire(ledger)\n"
        "        elif not ledger.expired:\n",
        "        if not ledger.expired:\n",
        "a holder whose session has expired is never told",
        ("tests/session/test_expiry.py::test_warned_body_goes_on",),
    ),
)
