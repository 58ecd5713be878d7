"""Models in memory: load a foundation model or the embedding model, with adapters that can be switched.

    from helpers import models
    fm = models.load_model()                 # the default FM; or a folder, or a Hub id

Weights are safetensors only. A pickle is never read and code from a model's repository is never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .devices import choose_device, choose_dtype
from .fetch import (
    EMBEDDING_MODEL,
    FOUNDATION_MODEL,
    MODELS,
    fetch_from_hub,
    model_folder,
    progress_bars,
    verify,
    weights_hash,
)
from .prompts import SYSTEM
from .records import KitError

if TYPE_CHECKING:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLAIN_CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


@dataclass
class FoundationModel:
    """A causal language model in memory, with its tokenizer and the hash of the weights it was loaded from.

    Adapters live on the one loaded model: `using(adapter)` switches one on for the length of a `with` block.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    hash: str
    device: str
    dtype: str
    adapters: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """How many parameters the base model has; adapters are not counted, tied weights once."""
        return sum(p.numel() for name, p in self.model.named_parameters() if "lora_" not in name)

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
        messages = [{"role": "system", "content": SYSTEM}]
        for asked, answered in examples:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        messages.append({"role": "user", "content": prompt})
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text if response is None else text + response

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text, without special tokens around it."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @contextmanager
    def using(self, adapter: str | Path | None):
        """Computes with an adapter folder's weights inside the block (None: as shipped); nothing is reloaded."""
        if adapter is None and not self.adapters:
            yield self.model
            return
        if adapter is None:
            self.model.disable_adapters()
        else:
            key = _adapter_key(Path(adapter))
            if key not in self.adapters:
                self.model.load_adapter(str(adapter), adapter_name=f"adapter{len(self.adapters)}")
                self.adapters[key] = f"adapter{len(self.adapters)}"
            self.model.enable_adapters()
            self.model.set_adapter(self.adapters[key])
        try:
            self.model.eval()
            yield self.model
        finally:
            self.model.disable_adapters()


def load_model(
    name: str | Path = FOUNDATION_MODEL, device: str | None = None, dtype: str | None = None
) -> FoundationModel:
    """Loads a causal language model: a default model, a local folder, or a Hub id such as "org/name".

    Args:
        name: A name in `MODELS`, a folder with config, tokenizer and safetensors, or a Hub id.
        device: "cpu", "cuda" or "mps"; None takes the fastest present.
        dtype: "float32", "bfloat16" or "float16"; None decides by a short timing.

    Raises:
        KitError: Nothing lies there, or it is damaged, or it has no safetensors weights.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

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
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_CHAT
    model.to(device).eval()
    return FoundationModel(str(name), model, tokenizer, weights_hash(folder), device, dtype)


def _adapter_key(folder: Path) -> str:
    """The place and the last change of an adapter's weights: trained anew in the same folder, it is another adapter.

    Raises:
        KitError: There is no adapter.
    """
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise KitError(f"{folder} holds no adapter (no {weights.name}): train it first, or check the path")
    return f"{folder.resolve()} {weights.stat().st_mtime_ns} {weights.stat().st_size}"


def load_embedder(device: str | None = None, dtype: str | None = None) -> HuggingFaceEmbedding:
    """The default embedding model as LlamaIndex takes it: `embed_model=load_embedder()`."""
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    folder = _find(EMBEDDING_MODEL)
    device = choose_device(device)
    with progress_bars(False):
        return HuggingFaceEmbedding(
            model_name=str(folder),
            device=device,
            embed_batch_size=32,
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
