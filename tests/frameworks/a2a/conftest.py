"""Fixtures of this folder."""

from tests.frameworks.a2a.scene import scene

__all__ = ["scene"]
