"""Checkpoints of a training: float32 weights, the optimizer's moments and the history, whole or not at all.

Tensors are safetensors and the rest is JSON, so a checkpoint is never unpickled. A checkpoint is written beside its
place and then renamed; a run that is killed at any moment goes on from the last whole one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import DataError, KitError
from ..models import is_first_process
from .sharding import like, whole

if TYPE_CHECKING:
    import torch

    from .loss import MasterAdamW

TENSORS, STATE = "state.safetensors", "state.json"
TRAINER_STATE = "trainer_state.json"  # the name under which transformers' Trainer looks for its own


def write(folder: Path, step: int, optimizer: MasterAdamW, state: dict[str, Any]) -> Path:
    """Writes the checkpoint of a step and takes away the one before it.

    Of several processes the first one writes; all must call, since each may hold a shard of the tensors.

    Args:
        folder: Where the checkpoints of this run lie.
        step: The number of finished steps.
        optimizer: Its masters and moments are the state of the training.
        state: JSON types; comes back from `read`, but for `trainer`, which transformers' Trainer reads itself.

    Raises:
        KitError: It cannot be written, because the disk is full say; the checkpoint before it stays.
    """
    from safetensors.torch import save_file

    place, beside = folder / f"step-{step:06}", folder / f".step-{step:06}.part"
    tensors = _tensors(optimizer)
    if not is_first_process():
        return place
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(tensors, beside / TENSORS)
        (beside / TRAINER_STATE).write_text(json.dumps(state.pop("trainer")), encoding="utf-8")
        (beside / STATE).write_text(json.dumps(state | {"step": step}), encoding="utf-8")
        for name in (TENSORS, TRAINER_STATE, STATE):
            _sync(beside / name)
        shutil.rmtree(place, ignore_errors=True)
        beside.replace(place)
    except Exception as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(beside, ignore_errors=True)
        raise KitError(
            f"could not write the checkpoint {place} ({error}). Free some space and start the same training again: "
            f"it goes on after {last_step(folder)} steps."
        ) from error
    for older in _all(folder)[:-1]:
        shutil.rmtree(older, ignore_errors=True)
    return place


def read(folder: Path, optimizer: MasterAdamW) -> dict[str, Any] | None:
    """Puts the last whole checkpoint into the optimizer and its model; None when there is none.

    Raises:
        DataError: The checkpoint does not fit the model, or is damaged.
    """
    from safetensors.torch import load_file

    found = _all(folder)
    if not found:
        return None
    try:
        tensors = load_file(found[-1] / TENSORS)
        state = json.loads((found[-1] / STATE).read_text(encoding="utf-8"))
        _restore(optimizer, tensors)
    except Exception as error:
        raise DataError(
            f"the checkpoint {found[-1]} cannot be used ({error}). Delete that folder: the training then starts anew."
        ) from error
    return state


def peek(folder: Path) -> dict[str, Any]:
    """The state of the last whole checkpoint without its tensors; empty when there is none."""
    found = _all(folder)
    return json.loads((found[-1] / STATE).read_text(encoding="utf-8")) if found else {}


def last(folder: Path) -> str | None:
    """The path of the last whole checkpoint, as transformers' Trainer takes it."""
    found = _all(folder)
    return str(found[-1]) if found else None


def last_step(folder: Path) -> int:
    """How many steps the last whole checkpoint has; 0 when there is none."""
    found = _all(folder)
    return int(found[-1].name.split("-")[1]) if found else 0


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def _tensors(optimizer: MasterAdamW) -> dict[str, torch.Tensor]:
    """Every tensor of the state, whole; empty in all processes but the first, which then hold none of them."""
    tensors, keep = {}, is_first_process()
    for name, master in optimizer.masters.items():
        parts = {"weight": master} | optimizer.state[master]
        for key, value in parts.items():
            tensor = whole(value.detach())
            if keep:
                tensors[f"{key}/{name}"] = tensor.contiguous()
    return tensors


def _restore(optimizer: MasterAdamW, tensors: dict[str, torch.Tensor]) -> None:
    masters = optimizer.masters
    names = {key.split("/", 1)[1] for key in tensors}
    if names != set(masters):
        raise ValueError(f"it holds other weights than the model trains: {sorted(names ^ set(masters))[:2]} ...")
    for key, tensor in tensors.items():
        what, name = key.split("/", 1)
        if what == "weight":
            masters[name].data.copy_(like(tensor, masters[name]))
        else:
            there = tensor.to(masters[name].device) if what == "step" else like(tensor, masters[name])
            optimizer.state[masters[name]][what] = there
    optimizer.copy_back()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
