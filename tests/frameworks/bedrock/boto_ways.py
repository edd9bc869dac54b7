"""Clients of boto3, on their way to the fake provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from loco_redis.adapters.bedrock import BedrockAdapter
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.asks import Bedrock, BedrockClaude
from tests.adapters.sync_way import Way


def boto(provider: FakeProvider, max_retries: int = 0) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=provider.bedrock_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": max_retries}, max_pool_connections=20),
    )


class Converse(Way):
    """`converse` and `converse_stream`."""

    ask = Bedrock
    status_error = ClientError

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.adapter = BedrockAdapter(self.scheduler, **self.options)
        self.client = self.adapter.wrap(boto(self.provider, self.max_retries))

    def call(self, **more: Any) -> str:
        return Bedrock.text(self.client.converse(**Bedrock.arguments, **more))

    def open(self, **more: Any) -> Any:
        return self.client.converse_stream(**Bedrock.arguments, **more)["stream"]

    def texts(self, stream: Any) -> Iterator[str]:
        return filter(None, map(self.ask.text_of_event, stream))

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        self.client.close()


class Invoke(Converse):
    """`invoke_model` and `invoke_model_with_response_stream`."""

    ask = BedrockClaude

    def call(self, **more: Any) -> str:
        response = self.client.invoke_model(**BedrockClaude.arguments, **more)
        return BedrockClaude.text(response["body"].read())

    def open(self, **more: Any) -> Any:
        arguments = {**BedrockClaude.arguments, **more}
        return self.client.invoke_model_with_response_stream(**arguments)["body"]
