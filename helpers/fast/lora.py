"""LoRA for training on a CPU: no pass over memory for the sum of its two products.

PEFT makes y = W x + s B A x in steps each of which reads and writes the whole output, and autograd as many in the
backward pass. Here the low-rank product is added to the other one in place, and adapters in float32 are rounded to the
model's dtype once, as autocast does. Formula: Hu et al. 2021 (2106.09685), section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn


class FusedLora(torch.autograd.Function):
    """W x + bias + scaling * B A x with a frozen W; gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:  # fmt: skip
        """The output (..., outer) from x (..., inner), weight (outer, inner), A (rank, inner) and B (outer, rank)."""
        rows, a, b = x.reshape(-1, x.shape[-1]), a.to(x.dtype), b.to(x.dtype)
        low = rows @ a.t()
        out = nn.functional.linear(x, weight, bias)
        out.view(-1, len(weight)).addmm_(low, b.t(), alpha=scaling)
        ctx.save_for_backward(rows, low, weight, a, b)
        ctx.scaling = scaling
        return out

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dB = s dy (A x)'; dA = s B' dy x'; dx = W' dy + s A' B' dy."""
        rows, low, weight, a, b = ctx.saved_tensors
        d_rows = d_out.reshape(-1, len(weight))
        d_low = (d_rows @ b).mul_(ctx.scaling)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = (d_rows @ weight).addmm_(d_low, a).view(*d_out.shape[:-1], -1)
        d_b = (d_rows.t() @ low).float().mul_(ctx.scaling)
        return d_x, None, None, (d_low.t() @ rows).float(), d_b, None


def enable(model: nn.Module) -> Callable[[], None]:
    """Lets the plain adapters of a PEFT model train with it, and leaves others to PEFT. Returns what undoes it."""
    changed = [module for module in model.modules() if type(module) is Linear and _plain(module)]
    for module in changed:
        module.forward = MethodType(_forward, module)

    def undo() -> None:
        for module in changed:
            del module.forward

    return undo


def _forward(layer: Linear, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if layer.disable_adapters or layer.merged or args or kwargs:
        return Linear.forward(layer, x, *args, **kwargs)
    base, (name,) = layer.get_base_layer(), layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return FusedLora.apply(x.to(base.weight.dtype), base.weight, base.bias, a, b, layer.scaling[name])


def _plain(layer: Linear) -> bool:
    """One float32 adapter without dropout, bias or a variant such as DoRA, on a frozen matrix."""
    base, names = layer.get_base_layer(), list(layer.active_adapters)
    if type(base) is not nn.Linear or base.weight.requires_grad or len(names) != 1 or names[0] not in layer.lora_A:
        return False
    (name,) = names
    return (
        name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and layer.lora_B[name].bias is None
        and layer.lora_A[name].weight.dtype == layer.lora_B[name].weight.dtype == torch.float32
    )
