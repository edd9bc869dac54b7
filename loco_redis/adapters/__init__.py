"""LLM calls under the scheduler: each waits for its slot, and is settled at what it has used.

The public names are listed in `__init__.pyi`. Each is imported when it is first used, and an
SDK only when a client of it is wrapped or made.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
