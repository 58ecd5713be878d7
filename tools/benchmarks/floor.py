"""What a training step takes for products, attention, norms, activations, loss and update, and nothing else.

Each is timed by itself, in the kit's own implementation (each product of an adapter apart, though in 16 bits it shares
that of its weights), the shortest of several times, on weights and keys that lie in the processor's cache where they
fit. Norms and activations are torch's own instead, plain or compiled, each by itself; a real step is compiled with the
sums around them. It also rotates, adds and reads its weights from memory. It is a measurement, not a proof: the first
layer's way back to its input, less than 1 % of the products, is counted although only compiled layers make it, and a
faster library's floor is lower.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from helpers.fast.compiled import can_compile, decoder_layers
from helpers.fast.sliced_loss import SlicedCrossEntropy
from helpers.fast.training_attention import TrainingAttention
from helpers.tuning.packing import IGNORED, Collator, Row

TIMES = 9  # how often a part is timed

Shape = tuple[int, int, int, bool]  # rows, inner, outer, and whether the rows are those of a transposed matrix


def floor(model: nn.Module, batches: Sequence[Sequence[Row]]) -> dict[str, float]:
    """The least seconds of a training on these batches, by part.

    The parts are `products`, `attention`, `between` (norms and activations), `loss` and `update`.

    Batches of the same length, without padding at their end, are taken to need the same as the first of them.

    Args:
        model: As `prepare_model` gives it.
        batches: Packed rows.
    """
    causal = _causal(model)
    alike: dict[int, list[dict[str, torch.Tensor]]] = {}
    for batch in map(Collator(), batches):
        alike.setdefault(batch["input_ids"].shape[1], []).append(batch)
    total = {"products": 0.0, "attention": 0.0, "between": 0.0, "loss": 0.0, "update": len(batches) * update(model)}
    for (first, *_), count in ((each, len(each)) for each in alike.values()):
        layers, tokens = count * len(decoder_layers(causal)), first["input_ids"].numel()
        total["products"] += count * products(shapes(model, tokens), causal.dtype)
        total["attention"] += layers * attention(causal, first["attention_mask"])
        total["between"] += layers * between(causal, tokens)
        total["loss"] += count * loss(causal, int((first["shift_labels"] != IGNORED).sum()))
    return total


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def shapes(model: Any, tokens: int) -> Iterator[Shape]:
    """The matrix products of all layers but attention and head: forward, back to the input, and to a tuned weight."""
    head = _causal(model).get_output_embeddings()
    for layer in model.modules():
        if not isinstance(layer, nn.Linear) or layer is head:
            continue
        outer, inner = layer.weight.shape
        yield tokens, inner, outer, False
        yield tokens, outer, inner, False
        if layer.weight.requires_grad:
            yield outer, tokens, inner, True


def products(wanted: Iterator[Shape], dtype: torch.dtype) -> float:
    """The seconds that these products take, each shape timed by itself."""
    total = 0.0
    for (rows, inner, outer, transposed), count in Counter(wanted).items():
        a = torch.randn(*((inner, rows) if transposed else (rows, inner))).to(dtype)
        b = torch.randn(inner, outer).to(dtype)
        a = a.t() if transposed else a
        total += count * shortest(lambda a=a, b=b: torch.mm(a, b))
    return total


def attention(causal: Any, mask: torch.Tensor) -> float:
    """The seconds of one layer's attention, forward and back, on rows with this mask."""
    config, (rows, _, tokens, _) = causal.config, mask.shape
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys = config.num_key_value_heads
    query = torch.randn(rows, keys, config.num_attention_heads // keys, tokens, width)
    key, value = torch.randn(2, rows, keys, tokens, width)
    query, key, value = (each.to(causal.dtype).requires_grad_() for each in (query, key, value))
    mask, given = mask[:, :, None].to(causal.dtype), torch.randn_like(query)
    inputs = (query, key, value)
    return shortest(
        lambda: torch.autograd.grad(TrainingAttention.apply(*inputs, mask, width**-0.5), inputs, grad_outputs=given)
    )


def between(causal: Any, tokens: int) -> float:
    """The seconds of one layer's two norms and its gated activation, forward and back, for so many tokens."""
    config, dtype = causal.config, causal.dtype
    weight = torch.ones(config.hidden_size, dtype=dtype)
    states = torch.randn(tokens, config.hidden_size).to(dtype).requires_grad_()
    gate, up = (torch.randn(tokens, config.intermediate_size).to(dtype).requires_grad_() for _ in range(2))

    def norm(states: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(states, weight.shape, weight, 1e-5)

    def activation(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return nn.functional.silu(gate) * up

    return 2 * _both_ways(norm, states) + _both_ways(activation, gate, up)


def _both_ways(compute: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
    """The seconds of a function and of its gradient by all inputs, plain or compiled, whichever is faster."""
    given = torch.randn_like(inputs[0])
    ways = [compute, torch.compile(compute, dynamic=True)] if can_compile() else [compute]
    return min(shortest(lambda way=way: torch.autograd.grad(way(*inputs), inputs, grad_outputs=given)) for way in ways)


def loss(causal: Any, labelled: int) -> float:
    """The seconds of head, cross entropy and their gradient for so many tokens."""
    weight = causal.get_output_embeddings().weight
    hidden = torch.randn(labelled, weight.shape[1]).to(weight.dtype).requires_grad_()
    labels = torch.randint(len(weight), (labelled,))
    return shortest(lambda: SlicedCrossEntropy.apply(hidden, weight, labels))


def update(model: nn.Module) -> float:
    """The seconds of clipping the gradients and stepping the optimizer; the weights stay as they are."""
    tuned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(tuned, lr=0.0, weight_decay=0.0, fused=True)
    for weight in tuned:
        weight.grad = torch.randn_like(weight)

    def step() -> None:
        nn.utils.clip_grad_norm_(tuned, 1.0)
        optimizer.step()

    spent = shortest(step)
    optimizer.zero_grad()
    return spent


def shortest(work: Callable[[], Any], times: int = TIMES) -> float:
    """The shortest of several times, after one that is not timed."""
    work()
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return min(spent)
