"""Texts of different lengths read together without padding: each is computed as if it were read alone.

All their tokens stand in one row. Layers work on tokens, so they do not see where a prompt ends; only attention does,
and it is computed prompt by prompt. Nothing is spent on padding, and a reply in 16 bits does not depend on the prompts
that were read with it: padding moves the sums of attention, and rounded to 16 bits that can change a reply. An
embedder's texts are read in the same way; its tokens see what follows them too.

The idea is that of variable-length attention (Dao 2023, FlashAttention-2, 2307.08691), here on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "prompts_side_by_side"  # transformers' name of this attention


@dataclass(frozen=True)
class Prompts:
    """Where each prompt of a row ends, and what was read before all of them.

    `lengths` are in tokens; `before` holds, for each layer, keys and values (1, heads, tokens, width) of a common
    beginning, or nothing.
    """

    lengths: tuple[int, ...]
    before: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    masks: dict[int, torch.Tensor] = field(default_factory=dict)

    @property
    def begun(self) -> int:
        """How many tokens were read before."""
        return self.before[0][0].shape[2] if self.before else 0

    def mask(self, length: int, device: torch.device) -> torch.Tensor:
        """What each token of a prompt sees: all that was read before, and the prompt up to itself."""
        if length not in self.masks:
            seen = torch.ones(length, self.begun + length, dtype=torch.bool, device=device)
            self.masks[length] = seen.tril(self.begun)
        return self.masks[length]


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    prompts: Prompts | None = None, scaling: float | None = None, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention for transformers: prompt by prompt where `prompts` is given, its plain sdpa otherwise.

    Args:
        module: The attention layer.
        query: (1, heads, tokens, width); keys and values may have fewer heads.
        key: Of the same tokens.
        value: Of the same tokens.
        attention_mask: Plays no part where `prompts` is given.
        prompts: How the tokens are divided.
        scaling: Of the products of queries and keys.
        options: What else transformers passes on.

    Returns:
        (1, tokens, heads, width).
    """
    if prompts is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    causal = getattr(module, "is_causal", True)  # as in transformers' own; an embedder's tokens see all of their text
    grouped, parts = query.shape[1] != key.shape[1], []
    split = (states.split(prompts.lengths, dim=2) for states in (query, key, value))
    for q, k, v in zip(*split, strict=True):
        if prompts.before:
            keys, values = prompts.before[module.layer_idx]
            k, v = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        mask = prompts.mask(q.shape[2], q.device) if causal else None
        parts.append(scaled_dot_product_attention(q, k, v, mask, scale=scaling, enable_gqa=grouped))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def prepare(model: PreTrainedModel) -> None:
    """Lets a model on a CPU read prompts in this way, where its attention is plain enough.

    What is needed is what transformers promises of models with `_supports_attention_backend`: they hand every argument
    down to attention, and slice logits by a tensor. A cache with windows or states has layers of another kind.
    """
    plain = model.config._attn_implementation == "sdpa" and getattr(model, "_supports_attention_backend", False)
    if plain and all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers):
        model.set_attn_implementation(NAME)


def reads(model: PreTrainedModel) -> bool:
    """Whether a model was prepared for it."""
    return model.config._attn_implementation == NAME


def read(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], before: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Reads rows of tokens, each after the same beginning.

    Args:
        model: A prepared model.
        rows: Token ids of each prompt, without the beginning.
        before: Keys and values of the beginning, by layer; empty where there is none.

    Returns:
        The logits after each row (rows, vocabulary); and for each layer the keys and values of the rows, padded on the
        left with zeros: (rows, heads, longest row, width) each.
    """
    prompts, cache = Prompts(tuple(map(len, rows)), before), DynamicCache(config=model.config)
    lengths = torch.tensor(prompts.lengths)
    given = {
        "input_ids": torch.tensor([[token for row in rows for token in row]]),
        "position_ids": torch.cat([torch.arange(length) + prompts.begun for length in prompts.lengths])[None],
        "attention_mask": torch.zeros(1, 1, 1, 1),  # has four dimensions, so transformers makes no other
    }
    output = model(
        **given, past_key_values=cache, use_cache=True, logits_to_keep=lengths.cumsum(0) - 1, prompts=prompts
    )
    padded = [tuple(_left_padded(states, prompts.lengths) for states in (x.keys, x.values)) for x in cache.layers]
    return output.logits[0], padded


def _left_padded(states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """From (1, heads, all tokens, width) to (rows, heads, longest row, width)."""
    width = max(lengths)
    rows = states.new_zeros(len(lengths), states.shape[1], width, states.shape[3])
    for row, part in zip(rows, states[0].split(list(lengths), dim=1), strict=True):
        row[:, width - part.shape[1] :] = part
    return rows
