"""Fair, crash-safe scheduling of shared capacity across processes and hosts, through Redis.

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so that a
command that only looks starts quickly.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
