"""Figures of the whole fleet, counted in Redis and read when asked for."""

from loco_redis.metrics.attribution import CostAttribution
from loco_redis.metrics.figures import AlphaAdjustment, SchedulerMetrics
from loco_redis.metrics.outcomes import OutcomeTracker
from loco_redis.metrics.waits import WaitTimes

__all__ = ["AlphaAdjustment", "CostAttribution", "OutcomeTracker", "SchedulerMetrics", "WaitTimes"]
