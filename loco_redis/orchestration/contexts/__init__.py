"""Values that agents of all processes share."""

from loco_redis.orchestration.contexts.shared_context import ABSENT, SharedContext, Version

__all__ = ["ABSENT", "SharedContext", "Version"]
