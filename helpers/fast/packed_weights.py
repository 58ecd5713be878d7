"""One token of each row through a decoder like Llama's, with few calls and weights packed in 16 bits.

When an answer is decoded, each token reads all weights from memory, and a small model spends as much time in calls as
in arithmetic. Here the weights are packed in float16 and multiplied with float32 rows by fbgemm, which comes with
torch; queries, keys and values are one product, and so are gate and up. Everything else is float32 but for the logits,
which are rounded as the model rounds its own: in 16 bits the likeliest tokens often tie, and then the first one counts.

Packing loses nothing of a bfloat16 weight but what lies below 2^-25; tuned float32 weights keep 11 of their 24 bits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from .varlen import States

KNOWN = ("llama.modeling_llama.Llama", "mistral.modeling_mistral.Mistral", "qwen2.modeling_qwen2.Qwen2")
LAYERS = {f"transformers.models.{name}DecoderLayer" for name in KNOWN}
MOST = 500_000_000  # parameters; the packed copy of a larger model would take more than a gigabyte


def supports(model: PreTrainedModel) -> bool:
    """Whether all layers are of a class that `PackedDecoder` computes, on a CPU for which torch has fbgemm."""
    if model.device.type != "cpu" or "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    kinds = {type(layer) for layer in getattr(model.get_decoder(), "layers", [])}
    known = bool(kinds) and all(f"{kind.__module__}.{kind.__name__}" in LAYERS for kind in kinds)
    plain = all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)  # no windows
    return known and plain and model.num_parameters() <= MOST


class Cache:
    """Keys and values of a batch, with room for the tokens that are still to come.

    Each row holds the shared prefix, then its own tokens on the right; `mask` is (rows, 1, 1, tokens), and None where
    no row has a gap. `positions` counts the tokens of each row.
    """

    def __init__(self, prefix: States, states: States, lengths: Sequence[int], room: int):
        """Copies the states of the prefix and of the rows, which follow each other in `states`."""
        begun, longest = prefix[0][0].shape[2] if prefix else 0, max(lengths)
        self.used, self.keys, self.values = begun + longest, [], []
        for number, pair in enumerate(states):
            for which, (kept, own) in enumerate(zip((self.keys, self.values), pair, strict=True)):
                made = own.new_zeros(len(lengths), own.shape[1], self.used + room, own.shape[3], dtype=torch.float32)
                if prefix:
                    made[:, :, :begun] = prefix[number][which]
                for row, part in zip(made, own[0].split(list(lengths), dim=1), strict=True):
                    row[:, self.used - part.shape[1] : self.used] = part
                kept.append(made)
        self.positions = begun + torch.tensor(lengths)
        self.mask = None
        if min(lengths) < longest:
            self.mask = torch.ones(len(lengths), 1, 1, self.used + room, dtype=torch.bool)
            for row, length in zip(self.mask, lengths, strict=True):
                row[..., begun : self.used - length] = False

    def select(self, rows: torch.Tensor) -> None:
        """Keeps these rows alone."""
        self.keys, self.values = ([each[rows] for each in states] for states in (self.keys, self.values))
        self.positions = self.positions[rows]
        self.mask = None if self.mask is None else self.mask[rows]


class PackedDecoder:
    """The packed weights of a model that `supports` accepts; they do not follow later changes of the model."""

    def __init__(self, model: PreTrainedModel):
        """Packs all weights, which takes as many bytes as the model in 16 bits."""
        decoder, self.dtype = model.get_decoder(), model.dtype
        self.embed, self.rotary = decoder.embed_tokens, decoder.rotary_emb
        self.layers = [_Layer(layer) for layer in decoder.layers]
        self.norm, self.head = _norm(decoder.norm), _product(model.get_output_embeddings())
        self.exact_head = model.get_output_embeddings() if model.dtype == torch.float32 else self.head

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Float32 logits of what the model has read, in its precision: (rows, width) to (rows, vocabulary)."""
        return self.exact_head(hidden.float()).to(self.dtype).float()

    def step(self, ids: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Reads one more token of each row, (rows,), into the cache; logits of the next ones, (rows, vocabulary)."""
        x = self.embed(ids).float()
        angles = self.rotary(x[:, None], cache.positions[:, None])
        cache.used += 1
        mask = None if cache.mask is None else cache.mask[..., : cache.used]
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            x = layer(x, angles, keys[:, :, : cache.used], values[:, :, : cache.used], mask)
        cache.positions = cache.positions + 1
        return self.head(self.norm(x)).to(self.dtype).float()


class _Layer:
    """A decoder layer with packed weights."""

    def __init__(self, layer: Any):
        attention, mlp = layer.self_attn, layer.mlp
        self.width, self.scaling, self.act = attention.head_dim, attention.scaling, mlp.act_fn
        self.kept = attention.k_proj.out_features // self.width
        self.read = _product(attention.q_proj, attention.k_proj, attention.v_proj)
        self.write, self.open, self.down = (
            _product(attention.o_proj), _product(mlp.gate_proj, mlp.up_proj), _product(mlp.down_proj)
        )  # fmt: skip
        self.norm_1, self.norm_2 = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)

    def __call__(
        self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor, values: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        """Rows (rows, width); this token's keys and values are written at the end of the given ones.

        Queries and keys are turned together (RoPE, Su et al. 2021, 2104.09864, section 3.4.2). The query heads that
        share a key head stand where attention expects several tokens, which gives the same sums.
        """
        heads = self.read(self.norm_1(x)).view(len(x), -1, self.width)
        turned, value = heads[:, : -self.kept], heads[:, -self.kept :]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * angles[0] + torch.cat([-second, first], dim=-1) * angles[1]
        keys[:, :, -1], values[:, :, -1] = turned[:, -self.kept :], value
        query = turned[:, : -self.kept].unflatten(1, (self.kept, -1))
        found = scaled_dot_product_attention(query, keys, values, mask, scale=self.scaling)
        x = x + self.write(found.flatten(1))
        gate, up = self.open(self.norm_2(x)).chunk(2, dim=-1)
        return x + self.down(self.act(gate) * up)


def _norm(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """RMSNorm in float32 (Zhang and Sennrich 2019, 1910.07467, section 4)."""
    weight, eps = module.weight.detach().float(), module.variance_epsilon
    return lambda x: rms_norm(x, weight.shape, weight, eps)


def _product(*layers: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    """Float32 rows times the weights of these layers, the results of one beside those of the next."""
    weight = torch.cat([layer.weight.detach().float() for layer in layers])
    bias = None
    if any(layer.bias is not None for layer in layers):
        each = [layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]
        bias = torch.cat(each).detach().float()
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    return lambda rows: torch.ops.quantized.linear_dynamic_fp16(rows, packed)
