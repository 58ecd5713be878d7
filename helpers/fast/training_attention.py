"""Attention for training on a CPU: no scores of later keys, and one matrix a layer kept for the backward pass, or none.

A token never sees a later one, so a block of queries meets only the keys up to its last one: of a long row, little more
than half of the scores; of one that fits a block, all. And where transformers' eager attention lets autograd keep the
scores as float32, as 16-bit probabilities, and the keys and values repeated for each query head, the probabilities
alone are kept, once and in the model's dtype, and heads that share keys are computed as one product; where they are
large, they are computed again in the backward pass. Where the scaling is a power of two, as with heads 64 wide, the
forward pass rounds as eager attention does, so its loss is the same number; elsewhere it rounds the scores once in 16
bits where eager attention does so twice.

Formulas of the backward pass: Dao et al. 2022 (FlashAttention, 2205.14135), appendix B.2, in blocks of queries alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "training"  # transformers' name of this attention
BLOCK = 512  # bytes of a score for each query of a block: 256 queries in 16 bits, 128 in float32, each the fastest
KEPT = 10 * 2**20  # bytes of a layer's probabilities above which they are not kept: 768 tokens in float32


class TrainingAttention(torch.autograd.Function):
    """softmax(scaling * Q K' + mask) V, with gradients for queries, keys and values."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Query (rows, key heads, heads that share a key, tokens, width), key and value without the third.

        `mask` is added to the scores, and hides from each token those after it: (rows, 1, 1, tokens, tokens).
        """
        out, saved = query.new_empty(*query.shape[:-1], value.shape[-1]), []
        kept = sum((end - begin) * end for begin, end in _blocks(query)) * len(query) * query.shape[1] * query.shape[2]
        kept = kept * query.element_size() <= KEPT
        for begin, end in _blocks(query):
            probabilities = _probabilities(query, key, mask, scaling, begin, end)
            found = torch.matmul(probabilities.flatten(2, 3), value[..., :end, :])
            out[..., begin:end, :] = found.view(*out.shape[:3], end - begin, -1)
            saved += [probabilities] if kept else []
        ctx.save_for_backward(query, key, value, *(saved if kept else [mask]))
        ctx.scaling, ctx.kept = scaling, kept
        return out

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        """dV = P' dO; dS = P * (dP - rowsum(P * dP)) with dP = dO V'; dQ = dS K; dK = dS' Q."""
        query, key, value, *saved = ctx.saved_tensors
        d_query, scaling = torch.empty_like(query), ctx.scaling
        d_key, d_value = (torch.zeros_like(each, dtype=torch.float32) for each in (key, value))
        for number, (begin, end) in enumerate(_blocks(query)):
            if ctx.kept:
                probabilities = saved[number]
            else:
                probabilities = _probabilities(query, key, saved[0], scaling, begin, end)
            d_block = d_out[..., begin:end, :].flatten(2, 3)
            d_scores = torch.matmul(d_block, value[..., :end, :].transpose(-1, -2)).view_as(probabilities)
            d_scores = torch._softmax_backward_data(d_scores, probabilities, -1, query.dtype).flatten(2, 3)
            d_part = torch.matmul(d_scores, key[..., :end, :]).mul_(scaling)
            d_query[..., begin:end, :] = d_part.view_as(query[..., begin:end, :])
            of_keys = torch.matmul(d_scores.transpose(-1, -2), query[..., begin:end, :].flatten(2, 3))
            d_key[..., :end, :].add_(of_keys, alpha=scaling)
            d_value[..., :end, :] += torch.matmul(probabilities.flatten(2, 3).transpose(-1, -2), d_block)
        return d_query, d_key.to(key.dtype), d_value.to(value.dtype), None, None


def _blocks(query: torch.Tensor) -> list[tuple[int, int]]:
    """The first query of each block, and the one after its last."""
    tokens, step = query.shape[-2], BLOCK // query.element_size()
    return [(begin, min(begin + step, tokens)) for begin in range(0, tokens, step)]


def _probabilities(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float, begin: int, end: int
) -> torch.Tensor:
    """Of a block of queries, for the keys up to its end."""
    block = query[..., begin:end, :]
    scores = torch.matmul(block.flatten(2, 3), key[..., :end, :].transpose(-1, -2)).view(*block.shape[:-1], end)
    return torch.add(mask[..., begin:end, :end], scores, alpha=scaling, out=scores).softmax(-1)


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor,
    scaling: float, **more: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention as transformers calls it.

    Args:
        module: The attention layer.
        query: (rows, heads, tokens, width); keys and values may have fewer heads.
        key: Of the same tokens.
        value: Of the same tokens.
        attention_mask: Is added to the scores, and hides later tokens: (rows, 1, tokens, tokens).
        scaling: Of the products of queries and keys.
        more: What else a layer asks for is not done; `enable_training` compares the results.

    Returns:
        (rows, tokens, heads, width of a value).
    """
    rows, heads, tokens, width = query.shape
    query, key, attention_mask = (each.to(value.dtype) for each in (query, key, attention_mask))  # under autocast
    grouped = query.reshape(rows, key.shape[1], -1, tokens, width)
    out = TrainingAttention.apply(grouped, key, value, attention_mask[:, :, None], scaling)
    return out.reshape(rows, heads, tokens, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)


def enable(model: PreTrainedModel) -> Callable[[], None]:
    """Lets a model train with it, else with transformers' eager attention; returns what undoes it.

    Whether more is done to the scores (capping, sinks) shows when the first losses are compared, see `training`.
    """
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME if getattr(model, "_supports_attention_backend", False) else "eager")
    return lambda: model.set_attn_implementation(before)
