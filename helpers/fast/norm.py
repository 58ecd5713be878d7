"""RMSNorm for training on a CPU: its way back in a few passes, from what it made instead of what it was given.

transformers' layers leave autograd the rows twice in float32, and many passes over them. Here the normalized rows alone
are kept, once and in the model's dtype. The forward pass rounds as those layers do. Formula: Zhang & Sennrich 2019
(1910.07467), section 4.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn


class LeanNorm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + eps), over the last dimension, computed in float32."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """x (..., width) and weight (width,)."""
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        normal = (wide * scale).to(x.dtype)
        ctx.save_for_backward(normal, weight, scale)
        return weight * normal

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """With n the normalized row and g = weight dy: dx = scale (g - n mean(g n)); dweight = sum(dy n) over rows."""
        normal, weight, scale = ctx.saved_tensors
        d_weight = (d_out * normal).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        d_normal, wide = (d_out * weight).float(), normal.float()
        shared = (d_normal * wide).mean(-1, keepdim=True)
        return torch.addcmul(d_normal, wide, shared, value=-1).mul_(scale).to(d_out.dtype), d_weight, None


def prepare(model: nn.Module) -> None:
    """Lets a model train with it, where its layers are this very norm: to the last digit, on rows made at random."""
    for module in model.modules():
        eps, weight = getattr(module, "variance_epsilon", None), getattr(module, "weight", None)
        if not type(module).__name__.endswith("RMSNorm") or eps is None or weight is None or weight.dim() != 1:
            continue
        rows = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(0)).to(weight)
        with torch.no_grad():
            same = torch.equal(module(rows), LeanNorm.apply(rows, weight, eps))
        if same:
            module.forward = partial(_norm, module)


def _norm(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return LeanNorm.apply(x, module.weight, module.variance_epsilon)
