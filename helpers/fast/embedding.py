"""LlamaIndex's HuggingFaceEmbedding, which on a CPU reads texts without padding.

LlamaIndex hands over texts in the order of the documents, and the model pads each to the longest of its batch. Here
all texts of a batch form one row, and only attention sees where one ends (`varlen`). tools/benchmarks/indexing.py
measures what that brings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from transformers import PreTrainedModel

from . import varlen

ROWS = 32  # texts that go through the model together; 8 to 64 were equally fast on a CPU, to within a tenth
TRIAL = ["The tide turns.", "A text that is longer than the first one, so that one of the two would be padded."]
ALIKE = 0.999  # cosine of a text's vectors with and without padding; in 16 bits MiniLM's is 0.9999 and more


class VarlenEmbedding(HuggingFaceEmbedding):
    """Gives the same vectors as its parent, and computes no padding on a CPU."""

    def __init__(self, **options: Any):
        """Takes the options of `HuggingFaceEmbedding`."""
        super().__init__(**{"embed_batch_size": ROWS} | options)
        if self._device == "cpu":
            read_without_padding(self._model)


def read_without_padding(encoder: Any) -> bool:
    """Lets a SentenceTransformer on a CPU read texts without padding, where that gives the vectors it gave before.

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
    flat |= varlen.inputs([torch.arange(length) for length in lengths])
    flat["cu_seq_lens_q"] = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    flat["texts"] = varlen.Texts(tuple(lengths.tolist()))
    return flat
