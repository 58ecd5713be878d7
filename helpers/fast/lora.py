"""LoRA for training on a CPU: no pass over memory for the sum of its two products.

PEFT makes y = W x + s B A x in steps each of which reads and writes the whole output, and autograd as many on the way
back. Layers that read the same rows, such as those of queries, keys and values, share the product with their A's, and
the gradient of the rows. In float32 the low-rank product is added to the other one in place, or, where layers are
compiled, by the pass that reads both. In 16 bits, unless processes share the weights, the two are one product, with
weights that lie side by side in memory: it is rounded once, where the sum of two is rounded twice. Formula: Hu et al.
2021 (2106.09685), section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn

LONGEST = 2048  # values that a product of rows back to their layer's input sums over: more take longer than in two


class LeanLora(torch.autograd.Function):
    """W x + bias + scaling * B A x for each of some layers with a frozen W; gradients for x and every A and B."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scaling: float, *layers: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """The output of each layer: (..., outer).

        Args:
            ctx: Of torch.
            x: (..., inner).
            scaling: The same for all.
            layers: Of each layer its weight (outer, inner), bias (outer,) or None, A (rank, inner) and B (outer, rank).
        """
        rows, below = x.reshape(-1, x.shape[-1]), layers[2] if len(layers) == 4 else torch.cat(layers[2::4])
        low = rows @ below.t()
        lows, outs = _by_layer(low, layers), []
        for part, weight, bias, b in zip(lows, layers[::4], layers[1::4], layers[3::4], strict=True):
            out = nn.functional.linear(x, weight, bias)  # no view: some models change it in place
            outs.append(_add_product(out, part, b.t(), scaling))
        ctx.save_for_backward(rows, below, low, *layers)
        ctx.scaling = scaling
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *d_outs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dB = s dy (A x)'; dA = s B' dy x'; dx = W' dy + s A' B' dy."""
        rows, below, low, *layers = ctx.saved_tensors
        d_x, d_lows, d_b = None, [], []
        shape = *d_outs[0].shape[:-1], below.shape[1]
        for part, weight, b, d_out in zip(_by_layer(low, layers), layers[::4], layers[3::4], d_outs, strict=True):
            d_rows = d_out.reshape(-1, len(weight))
            d_lows.append(_scaled(d_rows, b, ctx.scaling))
            d_b.append(_scaled(d_rows.t(), part, ctx.scaling))
            if ctx.needs_input_grad[0]:
                d_x = (d_rows @ weight).view(shape) if d_x is None else _add_product(d_x, d_rows, weight)
        d_low = torch.cat(d_lows, -1) if len(d_lows) > 1 else d_lows[0]
        d_x = None if d_x is None else _add_product(d_x, d_low, below)
        d_a = (d_low.t() @ rows).split([len(a) for a in layers[2::4]])
        return d_x, None, *(each for pair in zip(d_a, d_b, strict=True) for each in (None, None, *pair))


def _by_layer(low: torch.Tensor, layers: Sequence[torch.Tensor | None]) -> tuple[torch.Tensor, ...]:
    """A x of each layer."""
    return low.split([len(a) for a in layers[2::4]], -1)


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, scaling: float = 1.0) -> torch.Tensor:
    """total + scaling * left @ right, of total's shape; total is changed, unless this is compiled."""
    if torch.compiler.is_compiling():  # a product added to another one would be a copy and a pass over both
        return total + (left @ right).view(total.shape) * scaling
    total.view(len(left), right.shape[1]).addmm_(left, right, alpha=scaling)
    return total


def _scaled(left: torch.Tensor, right: torch.Tensor, scaling: float) -> torch.Tensor:
    """scaling * left @ right, in one pass."""
    return torch.addmm(right.new_empty(()), left, right, beta=0, alpha=scaling)


class JoinedLora(torch.autograd.Function):
    """`LeanLora` from one matrix, [W B; A 0], as `join` lays it: a row x gives [x, s A x] [W B]'.

    The W's of several layers lie below each other, and so do their A's; each B has columns of its own beside its W.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scaling: float, joint: torch.Tensor, bias: torch.Tensor | None, *adapters: Any
    ) -> tuple[torch.Tensor, ...]:
        """The output of each layer: (..., outer).

        Args:
            ctx: Of torch.
            x: (..., inner).
            scaling: The same for all.
            joint: (outer + rank, inner + rank), outer and rank being the sums over all layers.
            bias: (outer,) or None.
            adapters: Of each layer A (rank, inner) and B (outer, rank), both of them parts of `joint`.
        """
        inner, outers = x.shape[-1], [len(b) for b in adapters[1::2]]
        outer = sum(outers)
        low = (x @ joint[outer:, :inner].t()) * scaling
        out = nn.functional.linear(torch.cat([x, low], -1), joint[:outer], bias)
        ctx.save_for_backward(x, low, joint, *adapters[1::2])
        ctx.scaling = scaling
        return out.split(outers, -1) if len(outers) > 1 else (out,)  # not a view: some models change it in place

    @staticmethod
    def backward(ctx: Any, *d_outs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dB = dy (s A x)'; dA = s B' dy x'; dx = [dy, s B' dy] [W; A]."""
        x, low, joint, *bs = ctx.saved_tensors
        ranks = [b.shape[1] for b in bs]
        lows = low.reshape(-1, sum(ranks)).split(ranks, -1)
        d_rows = [d_out.reshape(-1, len(b)) for d_out, b in zip(d_outs, bs, strict=True)]
        d_low = torch.cat([each @ b for each, b in zip(d_rows, bs, strict=True)], -1) * ctx.scaling
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = _back(d_rows, d_low, joint[:, : x.shape[-1]]).view(x.shape)
        d_b = [each.t() @ part for each, part in zip(d_rows, lows, strict=True)]
        d_a = (d_low.t() @ x.reshape(-1, x.shape[-1])).split(ranks)
        return d_x, None, None, None, *(each for pair in zip(d_a, d_b, strict=True) for each in pair)


def _back(d_rows: Sequence[torch.Tensor], d_low: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[dy, s B' dy] [W; A]: one product, or, where that would sum over too many values, one for each layer."""
    alone = [] if sum(each.shape[1] for each in d_rows) <= LONGEST else d_rows[:-1]
    *parts, last = weights.split([*(each.shape[1] for each in alone), len(weights) - sum(e.shape[1] for e in alone)])
    d_x = torch.cat([*d_rows[len(alone) :], d_low], -1) @ last
    for each, weight in zip(alone, parts, strict=True):
        d_x = _add_product(d_x, each, weight)
    return d_x


class LeanLinear(Linear):
    """PEFT's layer with one plain adapter, computed by `LeanLora`, or by `JoinedLora` where it was joined."""

    joint: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As PEFT's own layer."""
        return together(x, [self], self.joint)[0] if self.in_use else super().forward(x, *args, **kwargs)

    @property
    def in_use(self) -> bool:
        """Whether the adapter is neither switched off nor merged into the weight."""
        return not (self.disable_adapters or self.merged)

    def tensors(self) -> tuple[torch.Tensor | None, ...]:
        """Weight, bias, A and B."""
        base, name = self.base_layer, self.active_adapters[0]
        return base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied with."""
        return self.scaling[self.active_adapters[0]]


def together(
    x: torch.Tensor, layers: Sequence[nn.Module], joint: torch.Tensor | None = None
) -> tuple[torch.Tensor, ...]:
    """The output of each of these layers; one by one where one has no adapter in use, or they scale it differently.

    Args:
        x: What all of them read: (..., inner).
        layers: Linear layers, with adapters or not.
        joint: The matrix that they were joined into, if they were.
    """
    lean = all(type(layer) is LeanLinear and layer.in_use for layer in layers)
    if not lean or any(layer.scale != layers[0].scale for layer in layers):
        return tuple(layer(x) for layer in layers)
    parts = [layer.tensors() for layer in layers]
    if joint is None:
        return LeanLora.apply(x, layers[0].scale, *(each for part in parts for each in part))
    bias = parts[0][1] if len(parts) == 1 or parts[0][1] is None else torch.cat([part[1] for part in parts])
    return JoinedLora.apply(x, layers[0].scale, joint, bias, *(each for part in parts for each in part[2:]))


def join(owner: nn.Module, layers: Sequence[LeanLinear]) -> None:
    """Lays the weights of layers that read the same rows into one matrix, `owner.joint`, and their adapters with them.

    Each weight becomes a view of it, so that what an optimizer changes is changed there. Nothing may give a weight
    other memory afterwards, as `.to` another device does: what is computed with were no longer what is trained.
    """
    parts = [layer.tensors() for layer in layers]
    first, rank, outer = parts[0][0], sum(len(part[2]) for part in parts), sum(len(part[0]) for part in parts)
    inner = first.shape[1]
    owner.joint = joint = first.new_zeros(outer + rank, inner + rank)
    row, below, column = 0, outer, inner
    for weight, _, a, b in parts:
        rows, columns, bottom = slice(row, row + len(b)), slice(column, column + len(a)), slice(below, below + len(a))
        for each, place in ((weight, joint[rows, :inner]), (a, joint[bottom, :inner]), (b, joint[rows, columns])):
            place.copy_(each.detach())
            each.data = place
        row, column, below = rows.stop, columns.stop, bottom.stop


def joinable(layers: Sequence[nn.Module]) -> bool:
    """Whether these layers can be joined: in 16 bits, all adapted alike, all or none with a bias, none joined yet."""
    if any(type(layer) is not LeanLinear for layer in layers):
        return False
    parts = [layer.tensors() for layer in layers]
    own = all(part[0].element_size() == 2 and part[0].is_contiguous() for part in parts)
    return own and len({(part[1] is None, layer.scale) for part, layer in zip(parts, layers, strict=True)}) == 1


def prepare(model: nn.Module) -> None:
    """Lets the plain adapters of a PEFT model train with it; others stay as PEFT computes them."""
    for module in model.modules():
        if type(module) is Linear and _plain(module):
            module.__class__ = LeanLinear


def _plain(layer: Linear) -> bool:
    """One adapter of the layer's own dtype, without dropout, bias or a variant such as DoRA, on a frozen matrix."""
    base, names = layer.base_layer, list(layer.active_adapters)
    if type(base) is not nn.Linear or base.weight.requires_grad or len(names) != 1 or names[0] not in layer.lora_A:
        return False
    (name,) = names
    a, b = layer.lora_A[name], layer.lora_B[name]
    return (
        name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and b.bias is None
        and (base.bias is None or not base.bias.requires_grad)
        and a.weight.dtype == b.weight.dtype == base.weight.dtype
    )
