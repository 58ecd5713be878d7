"""A CPU's fast way for few rows: weights packed in float16 times float32 rows, as when an answer is decoded.

A matrix product on a CPU is made for many rows: in 16 bits one row takes about as long as eight, in float32 it waits
for twice the bytes. fbgemm, which comes with torch, keeps weights packed in float16 and multiplies them with float32
rows as fast as memory brings them. So a prompt is read by the layers as they are, and each token after the first goes
through packed weights: decoding then need not round to 16 bits at all, and hardly an answer depends on the size of its
batch. The logits are float32 always: rounded to 16 bits, the likeliest tokens often tie.

Packing loses nothing of a bfloat16 weight but what lies below 2^-25, and most float32 models were shipped with such
weights; tuned float32 weights keep 11 of their 24 bits. benchmarks/answering.py measures the gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

FEW = 48  # rows; packed weights were measured twice as fast for 1 row, as fast for 32, and half as fast for 1,000
LARGEST = torch.finfo(torch.float16).max
MOST = 500_000_000  # parameters; the packed copy of a larger model would take more than a gigabyte

Forward = Callable[[torch.Tensor], torch.Tensor]


class Model(Protocol):
    """What is needed of a `models.FoundationModel`."""

    model: Any
    device: str
    parameters: int
    exact: dict[str, tuple[Any, Any]]
    busy: Any


@contextmanager
def few_rows(fm: Model, decoding: bool = True) -> Iterator[None]:
    """Inside the block a model computes few rows fast, where that is possible, and its logits in float32.

    Args:
        fm: The model.
        decoding: Whether tokens are decoded; where choices are scored, a float32 model is left alone.
    """
    with fm.busy:  # one thread at a time: the layers are the model's own
        changed = _forwards(fm) if decoding or fm.model.dtype != torch.float32 else {}
        for layer, forward in changed.items():
            layer.forward = forward
        try:
            yield
        finally:
            for layer in changed:
                del layer.forward


def make_ready(fm: Model) -> None:
    """Does now what weights that were just put in would cost their first answer, so that it can be timed fairly."""
    packed = packs(fm)
    if fm.model.dtype == torch.float32 and not packed:
        return
    for name, layer in _linear_layers(fm).items():
        if packed or layer is fm.model.get_output_embeddings():
            _kept(fm, name, layer)


def step(fm: Model, ids: torch.Tensor, cache: Any) -> dict[str, torch.Tensor]:
    """What the model is given for the next token of each row, (rows, 1), inside a block of `few_rows`.

    In float32 where weights are packed; the cache's keys and values are then held in float32 from here on.
    """
    layers = getattr(cache, "layers", [])
    if fm.model.dtype == torch.float32 or not packs(fm) or not all(hasattr(layer, "keys") for layer in layers):
        return {"input_ids": ids}
    for layer in layers:
        layer.keys, layer.values = layer.keys.float(), layer.values.float()
    return {"inputs_embeds": fm.model.get_input_embeddings()(ids).float()}


def valid(fm: Model) -> dict[str, Any]:
    """The packed weights, by layer, of the weights that are in the model now."""
    now = states(fm)
    return {name: packed for name, (state, packed) in fm.exact.items() if state == now[name]}


def states(fm: Model) -> dict[str, tuple[int, int]]:
    """Which weights are in the model now: what is equal later was not written in between."""
    return {name: _state(layer) for name, layer in _linear_layers(fm).items()}


def put_back(fm: Model, packed: dict[str, Any]) -> None:
    """Says that these belong to the weights that are in the model now: they were there before, bit for bit."""
    now = states(fm)
    fm.exact |= {name: (now[name], weight) for name, weight in packed.items()}


def packs(fm: Model) -> bool:
    """Whether weights are packed: those of a model of at most `MOST` parameters on a CPU for which torch has fbgemm.

    A token is then computed in float32 beside 16-bit weights, which torch's own norms and GPT-2's layers do not take.
    """
    if fm.device != "cpu" or "fbgemm" not in torch.backends.quantized.supported_engines or fm.parameters > MOST:
        return False
    return not any(isinstance(m, nn.LayerNorm) or type(m).__name__ == "Conv1D" for m in fm.model.modules())


def _linear_layers(fm: Model) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in fm.model.named_modules() if type(layer) is nn.Linear}


def _forwards(fm: Model) -> dict[nn.Linear, Forward]:
    """What each layer computes instead of its own `forward`; a float32 model that is not packed is left alone."""
    head, changed, packed = fm.model.get_output_embeddings(), {}, packs(fm)
    if fm.model.dtype == torch.float32 and not packed:
        return {}
    for name, layer in _linear_layers(fm).items():
        if layer is head:
            changed[layer] = _logits(fm, name, layer)
        elif packed:
            changed[layer] = _few(fm, name, layer)
    return changed


def _few(fm: Model, name: str, layer: nn.Linear) -> Forward:
    coarse = layer.weight.dtype != torch.float32  # its prompts are 16-bit rows; those of a float32 model are not

    def forward(rows: torch.Tensor) -> torch.Tensor:
        decoded = rows.dtype == torch.float32 and (coarse or rows.shape[-2] == 1)
        if decoded and rows.numel() <= FEW * layer.in_features:
            return _product(rows, _kept(fm, name, layer), layer)
        return nn.functional.linear(rows.to(layer.weight.dtype), layer.weight, layer.bias).to(rows.dtype)

    return forward


def _logits(fm: Model, name: str, layer: nn.Linear) -> Forward:
    def forward(rows: torch.Tensor) -> torch.Tensor:
        if layer.weight.dtype == torch.float32 and rows.numel() > FEW * layer.in_features:
            return nn.functional.linear(rows, layer.weight, layer.bias)
        return _product(rows, _kept(fm, name, layer), layer)

    return forward


def _product(rows: torch.Tensor, weight: Any, layer: nn.Linear) -> torch.Tensor:
    """Rows times the weight, packed or plain float32, in float32."""
    if isinstance(weight, torch.Tensor):
        return nn.functional.linear(rows.float(), weight, None if layer.bias is None else layer.bias.float())
    return torch.ops.quantized.linear_dynamic_fp16(rows.float(), weight)


def _kept(fm: Model, name: str, layer: nn.Linear) -> Any:
    """The layer's weight, packed (bias included) or in float32; kept until the weight is written again."""
    state = _state(layer)
    if name not in fm.exact or fm.exact[name][0] != state:
        fm.exact[name] = state, _exact(fm, layer)
    return fm.exact[name][1]


def _state(layer: nn.Linear) -> tuple[int, int]:
    """Where the weight lies and how often it was written: other numbers, perhaps other weights."""
    return layer.weight.data_ptr(), layer.weight._version


def _exact(fm: Model, layer: nn.Linear) -> Any:
    weight = layer.weight.detach().float()
    if not packs(fm) or weight.abs().max() > LARGEST:
        return weight
    bias = None if layer.bias is None else layer.bias.detach().float()
    return torch.ops.quantized.linear_prepack_fp16(weight, bias)
