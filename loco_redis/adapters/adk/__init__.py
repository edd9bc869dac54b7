"""Google ADK: agents whose model's calls wait until their turn has come.

- `adapter.py`    `ADKAdapter`: scheduled models, callbacks, a plugin
- `_callbacks.py` a slot between the callbacks before and after a call, with an end that is certain
- `_wording.py`   what ADK's requests ask for, and what its responses say
"""

from loco_redis.adapters.adk.adapter import ADKAdapter

__all__ = ["ADKAdapter"]
