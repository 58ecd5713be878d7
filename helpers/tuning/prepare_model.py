"""A copy of the foundation model as a training changes it: all its weights, or new or begun adapters on them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch import nn

from ..data import KitError
from ..fast import training_attention as lean_attention
from ..models import FoundationModel, load_model
from .fine_tuned import check_lora, read_fine_tuned

if TYPE_CHECKING:
    from peft import PeftModel

    from .training_data import TrainSettings


def trainable(fm: FoundationModel, settings: TrainSettings, start: Any, dtype: str) -> nn.Module:
    """A copy of the model, with new or begun adapters on it, or as a whole."""
    from peft import LoraConfig, PeftModel, get_peft_model

    begun = read_fine_tuned(start) if start else None
    loaded = load_model(begun.folder if begun and begun.whole else fm.name, fm.device, dtype)
    if not begun and loaded.hash != fm.hash:
        raise KitError(
            f"the model in memory does not hold the weights that {fm.name} has on disk: an adapter was put into it. "
            "Merge it into a folder first (`tuning.merge`), load that, and train it"
        )
    model = loaded.model
    if fm.device == "cpu":
        lean_attention.prepare(model)
    _check_window(model, settings)
    _without_dropout(model)
    # PEFT asks transformers by a name that this one warns of; the warning is for PEFT's authors, not for a learner.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    if begun and not begun.whole:
        fm.check_adapter(begun.folder)
        check_lora(begun, settings)
        folder = str(begun.folder)
        return _lean(PeftModel.from_pretrained(model, folder, is_trainable=True, autocast_adapter_dtype=False))
    if settings.lora is None:
        model.requires_grad_(True)
        if not settings.embeddings:
            model.get_input_embeddings().requires_grad_(False)
            model.get_output_embeddings().requires_grad_(False)
        return model
    if any(type(module).__name__ == "Conv1D" for module in model.modules()):  # PEFT keeps their adapters transposed
        raise KitError(f"adapters for {fm.name} cannot be put into its weights: train all of these, `lora=None`")
    modules = settings.lora.target_modules
    config = LoraConfig(
        r=settings.lora.rank, lora_alpha=settings.lora.alpha, task_type="CAUSAL_LM",
        target_modules=modules if isinstance(modules, str) else list(modules),
    )  # fmt: skip
    return _lean(get_peft_model(model, config, autocast_adapter_dtype=False))


def _lean(model: PeftModel) -> PeftModel:
    """The same adapters; on a CPU they are computed in fewer steps."""
    from ..fast import lora as lean_lora

    if model.device.type == "cpu":
        lean_lora.prepare(model)
    return model


def _check_window(model: nn.Module, settings: TrainSettings) -> None:
    """Refuses rows in which a layer with a sliding window would see further than it does in an answer.

    Raises:
        KitError: `max_length` exceeds the window.
    """
    sliding = "sliding_attention" in (getattr(model.config, "layer_types", None) or ["sliding_attention"])
    window = getattr(model.config, "sliding_window", None) if sliding else None
    if window and settings.max_length > window:
        raise KitError(f"this model's layers see {window} tokens: take a `max_length` of at most that")


def _without_dropout(model: nn.Module) -> None:
    """Nothing in a training is drawn at random after its rows are packed, so that a resumed one ends alike."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):  # what a layer hands to a function
            if isinstance(value, float) and ("dropout" in name or name == "layerdrop"):
                setattr(module, name, 0.0)
