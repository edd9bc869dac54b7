"""The command line: `loco-redis COMMAND`. A command's module is imported when it is used.

Exit status: 0 done, 1 a promise did not hold, 2 bad input or no Redis, 130 interrupted.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

_COMMANDS = ("demo", "replay", "version")


class _Commands(click.Group):
    """Finds `name` as `command` of the module `name`; words usage errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _brief(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _brief(error) from None


class _Brief(click.ClickException):
    exit_code = 2


def _brief(error: click.UsageError) -> click.ClickException:
    # Asked for nothing at all, click answers with the help, also as an error.
    if error.ctx is None or type(error).__name__ == "NoArgsIsHelpError":
        return error
    return _Brief(f"{error.format_message().rstrip('.')}: see {error.ctx.command_path} -h")


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="loco-redis", message="%(package)s %(version)s")
def main() -> None:
    """Fair, crash-safe scheduling of shared capacity across processes and hosts, through Redis.

    Start with:  loco-redis demo
    """
