"""Attention and feed-forward layers with adapters in training on a CPU: what reads the same rows is computed together.

Queries, keys and values share what `lean_lora` says, and so do gate and up. Between the products stand two functions
with short ways back: positions are turned into queries and keys (RoPE, Su et al. 2021, 2104.09864, section 3.4.2), and
the gate opens (SwiGLU, Shazeer 2020, 2002.05202, section 2). The forward pass rounds as transformers' layers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from . import training_attention as lean_attention
from .lora import LeanLinear, join, joinable, together
from .supported_layers import OPENING, READING, attends, opens


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

    joint: torch.Tensor | None = None

    def forward(
        self, hidden_states: torch.Tensor, position_embeddings: Any = None, attention_mask: Any = None,
        past_key_values: Any = None, **more: Any,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        """As transformers' own layer."""
        if past_key_values is not None:
            return super().forward(hidden_states, position_embeddings, attention_mask, past_key_values, **more)
        cos, sin = position_embeddings
        parts = together(hidden_states, [getattr(self, name) for name in READING], self.joint)
        query, key, value = (part.unflatten(-1, (-1, self.head_dim)) for part in parts)
        query, key = (LeanTurn.apply(part, cos[:, :, None], sin[:, :, None]) for part in (query, key))
        heads = (part.transpose(1, 2) for part in (query, key, value.contiguous()))  # kept: without queries and keys
        out, _ = lean_attention.attention(self, *heads, attention_mask, self.scaling)
        return self.o_proj(out.flatten(2)), None


class LeanFeedForward:
    """A feed-forward layer of transformers that computes gate and up together, where both have adapters."""

    joint: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As transformers' own layer."""
        gate, up = together(x, [getattr(self, name) for name in OPENING], self.joint)
        return self.down_proj(LeanGate.apply(gate, up))


def prepare(model: nn.Module) -> None:
    """Lets a model train with them, where its layers are computed by the very code that they stand for.

    Feed-forward layers without adapters gain memory alone, and in float32 alone. In 16 bits adapters are joined with
    their weights, here and in all other layers.
    """
    for module in list(model.modules()):
        if _attends(module) and _adapted(module, READING):
            module.__class__ = _kind(LeanAttentionLayer, type(module))
            _join(module, READING)
        elif opens(module) and (_adapted(module, OPENING) or next(module.parameters()).element_size() == 4):
            module.__class__ = _kind(LeanFeedForward, type(module))
            _join(module, OPENING)
    for module in list(model.modules()):
        if joinable([module]):
            join(module, [module])


def _join(module: nn.Module, names: Sequence[str]) -> None:
    """Joins the layers of these names, where they can be."""
    layers = [getattr(module, name) for name in names]
    if joinable(layers):
        join(module, layers)


def _attends(module: nn.Module) -> bool:
    return attends(module) and module.config._attn_implementation == lean_attention.NAME


def _adapted(module: nn.Module, names: Sequence[str]) -> bool:
    """Whether all layers of these names have plain adapters."""
    return all(type(getattr(module, name)) is LeanLinear for name in names)


@cache
def _kind(lean: type, plain: type) -> type:
    """The class of a lean layer of this kind; one for all of them, so that they are compiled once."""
    return type(f"Lean{plain.__name__}", (lean, plain), {})
