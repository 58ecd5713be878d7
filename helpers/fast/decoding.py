"""One token a row through a decoder's layers with few calls: what reads the same row is one product.

A small model's token costs a CPU as much in calls as in arithmetic: a layer of Llama's makes some fifty, most of them
on a few hundred numbers. Here queries, keys and values are one product, and so are gate and up; queries and keys are
turned together (RoPE, Su et al. 2021, 2104.09864, section 3.4.2), and a norm takes five calls (RMSNorm, Zhang and
Sennrich 2019, 1910.07467, section 4). All is float32, and with the same packed weights transformers' own layers compute
the same but for the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from . import varlen as unpadded
from .supported_layers import OPENING, READING, attends, normalizes, opens

Forward = Callable[..., Any]
ATTENTIONS = ("sdpa", unpadded.NAME)  # transformers' names of those that are computed as here


def joints(model: nn.Module) -> dict[str, tuple[nn.Linear, ...]]:
    """The linear layers that read the same rows, by the name of the layer they stand in, where its code is known."""
    found = {}
    for name, module in model.named_modules():
        names = READING if _attends(module) else OPENING if opens(module) else ()
        layers = tuple(getattr(module, each) for each in names)
        if layers and _free(module) and all(type(layer) is nn.Linear and _free(layer) for layer in layers):
            found[name] = layers
    return found


def forward(module: nn.Module, few: Callable[[torch.Tensor], bool], product: Forward) -> Forward:
    """What a layer of `joints` computes instead of its own `forward`.

    Args:
        module: An attention or a feed-forward layer.
        few: Whether rows are computed in this way; all others go through the layer's own code.
        product: Of rows and the joined weights.
    """
    return _attention(module, few, product) if _attends(module) else _feed_forward(module, few, product)


def norms(model: nn.Module, few: Callable[[torch.Tensor], bool]) -> dict[nn.Module, Forward]:
    """What norms compute instead of their own `forward`, where their code is known."""
    return {module: _norm(module, few) for module in model.modules() if normalizes(module) and _free(module)}


def _free(module: nn.Module) -> bool:
    """Whether nobody else changes what it computes or waits for its call."""
    return not ("forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks)


def _attends(module: nn.Module) -> bool:
    return attends(module) and module.config._attn_implementation in ATTENTIONS


def _attention(module: nn.Module, few: Callable[[torch.Tensor], bool], product: Forward) -> Forward:
    from transformers.models.llama.modeling_llama import rotate_half

    own, width = type(module).forward, module.head_dim
    asked, kept = module.q_proj.out_features // width, module.k_proj.out_features // width

    def attention(
        hidden_states: torch.Tensor, position_embeddings: Any = None, attention_mask: Any = None,
        past_key_values: Any = None, **more: Any,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        if past_key_values is None or more.get("prompts") is not None or not few(hidden_states):
            return own(module, hidden_states, position_embeddings, attention_mask, past_key_values, **more)
        heads = product(hidden_states).unflatten(-1, (-1, width)).transpose(1, 2)
        turned, value = heads.split([asked + kept, kept], dim=1)
        cos, sin = (each[:, None] for each in position_embeddings)
        query, key = (turned * cos + rotate_half(turned) * sin).split([asked, kept], dim=1)
        key, value = past_key_values.update(key, value, module.layer_idx)
        out = nn.functional.scaled_dot_product_attention(
            query, key, value, attention_mask, scale=module.scaling, enable_gqa=asked != kept
        )
        return module.o_proj(out.transpose(1, 2).flatten(2)), None

    return attention


def _feed_forward(module: nn.Module, few: Callable[[torch.Tensor], bool], product: Forward) -> Forward:
    own = type(module).forward

    def feed_forward(x: torch.Tensor) -> torch.Tensor:
        if not few(x):
            return own(module, x)
        gate, up = product(x).chunk(2, dim=-1)
        return module.down_proj(nn.functional.silu(gate) * up)

    return feed_forward


def _norm(module: nn.Module, few: Callable[[torch.Tensor], bool]) -> Forward:
    own, weight, eps = type(module).forward, module.weight.detach().float(), _constant(module.variance_epsilon)
    share = 1 / len(weight)

    def norm(x: torch.Tensor) -> torch.Tensor:
        if not few(x):
            return own(module, x)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(eps, length, length, value=share).rsqrt_() * weight

    return norm


@cache
def _constant(number: float) -> torch.Tensor:
    return torch.tensor(number)
