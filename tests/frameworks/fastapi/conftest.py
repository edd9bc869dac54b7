"""Fixtures of this folder."""

from tests.frameworks.fastapi.site import sites

__all__ = ["sites"]
