"""The one switch: `enable(model)` makes a loaded model answer faster, and KIT_FAST=0 turns everything fast off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def enabled() -> bool:
    """Whether the fast paths may be used: unless the environment variable KIT_FAST is 0."""
    return os.environ.get("KIT_FAST", "1") != "0"


def enable(model: PreTrainedModel) -> bool:
    """Lets a model on a CPU read prompts without padding, where its layers are known.

    Returns:
        Whether it does; without it the model gives the same answers, only later.
    """
    from . import varlen

    if not enabled() or model.device.type != "cpu":
        return False
    varlen.prepare(model)
    return varlen.reads(model)
