"""The frameworks for which there are adapters: names, versions, what puts each to use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True)
class Framework:
    """Attributes:
    name: as people say it.
    distribution: whose version counts.
    extra: of loco-redis, which requires the versions that have been tested; "": the transport
        is for it, which needs no extra.
    lines: to paste, where `scheduler` is an AsyncLOCOScheduler.
    """

    name: str
    distribution: str
    extra: str
    lines: str

    @property
    def installed(self) -> str | None:
        """Its version; None: it is not installed."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    @property
    def tested(self) -> str:
        """The versions that loco-redis' extra takes, such as ">=1,<3": those that were tested."""
        parts = sorted(str(part) for part in self._tested)
        return ",".join(reversed(parts))

    def is_tested(self, number: str) -> bool:
        return self._tested.contains(number, prereleases=True)

    @property
    def _tested(self) -> SpecifierSet:
        return _ranges().get((self.extra, canonicalize_name(self.distribution)), SpecifierSet())


@cache
def _ranges() -> dict[tuple[str, str], SpecifierSet]:
    """Of the extras of this very loco-redis, by extra and distribution."""
    found: dict[tuple[str, str], SpecifierSet] = {}
    for line in requires("loco-redis") or ():
        requirement = Requirement(line)
        _, is_extra, extra = str(requirement.marker or "").partition("extra == ")
        if is_extra:
            name = canonicalize_name(requirement.name)
            found[extra.strip("\"'"), name] = requirement.specifier
    return found


def _from(module: str, name: str, use: str) -> str:
    return f"from loco_redis.adapters{module} import {name}\n{use}"


FRAMEWORKS = (
    Framework(
        "Anthropic SDK",
        "anthropic",
        "anthropic",
        _from("", "AnthropicAdapter", "client = AnthropicAdapter(scheduler).wrap(client)"),
    ),
    Framework(
        "OpenAI SDK",
        "openai",
        "openai",
        _from("", "OpenAIAdapter", "client = OpenAIAdapter(scheduler).wrap(client)"),
    ),
    Framework(
        "LangChain",
        "langchain-core",
        "langchain",
        _from(".langchain", "schedule", "model = schedule(model, scheduler)"),
    ),
    Framework(
        "OpenAI Agents SDK",
        "openai-agents",
        "openai-agents",
        _from(
            ".openai_agents",
            "OpenAIAgentsAdapter",
            "run_config = RunConfig(model_provider=OpenAIAgentsAdapter(scheduler))",
        ),
    ),
    Framework(
        "PydanticAI",
        "pydantic-ai-slim",
        "pydantic-ai",
        _from(
            ".pydantic_ai", "PydanticAIAdapter", "model = PydanticAIAdapter(scheduler).model(model)"
        ),
    ),
    Framework(
        "Google ADK",
        "google-adk",
        "adk",
        _from(".adk", "ADKAdapter", "model = ADKAdapter(scheduler).model(model)"),
    ),
    Framework(
        "AWS Bedrock (boto3)",
        "boto3",
        "bedrock",
        _from(".bedrock", "BedrockAdapter", "client = BedrockAdapter(scheduler).wrap(client)"),
    ),
    Framework(
        "AWS Bedrock (aiobotocore)",
        "aiobotocore",
        "aiobotocore",
        _from(".bedrock", "BedrockAdapter", "client = BedrockAdapter(scheduler).wrap(client)"),
    ),
    Framework(
        "CrewAI",
        "crewai",
        "crewai",
        _from(".crewai", "CrewAIAdapter", "llm = CrewAIAdapter(scheduler).llm(llm)"),
    ),
    Framework(
        "LiteLLM",
        "litellm",
        "litellm",
        _from(
            ".litellm",
            "LiteLLMAdapter",
            "acompletion = LiteLLMAdapter(scheduler).acompletion",
        ),
    ),
    Framework(
        "AutoGen",
        "autogen-core",
        "autogen",
        _from(".autogen", "AutoGenAdapter", "client = AutoGenAdapter(scheduler).client(client)"),
    ),
    Framework(
        "Microsoft Agent Framework",
        "agent-framework-core",
        "agent-framework",
        _from(
            ".agent_framework",
            "SchedulerAgentMiddleware",
            "agent = Agent(client, middleware=[SchedulerAgentMiddleware(scheduler)])",
        ),
    ),
    Framework(
        "A2A",
        "a2a-sdk",
        "a2a",
        _from(".a2a", "A2AExecutor", "executor = A2AExecutor(executor, scheduler)"),
    ),
    Framework(
        "MCP",
        "mcp",
        "mcp",
        _from(
            ".mcp", "ScheduledTools", "server = MCPServer(extensions=[ScheduledTools(scheduler)])"
        ),
    ),
    Framework(
        "FastAPI",
        "fastapi",
        "fastapi",
        _from(".asgi", "SlotMiddleware", "app.add_middleware(SlotMiddleware, scheduler=scheduler)"),
    ),
    Framework(
        "taskiq",
        "taskiq",
        "taskiq",
        _from(
            ".taskiq",
            "LOCOTaskiqMiddleware",
            "broker = broker.with_middlewares(LOCOTaskiqMiddleware(scheduler))",
        ),
    ),
    Framework(
        "Celery",
        "celery",
        "celery",
        _from(".celery", "CeleryAdapter", "CeleryAdapter().install(app)"),
    ),
    Framework(
        "arq",
        "arq",
        "arq",
        _from(".arq", "ArqAdapter", "functions = ArqAdapter(scheduler).functions(functions)"),
    ),
)
