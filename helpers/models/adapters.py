"""Tuned weights on one loaded model: put in for the length of a block, and the shipped ones back, bit for bit.

An adapter's product B A is added into the weights, so a tuned model answers as fast as an untuned one and switching
between tasks reloads nothing. A wholly tuned model's weights are put in in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import KitError

if TYPE_CHECKING:
    import torch
    from torch import nn

ADAPTER, CONFIG, WHOLE = "adapter_model.safetensors", "adapter_config.json", "model.safetensors"
PREFIX, DOWN, UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
RECORD = "training.json"
UNKNOWN = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias")


def check(folder: Path, base_hash: str) -> None:
    """Refuses a folder without tuned weights, or with weights tuned from another model.

    Raises:
        KitError: As said; a folder without the kit's own record is taken on trust.
    """
    if not any((folder / name).is_file() for name in (ADAPTER, WHOLE)):
        raise KitError(f"{folder} holds no adapter (no {ADAPTER}): train it first, or check the path")
    record = folder / RECORD
    made_for = json.loads(record.read_text(encoding="utf-8")).get("base_hash") if record.is_file() else None
    if made_for and made_for != base_hash:
        raise KitError(
            f"the weights in {folder} were made for other weights ({made_for[:12]}) than those loaded "
            f"({base_hash[:12]}): load the model that they were trained on, or train them again"
        )


def written(folder: Path) -> tuple[int, ...]:
    """When the tuned weights of a folder were written, in nanoseconds: other times, other weights."""
    return tuple(path.stat().st_mtime_ns for path in (folder / ADAPTER, folder / WHOLE) if path.is_file())


@contextmanager
def applied(model: nn.Module, folder: Path) -> Iterator[None]:
    """Computes with the folder's weights inside the block; afterwards the model is what it was, bit for bit.

    Raises:
        KitError: The adapter does not fit the model, or is of a kind that the kit does not apply.
    """
    import torch

    kept: dict[str, torch.Tensor] = {}
    try:
        put_in(model, folder, kept)
        yield
    finally:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, tensor in kept.items():
                parameters[name].copy_(tensor)


def put_in(model: nn.Module, folder: Path, kept: dict[str, torch.Tensor] | None = None) -> None:
    """Writes the folder's tuned weights into the model; `kept` takes what stood there before, by name.

    Raises:
        KitError: As `applied`.
    """
    import torch

    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tuned in tuned_weights(folder, parameters):
            if name not in parameters or tuned.shape != parameters[name].shape:
                raise KitError(f"the weights in {folder} were made for another model: {name!r} does not fit this one")
            if kept is not None:
                kept[name] = parameters[name].detach().clone()
            parameters[name].copy_(tuned)


def tuned_weights(folder: Path, parameters: dict[str, nn.Parameter]) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tuned value of every weight that the folder changes, computed in float32.

    Formula: W + scale * B A (Hu et al. 2021, arXiv:2106.09685, section 4.1).
    """
    import torch
    from safetensors import safe_open

    if not (folder / ADAPTER).is_file():
        with safe_open(folder / WHOLE, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                yield name, file.get_tensor(name)
        return
    scale = _scale(folder)
    with safe_open(folder / ADAPTER, "pt") as file:
        for key in sorted(file.keys()):
            if not key.endswith(DOWN):
                if not key.endswith(UP):
                    raise KitError(f"the adapter in {folder} holds {key!r}, which is no LoRA weight: merge it first")
                continue
            name = key.removeprefix(PREFIX).removesuffix(DOWN) + ".weight"
            if name not in parameters:
                raise KitError(f"the adapter in {folder} changes {name!r}, which this model does not have")
            weight = parameters[name]
            down, up = file.get_tensor(key), file.get_tensor(key.removesuffix(DOWN) + UP)
            if (len(up), down.shape[-1]) != weight.shape:
                raise KitError(f"the adapter in {folder} was made for a model of another size (at {name!r})")
            up, down = up.to(weight.device).float(), down.to(weight.device).float()
            yield name, torch.addmm(weight.float(), up, down, alpha=scale)


def _scale(folder: Path) -> float:
    """The factor of B A.

    Raises:
        KitError: The adapter is no plain LoRA.
    """
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    strange = [name for name in UNKNOWN if config.get(name)]
    if config.get("peft_type") != "LORA" or strange:
        raise KitError(
            f"the adapter in {folder} is no plain LoRA ({', '.join(strange) or config.get('peft_type')}): merge it "
            "into its model with PEFT's merge_and_unload, save that, and load the folder as a model"
        )
    rank = config["r"]
    return config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
