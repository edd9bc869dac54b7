"""The command line: `loco-redis COMMAND`. A command's module is imported when it is used.

Exit status: 0 fine, 1 something was found wrong, 2 bad input or no Redis, 130 interrupted.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from loco_redis._visible import shown
from loco_redis.cli._errors import Refused
from loco_redis.errors import LocoRedisError

SECTIONS = {
    "Look": (
        "look",
        "resources status top agents holders waiters sessions tasks dead why events "
        "costs slo trust plan doctor",
    ),
    "Change": (
        "change",
        "config pause resume drain release cancel requeue reap purge budgets tenants policies "
        "functions",
    ),
    "Run": ("serve", "server workers exporter dashboard version"),
    "Try": ("play", "demo replay scenario"),
    "Measure": ("bench", "bench"),
}
_FOLDERS = {name: folder for folder, names in SECTIONS.values() for name in names.split()}
_ALIASES = {"explain": "why"}


class _Commands(click.Group):
    """Finds `name` as `command` of the module `name`; words errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_FOLDERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in _FOLDERS:
            return None
        command: click.Command = importlib.import_module(
            f"{__name__}.{_FOLDERS[name]}.{name}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, (_, names) in SECTIONS.items():
            rows = []
            for name in names.split():
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(limit=200)))
            with formatter.section(section):
                formatter.write_dl(rows)

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
        except LocoRedisError as error:
            raise Refused(str(error)) from error


class _Brief(click.ClickException):
    exit_code = 2


def _brief(error: click.UsageError) -> click.ClickException:
    # Asked for nothing at all, click answers with the help, also as an error.
    if error.ctx is None or type(error).__name__ == "NoArgsIsHelpError":
        return error
    return _Brief(shown(f"{error.format_message().rstrip('.')}: see {error.ctx.command_path} -h"))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="loco-redis", message="%(package)s %(version)s")
def main() -> None:
    """Fair, crash-safe scheduling of shared capacity across processes and hosts, through Redis.

    \b
    Start with:        loco-redis demo
    Who has the slots: loco-redis status
    Why does it wait:  loco-redis why AGENT
    """
