"""How a command ends when it cannot go on: one line on stderr and an exit status."""

from __future__ import annotations

import click

from loco_redis._visible import shown


class Broken(click.ClickException):
    """A promise did not hold: ends the command with one line on stderr and exit status 1."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(shown(" ".join(message.split())))


class Refused(Broken):
    """Bad input or no Redis: exit status 2."""

    exit_code = 2
