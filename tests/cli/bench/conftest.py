"""Fixtures of this folder."""

from tests.clusters import cluster_url

__all__ = ["cluster_url"]
