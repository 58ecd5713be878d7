"""An embedder's layers written out for one kind of processor: what a better implementation could still gain.

Queries, keys and values are one product, and biases, GELU and the sums around a layer are part of oneDNN's products, by
operators that torch keeps for its own compiler; each core has a thread and batches of its own. Only BERT's layers are
known. The kit does not index in this way: torch promises nothing about these operators, and they gain little. The
benchmark of indexing times it, to tell a target that is missed from one that cannot be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.nn.functional import normalize, scaled_dot_product_attention

ROWS = 16  # texts that go through the layers together; 8 and 32 took as long but for 3 %


def can_be_laid_out(encoder: Any) -> bool:
    """Whether these are BERT's layers, and oneDNN multiplies in their dtype here."""
    bert = getattr(encoder[0], "auto_model", None)
    if type(bert).__name__ != "BertModel" or bert.config.hidden_act != "gelu" or bert.device.type != "cpu":
        return False
    there = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return there and (bert.dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())


class ByHand:
    """Embeds texts as a SentenceTransformer of BERT's layers with mean pooling does, faster and on CPUs alone."""

    def __init__(self, encoder: Any) -> None:
        """Lays out the weights.

        Raises:
            ValueError: It has other layers, or torch has no oneDNN, or oneDNN no such dtype on this processor.
        """
        if not can_be_laid_out(encoder):
            raise ValueError("only BERT's layers are known here, where oneDNN multiplies in their dtype")
        self.encoder, self.bert = encoder, encoder[0].auto_model
        self.heads = self.bert.config.num_attention_heads
        with torch.inference_mode():
            self.layers = [self._laid_out(layer) for layer in self.bert.encoder.layer]

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """One vector of length 1 a text, (texts, width), in float32."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        batches = [order[start : start + ROWS] for start in range(0, len(order), ROWS)]
        threads = torch.get_num_threads()
        vectors = torch.empty(len(texts), self.bert.config.hidden_size)
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                found = pool.map(lambda batch: self._batch(texts, batch), batches)
                for batch, made in zip(batches, found, strict=True):
                    vectors[batch] = made
        finally:
            torch.set_num_threads(threads)
        return vectors

    def _laid_out(self, layer: Any) -> dict[str, Any]:
        attention, inner, outer = layer.attention, layer.intermediate.dense, layer.output
        parts = (attention.self.query, attention.self.key, attention.self.value)
        weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
        pack = torch.ops.mkldnn._reorder_linear_weight
        return {
            "queries, keys, values": (pack(weight, None), bias),
            "output": (pack(attention.output.dense.weight, None), attention.output.dense.bias),
            "inner": (pack(inner.weight, None), inner.bias),
            "outer": (pack(outer.dense.weight, None), outer.dense.bias),
            "norms": (attention.output.LayerNorm, outer.LayerNorm),
        }

    @torch.inference_mode()
    def _batch(self, texts: Sequence[str], batch: Sequence[int]) -> torch.Tensor:
        limit = self.encoder.max_seq_length
        rows = self.encoder.tokenizer([texts[i] for i in batch], truncation=True, max_length=limit)["input_ids"]
        lengths = [len(row) for row in rows]
        states = self.bert.embeddings(
            input_ids=torch.tensor([[token for row in rows for token in row]]),
            position_ids=torch.cat([torch.arange(length) for length in lengths])[None],
        )
        states = states[0]
        for layer in self.layers:
            states = self._layer(states, lengths, layer)
        return torch.stack([normalize(text.float().mean(0), dim=0) for text in states.split(lengths)])

    def _layer(self, states: torch.Tensor, lengths: list[int], layer: dict[str, Any]) -> torch.Tensor:
        product = torch.ops.mkldnn._linear_pointwise
        joined = product(states, *layer["queries, keys, values"], "none", [], "")
        joined = joined.view(len(states), 3, self.heads, -1)
        seen = torch.empty_like(states)
        for text, out in zip(joined.split(lengths), seen.split(lengths), strict=True):
            query, key, value = text.permute(1, 2, 0, 3)[:, None]
            found = scaled_dot_product_attention(query, key, value)[0].transpose(0, 1)
            out.view(found.shape).copy_(found)
        first, second = layer["norms"]
        states = first(product.binary(seen, states, *layer["output"], "add"))
        inner = product(states, *layer["inner"], "gelu", [], "none")
        return second(product.binary(inner, states, *layer["outer"], "add"))
