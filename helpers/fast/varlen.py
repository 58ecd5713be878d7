"""Texts of different lengths read together without padding: each is computed as if it were read alone.

The tokens of all texts form one row. Most layers work token by token; only attention needs to know where a text ends,
so attention is computed text by text. No time goes into padding, and in 16 bits a reply does not depend on the texts
that were read with it.

The idea is that of variable-length attention (Dao 2023, FlashAttention-2, 2307.08691), here on a CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "varlen"  # the name under which transformers knows this attention
States = list[tuple[torch.Tensor, torch.Tensor]]  # keys and values of each layer: (1, heads, tokens, width) each


@dataclass(frozen=True)
class Texts:
    """Where each text of a row ends, what was read before all of them, and what each token sees.

    `lengths` are in tokens. `before` holds the states of a shared prefix, or nothing. `masks` has one mask a text,
    (tokens, prefix + tokens). `states` receives what attention reads.
    """

    lengths: tuple[int, ...]
    before: States
    masks: Sequence[torch.Tensor]
    states: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    texts: Texts | None = None, scaling: float | None = None, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: text by text where `texts` is given, transformers' own sdpa otherwise.

    Queries are (1, heads, tokens, width), keys and values may have fewer heads; the result (1, tokens, heads, width).
    """
    if texts is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    texts.states[module.layer_idx] = key, value
    grouped, parts = query.shape[1] != key.shape[1], []
    split = (states.split(texts.lengths, dim=2) for states in (query, key, value))
    for q, k, v, mask in zip(*split, texts.masks, strict=True):
        if texts.before:
            keys, values = texts.before[module.layer_idx]
            k, v = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        parts.append(scaled_dot_product_attention(q, k, v, mask, scale=scaling, enable_gqa=grouped))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def accept(model: PreTrainedModel) -> bool:
    """Lets a model read with this attention, where its own is transformers' sdpa; everything else stays as it is."""
    if model.config._attn_implementation == "sdpa" and getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(NAME)
    return model.config._attn_implementation == NAME


def causal_mask(begun: int, length: int, branches: Sequence[int] = ()) -> torch.Tensor:
    """Each token sees the `begun` tokens before the text, and the text up to itself: (length, begun + length).

    `branches` are the lengths of the alternative endings that the text ends with; no ending sees another.
    """
    mask = torch.ones(length, begun + length, dtype=torch.bool).tril(begun)
    start = length - sum(branches)
    for branch in branches:
        mask[start + branch :, begun + start : begun + start + branch] = False
        start += branch
    return mask


def read(
    decoder: PreTrainedModel, rows: Sequence[Sequence[int]], before: States, branches: Sequence[Sequence[int]] = ()
) -> tuple[torch.Tensor, States]:
    """Reads rows of tokens, each after the prefix whose states are `before`, by layers that accepted this attention.

    Returns:
        The last hidden state of every token (tokens of all rows, width), and the states of these tokens.
    """
    begun = before[0][0].shape[2] if before else 0
    kinds = [(len(row), tuple(own)) for row, own in zip(rows, branches or [()] * len(rows), strict=True)]
    masks = {kind: causal_mask(begun, *kind) for kind in set(kinds)}
    texts = Texts(tuple(map(len, rows)), before, [masks[kind] for kind in kinds])
    ids = torch.tensor([[token for row in rows for token in row]])
    positions = torch.cat([_positions(begun, *kind) for kind in kinds])[None]
    blank = torch.zeros(1, 1, 1, 1)  # a mask of four dimensions, so transformers makes no other
    hidden = decoder(
        input_ids=ids, attention_mask=blank, position_ids=positions, use_cache=False, texts=texts
    ).last_hidden_state[0]
    return hidden, [texts.states[layer] for layer in sorted(texts.states)]


def _positions(begun: int, length: int, branches: Sequence[int]) -> torch.Tensor:
    """Each branch counts on from where the text before the branches ends."""
    fork = begun + length - sum(branches)
    return torch.cat([torch.arange(begun, fork), *(torch.arange(fork, fork + branch) for branch in branches)])
