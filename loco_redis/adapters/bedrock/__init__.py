"""AWS Bedrock: clients of boto3 and aiobotocore whose calls of a model wait until their turn.

- `adapter.py`   `BedrockAdapter`
- `_clients.py`  a client that passes everything on, and conducts the calls of models
- `_answers.py`  answers and event streams that end their call's time in the slot
- `_requests.py` what a call asks for; `_usage.py` what its answer has used
"""

from loco_redis.adapters.bedrock.adapter import BedrockAdapter

__all__ = ["BedrockAdapter"]
