"""The files of a folder of tuned weights, and an adapter merged into a copy of the model by PEFT."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import KitError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER, WHOLE = "adapter_model.safetensors", "model.safetensors"
RECORD, CHECKPOINTS = BESIDE = "training.json", "checkpoints"  # beside the weights of a training


def merged(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A copy of the model with the folder's adapter merged into it; KitError where that is damaged or does not fit."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            warnings.filterwarnings("error", message=".*missing adapter keys")
            tuned = PeftModel.from_pretrained(copy.deepcopy(model), str(folder))
        return tuned.merge_and_unload(safe_merge=True)
    except Exception as error:  # safetensors, json, torch and PEFT each have errors of their own
        reason = " ".join(str(error).split())[:300]
        raise KitError(
            f"the adapter in {folder} is damaged or was made for another model ({type(error).__name__}: {reason}). "
            "Train it again, or load the model that it was trained on."
        ) from error
