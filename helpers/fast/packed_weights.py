"""A CPU's fast way for few rows: weights packed in float16 times float32 rows, as when an answer is decoded.

A matrix product on a CPU is made for many rows: in 16 bits one row takes about as long as eight, in float32 it waits
for twice the bytes. fbgemm, which comes with torch, keeps weights packed in float16 and multiplies them with float32
rows as fast as memory brings them. So a prompt is read by the layers as they are, and each token after it goes through
packed weights: decoding then need not round to 16 bits at all, and hardly an answer depends on the size of its batch.
Weights that read the same rows are packed as one, in layers that `lean_decoding` knows. The logits are float32 always:
rounded to 16 bits, the likeliest tokens often tie.

Packing loses nothing of a bfloat16 weight but what lies below 2^-25, and most float32 models were shipped with such
weights; tuned float32 weights keep 11 of their 24 bits. benchmarks/answering.py measures the gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

from . import decoding as lean_decoding
from .switch import enabled

FEW = 48  # rows; packed weights were measured twice as fast for 1 row, as fast for 32, and half as fast for 1,000
LARGEST = torch.finfo(torch.float16).max
PACKERS = 4  # threads at most: torch packs a weight with one, and two on two cores take half as long as one
MOST = 500_000_000  # parameters; the packed copy of a larger model would take more than a gigabyte

Forward = Callable[..., Any]
State = tuple[tuple[int, int], ...]
Groups = dict[str, tuple[nn.Linear, ...]]


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
    if not enabled():
        yield
        return
    with fm.busy:  # one thread at a time: the layers are the model's own
        changed = _forwards(fm) if decoding or fm.model.dtype != torch.float32 else {}
        for module, forward in changed.items():
            module.forward = forward
        try:
            yield
        finally:
            for module in changed:
                del module.forward


def make_ready(fm: Model) -> None:
    """Does now what weights that were just put in would cost their first answer, so that it can be timed fairly."""
    packed = packs(fm)
    if fm.model.dtype == torch.float32 and not packed:
        return
    _, head, others = _groups(fm, packed)
    _keep(fm, head | others, packed)


def step(fm: Model, ids: torch.Tensor, cache: Any) -> dict[str, torch.Tensor]:
    """What the model is given for the next token of each row, (rows, 1), inside a block of `few_rows`.

    In float32 where weights are packed; the cache's keys and values are then held in float32 from here on.
    """
    layers = getattr(cache, "layers", [])
    if fm.model.dtype == torch.float32 or not all(hasattr(layer, "keys") for layer in layers):
        return {"input_ids": ids}
    if any(layer.keys.dtype != torch.float32 for layer in layers):  # the first one
        if not packs(fm):
            return {"input_ids": ids}
        for layer in layers:
            layer.keys, layer.values = layer.keys.float(), layer.values.float()
    return {"inputs_embeds": fm.model.get_input_embeddings()(ids).float()}


def packs(fm: Model) -> bool:
    """Whether weights are packed: those of a model of at most `MOST` parameters on a CPU for which torch has fbgemm.

    A token is then computed in float32 beside 16-bit weights, which torch's own norms and GPT-2's layers do not take.
    """
    if (
        not enabled()
        or fm.device != "cpu"
        or "fbgemm" not in torch.backends.quantized.supported_engines
        or fm.parameters > MOST
    ):
        return False
    return not any(isinstance(m, nn.LayerNorm) or type(m).__name__ == "Conv1D" for m in fm.model.modules())


def _linear_layers(fm: Model) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in fm.model.named_modules() if type(layer) is nn.Linear}


def _forwards(fm: Model) -> dict[nn.Module, Forward]:
    """What each layer computes instead of its own `forward`; a float32 model that is not packed is left alone."""
    packed = packs(fm)
    if fm.model.dtype == torch.float32 and not packed:
        return {}
    joints, head, others = _groups(fm, packed)
    changed: dict[nn.Module, Forward] = {layer: _few(layer) for layers in joints.values() for layer in layers}
    for name, (layer,) in head.items():
        changed[layer] = _logits(layer, _product(fm, name, head, packed))
    for name, layers in others.items():
        module, product = fm.model.get_submodule(name), _product(fm, name, others, packed)
        joint = name in joints
        changed[module] = lean_decoding.forward(module, _decoded, product) if joint else _few(layers[0], product)
    return changed | (lean_decoding.norms(fm.model, _decoded) if packed else {})


def _groups(fm: Model, packed: bool) -> tuple[Groups, Groups, Groups]:
    """Layers whose weights are kept as one, by name: those of several layers, the head's, and all but the head's."""
    output = fm.model.get_output_embeddings()
    joints = lean_decoding.joints(fm.model) if packed else {}
    parts = {layer for layers in joints.values() for layer in layers}
    alone = {name: (layer,) for name, layer in _linear_layers(fm).items() if layer not in parts}
    head = {name: layers for name, layers in alone.items() if layers == (output,)}
    others = {name: layers for name, layers in (joints | alone).items() if packed and name not in head}
    return joints, head, others


def _decoded(rows: torch.Tensor) -> bool:
    """Whether these are one token a row, (rows, 1, width), and as few as packed weights are made for."""
    return rows.dtype == torch.float32 and rows.shape[-2] == 1 and rows.numel() <= FEW * rows.shape[-1]


def _few(layer: nn.Linear, product: Forward | None = None) -> Forward:
    """What a layer computes; one that is packed with others has no product of its own."""
    coarse = layer.weight.dtype != torch.float32  # its prompts are 16-bit rows; those of a float32 model are not

    def forward(rows: torch.Tensor) -> torch.Tensor:
        decoded = rows.dtype == torch.float32 and (coarse or rows.shape[-2] == 1)
        if product and decoded and rows.numel() <= FEW * layer.in_features:
            return product(rows)
        return nn.functional.linear(rows.to(layer.weight.dtype), layer.weight, layer.bias).to(rows.dtype)

    return forward


def _logits(layer: nn.Linear, product: Forward) -> Forward:
    def forward(rows: torch.Tensor) -> torch.Tensor:
        if layer.weight.dtype == torch.float32 and rows.numel() > FEW * layer.in_features:
            return nn.functional.linear(rows, layer.weight, layer.bias)
        return product(rows.float())

    return forward


def _product(fm: Model, name: str, groups: Groups, packed: bool) -> Forward:
    """Float32 rows times a group's weights, packed or plain, in float32; one layer's numbers beside the other's.

    The first product that lacks its weights has those of all `groups` made.
    """
    layers = groups[name]

    def product(rows: torch.Tensor) -> torch.Tensor:
        kept = fm.exact.get(name)
        weight = kept[1] if kept and kept[0] == _state(layers) else _keep(fm, groups, packed)[name]
        if isinstance(weight, torch.Tensor):
            return nn.functional.linear(rows, weight, _bias(layers))
        return torch.ops.quantized.linear_dynamic_fp16(rows, weight)

    return product


def _keep(fm: Model, groups: Groups, packed: bool) -> dict[str, Any]:
    """Each group's weights as one, packed (biases included) or in float32; kept until one of them is written again."""
    now = {name: _state(layers) for name, layers in groups.items()}  # before they are read
    kept = {name: weight for name, (state, weight) in list(fm.exact.items()) if state == now.get(name)}
    missing = sorted(groups.keys() - kept.keys(), key=lambda name: -sum(each.weight.numel() for each in groups[name]))
    with ThreadPoolExecutor(min(PACKERS, torch.get_num_threads())) as pool:
        for name, weight in zip(missing, pool.map(lambda name: _exact(groups[name], packed), missing), strict=True):
            fm.exact[name] = now[name], weight
            kept[name] = weight
    return kept


def _state(layers: Sequence[nn.Linear]) -> State:
    """Where the weights lie and how often they were written: other numbers, perhaps other weights."""
    return tuple((layer.weight.data_ptr(), layer.weight._version) for layer in layers)


def _exact(layers: Sequence[nn.Linear], packed: bool) -> Any:
    parts = [layer.weight.detach().float() for layer in layers]
    weight = torch.cat(parts) if len(parts) > 1 else parts[0]
    if packed:
        low, high = weight.aminmax()
        if max(-low, high) <= LARGEST:
            return torch.ops.quantized.linear_prepack_fp16(weight, _bias(layers))
    return weight


def _bias(layers: Sequence[nn.Linear]) -> torch.Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    parts = [layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]
    return torch.cat(parts).detach().float()
