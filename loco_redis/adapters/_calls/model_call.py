"""A call that a framework makes through objects of its own, by no request that is seen. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from loco_redis.adapters._calls.call import Call, CallOptions
from loco_redis.adapters._calls.formats import USUAL_OUTPUT_TOKENS
from loco_redis.adapters.usage import CHARACTERS_PER_TOKEN, Usage
from loco_redis.adapters.weights import Estimate, prompt_tokens_of


class ModelCall(Call):
    """Told by an adapter what it asks for, and what comes of it.

    Args:
        options: of the adapter.
        framework: begins its tasks' type, as in `langchain:gpt-5`.
        model: as the provider names it; "" where the framework does not tell.
        prompt: what the model reads: texts, and lists and dicts of them; or a dict like a request's
            body, of whose `tools` the keys count as well.
        max_output_tokens: the most that the answer may have; None: not limited.
        agent_id: the framework's own name for who calls, used where neither the context nor the
            options name one.
        use: turns the framework's request to another model; None: it cannot be turned.
    """

    def __init__(
        self,
        options: CallOptions,
        framework: str,
        model: str,
        prompt: object,
        max_output_tokens: int | None = None,
        *,
        agent_id: str | None = None,
        use: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(options)
        if agent_id is not None and self._caller is None and not options.names_agent:
            self.agent_id = agent_id
        self._framework, self._model, self._use = framework, model, use
        body = prompt if isinstance(prompt, dict) else {"messages": prompt}
        self._prompt_tokens = prompt_tokens_of(body)
        self._most = max_output_tokens or USUAL_OUTPUT_TOKENS
        self._usage: Usage | None = None
        self._characters = 0
        self._begun = self._whole = False

    @property
    def model(self) -> str:
        return self._model

    @property
    def task_type(self) -> str:
        return f"{self._framework}:{self._model}"

    def downgrade(self) -> bool:
        cheaper = self.options.fallback_of(self._model)
        if cheaper is None or self._use is None:
            return False
        self._use(cheaper)
        self._model = cheaper
        return True

    def ask_usage(self) -> None:
        """Adapters ask for it, where their framework has to."""

    def began(self) -> None:
        """The answer is on its way: from now on it costs its prompt, whether it is read or not."""
        self._begun = True

    def seen(self, text: str | None) -> None:
        """A piece of the answer's text has come; of a tool call's arguments, too."""
        self._begun = True
        self._characters += len(text or "")

    def used(self, usage: Usage | None) -> None:
        """The provider has reported this, in sum; None: this chunk does not say."""
        if usage is not None:
            self._begun, self._usage = True, usage

    def answered_by(self, model: str) -> None:
        """A router below has turned to this model: the answer costs what it costs there."""
        self._model = model

    def ended(self) -> None:
        """The answer has come to its end."""
        self._begun = self._whole = True

    def bill(self) -> tuple[float, int] | None:
        if not self._begun:
            return 0.0, 0
        usage = self._usage
        if usage is None or not self._whole:
            if self._whole and not self._characters:
                return None
            usage = self._at_least(usage or Usage())
        return self.options.pricing.cost(self._model, usage), usage.total_tokens

    @property
    def _estimate(self) -> Estimate | None:
        return self.options.pricing.estimate(self._model, self._prompt_tokens, self._most)

    def _at_least(self, usage: Usage) -> Usage:
        """Of an answer that broke off, or does not tell: its prompt, and a token for each 4
        characters seen."""
        if not usage.prompt_tokens:
            usage = replace(usage, input_tokens=self._prompt_tokens)
        least = -(-self._characters // CHARACTERS_PER_TOKEN)
        return replace(usage, output_tokens=max(usage.output_tokens, least))
