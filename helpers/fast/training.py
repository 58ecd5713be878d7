"""What makes a training step on a CPU fast, switched on by one call that checks itself.

Logits only where there is a label, and in slices; and in 16 bits attention as plain matrix products, since the backward
pass of the fused kernel is slow there. tools/benchmarks/ablation.py measures what each of them earns.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from . import sliced_loss
from .answering import enabled

NEAR = {"float32": 1e-3, "bfloat16": 0.02}  # how far loss and gradient may differ, as a share, by dtype
ROWS, TOKENS = 2, 48  # of the step that is tried


def eager_attention(model: PreTrainedModel) -> Callable[[], None]:
    """Lets a model compute attention by plain matrix products; returns what undoes it."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    return lambda: model.set_attn_implementation(before)


PARTS = {"loss": sliced_loss.enable, "attention": eager_attention}


def enable_training(model: nn.Module, autocast: str | None = None, parts: Sequence[str] = tuple(PARTS)) -> bool:
    """Lets a model on a CPU, PEFT adapters or not, train faster: the same losses and gradients within rounding.

    One step is made through the plain and the fast path. Where they differ the plain one is kept, and a line says so.
    The model is one of transformers or PEFT's around it, `autocast` the dtype of mixed precision, where there is one,
    `parts` are names in `PARTS`. Returns whether the fast path is on.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not enabled() or causal.device.type != "cpu":
        return False
    wanted = _step(model, causal, autocast)
    undo = [PARTS[name](causal) for name in parts if autocast or name != "attention"]
    found = _step(model, causal, autocast)
    if any(
        abs(one - other) > NEAR[autocast or "float32"] * abs(other) for one, other in zip(found, wanted, strict=True)
    ):
        for each in undo:
            each()
        print(
            f"{type(causal).__name__} trains on the plain path: the fast one computes it differently", file=sys.stderr
        )
        return False
    return True


def _step(model: nn.Module, causal: Any, autocast: str | None) -> tuple[float, float]:
    """The loss of a small step, and the length of its gradient; the model stays as it is."""
    dtype = getattr(torch, autocast) if autocast else torch.float32
    model.zero_grad()
    with torch.random.fork_rng(devices=[]), torch.autocast("cpu", dtype, enabled=autocast is not None):
        torch.manual_seed(0)
        ids = torch.randint(causal.config.vocab_size, (ROWS, TOKENS))
        mask = torch.zeros(ROWS, 1, TOKENS, TOKENS)
        mask.masked_fill_(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), torch.finfo(torch.bfloat16).min)
        positions = torch.arange(TOKENS).expand(ROWS, -1)
        loss = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, labels=ids, shift_labels=ids.roll(-1, 1)
        ).loss
    loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    length = float(nn.utils.get_total_norm(gradients))
    model.zero_grad()
    return loss.item(), length
