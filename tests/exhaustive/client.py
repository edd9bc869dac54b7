"""A session's client as an abstract machine: what it knows, what is under way, what it may do next.

Deciding and running are one move: a command that has not run yet is a decision made later, with the
news of that while unread. So a client may leave replies and hints unread for as long as it likes;
replies are read in their order. What was lost waits in `again`; as a command that Redis refuses for
the moment does, it may come behind others. What can change nothing any more is not kept.

Left out are `seen`, the highest token known, which only an emptied server needs, and the count of
grants that a heartbeat compares: the server's side checks that each grant is counted, so what is
counted and has not come in is at least what is there and has not come in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from loco_redis._replies import Status

# The phases of a request: HELD, until its user leaves; ENDING, until that is answered.
IDLE, ASKED, WAITING, HELD, ENDING, DONE = range(6)


class Violation(AssertionError):
    """Something that must never be."""


class Command(NamedTuple):
    """A call of a script. The token of a release is that of the lease, if there still is one."""

    verb: str
    sequence: int = 0
    floor: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.sequence}" if self.sequence else self.verb


class Reply(NamedTuple):
    """What the client reads of a reply: `grants` are sequences."""

    status: Status
    grants: tuple[int, ...] = ()


class Client(NamedTuple):
    """`answered` has a bit for each acquire whose reply is here, or is not waited for any more;
    `hints` are sequences."""

    phases: tuple[int, ...]
    answered: int = 0
    replies: tuple[tuple[Command, Reply], ...] = ()  # not read yet
    hints: tuple[int, ...] = ()
    again: Command | None = None
    alive: bool = True

    @property
    def floor(self) -> int:
        """The lowest sequence that has had no reply."""
        for sequence, phase in enumerate(self.phases, 1):
            if phase == IDLE or not self.answered >> sequence & 1:
                return sequence
        return len(self.phases) + 1

    @property
    def is_done(self) -> bool:
        """Nothing will come of it any more."""
        if not self.alive:
            return True
        idle = not (self.replies or self.hints or self.again)
        answered = self.answered == (2 << len(self.phases)) - 2
        return idle and answered and all(phase == DONE for phase in self.phases)

    def in_phase(self, *phases: int) -> int:
        """The requests that are in one of these, as bits."""
        return sum(1 << n for n, phase in enumerate(self.phases, 1) if phase in phases)

    def with_phase(self, sequence: int, phase: int) -> Client:
        phases = list(self.phases)
        phases[sequence - 1] = phase
        return self._replace(phases=tuple(phases))

    def take(self, grants: tuple[int, ...]) -> Client:
        """Grants begin to be held where they are waited for; others are ignored."""
        client = self
        for sequence in client.news(grants):
            client = client.with_phase(sequence, HELD)
        return client.tidy()

    def news(self, grants: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n for n in grants if self.phases[n - 1] in (ASKED, WAITING))

    def hear(self, hints: tuple[int, ...]) -> Client:
        """Hints are on their way to it."""
        return self._replace(hints=tuple(sorted({*self.hints, *self.news(hints)})))

    def with_reply(self, command: Command, reply: Reply) -> Client:
        """It is on its way."""
        entry = (command._replace(floor=0), reply)
        return self._replace(replies=(*self.replies, entry)).tidy()

    def tidy(self) -> Client:
        """Without hints and grants that are known already; a reply to a release that brings none
        is read at once."""
        if not (self.replies or self.hints):
            return self
        client, replies = self, []
        for command, reply in self.replies:
            news = client.news(reply.grants)
            if command.verb == "release" and not news:
                client = client.with_phase(command.sequence, DONE)
            else:
                replies.append((command, reply._replace(grants=news)))
        return client._replace(hints=client.news(client.hints), replies=tuple(replies))

    def read(self) -> Client:
        """The next reply."""
        (command, reply), *rest = self.replies
        sequence, client = command.sequence, self._replace(replies=tuple(rest))
        if command.verb != "release":
            client = client._replace(answered=client.answered | 1 << sequence)
        if command.verb != "acquire":
            return client.with_phase(sequence, DONE).take(reply.grants)
        client = client.take(reply.grants)
        if client.phases[sequence - 1] != ASKED:
            return client
        if reply.status is not Status.QUEUED:
            raise Violation(f"{command} is wanted, and answered by {reply.status.name}")
        return client.with_phase(sequence, WAITING)


DEAD = Client((), alive=False)


def decisions(client: Client) -> Iterator[tuple[Command, Client]]:
    """What its user may want: to ask, and to leave what is held."""
    for sequence, phase in enumerate(client.phases, 1):
        if phase == IDLE:  # sequences are minted in order
            asking = client.with_phase(sequence, ASKED)
            yield Command("acquire", sequence, asking.floor), asking
            break
        if phase == HELD:
            command = Command("release", sequence, client.floor)
            yield command, client.with_phase(sequence, ENDING).tidy()


def withdrawals(client: Client) -> Iterator[tuple[Command, Client]]:
    """Its user may withdraw at any time, also what has been granted and has not begun."""
    for sequence, phase in enumerate(client.phases, 1):
        if phase in (ASKED, WAITING, HELD):
            command = Command("cancel", sequence, client.floor)
            yield command, client.with_phase(sequence, ENDING).tidy()
