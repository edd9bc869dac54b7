"""`loco-redis dashboard`: the Grafana dashboard, ready to be imported."""

from __future__ import annotations

from importlib import resources

import click


def dashboard_json() -> str:
    """The file of this package, which `deploy/grafana/` has, too."""
    return resources.files(__package__).joinpath("dashboard.json").read_text("utf-8")


@click.command("dashboard")
def command() -> None:
    """Print the Grafana dashboard as JSON.

    Import it by Dashboards, New, Import: Grafana asks which Prometheus is meant.

    Example:  loco-redis dashboard > loco-redis.json
    """
    click.echo(dashboard_json(), nl=False)
