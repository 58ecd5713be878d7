"""Models in memory: load a foundation model or the embedding model, with adapters that can be switched.

    from helpers import models
    fm = models.load_model()                 # the default FM; or a folder, or a Hub id

Weights are safetensors only. A pickle is never read and code from a model's repository is never run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import KitError
from . import adapters
from .download import (
    EMBEDDING_MODEL,
    FOUNDATION_MODEL,
    MODELS,
    fetch_from_hub,
    model_folder,
    progress_bars,
    verify,
    weights_hash,
)
from .machine import choose_device, choose_dtype, leave_libraries_alone, trim_heap
from .prompts import SYSTEM

if TYPE_CHECKING:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DATE = "26 Jul 2024"  # what a template that tells the date is given: prompts must be the same every day
PLAIN_CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


@dataclass
class FoundationModel:
    """A causal language model in memory, with its tokenizer and the hash of the weights it was loaded from.

    Tuned weights live on the one loaded model for the length of a `with` block: see `using`. `active` names their
    folder there. `kept` holds what each weights made of the system message, see `openings`;
    `exact` holds copies of its weights that compute few rows in float32, made when `few_rows` first needs them, and
    `tuned_exact` those of the tuned weights that were last in the model. `busy` is held while answers are decoded.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    hash: str
    device: str
    dtype: str
    active: Path | None = None
    kept: dict[Any, dict[tuple[int, ...], Any]] = field(default_factory=dict, repr=False)
    exact: dict[str, tuple[Any, Any]] = field(default_factory=dict, repr=False)
    tuned_exact: dict[Any, dict[str, Any]] = field(default_factory=dict, repr=False)
    busy: Any = field(default_factory=threading.RLock, repr=False, compare=False)

    @cached_property
    def parameters(self) -> int:
        """How many parameters the model has; tied weights count once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def context_length(self) -> int:
        """How many tokens fit into one prompt and its answer."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))

    @property
    def stop_ids(self) -> set[int]:
        """The token ids that end an answer."""
        ids = self.model.generation_config.eos_token_id
        ids = set(ids if isinstance(ids, list) else [ids]) | {self.tokenizer.eos_token_id}
        return {i for i in ids if i is not None}

    def chat(self, prompt: str, response: str | None = None, examples: Sequence[tuple[str, str]] = ()) -> str:
        """The prompt in the model's chat template, ready for its answer, or followed by `response`.

        Args:
            prompt: The user's turn.
            response: The assistant's turn, where it is known.
            examples: Earlier turns, each a prompt and its response.
        """
        messages = []
        for asked, answered in examples:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        messages.append({"role": "user", "content": prompt})
        if self.takes_system:
            messages.insert(0, {"role": "system", "content": SYSTEM})
        else:
            messages[0] = {"role": "user", "content": f"{SYSTEM}\n\n{messages[0]['content']}"}
        text = self._in_template(messages)
        return text if response is None else text + response

    @cached_property
    def takes_system(self) -> bool:
        """Whether the chat template knows a system message; where it does not, the first turn begins with its text."""
        try:
            text = self._in_template([{"role": "system", "content": SYSTEM}, {"role": "user", "content": "A"}])
        except Exception:  # whatever the template raises, or its engine
            return False
        return SYSTEM in text

    def _in_template(self, messages: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(  # templates ignore what they do not know
            messages, tokenize=False, add_generation_prompt=True, date_string=DATE, enable_thinking=False
        )

    @cached_property
    def opening(self) -> list[int]:
        """The token ids that every chat without examples begins with: its template and the system message."""
        one, other = (self.tokenizer(self.chat(text), add_special_tokens=False)["input_ids"] for text in "AB")
        return os.path.commonprefix([one, other])

    @property
    def openings(self) -> dict[tuple[int, ...], Any]:
        """What the weights that are in the model now made of its opening, by token ids.

        It stays when other weights are put in and these come back, so that arms that take turns pay the same for it;
        weights that were written anew begin with nothing.
        """
        written = None if self.active is None else adapters.written(self.active)
        return self.kept.setdefault((self.active, written), {})

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text, without special tokens around it."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def check_adapter(self, folder: str | Path) -> None:
        """Refuses an adapter that was made for another model, and a folder that holds none.

        Raises:
            KitError: As said.
        """
        adapters.check(Path(folder), self.hash)

    @contextmanager
    def using(self, adapter: str | Path | None):
        """Computes with the tuned weights of a folder inside the block (None: as shipped); nothing is reloaded.

        A block inside a block of the same folder changes nothing.

        Raises:
            KitError: Other tuned weights are in the model already, or they do not fit it.
        """
        folder = None if adapter is None else Path(adapter)
        if folder == self.active:
            yield self.model
            return
        if self.active is not None:
            raise KitError(f"the weights of {self.active} are in the model: leave their block before using {folder}")
        self.check_adapter(folder)
        from ..fast import packed_weights as few_rows

        shipped, key = few_rows.valid(self), (folder, adapters.written(folder))
        with adapters.applied(self.model, folder):
            few_rows.put_back(self, self.tuned_exact.get(key, {}))
            self.active, put_in = folder, few_rows.states(self)
            try:
                yield self.model
            finally:
                self.active = None
                self.tuned_exact = {key: few_rows.valid(self)} if few_rows.states(self) == put_in else {}
        few_rows.put_back(self, shipped)
        trim_heap()  # what stood aside meanwhile left holes all over the heap

    def forget_exact(self) -> None:
        """Drops the copies of weights that `few_rows` made, for work that needs their memory; they are made again."""
        self.exact.clear()
        self.tuned_exact.clear()


def _template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's chat template, with one fixed day in it; a plain one where it has none."""
    template = tokenizer.chat_template
    if template is None:
        begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        return ("{{ bos_token }}" if begins else "") + PLAIN_CHAT
    if isinstance(template, str) and "strftime_now" in template:
        return "{%- macro strftime_now(format) -%}" + DATE + "{%- endmacro -%}" + template
    return template


def _check_kind(model: PreTrainedModel, name: str) -> None:
    """Refuses models that the kit would treat wrongly.

    Raises:
        KitError: It is not one decoder of text, or some of its layers keep a state instead of keys and values.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import LinearAttentionCacheLayerMixin

    if model.config.get_text_config() is not model.config:
        raise KitError(f"{name} is made of several models, for images say: the kit needs one for text alone")
    if any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in DynamicCache(config=model.config).layers):
        raise KitError(f"{name} has layers that keep a state instead of keys and values: the kit needs attention alone")


def load_model(
    name: str | Path = FOUNDATION_MODEL,
    device: str | None = None,
    dtype: str | None = None,
    adapter: str | Path | None = None,
) -> FoundationModel:
    """Loads a causal language model: a default model, a local folder, or a Hub id such as "org/name".

    Args:
        name: A name in `MODELS`, a folder with config, tokenizer and safetensors, or a Hub id.
        device: "cpu", "cuda" or "mps"; None takes the fastest present.
        dtype: "float32", "bfloat16" or "float16"; None decides by a short timing.
        adapter: A folder of tuned weights that are put in for good; `FoundationModel.using` puts them in for a block.

    Raises:
        KitError: Nothing lies there, or it is damaged, or it has no safetensors weights, or the adapter does not fit.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..fast import varlen as unpadded

    leave_libraries_alone()
    folder = _find(str(name))
    device = choose_device(device)
    dtype = dtype or choose_dtype(device)[0]
    try:
        with progress_bars(False):
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # config, weights and tokenizer each have errors of their own
        raise KitError(
            f"the model in {folder} cannot be loaded ({type(error).__name__}: {error}). "
            "Copy its folder again, or choose another model."
        ) from error
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = _template(tokenizer)
    _check_kind(model, str(name))
    model.to(device).eval()
    if device == "cpu":
        unpadded.prepare(model)
    fm = FoundationModel(str(name), model, tokenizer, weights_hash(folder), device, dtype)
    if adapter is not None:
        fm.check_adapter(adapter)
        adapters.put_in(model, Path(adapter))
        fm.hash = weights_hash(Path(adapter))
    return fm


def load_embedder(device: str | None = None, dtype: str | None = None) -> HuggingFaceEmbedding:
    """The default embedding model as LlamaIndex takes it: `embed_model=load_embedder()`."""
    from ..fast import UnpaddedEmbedding

    leave_libraries_alone()
    folder = _find(EMBEDDING_MODEL)
    device = choose_device(device)
    with progress_bars(False):
        return UnpaddedEmbedding(
            model_name=str(folder),
            device=device,
            model_kwargs={"dtype": dtype or choose_dtype(device)[0], "use_safetensors": True},
        )


def _find(name: str) -> Path:
    """The local folder of a default model, a path or a Hub id, checked to hold safetensors."""
    if name in MODELS:
        problems = verify(name)
        if problems:
            raise KitError("\n".join(problems))
        return model_folder(name)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = fetch_from_hub(name)
    if not list(folder.glob("*.safetensors")):
        raise KitError(f"{folder} holds no *.safetensors file. This kit reads no pickled weights: convert them first.")
    return folder
