"""Fixtures of this folder."""

from tests.orchestration.plans.runner import runners
from tests.schedulers import any_schedulers, schedulers

__all__ = ["any_schedulers", "runners", "schedulers"]
