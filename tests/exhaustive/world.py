"""Two clients, the server, and what is between them; and every next thing that can happen.

The faults, each at most once: a session crashes, and the command that it has just sent may run at
any time later; a command or its reply is lost, and it is sent again, perhaps behind others; or a
hint is lost; a command has a double, which runs at any time later and whose reply nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.exhaustive.client import (
    ASKED,
    DEAD,
    HELD,
    IDLE,
    WAITING,
    Client,
    Command,
    Violation,
    decisions,
    withdrawals,
)
from tests.exhaustive.server import SESSIONS, Result, Server

CRASH, DROP, DUPLICATE = 1, 2, 4

# The state of the server, two clients, the bits of the requests of each that have ended, and a
# command that runs when it likes: all by number.
World = tuple[int, int, int, int, int, int]
FIRST, ENDED, STRAY = 1, 3, 5


class Move(NamedTuple):
    """`is_due`: it happens by itself some day, unlike a fault or a change of mind."""

    text: str
    is_due: bool
    fault: int
    world: World


class Own(NamedTuple):
    """What a client may do: to run `command`, if any, and to be `after`."""

    text: str
    is_due: bool
    fault: int
    command: Command | None
    after: int


class Known(NamedTuple):
    """A client, and what is often asked of it."""

    client: Client
    own: list[Own]
    beat: Command
    asking: int
    wanted: int
    held: int
    is_quiet: bool


class Scene:
    """The server, and the requests of each session; `polls` False: nobody asks after lost hints."""

    def __init__(self, server: Server, requests: tuple[int, int], polls: bool = True) -> None:
        self.server, self._polls = server, polls
        self._numbers: dict[Client, int] = {}
        self._clients: list[Client] = []
        self._known: dict[int, Known] = {}
        self._strays: list[tuple[int, Command]] = []
        self._landed: dict[tuple[int, int, int], tuple[int, int]] = {}
        first, second = (self._number(Client((IDLE,) * count)) for count in requests)
        self.begin: World = (0, first, second, 0, 0, 0)

    def is_end(self, world: World) -> bool:
        """All is asked, answered and left; who crashed is reaped."""
        sessions = self.server.facts[world[0]].sessions
        clients = [self._clients[world[FIRST + index]] for index in (0, 1)]
        return not world[STRAY] and all(
            client.is_done and (client.alive or not sessions >> index & 1)
            for index, client in enumerate(clients)
        )

    def check(self, world: World) -> None:
        """Who holds by its own books holds by those of Redis, and who waits is there."""
        facts = self.server.facts[world[0]]
        for index in (0, 1):
            known = self._know(world[FIRST + index])
            if known.held & ~facts.held[index]:
                raise Violation(f"{SESSIONS[index]} holds what Redis has not granted")
            if known.wanted & ~facts.there[index]:
                raise Violation(f"{SESSIONS[index]} waits for what Redis does not know")

    def check_end(self, world: World) -> None:
        """Nothing is held, nothing waits, and the next heartbeats leave no tombstone."""
        number = world[0]
        for index in (0, 1):
            known = self._know(world[FIRST + index])
            if known.client.alive:
                number = self.server.run(number, index, known.beat).state
        state = self.server.states[number]
        if left := {*state.requests, *state.tombstones}:
            raise Violation(f"left at the end: {sorted(left)}")

    def moves(self, world: World, faults: int) -> Iterator[Move]:
        """Everything that can happen next."""
        for index, name in enumerate(SESSIONS):
            known = self._know(world[FIRST + index])
            if not known.client.alive:
                yield from self._expiry(world, index)
                continue
            for way in known.own:
                if way.fault & ~faults:
                    continue
                if way.command:
                    yield from self._sendings(world, faults, index, way, way.command)
                else:
                    after = _with(world, FIRST + index, way.after)
                    yield Move(f"{name} {way.text}", way.is_due, way.fault, after)
            yield from self._heartbeat(world, index, known)
            if faults & CRASH:
                yield from self._crash(world, index, known)
        if world[STRAY]:
            index, command = self._strays[world[STRAY] - 1]
            after = self._run(world, index, command)[0]
            text = f"Redis runs {command} of {SESSIONS[index]}, which was under way"
            yield Move(text, True, 0, _with(after, STRAY, 0))

    def _sendings(
        self, world: World, faults: int, index: int, way: Own, command: Command
    ) -> Iterator[Move]:
        """It runs, and the reply comes in or is lost; and it may have a double."""
        text = f"{SESSIONS[index]} {way.text}"
        ran, result = self._run(_with(world, FIRST + index, way.after), index, command)
        answered, lost = self._land(ran[FIRST + index], index, command, result)
        moves = [Move(text, way.is_due, 0, _with(ran, FIRST + index, answered))]
        if faults & DROP:
            after = _with(ran, FIRST + index, lost)
            moves.append(Move(f"{text}; the reply is lost", False, DROP, after))
            number = self._number(self._clients[way.after]._replace(again=command))
            after = _with(world, FIRST + index, number)
            moves.append(Move(f"{text}; it is lost", False, DROP, after))
        yield from moves
        if faults & DUPLICATE and not world[STRAY]:
            double = self._stray(index, command)
            for what, _, fault, after in moves:
                after = _with(after, STRAY, double)
                yield Move(f"{what}; it has a double", False, fault | DUPLICATE, after)

    def _heartbeat(self, world: World, index: int, known: Known) -> Iterator[Move]:
        """It goes to Redis and back; if grants are missing, so does a poll."""
        after = self._run(world, index, known.beat)[0]
        missing = known.asking & self.server.facts[after[0]].held[index]
        text = "beats"
        if missing and known.is_quiet and self._polls:
            text = "beats and polls"
            found = self.server.run(after[0], index, Command("poll")).reply.grants
            client = self._clients[after[FIRST + index]].take(found)
            after = _with(after, FIRST + index, self._number(client))
        if after != world:
            yield Move(f"{SESSIONS[index]} {text}", True, 0, after)

    def _crash(self, world: World, index: int, known: Known) -> Iterator[Move]:
        crashed = _with(world, FIRST + index, self._number(DEAD))
        yield Move(f"{SESSIONS[index]} crashes", False, CRASH, crashed)
        for way in known.own:
            if way.command and not world[STRAY]:
                last = _with(crashed, STRAY, self._stray(index, way.command))
                text = f"{SESSIONS[index]} crashes as it {way.text}"
                yield Move(text, False, CRASH, last)

    def _expiry(self, world: World, index: int) -> Iterator[Move]:
        if self.server.times[world[0]] == self.server.times[0]:
            beat = self._know(world[FIRST + 1 - index]).beat
            state = self.server.expire(world[0], 1 - index, beat.floor)
            yield Move(f"the lease of {SESSIONS[index]} is over", True, 0, _with(world, 0, state))

    def _run(self, world: World, index: int, command: Command) -> tuple[World, Result]:
        """The command has run; hints are on the way, the reply is not."""
        result = self.server.run(world[0], index, command)
        numbers, ended = [world[1], world[2]], [world[3], world[4]]
        for to in (0, 1):
            if back := result.came[to] & ended[to]:
                sequence = back.bit_length() - 1
                raise Violation(
                    f"{command} of {SESSIONS[index]}: {SESSIONS[to]}'s {sequence}, which has "
                    "ended, comes back"
                )
            ended[to] |= result.went[to]
            if result.hints[to]:
                client = self._clients[numbers[to]]
                if client.alive:
                    numbers[to] = self._number(client.hear(result.hints[to]))
        if command.verb == "cancel":
            ended[index] |= 1 << command.sequence
        after = (result.state, numbers[0], numbers[1], ended[0], ended[1], world[STRAY])
        return after, result

    def _land(self, number: int, index: int, command: Command, result: Result) -> tuple[int, int]:
        """The client with the reply to come, and without."""
        key = (number, index, result.number)
        landed = self._landed.get(key)
        if landed is None:
            client = self._clients[number]
            answered = self._number(client.with_reply(command, result.reply))
            lost = self._number(client._replace(again=command._replace(floor=0)))
            landed = self._landed[key] = (answered, lost)
        return landed

    def _know(self, number: int) -> Known:
        known = self._known.get(number)
        if known is None:
            client = self._clients[number]
            known = self._known[number] = Known(
                client=client,
                own=[*self._own_moves(client)] if client.alive else [],
                beat=Command("heartbeat", 0, client.floor),
                asking=client.in_phase(ASKED, WAITING),
                wanted=client.in_phase(WAITING, HELD),
                held=client.in_phase(HELD),
                is_quiet=not (client.replies or client.again),
            )
        return known

    def _own_moves(self, client: Client) -> Iterator[Own]:
        if client.again:
            after = self._number(client._replace(again=None))
            yield Own(f"sends {client.again} again", True, 0, client.again, after)
        for command, asking in decisions(client):
            yield Own(f"sends {command}", True, 0, command, self._number(asking))
        for command, leaving in withdrawals(client):
            text = f"changes its mind and sends {command}"
            yield Own(text, False, 0, command, self._number(leaving))
        if client.replies:
            command, reply = client.replies[0]
            text = f"reads the reply to {command}: {reply.status.name}"
            yield Own(text, True, 0, None, self._number(client.read()))
        for hint in client.hints:
            yield Own(f"hears of {hint}", True, 0, None, self._number(client.take((hint,))))
            others = tuple(other for other in client.hints if other != hint)
            missed = self._number(client._replace(hints=others))
            yield Own(f"misses the hint of {hint}", False, DROP, None, missed)

    def _number(self, client: Client) -> int:
        number = self._numbers.setdefault(client, len(self._clients))
        if number == len(self._clients):
            self._clients.append(client)
        return number

    def _stray(self, index: int, command: Command) -> int:
        stray = (index, command)
        if stray not in self._strays:
            self._strays.append(stray)
        return self._strays.index(stray) + 1


def _with(world: World, at: int, value: int) -> World:
    """One of its numbers is another."""
    changed = [*world]
    changed[at] = value
    state, first, second, ended_first, ended_second, stray = changed
    return state, first, second, ended_first, ended_second, stray
