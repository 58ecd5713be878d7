"""The kit's foundation model as a LlamaIndex LLM, so that LlamaIndex's own query engine runs on it.

engine = index.llama_index.as_query_engine(llm=KitLLM(fm=fm), text_qa_template=qa_template())
"""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import CompletionResponse, CompletionResponseGen, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.prompts import PromptTemplate
from pydantic import InstanceOf

from ..experiment import SHORT_ANSWER
from ..models import FoundationModel, generation, prompts


class KitLLM(CustomLLM):
    """A LlamaIndex LLM that decodes greedily with `helpers.generation`; `max_new_tokens` bounds each reply."""

    fm: InstanceOf[FoundationModel]
    adapter: str | None = None
    max_new_tokens: int = SHORT_ANSWER

    def __init__(self, fm: FoundationModel, **options: Any):
        """Puts a model behind LlamaIndex's interface; its chat template is what LlamaIndex finishes a prompt with."""
        fm = fm.tuned(options["adapter"]) if options.get("adapter") else fm
        super().__init__(fm=fm, **{"completion_to_prompt": fm.chat} | options)

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex needs to know to fit passages into the context."""
        return LLMMetadata(
            context_window=self.fm.context_length, num_output=self.max_new_tokens, model_name=self.fm.name
        )

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answers one prompt; it is put into the model's chat template first, unless it is `formatted` already."""
        text = prompt if formatted else self.completion_to_prompt(prompt)
        made = generation.generate(self.fm, [text], self.max_new_tokens, batch_size=1)[0]
        return CompletionResponse(text=made.text, additional_kwargs={"prompt": text, "new_tokens": made.new_tokens})

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The finished answer as a stream of one piece."""
        answer = self.complete(prompt, formatted, **kwargs)
        answer.delta = answer.text
        yield answer


def qa_template() -> PromptTemplate:
    """The kit's RAG prompt as LlamaIndex takes it: `{context_str}` and `{query_str}`."""
    return PromptTemplate(prompts.EXPANDED.format(passages="{context_str}", question="{query_str}"))
