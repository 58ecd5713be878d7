"""Which layers of a model are computed by code that the kit knows, whatever model they stand in.

Many models of transformers share Llama's attention, feed-forward layers and norms line by line. Where the kit computes
such a layer in another way, in training (`lean_layers`) or in decoding (`lean_decoding`), it does so for this very code
alone.
"""

from __future__ import annotations

from functools import cache
from inspect import unwrap
from typing import Any

from torch import nn

READING = ("q_proj", "k_proj", "v_proj")  # as transformers names them
OPENING = ("gate_proj", "up_proj")


def attends(module: nn.Module) -> bool:
    """Whether it is an attention layer with the code of Llama's, Mistral's or Qwen2's that turns as they do (RoPE)."""
    return _attends(type(module))


def opens(module: nn.Module) -> bool:
    """Whether it is a feed-forward layer with the code of Llama's and silu as its gate."""
    from transformers.activations import ACT2FN

    return _opens(type(module)) and type(module.act_fn) is type(ACT2FN["silu"])


def normalizes(module: nn.Module) -> bool:
    """Whether it is a norm with the code of Llama's: weight * x / sqrt(mean(x^2) + variance_epsilon)."""
    return _normalizes(type(module))


@cache
def _attends(kind: type) -> bool:
    from transformers.models.llama import modeling_llama as llama
    from transformers.models.mistral.modeling_mistral import MistralAttention
    from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention

    known = [_code(each.forward) for each in (llama.LlamaAttention, MistralAttention, Qwen2Attention)]
    if _code(kind.forward) not in known:
        return False
    parts = ("apply_rotary_pos_emb", "rotate_half")
    return all(_code(kind.forward.__globals__.get(name)) == _code(getattr(llama, name)) for name in parts)


@cache
def _opens(kind: type) -> bool:
    from transformers.models.llama.modeling_llama import LlamaMLP

    return _code(kind.forward) == _code(LlamaMLP.forward)


@cache
def _normalizes(kind: type) -> bool:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    return _code(kind.forward) == _code(LlamaRMSNorm.forward)


def _code(function: Any) -> tuple[Any, ...] | None:
    """What a function does, whatever its module and its docstring; None of what is no Python function."""
    code = getattr(unwrap(function), "__code__", None)
    if code is None:
        return None
    return code.co_code, code.co_names, tuple(each for each in code.co_consts if not isinstance(each, str))
