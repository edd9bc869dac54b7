"""Commands that have commands: what is asked for without naming one of them is their list."""

from __future__ import annotations

import click


class Listing(click.Group):
    """`loco-redis budgets --json` is `loco-redis budgets list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Its own options are those of help only; all others are the list's.
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
