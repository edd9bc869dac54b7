"""The adapters of frameworks, each in its group's environment: `make test-adapters` runs them.

`make test` passes them by, since no environment holds all frameworks.
"""

from __future__ import annotations

import os

import pytest

from tests.adapters.async_scene import scenes
from tests.adapters.conftest import provider
from tests.adapters.sync_scene import sync_scenes
from tests.frameworks.groups import GROUP, Group
from tests.schedulers import schedulers

__all__ = ["provider", "scenes", "schedulers", "sync_scenes"]

pytest.register_assert_rewrite("tests.adapters.async_cases", "tests.adapters.sync_cases")

_mine = os.environ.get(GROUP)
collect_ignore = [group.name for group in Group.all() if group.name != _mine]
