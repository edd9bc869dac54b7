"""What the fleet may spend, start and hold, and how it does: set by one process, obeyed by all."""

from loco_redis.governance.budgets import BudgetAlert, BudgetManager, BudgetPolicy
from loco_redis.governance.policies import (
    AccessPolicy,
    Policy,
    PolicyEnforcer,
    RatePolicy,
    SecurityLabel,
)
from loco_redis.governance.slo import SLOBudget, SLOState
from loco_redis.governance.tenants import MultiTenantScheduler, TenantStats
from loco_redis.governance.trust import TrustScorer, TrustStats

__all__ = [
    "AccessPolicy",
    "BudgetAlert",
    "BudgetManager",
    "BudgetPolicy",
    "MultiTenantScheduler",
    "Policy",
    "PolicyEnforcer",
    "RatePolicy",
    "SLOBudget",
    "SLOState",
    "SecurityLabel",
    "TenantStats",
    "TrustScorer",
    "TrustStats",
]
