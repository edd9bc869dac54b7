"""Fixtures of this folder."""

from tests.schedulers import schedulers

__all__ = ["schedulers"]
