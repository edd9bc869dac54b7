"""Fixtures of this folder."""

from tests.schedulers import any_schedulers, schedulers
from tests.workers import workers

__all__ = ["any_schedulers", "schedulers", "workers"]
