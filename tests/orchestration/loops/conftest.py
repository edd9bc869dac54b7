"""Fixtures of this folder."""

from tests.clusters import cluster_url
from tests.schedulers import schedulers

__all__ = ["cluster_url", "schedulers"]
