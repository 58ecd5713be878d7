"""The lean gate against that of transformers: the very same numbers, less kept, and only where the gate is the same."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from helpers import lean_gate


def layer(act: str = "silu", kind: type = LlamaMLP, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """A feed-forward layer of 12, 20 wide inside."""
    torch.manual_seed(5)
    return kind(LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2, hidden_act=act)).to(dtype)


def results(mlp: torch.nn.Module, dtype: torch.dtype) -> list[torch.Tensor]:
    """Output and gradients for rows of very different sizes."""
    torch.manual_seed(6)
    x = (torch.randn(3, 7, 12) * torch.logspace(-2, 2, 7)[:, None]).to(dtype).requires_grad_()
    out = mlp(x)
    (out.float() * torch.arange(out.numel()).view_as(out).sin()).sum().backward()
    return [out.detach(), x.grad, *(weight.grad for weight in mlp.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_output_and_gradients_are_those_of_transformers_to_the_last_digit(dtype):
    plain, lean = layer(dtype=dtype), layer(dtype=dtype)
    lean_gate.prepare(lean)
    assert "forward" in vars(lean)
    wanted, found = results(plain, dtype), results(lean, dtype)
    assert len(wanted) == len(found) == 5
    for one, other in zip(wanted, found, strict=True):
        assert one.abs().sum() > 0 and torch.equal(one, other)


def test_it_keeps_one_large_tensor_less_for_the_way_back():
    kept = {}
    for name in ("plain", "lean"):
        mlp, places = layer(), set()
        if name == "lean":
            lean_gate.prepare(mlp)
        hold = []  # a storage that was freed must not be counted as another one

        def keep(t, places=places, hold=hold):
            hold.append(t)
            if t.numel() == 50 * 20:
                places.add(t.untyped_storage().data_ptr())
            return t

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            mlp(torch.randn(50, 12).requires_grad_())
        kept[name] = len(places)
    assert kept == {"plain": 4, "lean": 3}, "gate, up and the product that the next layer keeps; not silu(gate)"


def test_gates_of_another_kind_stay_as_they_are():
    class OwnMLP(LlamaMLP):
        def forward(self, x):
            return super().forward(x) + 0.001

    for mlp in (layer(act="gelu"), layer(kind=OwnMLP)):
        lean_gate.prepare(mlp)
        assert "forward" not in vars(mlp)
