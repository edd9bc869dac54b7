"""What the ways ask, and where the text is in what they get: one class for each form of API.

An SDK's results and the raw JSON have the same fields, so both are looked at as dicts.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import BaseModel

JSON = dict[str, Any]

QUESTION = "How much is two and two, and why?"
MOST_TOKENS = 64


class Verdict(BaseModel):
    """What structured output is asked for."""

    answer: int
    reason: str


class Messages:
    """Anthropic messages.

    Attributes, here and below:
        arguments: of a call; structured: more of one that is answered by a Verdict.
        final: the method of the SDK's streaming helper that gives the whole answer.
        input_comes_first: whether a stream tells at its beginning what the input was.
    """

    path = "/v1/messages"
    arguments: ClassVar[JSON] = {
        "model": "claude-opus-4-1",
        "max_tokens": MOST_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    structured: ClassVar[JSON] = {"output_format": Verdict}
    final = "get_final_message"
    input_comes_first = True

    @staticmethod
    def of(client: Any) -> Any:
        """The part of an SDK's client that makes these calls."""
        return client.messages

    @staticmethod
    def text(answer: JSON) -> str:
        return str(answer["content"][0]["text"])

    @staticmethod
    def parsed(answer: Any) -> Any:
        return answer.parsed_output

    @staticmethod
    def text_of_event(event: JSON) -> str:
        return event["delta"]["text"] if event["type"] == "content_block_delta" else ""


class Beta(Messages):
    """The same through the SDK's `beta`."""

    @staticmethod
    def of(client: Any) -> Any:
        return client.beta.messages


class Chat:
    """OpenAI chat completions."""

    path = "/v1/chat/completions"
    arguments: ClassVar[JSON] = {
        "model": "gpt-5-nano",
        "max_completion_tokens": MOST_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    structured: ClassVar[JSON] = {"response_format": Verdict}
    final = "get_final_completion"
    input_comes_first = False

    @staticmethod
    def of(client: Any) -> Any:
        return client.chat.completions

    @staticmethod
    def text(answer: JSON) -> str:
        return str(answer["choices"][0]["message"]["content"])

    @staticmethod
    def parsed(answer: Any) -> Any:
        return answer.choices[0].message.parsed

    @staticmethod
    def text_of_event(event: JSON) -> str:
        assert event["choices"], "the chunk of usage has not been asked for"
        return event["choices"][0]["delta"].get("content") or ""


class Responses:
    """OpenAI responses."""

    path = "/v1/responses"
    arguments: ClassVar[JSON] = {
        "model": "gpt-5",
        "max_output_tokens": MOST_TOKENS,
        "input": QUESTION,
    }
    structured: ClassVar[JSON] = {"text_format": Verdict}
    final = "get_final_response"
    input_comes_first = False

    @staticmethod
    def of(client: Any) -> Any:
        return client.responses

    @staticmethod
    def text(answer: JSON) -> str:
        return str(answer["output"][0]["content"][0]["text"])

    @staticmethod
    def parsed(answer: Any) -> Any:
        return answer.output_parsed

    @staticmethod
    def text_of_event(event: JSON) -> str:
        return event["delta"] if event["type"] == "response.output_text.delta" else ""


class Gemini:
    """Google's generated content."""

    model = "gemini-2.5-flash"
    path = f"/v1beta/models/{model}:generateContent"
    arguments: ClassVar[JSON] = {
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
        "generationConfig": {"maxOutputTokens": MOST_TOKENS},
    }
    input_comes_first = True

    @staticmethod
    def text(answer: JSON) -> str:
        return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"])


class Bedrock:
    """AWS Bedrock's Converse. `stream` is the member of the response that is one."""

    model = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    arguments: ClassVar[JSON] = {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
        "inferenceConfig": {"maxTokens": MOST_TOKENS},
    }
    stream = "stream"
    input_comes_first = False

    @staticmethod
    def text(answer: JSON) -> str:
        return str(answer["output"]["message"]["content"][0]["text"])

    @staticmethod
    def text_of_event(event: JSON) -> str:
        return str(event.get("contentBlockDelta", {"delta": {"text": ""}})["delta"]["text"])


class BedrockClaude:
    """A model of Anthropic, invoked through Bedrock: by Anthropic's own requests."""

    body: ClassVar[JSON] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": MOST_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    arguments: ClassVar[JSON] = {"modelId": Bedrock.model, "body": json.dumps(body)}
    stream = "body"
    input_comes_first = True

    @staticmethod
    def text(answer: bytes) -> str:
        return Messages.text(json.loads(answer))

    @staticmethod
    def text_of_event(event: JSON) -> str:
        return Messages.text_of_event(json.loads(event["chunk"]["bytes"]))


Ask = Messages | Chat | Responses | Gemini | Bedrock | BedrockClaude
