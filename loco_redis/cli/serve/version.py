"""`loco-redis version`: which versions are at work here."""

from __future__ import annotations

import platform
from importlib.metadata import version

import click


@click.command("version")
def command() -> None:
    """Show the versions of loco-redis, redis-py and Python.

    Example:  loco-redis version
    """
    click.echo(f"loco-redis {version('loco-redis')}")
    click.echo(f"redis-py {version('redis')}")
    click.echo(f"Python {platform.python_version()}")
