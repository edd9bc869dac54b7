"""Plans: steps that depend on each other, run by any number of processes, resumed after a crash."""

from loco_redis.orchestration.plans.context import Progress, StepContext
from loco_redis.orchestration.plans.plan import Plan
from loco_redis.orchestration.plans.status import PlanResult, PlanStatus, StepStatus
from loco_redis.orchestration.plans.step import Step

__all__ = ["Plan", "PlanResult", "PlanStatus", "Progress", "Step", "StepContext", "StepStatus"]
