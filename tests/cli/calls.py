"""Calling commands inside the test's own process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from loco_redis.cli import main


def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    runner = CliRunner()
    return runner.invoke(main, arguments, input=stdin, env=environment, prog_name="loco-redis")
