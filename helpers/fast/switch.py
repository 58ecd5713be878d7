"""The one switch: `enable(model)` makes a loaded model answer faster, and KIT_FAST=0 turns everything fast off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .answering import FastAnswers


def enabled() -> bool:
    """Whether the fast paths may be used: unless the environment variable KIT_FAST is 0."""
    return os.environ.get("KIT_FAST", "1") != "0"


def enable(model: PreTrainedModel) -> FastAnswers | None:
    """What answers faster with a model on a CPU, where its layers are of known classes; None: use the model itself.

    It is tried on a few tokens first. Where its logits are not those of the model, a line says so.
    """
    if not enabled():
        return None
    import torch

    from .answering import FastAnswers
    from .packed_weights import supports
    from .varlen import accept

    if not supports(model) or not accept(model):
        return None
    with torch.inference_mode():
        fast = FastAnswers(model)
        if fast.agrees():
            return fast
    print(f"{type(model).__name__}: the fast path computes other logits than the model, so the plain path is used")
    return None
