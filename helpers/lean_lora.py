"""LoRA for training on a CPU: the low-rank product is added to the other one in place, forward and back.

PEFT makes y = W x + s B A x in steps each of which reads and writes the whole output, and autograd as many on the way
back. Layers that read the same rows, such as those of queries, keys and values, share one product with their A's below
each other, and one gradient of the rows. Where layers are compiled, products stay apart, and the pass that reads them
adds them, before their sum is rounded to 16 bits. Formula: Hu et al. 2021 (2106.09685), section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn


class LeanLora(torch.autograd.Function):
    """W x + bias + scaling * B A x for each of some layers with a frozen W; gradients for x and every A and B."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scaling: float, *layers: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """The output of each layer: (..., outer).

        Args:
            ctx: Of torch.
            x: (..., inner).
            scaling: The same for all.
            layers: Of each layer its weight (outer, inner), bias (outer,) or None, A (rank, inner) and B (outer, rank).
        """
        rows, below = x.reshape(-1, x.shape[-1]), layers[2] if len(layers) == 4 else torch.cat(layers[2::4])
        low = rows @ below.t()
        lows, outs = _by_layer(low, layers), []
        for part, weight, bias, b in zip(lows, layers[::4], layers[1::4], layers[3::4], strict=True):
            out = nn.functional.linear(x, weight, bias)  # no view: some models change it in place
            outs.append(_add_product(out, part, b.t(), scaling))
        ctx.save_for_backward(rows, below, low, *layers)
        ctx.scaling = scaling
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *d_outs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dB = s dy (A x)'; dA = s B' dy x'; dx = W' dy + s A' B' dy."""
        rows, below, low, *layers = ctx.saved_tensors
        d_x, d_lows, d_b = None, [], []
        shape = *d_outs[0].shape[:-1], below.shape[1]
        for part, weight, b, d_out in zip(_by_layer(low, layers), layers[::4], layers[3::4], d_outs, strict=True):
            d_rows = d_out.reshape(-1, len(weight))
            d_lows.append(_scaled(d_rows, b, ctx.scaling))
            d_b.append(_scaled(d_rows.t(), part, ctx.scaling))
            if ctx.needs_input_grad[0]:
                d_x = (d_rows @ weight).view(shape) if d_x is None else _add_product(d_x, d_rows, weight)
        d_low = torch.cat(d_lows, -1) if len(d_lows) > 1 else d_lows[0]
        d_x = None if d_x is None else _add_product(d_x, d_low, below)
        d_a = (d_low.t() @ rows).split([len(a) for a in layers[2::4]])
        return d_x, None, *(each for pair in zip(d_a, d_b, strict=True) for each in (None, None, *pair))


def _by_layer(low: torch.Tensor, layers: Sequence[torch.Tensor | None]) -> tuple[torch.Tensor, ...]:
    """A x of each layer."""
    return low.split([len(a) for a in layers[2::4]], -1)


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, scaling: float = 1.0) -> torch.Tensor:
    """total + scaling * left @ right, of total's shape; total is changed, unless this is compiled."""
    if torch.compiler.is_compiling():  # a product added to another one would be a copy and a pass over both
        return total + (left @ right).view(total.shape) * scaling
    total.view(len(left), right.shape[1]).addmm_(left, right, alpha=scaling)
    return total


def _scaled(left: torch.Tensor, right: torch.Tensor, scaling: float) -> torch.Tensor:
    """scaling * left @ right, in one pass."""
    return torch.addmm(right.new_empty(()), left, right, beta=0, alpha=scaling)


class LeanLinear(Linear):
    """PEFT's layer with one plain adapter, computed by `LeanLora`."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As PEFT's own layer."""
        if not self.in_use:
            return super().forward(x, *args, **kwargs)
        return LeanLora.apply(x, self.scale, *self.tensors())[0]

    @property
    def in_use(self) -> bool:
        """Whether the adapter is neither switched off nor merged into the weight."""
        return not (self.disable_adapters or self.merged)

    def tensors(self) -> tuple[torch.Tensor | None, ...]:
        """Weight, bias, A and B."""
        base, name = self.base_layer, self.active_adapters[0]
        return base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied with."""
        return self.scaling[self.active_adapters[0]]


def together(x: torch.Tensor, layers: Sequence[nn.Module]) -> tuple[torch.Tensor, ...]:
    """The output of each of these layers; one by one where one has no adapter in use, or they scale it differently."""
    lean = all(type(layer) is LeanLinear and layer.in_use for layer in layers)
    if not lean or any(layer.scale != layers[0].scale for layer in layers):
        return tuple(layer(x) for layer in layers)
    return LeanLora.apply(x, layers[0].scale, *(each for layer in layers for each in layer.tensors()))


def prepare(model: nn.Module) -> None:
    """Lets the plain adapters of a PEFT model train with it; others stay as PEFT computes them."""
    for module in model.modules():
        if type(module) is Linear and _plain(module):
            module.__class__ = LeanLinear


def _plain(layer: Linear) -> bool:
    """One adapter of the layer's own dtype, without dropout, bias or a variant such as DoRA, on a frozen matrix."""
    base, names = layer.base_layer, list(layer.active_adapters)
    if type(base) is not nn.Linear or base.weight.requires_grad or len(names) != 1 or names[0] not in layer.lora_A:
        return False
    (name,) = names
    a, b = layer.lora_A[name], layer.lora_B[name]
    return (
        name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and b.bias is None
        and (base.bias is None or not base.bias.requires_grad)
        and a.weight.dtype == b.weight.dtype == base.weight.dtype
    )
