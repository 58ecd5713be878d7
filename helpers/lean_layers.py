"""Attention and feed-forward layers with adapters in training on a CPU: what reads the same rows is computed together.

Queries, keys and values share what `lean_lora` says, and so do gate and up. Between the products stand two functions
with short ways back: positions are turned into queries and keys (RoPE, Su et al. 2021, 2104.09864, section 3.4.2), and
the gate opens (SwiGLU, Shazeer 2020, 2002.05202, section 2). Every number is rounded as transformers' layers round it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import nn

from . import lean_attention
from .lean_lora import LeanLinear, apply_all, lay_below

READING = ("q_proj", "k_proj", "v_proj")  # as transformers names them
OPENING = ("gate_proj", "up_proj")
APART = 4  # how many roundings a layer's output may lie apart from that of the plain one: products sum in another order
TRIED = 4  # tokens on which that is tried


class LeanTurn(torch.autograd.Function):
    """x cos + rotate_half(x) sin."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Heads (rows, tokens, heads, width), cos and sin (rows, tokens, 1, width)."""
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The other way round: each half by the negative sine of the other one."""
        cos, sin = ctx.saved_tensors
        return _turn(d_out, cos, -torch.cat(sin.chunk(2, -1)[::-1], -1)), None, None


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    (first, second), (cos_1, cos_2), (sin_1, sin_2) = (each.chunk(2, -1) for each in (x, cos, sin))
    return torch.cat([first * cos_1 - second * sin_1, second * cos_2 + first * sin_2], -1)


class LeanGate(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """Both (..., width); in float32, silu(gate) is made again on the way back instead of kept."""
        opened = nn.functional.silu(gate)
        if gate.element_size() == 4:
            ctx.save_for_backward(gate, up)
            return opened.mul_(up)
        ctx.save_for_backward(gate, up, opened)
        return opened * up

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """dgate = silu'(gate) dy up; dup = dy silu(gate)."""
        gate, up, *kept = ctx.saved_tensors
        if torch.compiler.is_compiling():  # one exponential for both
            share = torch.sigmoid(gate)
            return d_out * up * share * (1 + gate * (1 - share)), d_out * (gate * share)
        opened = kept[0] if kept else nn.functional.silu(gate)
        return torch.ops.aten.silu_backward(d_out * up, gate), d_out * opened


class LeanAttentionLayer:
    """An attention layer of transformers that computes queries, keys and values together."""

    def forward(
        self, hidden_states: torch.Tensor, position_embeddings: Any = None, attention_mask: Any = None,
        past_key_values: Any = None, **more: Any,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        """As transformers' own layer."""
        cos, sin = position_embeddings
        if past_key_values is not None or cos.shape[-1] != self.head_dim:
            return super().forward(hidden_states, position_embeddings, attention_mask, past_key_values, **more)
        parts = apply_all(hidden_states, self.below, [getattr(self, name) for name in READING])
        query, key, value = (part.unflatten(-1, (-1, self.head_dim)) for part in parts)
        query, key = (LeanTurn.apply(part, cos[:, :, None], sin[:, :, None]) for part in (query, key))
        heads = (part.transpose(1, 2) for part in (query, key, value))
        out, _ = lean_attention.attention(self, *heads, attention_mask, self.scaling)
        return self.o_proj(out.flatten(2)), None


class LeanFeedForward:
    """A feed-forward layer of transformers that computes gate and up together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As transformers' own layer."""
        gate, up = apply_all(x, self.below, [getattr(self, name) for name in OPENING])
        return self.down_proj(LeanGate.apply(gate, up))


def prepare(model: nn.Module) -> None:
    """Lets a model train with them, where its layers compute the same: tried on rows made at random."""
    for module in list(model.modules()):
        if _takes(module, ("hidden_states", "position_embeddings", "attention_mask")):
            plain = getattr(module.config, "_attn_implementation", None) == lean_attention.NAME
            _try(module, LeanAttentionLayer, READING if plain and hasattr(module, "head_dim") else ())
        elif _takes(module, ("x",)):
            _try(module, LeanFeedForward, OPENING)


def _takes(module: nn.Module, names: Sequence[str]) -> bool:
    """Whether its forward pass begins with arguments of these names."""
    return list(signature(type(module).forward).parameters)[1 : len(names) + 1] == list(names)


def _try(module: nn.Module, lean: type, names: Sequence[str]) -> None:
    """Makes a layer lean; it stays as it is where its parts are others, or it computes something else."""
    layers = [getattr(module, name, None) for name in names]
    if not layers or not all(type(layer) is LeanLinear for layer in layers):
        return
    if len({layer.scale for layer in layers}) > 1:
        return
    plain, wanted = type(module), _tried(module, layers[0])
    module.below, module.__class__ = lay_below(layers), _kind(lean, plain)
    roundings = (_tried(module, layers[0]) - wanted).abs().max() / wanted.abs().max() / torch.finfo(wanted.dtype).eps
    if not roundings <= APART:
        module.__class__ = plain
        del module.below


@cache
def _kind(lean: type, plain: type) -> type:
    """The class of a lean layer of this kind; one for all of them, so that they are compiled once."""
    return type(f"Lean{plain.__name__}", (lean, plain), {})


@torch.no_grad()
def _tried(module: Any, layer: nn.Linear) -> torch.Tensor:
    """What a layer makes of a few rows."""
    made, like = torch.Generator().manual_seed(0), layer.base_layer.weight
    rows = torch.randn(1, TRIED, layer.in_features, generator=made).to(like)
    if not hasattr(module, "head_dim"):
        return module(rows)
    places = tuple(torch.randn(1, TRIED, module.head_dim, generator=made).to(like) for _ in range(2))
    mask = torch.full((TRIED, TRIED), torch.finfo(like.dtype).min).triu(1).to(like)[None, None]
    return module(rows, position_embeddings=places, attention_mask=mask)[0]
