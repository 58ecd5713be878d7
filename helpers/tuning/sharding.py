"""A training's weights, gradients and optimizer in shards over several processes (FSDP), for models that do not fit.

    torchrun --nproc_per_node 2 -m helpers train --arm customization --fsdp

Each process holds a part of every weight, and has a layer whole only while it computes it (Zhao et al. 2023, PyTorch
FSDP, arXiv:2304.11277). This is PyTorch's own `fully_shard`: the `fsdp` option of transformers' Trainer does nothing
on CPUs, where accelerate keeps to data parallel without a word.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..data import KitError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .loss import Objective


def check_processes() -> None:
    """Refuses to shard over a single process.

    Raises:
        KitError: torchrun did not start several.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise KitError(
            "`--fsdp` shares a model between processes, and there is one: start it with "
            "`torchrun --nproc_per_node 2 -m helpers train ... --fsdp`"
        )


def shard(objective: Objective) -> None:
    """Leaves to this process its shard of every weight; gradients are summed in float32.

    The processes must have met before (`TrainingArguments` sees to it), and hold the same weights.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    from .loss import decoder_layers

    mesh = init_device_mesh(next(objective.parameters()).device.type, (int(os.environ["WORLD_SIZE"]),))
    precision = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for module in [*decoder_layers(objective.causal), objective]:
        fully_shard(module, mesh=mesh, mp_policy=precision)
    objective._is_accelerate_prepared = True  # or accelerate would put DDP around it, which holds every weight whole


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor of all shards, on the CPU; every process must ask, and in the same order."""
    return tensor.full_tensor().cpu() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The tensor placed as another: on its device, and in the same shards where it has some."""
    tensor = tensor.to(other.device)
    if not hasattr(other, "device_mesh"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)


def tuned_state(model: nn.Module, frozen: bool) -> dict[str, torch.Tensor] | None:
    """The weights of a sharded model by name, each whole; None where it is not sharded. Every process must ask.

    Args:
        model: What was trained.
        frozen: Whether weights that were left as they were belong to it: to a model of its own, not to an adapter.
    """
    named = dict(model.named_parameters())
    if not any(hasattr(parameter, "full_tensor") for parameter in named.values()):
        return None
    return {name: whole(parameter.detach()) for name, parameter in named.items() if frozen or parameter.requires_grad}
