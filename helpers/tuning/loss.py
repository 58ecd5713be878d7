"""What a training step computes: the loss of packed rows, without ever holding all logits, and its optimizer.

What makes a step on a CPU fast: logits only where there is a label, and in slices; attention as plain matrix products
(the fused kernel's backward pass is slow there); adapters that read and write less; and compiled decoder layers.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._dynamo import config as dynamo
from torch._functorch import config as functorch

from .packing import IGNORED, visible

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AT_ONCE = 2_000_000  # weights whose float32 gradients are held at one time: so few stay in a processor's cache
SLICE = 512  # rows of hidden states whose logits are held at one time
BACK = 256  # of these, how many are led back at one time: all at once took twice as long on two cores in bfloat16
ROWS = 16  # how many of them are in float32 at one time on a CPU: so few stay in its cache
TRIED = 4  # tokens on which a head is tried


class SlicedCrossEntropy(torch.autograd.Function):
    """Cross entropy of a linear head, summed over tokens; logits are made, used and dropped `SLICE` tokens at a time.

    The gradient is computed in the forward pass, while the logits are there: softmax minus one at the label
    (Goodfellow et al. 2016, Deep Learning, section 6.2.2). The idea of fusing it is that of Liger Kernel (2410.10989).
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The summed loss, float32, from hidden (tokens, width), weight (vocabulary, width) and labels (tokens,)."""
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        at_once = ROWS if hidden.device.type == "cpu" else BACK
        for part, wanted, d_part in zip(*(each.split(SLICE) for each in (hidden, labels, d_hidden)), strict=True):
            error = part @ weight.t()  # the logits, until their error takes their place
            for few, label in zip(error.split(at_once), wanted.split(at_once), strict=True):
                at_label = torch.arange(len(label), device=label.device), label
                log_probability = few.log_softmax(-1, dtype=torch.float32)
                total -= log_probability[at_label].sum()
                difference = log_probability.exp_()
                difference[at_label] -= 1
                few.copy_(difference)
            for few, d_few in zip(error.split(BACK), d_part.split(BACK), strict=True):
                torch.mm(few, weight, out=d_few)
            if d_weight is not None:
                d_weight += error.t() @ part
            del error  # before the next slice's is made
        ctx.save_for_backward(d_hidden, None if d_weight is None else d_weight.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, d_total: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Scales the stored gradients."""
        d_hidden, d_weight = ctx.saved_tensors
        scale = d_total.to(d_hidden.dtype)
        return d_hidden * scale, None if d_weight is None else d_weight * scale, None


class Objective(nn.Module):
    """A causal language model, PEFT adapter or not, that maps packed rows to their loss."""

    accepts_loss_kwargs = True  # transformers' Trainer then counts labels over all parts of a batch and all processes

    def __init__(self, model: nn.Module):
        """Wraps the model that is trained."""
        super().__init__()
        self.model, self.mode = model, None
        self.plain_head = self._has_plain_head()

    @property
    def causal(self) -> PreTrainedModel:
        """The transformers model under the adapter."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def train(self, mode: bool = True) -> Objective:
        """Sets the mode of all modules, some thousand, where it was not set before: a Trainer does so at each step."""
        if mode != self.mode:
            self.mode = mode
            super().train(mode)
        return self

    def forward(
        self,
        input_ids: torch.Tensor,
        shift_labels: torch.Tensor,
        positions: torch.Tensor,
        segments: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """The loss of rows as `packing.collate` makes them.

        Returns:
            `loss`: summed over labelled tokens and divided by `num_items_in_batch`, or by their number when it is None.
        """
        told, rows = shift_labels != IGNORED, self._inputs(input_ids, positions, segments)
        if self.plain_head:
            hidden = self.causal.base_model(**rows).last_hidden_state[told]
            loss = SlicedCrossEntropy.apply(hidden, self.causal.get_output_embeddings().weight, shift_labels[told])
        else:
            kept = told.any(0).nonzero().flatten()
            logits = self.causal(**rows, logits_to_keep=kept).logits
            logits = logits if logits.shape[1] == len(kept) else logits[:, kept]  # some models give them all
            loss = nn.functional.cross_entropy(logits[told[:, kept]].float(), shift_labels[told], reduction="sum")
        return {"loss": loss / (num_items_in_batch if num_items_in_batch is not None else told.sum())}

    def _inputs(self, ids: torch.Tensor, positions: torch.Tensor, segments: torch.Tensor) -> dict[str, Any]:
        """What the model is called with: a mask is added to its scores."""
        hidden, dtype = ~visible(segments), self.causal.dtype
        mask = torch.zeros(hidden.shape, dtype=dtype, device=ids.device).masked_fill(hidden, torch.finfo(dtype).min)
        return {"input_ids": ids, "attention_mask": mask[:, None], "position_ids": positions, "use_cache": False}

    @torch.no_grad()
    def _has_plain_head(self) -> bool:
        """Whether logits are one matrix product and nothing more, no scaling or capping: tried on a few tokens."""
        head = self.causal.get_output_embeddings()
        if type(head) is not nn.Linear or head.bias is not None:
            return False
        places = torch.arange(TRIED, device=head.weight.device)[None]
        rows = self._inputs(places, places, torch.zeros_like(places))
        return torch.equal(self.causal(**rows).logits, head(self.causal.base_model(**rows).last_hidden_state))


class MasterAdamW(torch.optim.AdamW):
    """AdamW on float32 copies of 16-bit weights, so that small steps are not rounded away; on float32 ones themselves.

    Copies, and their gradients, lie row by row, however the weights do: the fused step goes through memory as it is.

    AdamW: Loshchilov & Hutter 2019 (1711.05101); float32 master weights: Micikevicius et al. 2018 (1710.03740).
    """

    def __init__(self, named: dict[str, nn.Parameter], **options: Any):
        """Copies the weights, where they are not float32 already.

        Args:
            named: The trainable parameters by name; their order is that of the state.
            options: As for `torch.optim.AdamW`.
        """
        self.named, self.share = named, 1.0  # how much of each gradient the next step takes
        masters = [parameter.detach().float().contiguous() for parameter in named.values()]
        super().__init__(masters, fused=True, **options)

    @property
    def masters(self) -> dict[str, torch.Tensor]:
        """The float32 weights by name."""
        return dict(zip(self.named, self.param_groups[0]["params"], strict=True))

    def clip(self, most: float) -> torch.Tensor:
        """The norm of all gradients; the next step takes them as if it were at most so much, as it reads them.

        torch.nn.utils.clip_grad_norm_ reads and writes all of them once more for it.
        """
        norm = nn.utils.get_total_norm([weight.grad for weight in self.named.values() if weight.grad is not None])
        self.share = min(1.0, most / (float(norm) + 1e-6))
        return norm

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step on the float32 weights, copied back into the model."""
        waiting, size = [], 0
        for parameter, master in zip(self.named.values(), self.param_groups[0]["params"], strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float().contiguous()
            waiting.append(master)
            size += master.numel()
            if size >= AT_ONCE:
                self._step(waiting)
                size = 0
        self._step(waiting)
        self.share = 1.0
        self.copy_back()

    def _step(self, waiting: list[torch.Tensor]) -> None:
        """Steps the weights that have a gradient, and drops these: those of all weights would fill memory."""
        gradients = [master.grad for master in waiting if master.grad is not None]
        if self.share < 1 and gradients:
            torch._foreach_mul_(gradients, self.share)
        super().step()
        for master in waiting:
            master.grad = None
        waiting.clear()

    @torch.no_grad()
    def copy_back(self) -> None:
        """Writes the float32 weights into the model, rounded to its dtype."""
        for name, master in self.masters.items():
            self.named[name].copy_(master)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of the model's own weights."""
        for parameter in self.named.values():
            parameter.grad = None


def can_compile() -> bool:
    """Whether decoder layers can be compiled here: on Linux and macOS with a C++ compiler."""
    return sys.platform != "win32" and any(shutil.which(name) for name in ("c++", "g++", "clang++"))


def compile_layers(model: PreTrainedModel) -> int:
    """Compiles each decoder layer by itself (one compilation serves all); returns how many there are.

    The whole model as one graph takes several minutes to compile; a layer 17 to 26 seconds on two cores, and 3 or 4
    where an earlier process left one of the same sizes in torch's cache on disk. What earlier trainings of this process
    compiled is dropped: torch keeps a few versions of a layer and leaves the next one uncompiled without a word.
    """
    torch.compiler.reset()
    functorch.autograd_cache_allow_custom_autograd_functions = True
    dynamo.optimize_ddp = False  # it would cut a layer's graph into parts of a megabyte of weights
    model.enable_input_require_grads()  # otherwise the first layer is compiled once more, without its rows' gradient
    layers = decoder_layers(model)
    options = {"size_asserts": False}  # checks of its own work, at each of some hundred small steps
    if sys.platform == "linux" and model.device.type == "cpu":
        options["cpp_wrapper"] = True  # these steps are called from C++
    for layer in layers:
        layer.compile(dynamic=False, options=options)
    return len(layers)


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The layers that a model repeats, in their order."""
    return list(next((m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1), []))
