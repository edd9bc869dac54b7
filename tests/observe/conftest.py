"""Fixtures of this folder."""

from tests.clusters import cluster_url
from tests.schedulers import any_schedulers, schedulers

__all__ = ["any_schedulers", "cluster_url", "schedulers"]
