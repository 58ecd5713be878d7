"""The loss of a language model without ever holding all of its logits: only where there is a label, and in slices."""

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

IGNORED = -100  # the label of a token that the loss leaves out, as in torch
SLICE = 512  # rows of hidden states whose logits are held at one time
BACK = 256  # rows whose gradient is one product: all at once took twice as long on two cores in bfloat16
ROWS = 16  # rows in float32 at one time on a CPU: so few stay in its cache


class SlicedCrossEntropy(torch.autograd.Function):
    """Cross entropy of a linear head, summed over tokens; logits are made, used and dropped `SLICE` tokens at a time.

    The gradient is computed in the forward pass, while the logits are there: softmax minus one at the label
    (Goodfellow et al. 2016, Deep Learning, section 6.2.2). The idea of fusing it is that of Liger Kernel (2410.10989).
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The summed loss, float32, from hidden (tokens, width), weight (vocabulary, width) and labels (tokens,)."""
        head = weight.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(head, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        at_once = ROWS if hidden.device.type == "cpu" else BACK
        for part, wanted, d_part in zip(*(each.split(SLICE) for each in (hidden, labels, d_hidden)), strict=True):
            error = part @ head.t()  # the logits, until their error takes their place
            for few, label in zip(error.split(at_once), wanted.split(at_once), strict=True):
                at_label = torch.arange(len(label), device=label.device), label
                log_probability = few.log_softmax(-1, dtype=torch.float32)
                total -= log_probability[at_label].sum()
                difference = log_probability.exp_()
                difference[at_label] -= 1
                few.copy_(difference)
            for few, d_few in zip(error.split(BACK), d_part.split(BACK), strict=True):
                torch.mm(few, head, out=d_few)
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
        return d_hidden * scale, None if d_weight is None else d_weight * d_total.to(d_weight.dtype), None


def enable(model: PreTrainedModel) -> Callable[[], None]:
    """Lets a causal model compute its loss in slices, where its head is a plain matrix; returns what undoes it.

    Whether more is done to the logits (scaling, capping) shows when the first losses are compared, see `training`.
    """
    head, plain = model.get_output_embeddings(), model.forward
    if type(head) is not nn.Linear or head.bias is not None:
        return lambda: None

    @wraps(type(model).forward)  # Trainer reads the names of its inputs
    def forward(model: PreTrainedModel, *args: Any, shift_labels: torch.Tensor | None = None, **inputs: Any) -> Any:
        """The model's own output, or where labels are given its loss alone."""
        labels = inputs.get("labels")
        if args or (shift_labels is None and labels is None):
            return plain(*args, **inputs | ({} if shift_labels is None else {"shift_labels": shift_labels}))
        if shift_labels is None:  # those of a usual collator, each at its own token
            shift_labels = nn.functional.pad(labels, (0, 1), value=IGNORED)[:, 1:]
        names = {"input_ids", "attention_mask", "position_ids"} & inputs.keys()
        states = model.base_model(**{name: inputs[name] for name in names}, use_cache=False).last_hidden_state
        labelled = shift_labels != IGNORED
        hidden = states[labelled]
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        loss = SlicedCrossEntropy.apply(hidden, head.weight, shift_labels[labelled])
        count = inputs.get("num_items_in_batch")
        return CausalLMOutput(loss=loss / (labelled.sum() if count is None else count))

    model.forward = MethodType(forward, model)
    return lambda: setattr(model, "forward", plain)
