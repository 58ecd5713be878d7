"""LlamaIndex's HuggingFaceEmbedding, read without padding on a CPU, and with little of it elsewhere.

LlamaIndex hands over as many texts as a batch holds, in the order of the documents, and the model pads each to the
longest of them. Here it hands over many, and sentence-transformers sorts them by length before it makes batches. On a
CPU even these hold a seventh of padding; there all texts of a batch stand in one row, and only attention sees where one
ends (`unpadded`). benchmarks/indexing.py measures what that brings beside LlamaIndex's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from transformers import PreTrainedModel

from . import varlen

HANDED_OVER = 512  # texts that LlamaIndex hands over at one time
ROWS, CPU_ROWS = 64, 32  # texts that go through the model together; on a CPU 8 to 64 were as fast but for a tenth
TRIAL = ["The tide turns.", "A text that is longer than the first one, so that one of the two would be padded."]
ALIKE = 0.999  # cosine of a text's vectors with and without padding; in 16 bits MiniLM's is 0.9999 and more


class UnpaddedEmbedding(HuggingFaceEmbedding):
    """Embeds the same vectors as its parent, and computes less padding, or none."""

    def __init__(self, **options: Any):
        """Takes the options of `HuggingFaceEmbedding`, but for the size of a batch."""
        super().__init__(embed_batch_size=HANDED_OVER, **options)
        if self._device == "cpu":
            read_without_padding(self._model)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex keeps, for example in the key of a cache."""
        return "UnpaddedEmbedding"

    def _embed(self, inputs: list[Any], prompt_name: str | None = None) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        rows = CPU_ROWS if self._device == "cpu" else ROWS
        vectors = self._model.encode(
            inputs, batch_size=rows, prompt_name=prompt_name, normalize_embeddings=self.normalize,
            show_progress_bar=self.show_progress_bar,
        )  # fmt: skip
        return vectors.tolist()


def read_without_padding(encoder: Any) -> bool:
    """Lets a SentenceTransformer on a CPU read texts side by side, where that gives the vectors that it gave before.

    Returns:
        Whether it does; embedders that need padding, by their attention or their positions, stay as they are.
    """
    first = encoder[0]
    model = getattr(first, "auto_model", None)
    if not isinstance(model, PreTrainedModel):
        return False
    vectors = partial(encoder.encode, TRIAL, convert_to_tensor=True, show_progress_bar=False)
    before, implementation = vectors(), model.config._attn_implementation
    if not varlen.accept(model):
        return False
    first.preprocess = partial(_in_one_row, first.preprocess)
    cosines = torch.cosine_similarity(before.float(), vectors().float())
    if cosines.min() >= ALIKE:
        return True
    del first.preprocess
    model.set_attn_implementation(implementation)
    return False


def _in_one_row(preprocess: Callable[..., dict[str, Any]], inputs: Any, *arguments: Any, **options: Any) -> dict:
    """What sentence-transformers' preprocessing gives, with the tokens of all texts in one row, (1, tokens).

    `cu_seq_lens_q` tells its pooling where texts end: that is the name which flash attention gave it.
    """
    features = preprocess(inputs, *arguments, **options)
    mask = features.get("attention_mask")
    if mask is None or mask.ndim != 2 or len(mask) == 1:
        return features
    lengths, there = mask.sum(dim=1), mask.bool()
    flat = {
        name: value[there][None] if isinstance(value, torch.Tensor) and value.shape == mask.shape else value
        for name, value in features.items()
    }
    return (
        flat
        | varlen.inputs([torch.arange(length) for length in lengths])
        | {
            "cu_seq_lens_q": torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
            "texts": varlen.Texts(tuple(lengths.tolist())),
        }
    )
