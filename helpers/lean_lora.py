"""LoRA for training on a CPU: the low-rank product is added to the other one in place, forward and back.

PEFT makes y = W x + s B A x in steps each of which reads and writes the whole output, and autograd as many on the way
back. Formula: Hu et al. 2021 (2106.09685), section 4.1.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn


class LeanLora(torch.autograd.Function):
    """W x + bias + scaling * B A x for a frozen W, with gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:  # fmt: skip
        """x (..., inner), weight (outer, inner), bias (outer,) or None, a (rank, inner) and b (outer, rank)."""
        rows = x.reshape(-1, weight.shape[1])
        low = rows @ a.t()
        out = nn.functional.linear(rows, weight, bias).addmm_(low, b.t(), alpha=scaling)
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scaling = scaling
        return out.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dB = s dy (A x)'; dA = s B' dy x'; dx = W' dy + s A' B' dy."""
        rows, weight, a, b, low = ctx.saved_tensors
        d_rows = d_out.reshape(-1, weight.shape[0])
        d_low = (d_rows @ b).mul_(ctx.scaling)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = (d_rows @ weight).addmm_(d_low, a).view(*d_out.shape[:-1], weight.shape[1])
        return d_x, None, None, d_low.t() @ rows, (d_rows.t() @ low).mul_(ctx.scaling), None


class LeanLinear(Linear):
    """PEFT's layer with one plain adapter, computed by `LeanLora`."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As PEFT's own layer."""
        if self.disable_adapters or self.merged:
            return super().forward(x, *args, **kwargs)
        name = self.active_adapters[0]
        base, a, b = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight
        return LeanLora.apply(x, base.weight, base.bias, a, b, self.scaling[name])


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
