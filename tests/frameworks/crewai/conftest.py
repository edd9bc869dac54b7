"""CrewAI without the network, in a home of its own."""

from __future__ import annotations

import os
import tempfile

import pytest

QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "OTEL_SDK_DISABLED": "true",
}
_home = tempfile.TemporaryDirectory(prefix="loco-crewai-")
os.environ.update(QUIET, HOME=_home.name)


@pytest.fixture(autouse=True, scope="session")
def events_are_ended() -> object:
    """CrewAI's bus of events ends its threads when it is told to."""
    yield
    from crewai.events.event_bus import crewai_event_bus

    crewai_event_bus.shutdown(wait=True)
