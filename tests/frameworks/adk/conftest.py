"""Fixtures of this folder."""

from __future__ import annotations

import pytest

from loco_redis.testing.fake_provider import FakeProvider


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> None:
    """Whatever model a test makes, no call of google-genai leaves this machine."""
    for name, value in provider.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
