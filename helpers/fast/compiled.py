"""Decoder layers compiled each by itself: one compilation serves all of them.

The whole model as one graph takes several minutes to compile; a layer 17 to 26 seconds on two cores, and 3 or 4 where
an earlier process left one of the same sizes in torch's cache on disk.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Seconds of a row of 256 tokens, plain and compiled, with all weights and with adapters, and those of compiling,
# between a first one and one from the cache (tools/benchmarks/step.py, two cores of 1,827 GFLOP/s in bfloat16).
ALL_WEIGHTS, ADAPTERS, COMPILING = (0.75, 0.59), (0.44, 0.33), 15


def compiling_pays(whole: bool, tokens: int, padded: int) -> bool:
    """Whether a training is so long that compiled layers save more time than compiling takes, where that is possible.

    Only the length decides, never the speed of the machine, so that a training computes alike wherever it is made.

    Args:
        whole: Whether all weights are trained.
        tokens: Those of all rows; plain layers compute them, and hardly any padding.
        padded: The same with the padding that compiled layers compute.
    """
    plain, compiled = ALL_WEIGHTS if whole else ADAPTERS
    return can_compile() and tokens / 256 * plain - padded / 256 * compiled > COMPILING


def can_compile() -> bool:
    """Whether decoder layers can be compiled here: on Linux and macOS with a C++ compiler."""
    return sys.platform != "win32" and any(shutil.which(name) for name in ("c++", "g++", "clang++"))


def compile_layers(model: PreTrainedModel) -> int:
    """Compiles each decoder layer for training steps; evaluation takes the plain ones. Returns how many there are."""
    from torch._dynamo import config as dynamo
    from torch._functorch import config as functorch

    torch.compiler.reset()  # torch keeps a few versions of a layer and leaves the next one uncompiled without a word
    functorch.autograd_cache_allow_custom_autograd_functions = True
    dynamo.optimize_ddp = False  # it would cut a layer's graph into parts of a megabyte of weights
    model.enable_input_require_grads()  # otherwise the first layer is compiled once more, without its rows' gradient
    options: dict[str, Any] = {"size_asserts": False}  # checks of its own work, at each of some hundred small steps
    if sys.platform == "linux" and model.device.type == "cpu":
        options["cpp_wrapper"] = True  # these steps are called from C++
    layers = decoder_layers(model)
    for layer in layers:
        layer.forward = _in_steps(torch.compile(layer.forward, dynamic=False, options=options), layer.forward)
    return len(layers)


def _in_steps(compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled where a backward pass follows: a graph without one would be compiled anew."""

    def forward(*args: Any, **options: Any) -> Any:
        return compiled(*args, **options) if torch.is_grad_enabled() else plain(*args, **options)

    return forward


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that a model repeats, in their order."""
    return list(next((m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1), []))
