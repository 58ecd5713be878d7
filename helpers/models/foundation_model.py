"""Models in memory: load a foundation model or the embedding model, and make tuned copies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import fast
from ..data import KitError, folder_hash
from .download import EMBEDDING_MODEL, FOUNDATION_MODEL, find, progress_bars, weights_hash
from .machine import choose_device, choose_dtype
from .prompts import DATE, MARK, SYSTEM, beginnings, drop_marks, template
from .tuned import ADAPTER, BESIDE, RECORD, WHOLE, merged

if TYPE_CHECKING:
    from llama_index.core.llms import ChatMessage
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..fast import FastAnswers

KEPT = 2  # tuned copies that stay in memory: an arm may answer with two in turn


@dataclass(eq=False)
class FoundationModel:
    """A causal language model in memory, with its tokenizer and the hash of the weights it was loaded from."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    hash: str
    device: str
    dtype: str
    copies: dict[Any, FoundationModel] = field(default_factory=dict, repr=False)  # the latest tuned ones, oldest first

    @property
    def context_length(self) -> int:
        """How many tokens fit into one prompt and its answer."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))

    @property
    def stop_ids(self) -> set[int]:
        """The token ids that end an answer."""
        ids = self.model.generation_config.eos_token_id
        return {*(ids if isinstance(ids, list) else [ids]), self.tokenizer.eos_token_id, self.turn_end[-1]} - {None}

    @cached_property
    def turn_end(self) -> list[int]:
        """The token ids that end a response: what the template writes, to its first special token, or a `KitError`."""
        turns = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "REPLY"}]
        _, shown, after = self._in_template(turns, add_generation_prompt=False).rpartition("REPLY")
        ids = self.encode(after) if shown else []
        if ends := [place for place, token in enumerate(ids, 1) if token in self.special_tokens]:
            return ids[: ends[0]]
        if self.tokenizer.eos_token_id is None:
            raise KitError(
                f"{self.name} has no token that ends an answer: its tokenizer has no `eos_token`, and its chat "
                "template writes none. Set `eos_token` in its tokenizer_config.json, or choose another model."
            )
        return [self.tokenizer.eos_token_id]

    @property
    def text_start(self) -> list[int]:
        """The token before a plain text: the tokenizer's start token or, without one, what ends the text before it."""
        start = self.tokenizer.bos_token_id
        return [self.tokenizer.eos_token_id if start is None else start]

    def chat(self, prompt: str, examples: Sequence[tuple[str, str]] = ()) -> str:
        """A user's turn in the chat template, ready for its answer; `examples` are earlier turns with responses."""
        turns = [text for pair in examples for text in pair] + [prompt]
        if not self.takes_system:
            turns[0] = f"{SYSTEM}\n\n{turns[0]}"
        messages = [{"role": "system", "content": SYSTEM}] if self.takes_system else []
        messages += [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]
        return self._in_template(messages)

    def messages_to_prompt(self, messages: Sequence[ChatMessage]) -> str:
        """LlamaIndex's messages in the chat template, as its `HuggingFaceLLM` takes them; contents are made inert."""
        return self._in_template([{"role": each.role.value, "content": each.content or ""} for each in messages])

    @cached_property
    def takes_system(self) -> bool:
        """Whether the chat template knows a system message; where it does not, the first turn begins with its text."""
        try:
            text = self._in_template([{"role": "system", "content": SYSTEM}, {"role": "user", "content": "A"}])
        except Exception:  # whatever the template raises, or its engine
            return False
        return SYSTEM in text

    def _in_template(self, messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        messages = [message | {"content": self.inert(message["content"])} for message in messages]
        return self.tokenizer.apply_chat_template(  # templates ignore what they do not know
            messages, tokenize=False, add_generation_prompt=add_generation_prompt, date_string=DATE,
            enable_thinking=False,
        )  # fmt: skip

    @cached_property
    def special_tokens(self) -> dict[int, str]:
        """By id, what the tokenizer calls special tokens, and added tokens that its chat template writes."""
        added, written = self.tokenizer.added_tokens_decoder.items(), str(self.tokenizer.chat_template)
        return {id: t.content for id, t in added if t.special or (t.content.strip() and t.content in written)}

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return beginnings(self.special_tokens.values())

    def inert(self, text: str) -> str:
        """A text as content: what looks like a special token in it stays plain text; see `prompts`."""
        return self._names.sub(rf"\1{MARK}", text)

    @cached_property
    def system_prefix(self) -> list[int]:
        """The token ids that every chat without examples begins with: its template and the system message."""
        return os.path.commonprefix([self.encode(self.chat(text)) for text in "AB"])

    @cached_property
    def fast(self) -> FastAnswers | None:
        """What answers faster with this model, made for its first answer; None where `fast` does not know the model."""
        return fast.enable(self.model)

    def encode(self, text: str) -> list[int]:
        """The token ids of a finished prompt, or of a text made `inert`, without special tokens around it."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text, without special tokens around it."""
        return len(self.encode(text))

    def check_adapter(self, folder: str | Path) -> None:
        """KitError for a folder of no tuned weights, or of another model's; one without a record is taken on trust."""
        record = Path(folder) / RECORD
        if not any((Path(folder) / name).is_file() for name in (ADAPTER, WHOLE)):
            raise KitError(f"{folder} holds no adapter (no {ADAPTER}): train it first, or check the path")
        try:
            made = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
            made_for, files = made.get("base_hash"), made.get("files")
        except (OSError, ValueError, AttributeError) as error:
            raise KitError(f"{record} is damaged ({error}). Delete its folder and train again.") from error
        if files and files != folder_hash(Path(folder), BESIDE):
            raise KitError(f"the files in {folder} are not as the training wrote them: delete it and train again")
        if made_for and made_for != self.hash:
            raise KitError(
                f"the weights in {folder} were made for other weights ({made_for[:12]}) than those loaded "
                f"({self.hash[:12]}): load the model that they were trained on, or train them again"
            )

    def tuned(self, folder: str | Path) -> FoundationModel:
        """The model with the tuned weights of a folder: a copy, so that this one stays as it is.

        An adapter is merged into a copy of the weights; a wholly tuned model is loaded. The latest `KEPT` copies stay
        in memory, unless their folder is written again. A `KitError` says what is wrong with the folder.
        """
        folder = Path(folder)
        self.check_adapter(folder)
        key = (folder.resolve(), weights_hash(folder))
        copied = self.copies.pop(key, None)
        while len(self.copies) >= KEPT:  # room first for the one that comes
            del self.copies[next(iter(self.copies))]
        if copied is None:
            adapter = (folder / ADAPTER).is_file()
            model = merged(self.model, folder) if adapter else load_model(folder, self.device, self.dtype).model
            copied = FoundationModel(self.name, model, self.tokenizer, key[1], self.device, self.dtype)
        self.copies[key] = copied
        return copied

    def free_memory(self) -> None:
        """Frees packed weights and tuned copies, for work that needs memory; they are made again."""
        self.__dict__.pop("fast", None)
        self.copies.clear()


def _check_kind(model: PreTrainedModel, name: str) -> None:
    """Refuses models that the kit would treat wrongly: several models in one, and layers that keep a state."""
    from transformers import DynamicCache
    from transformers.cache_utils import LinearAttentionCacheLayerMixin

    if model.config.get_text_config() is not model.config:
        raise KitError(f"{name} is made of several models, for images say: the kit needs one for text alone")
    if any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in DynamicCache(config=model.config).layers):
        raise KitError(f"{name} has layers that keep a state instead of keys and values: the kit needs attention alone")


def load_model(
    name: str | Path = FOUNDATION_MODEL, device: str | None = None, dtype: str | None = None
) -> FoundationModel:
    """Loads a causal language model: a default model, a local folder, or a Hub id such as "org/name".

    Args:
        name: A name in `MODELS`, a folder with config, tokenizer and safetensors, or a Hub id.
        device: "cpu", "cuda" or "mps"; None takes the fastest present.
        dtype: "float32", "bfloat16" or "float16"; None decides by a short timing.

    A `KitError` says that nothing lies there, that it is damaged, or that it has no safetensors weights.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, device = find(str(name)), choose_device(device)
    dtype = dtype or choose_dtype(device)[0]
    try:
        with progress_bars(False):
            safe = {"use_safetensors": True, "trust_remote_code": False}
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **safe)
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    except Exception as error:  # config, weights and tokenizer each have errors of their own
        raise KitError(
            f"the model in {folder} cannot be loaded ({type(error).__name__}: {error}). "
            "Copy its folder again, or choose another model."
        ) from error
    _check_kind(model, str(name))
    tokenizer.chat_template = template(tokenizer)
    drop_marks(tokenizer)
    model.to(device).eval()
    loaded = FoundationModel(str(name), model, tokenizer, weights_hash(folder), device, dtype)
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token_id = loaded.turn_end[-1]
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return loaded


def load_embedder(device: str | None = None, dtype: str | None = None) -> HuggingFaceEmbedding:
    """The default embedding model as LlamaIndex takes it: `embed_model=load_embedder()`."""
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    folder, device = find(EMBEDDING_MODEL), choose_device(device)
    settings = {"dtype": dtype or choose_dtype(device)[0], "use_safetensors": True}
    with progress_bars(False):
        kind = fast.SortedEmbedding if fast.enabled() else HuggingFaceEmbedding
        return kind(model_name=str(folder), device=device, model_kwargs=settings)
