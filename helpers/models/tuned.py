"""Tuned weights of a folder: checked against the base model, and merged into a copy of it by PEFT."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import KitError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER, WHOLE = "adapter_model.safetensors", "model.safetensors"
RECORD = "training.json"


def check_tuned(folder: Path, base_hash: str) -> None:
    """KitError for a folder of no tuned weights, or of another model's; one without a record is taken on trust."""
    if not any((folder / name).is_file() for name in (ADAPTER, WHOLE)):
        raise KitError(f"{folder} holds no adapter (no {ADAPTER}): train it first, or check the path")
    record = folder / RECORD
    try:
        made_for = json.loads(record.read_text(encoding="utf-8")).get("base_hash") if record.is_file() else None
    except (OSError, ValueError, AttributeError) as error:
        raise KitError(f"{record} is damaged ({error}). Delete its folder and train again.") from error
    if made_for and made_for != base_hash:
        raise KitError(
            f"the weights in {folder} were made for other weights ({made_for[:12]}) than those loaded "
            f"({base_hash[:12]}): load the model that they were trained on, or train them again"
        )


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
