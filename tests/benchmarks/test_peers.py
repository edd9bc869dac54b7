"""The comparison with others runs, at toy size, with those of them that are installed here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module

import pytest

from benchmarks import handoff, server
from benchmarks.figure import Figure
from benchmarks.peers import fairness, grants, in_memory, killed, long_holder, queues, tools, ways
from benchmarks.peers.__main__ import QUESTIONS
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

TOY = {
    "grants": {"rounds": 1, "tasks": 4, "seconds": 0.6, "most": 2},
    "queues": {"rounds": 1, "jobs": 20},
    "in_memory": {"agents": (5,), "rounds": 1, "seconds": 0.05},
    "utilisation": {"rounds": 1, "tasks": 4, "seconds": 0.1},
    "killed": {"phases": (0.1,), "watch": 1.5, "lease": 0.4},
    "handoff": {"blocks": 2, "times": 4},
    "growth": {
        "sizes": (2, 5),
        "scripts": (2, 20),
        "windows": 1,
        "seconds": 0.05,
        "turns": 5,
        "peers": (ways.LOCO, ways.BLPOP_PATIENT, ways.PUBSUB),
    },
    "fairness": {"backlog": 5, "rounds": 1, "patience": 0.5, "settle": 0.05},
    "long_holder": {"scale": 0.04},
}


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[EmbeddedServer]:
    with server.running() as process:
        yield process


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_answers_at_toy_size(question: str, tcp_server: EmbeddedServer) -> None:
    """Each question runs with the peers that are installed; what it finds has a value, a unit, a
    detail and numbers for a plot."""
    pytest.importorskip("self_limiters", reason="the dev extra is not installed")
    figures = import_module(f"benchmarks.peers.{question}").run(tcp_server, **TOY[question])
    if question == "in_memory" and not ways.IN_MEMORY.installed:
        pytest.skip("loco-agent is a peer only, installed by make bench-peers")
    if question == "queues" and not any(tool.installed for tool in tools.TOOLS[1:]):
        pytest.skip("the task queues are peers only, installed by make bench-peers")
    assert figures
    for figure in figures:
        assert figure.value >= 0
        assert figure.question
        assert figure.unit
        assert figure.detail
        assert figure.data


def test_the_in_memory_question_runs_with_any_pair(tcp_server: EmbeddedServer) -> None:
    """Two ways that are installed stand in for the two that it compares."""
    pair = (ways.LOCO, ways.BLPOP)
    (figure,) = in_memory.run(tcp_server, agents=(5,), rounds=1, seconds=0.05, pair=pair)
    assert figure.value > 0


def test_our_own_queue_serves_what_it_was_given(tcp_server: EmbeddedServer) -> None:
    """Durable tasks submitted by one process are all served by another."""
    wanted = queues.working(tools.LOCO, tcp_server.url, "test_queue", 3)
    with server.connected(tcp_server), hired({"": wanted}) as crews:
        submitter, worker = crews[""].members
        submitter.begin(do="submit", jobs=[0.0] * 12)
        assert submitter.answer() > 0
        worker.begin(do="serve", count=12)
        marks = worker.answer()
    assert [seconds for seconds, _ in marks] == [0.0] * 12
    assert [moment for _, moment in marks] == sorted(moment for _, moment in marks)


def test_the_best_of_the_others_is_what_counts() -> None:
    """Of the task queues only the fastest has to be reached, and comes first."""
    rates = {
        tools.LOCO: [(2000.0, 2000.0), (2200.0, 2200.0)],
        tools.RQ: [(500.0, 500.0), (500.0, 500.0)],
        tools.SAQ: [(1000.0, 1000.0), (4400.0, 4400.0)],
    }
    first, second = queues._figures(rates)
    assert "saq, the fastest" in first.question
    assert first.must is not None
    assert first.value == pytest.approx((2 + 0.5) / 2)
    assert second.must is None
    assert second.value == pytest.approx((4 + 4.4) / 2)


def test_both_halves_of_a_rate_count() -> None:
    """1,000 submitted a second and 1,000 served a second are 500 jobs a second."""
    assert queues.both((1000.0, 1000.0)) == pytest.approx(500)


def test_who_is_served_before_the_lone_request() -> None:
    """All that come before it; everybody, if it was never served."""
    assert fairness.ahead(["batch", "batch", "lone"]) == 2
    assert fairness.ahead(["lone", "batch"]) == 0
    assert fairness.ahead(["batch"] * 7) == 7


def test_spans_that_touch_are_not_at_once() -> None:
    """Only a moment in common counts, however many there are."""
    assert long_holder.most_at_once([(0, 10), (1, 2), (2, 3), (5, 6)]) == 2
    assert long_holder.most_at_once([(0, 10), (1, 5), (2, 3), (11, 12)]) == 3
    assert long_holder.most_at_once([]) == 0


def test_the_marks_of_a_queue_become_a_course() -> None:
    """The longest job is the long one; the others count from its begin, each once."""
    marks = [(1.0, 12.0), (1.5, 13.5), (1.0, 16.0), (20.0, 31.0)]
    course = long_holder.queued(marks, 20.0)
    assert course.long == (11.0, 31.0)
    assert sorted(course.jobs) == [(11.0, 12.0), (12.0, 13.5)]
    assert (course.took, course.inside, course.again, course.lost) == (2.5, 2, 1, False)
    lost = long_holder.queued(marks[:-1], 20.0)
    assert (lost.took, lost.inside, lost.again, lost.lost) == (2.5, 1, 1, True)


def test_hand_offs_are_counted_between_processes_only() -> None:
    """From the end of a hold to the begin of the next, where that is the other process's."""
    first, second = [(0, 1000), (9000, 10_000)], [(3000, 4000), (5000, 6000)]
    assert handoff.slot_delays([first, second]) == [2.0, 3.0]


def test_a_message_counts_where_it_arrived() -> None:
    """From its sending to its arrival, by its number; what never arrived is left out."""
    first = [(0, "sent", 1000), (1, "got", 9000), (2, "sent", 10_000)]
    second = [(0, "got", 4000), (1, "sent", 5000)]
    assert sorted(handoff.message_delays([first, second])) == [3.0, 4.0]


def test_a_peer_that_is_not_installed_is_left_out() -> None:
    """It has no version, here or in the environment that it needs."""
    absent = Peer("nothing", "nowhere:at_all", "no-such-distribution", "everything")
    elsewhere = Peer("nothing", "nowhere:at_all", "redis", "everything", home="no-such-home")
    assert present((absent, ways.LOCO, elsewhere)) == (ways.LOCO,)


def test_a_dead_holder_that_nobody_misses_is_said_so(tcp_server: EmbeddedServer) -> None:
    """A token list never frees the slot of the dead: the row says that the watch ended."""
    (row,) = killed.run(tcp_server, phases=(0.1,), watch=0.5, peers=[ways.BLPOP_PATIENT])
    assert row.value == 0.5
    assert row.unit == "s or more"
    assert row.data is not None
    assert row.data["seconds"] is None


def test_slots_of_all_ways_are_exclusive(tcp_server: EmbeddedServer) -> None:
    """Two processes never hold the only slot of a peer at once."""
    pytest.importorskip("self_limiters", reason="the dev extra is not installed")
    wanted = {
        peer.name: guarding(peer, 2, tcp_server.url, f"exclusive_{number}", 1, 3)
        for number, peer in enumerate((*ways.SEMAPHORES, ways.LOCK))
    }
    with hired(wanted) as crews:
        for crew in crews.values():
            answers = crew.tell(do="hold", task=0, times=3, body=0.01)
            spans = [tuple(span) for found in answers for span in found]
            assert len(spans) == 6
            assert long_holder.most_at_once(spans) == 1


def test_a_crew_whose_member_dies_says_so(tcp_server: EmbeddedServer) -> None:
    """The parent gets an error instead of waiting for ever."""
    with hired({"": guarding(ways.BLPOP, 1, tcp_server.url, "dead", 1, 1)}) as crews:
        (member,) = crews[""].members
        member.kill()
        with pytest.raises(EOFError, match="without an answer"):
            member.answer()


def test_a_ratio_is_the_median_over_the_rounds() -> None:
    """Each round's own ratio counts, not that of the medians."""
    contender = grants.Contender(ways.BLPOP)
    ours = grants.key(grants.Contender(ways.LOCO))
    rates = {(ours, 1): [10.0, 100.0, 40.0], (grants.key(contender), 1): [10.0, 50.0, 10.0]}
    figure: Figure = grants._row(rates, contender, 1, 50)
    assert figure.value == 2.0
    assert figure.must is not None


async def test_the_hand_written_semaphore_is_woken(tcp_server: EmbeddedServer) -> None:
    """A release is noticed at once, not when the second is over after which waiters try again."""
    from benchmarks.peers.ways import pubsub

    async with pubsub.semaphore(tcp_server.url, "woken", 1, 2) as slot:
        async with slot("first"):
            waiter = asyncio.create_task(slot("second").__aenter__())
            await asyncio.sleep(0.05)
        async with asyncio.timeout(0.5):
            await waiter
