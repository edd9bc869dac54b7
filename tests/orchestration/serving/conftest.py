"""Fixtures of this folder."""

from tests.schedulers import any_schedulers, schedulers

__all__ = ["any_schedulers", "schedulers"]
