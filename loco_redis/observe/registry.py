"""Which resources there are in a server."""

from __future__ import annotations

from loco_redis._keys import REGISTRY
from loco_redis.observe.link import Link


def resource_names(link: Link) -> list[str]:
    """Of the set that every scheduler enters when it opens, in order. A name stays there after its
    resource was removed by other means than `loco-redis purge`."""
    return sorted(name.decode() for name in link.call("SMEMBERS", REGISTRY))
