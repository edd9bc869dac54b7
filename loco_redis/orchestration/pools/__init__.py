"""Several resources at once: all of them or none."""

from loco_redis.orchestration.pools.pool import MultiAcquisition, ResourcePool

__all__ = ["MultiAcquisition", "ResourcePool"]
