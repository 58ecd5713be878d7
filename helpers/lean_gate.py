"""The gate of a feed-forward layer in training on a CPU: silu(gate) is made again on the way back instead of kept.

It is as large as what comes out of it, which the next layer keeps already. Every number is the plain one's, forward and
back. Formula: SwiGLU of Shazeer 2020 (2002.05202), section 2.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

PARTS = ("gate_proj", "up_proj", "down_proj", "act_fn")  # of the layers that this is for, as transformers names them


class LeanGate(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """gate and up, both (..., width)."""
        ctx.save_for_backward(gate, up)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """dgate = silu'(gate) dy up; dup = dy silu(gate)."""
        gate, up = ctx.saved_tensors
        d_gate = torch.ops.aten.silu_backward(d_out * up, gate)
        return d_gate, nn.functional.silu(gate).mul_(d_out)


def prepare(model: nn.Module) -> None:
    """Lets a model train with it, where its layers have this very gate: to the last digit, on rows made at random."""
    for module in model.modules():
        if not all(hasattr(module, part) for part in PARTS):
            continue
        weight = next(module.parameters())
        rows = torch.randn(4, module.gate_proj.in_features, generator=torch.Generator().manual_seed(0)).to(weight)
        with torch.no_grad():
            same = torch.equal(module(rows), _gated(module, rows))
        if same:
            module.forward = partial(_gated, module)


def _gated(module: Any, x: torch.Tensor) -> torch.Tensor:
    return module.down_proj(LeanGate.apply(module.gate_proj(x), module.up_proj(x)))
