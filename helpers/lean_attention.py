"""Attention for training on a CPU that keeps one matrix a layer for the way back, or none, instead of several.

transformers' eager attention lets autograd keep the scores as float32, as 16-bit probabilities, and the keys and values
repeated for each query head. Here the probabilities alone are kept, once and in the model's dtype, and heads that share
keys are computed as one product; where they are large, they are computed again on the way back instead. The forward
pass rounds as eager attention does, so its loss is the same number.

Formulas of the backward pass: Dao et al. 2022 (FlashAttention, 2205.14135), appendix B.2, without its tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "lean"  # transformers' name of this attention
KEPT = 16 * 2**20  # bytes of a layer's probabilities above which they are not kept: 768 tokens in float32
MORE = ("attn_logit_softcapping", "attention_dropout")  # config fields of an attention that does more


class LeanAttention(torch.autograd.Function):
    """softmax(scaling * Q K' + mask) V, with gradients for queries, keys and values."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Query (rows, key heads, heads that share a key, tokens, width), key and value with 1 in the third place.

        `mask` is added to the scores: (rows, 1, 1, tokens, tokens).
        """
        probabilities = _probabilities(query, key, mask, scaling)
        kept = probabilities.nbytes <= KEPT
        ctx.save_for_backward(query, key, value, probabilities if kept else mask)
        ctx.scaling, ctx.kept = scaling, kept
        return torch.matmul(probabilities, value)

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        """dV = P' dO; dS = P * (dP - rowsum(P * dP)) with dP = dO V'; dQ = dS K; dK = dS' Q."""
        query, key, value, saved = ctx.saved_tensors
        probabilities = saved if ctx.kept else _probabilities(query, key, saved, ctx.scaling)
        d_value = torch.matmul(probabilities.transpose(-1, -2), d_out).sum(2, keepdim=True)
        d_scores = torch.matmul(d_out, value.transpose(-1, -2)).float()
        wide = probabilities.float()
        d_scores.sub_((d_scores * wide).sum(-1, keepdim=True)).mul_(wide)
        d_scores = d_scores.to(query.dtype).mul_(ctx.scaling)
        d_key = torch.matmul(d_scores.transpose(-1, -2), query).sum(2, keepdim=True)
        return torch.matmul(d_scores, key), d_key, d_value, None, None


def _probabilities(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    scores = torch.matmul(query, key.transpose(-1, -2)).mul_(scaling).add_(mask)
    return scores.softmax(-1, dtype=torch.float32).to(query.dtype)


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor,
    scaling: float, **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention as transformers calls it.

    Args:
        module: The attention layer.
        query: (rows, heads, tokens, width); keys and values may have fewer heads.
        key: Of the same tokens.
        value: Of the same tokens.
        attention_mask: Is added to the scores: (rows, 1, tokens, tokens).
        scaling: Of the products of queries and keys.

    Returns:
        (rows, tokens, heads, width).
    """
    rows, heads, tokens, width = query.shape
    grouped = query.reshape(rows, key.shape[1], -1, tokens, width)
    out = LeanAttention.apply(grouped, key[:, :, None], value[:, :, None], attention_mask[:, :, None], scaling)
    return out.reshape(rows, heads, tokens, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)


def prepare(model: PreTrainedModel) -> None:
    """Lets a model train with it, where its attention is plain; another one gets transformers' eager attention."""
    plain = getattr(model, "_supports_attention_backend", False)
    plain = plain and not any(getattr(model.config, name, None) for name in MORE)
    plain = plain and not any(hasattr(module, "sinks") for module in model.modules())  # learned, beside the scores
    model.set_attn_implementation(NAME if plain else "eager")
