"""A copy of the foundation model that a training changes: all its weights, or adapters on them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import KitError
from ..models import FoundationModel, load_model
from .fine_tuned import FineTuned, read_fine_tuned

if TYPE_CHECKING:
    from torch import nn

    from .settings import TrainSettings


def prepare_model(fm: FoundationModel, settings: TrainSettings, start: str | Path | None = None) -> nn.Module:
    """Loads the weights anew and makes them trainable: all of them, or new adapters, or those of an earlier training.

    Adapters are float32 on weights of the model's dtype, as PEFT makes them. Where all weights are trained they are
    float32 (Micikevicius et al. 2018, 1710.03740): in 16 bits small steps would be rounded away.

    Raises:
        KitError: The rows are too long for the model, or `start` holds adapters that the settings do not ask for.
    """
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    begun = read_fine_tuned(start) if start else None
    lora, goes_on = settings.lora, begun is not None and not begun.whole
    if goes_on:
        fm.check_adapter(begun.folder)
        _check_lora(begun, settings)
    name = begun.folder if begun and begun.whole else fm.name
    model = load_model(name, fm.device, fm.dtype if lora else "float32").model
    _check_window(model, settings)
    torch.manual_seed(settings.seed)  # adapters begin at random
    with warnings.catch_warnings():  # PEFT asks transformers by a name that transformers warns of
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        if goes_on:
            return PeftModel.from_pretrained(model, str(begun.folder), is_trainable=True)
        if lora:
            modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
            config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=modules, task_type="CAUSAL_LM")
            return get_peft_model(model, config)
    if not settings.embeddings:
        model.get_input_embeddings().requires_grad_(False)
        model.get_output_embeddings().requires_grad_(False)
    return model


def _check_window(model: nn.Module, settings: TrainSettings) -> None:
    """Refuses rows in which a layer with a sliding window would see further than it does in an answer."""
    sliding = "sliding_attention" in (getattr(model.config, "layer_types", None) or ["sliding_attention"])
    window = getattr(model.config, "sliding_window", None) if sliding else None
    if window and settings.max_length > window:
        raise KitError(f"this model's layers see {window} tokens: choose a `max_length` of at most that")


def _check_lora(begun: FineTuned, settings: TrainSettings) -> None:
    """Refuses to go on from an adapter with another rank or scale."""
    wanted = {"rank": settings.lora.rank, "alpha": settings.lora.alpha} if settings.lora else None
    made = {name: begun.settings["lora"][name] for name in ("rank", "alpha")}
    if made != wanted:
        raise KitError(
            f"{begun.folder} is an adapter with {made}, and the settings ask for {wanted or 'all weights'}: ask for "
            "the same, or merge it into a model first (`tuning.merge`) and train that"
        )
