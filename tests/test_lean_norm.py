"""Lean RMSNorm against that of transformers: the same outputs, the same gradients, and only where it is the same."""

from __future__ import annotations

import pytest
import torch
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from helpers.fast import norm as lean_norm


def layer(kind: type = LlamaRMSNorm, dtype: torch.dtype = torch.float32, learns: bool = True) -> torch.nn.Module:
    """A norm over 24 whose weights are not the ones that it begins with."""
    torch.manual_seed(2)
    made = kind(24, eps=1e-3).to(dtype)
    torch.nn.init.normal_(made.weight, 1, 0.3)
    return made.requires_grad_(learns)


def results(norm: torch.nn.Module, dtype: torch.dtype) -> list[torch.Tensor]:
    """Output and gradients for rows of very different sizes."""
    torch.manual_seed(3)
    x = (torch.randn(3, 7, 24) * torch.logspace(-3, 2, 7)[:, None]).to(dtype).requires_grad_()
    out = norm(x)
    (out.float() * torch.arange(out.numel()).view_as(out).sin()).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in norm.parameters() if p.requires_grad)]


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-6), (torch.bfloat16, 0.01)])
def test_output_and_gradients_are_those_of_transformers(dtype, apart, learns):
    plain, lean = layer(dtype=dtype, learns=learns), layer(dtype=dtype, learns=learns)
    lean_norm.prepare(lean)
    assert "forward" in vars(lean)
    wanted, found = results(plain, dtype), results(lean, dtype)
    assert torch.equal(wanted[0], found[0]), "the forward pass rounds in the same places"
    assert len(wanted) == len(found) == 2 + learns
    for one, other in zip(wanted, found, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (one.float() - other.float()).norm() <= apart * one.float().norm()


def test_what_goes_back_to_small_rows_is_right_as_well():
    torch.manual_seed(4)
    x = (torch.randn(5, 24, dtype=torch.float64) * torch.logspace(-3, 2, 5)[:, None]).requires_grad_()
    weight, given = layer(learns=False).weight, torch.randn(5, 24)
    exact = weight.double() * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3)
    (wanted,) = torch.autograd.grad(exact, x, given.double())
    (found,) = torch.autograd.grad(lean_norm.LeanNorm.apply(x.float(), weight, 1e-3), x, given)
    assert ((found - wanted).norm(dim=-1) <= 1e-5 * wanted.norm(dim=-1)).all()


def test_it_keeps_less_for_the_way_back():
    kept = {}
    for name, norm in (("plain", layer(learns=False)), ("lean", layer(learns=False))):
        if name == "lean":
            lean_norm.prepare(norm)
        sizes: list[int] = []
        x = torch.randn(50, 24).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            norm(x)
        kept[name] = sum(size for size in sizes if size >= x.numel())
    assert kept["lean"] == 50 * 24 < kept["plain"]


def test_norms_of_another_kind_stay_as_they_are():
    class OwnRMSNorm(LlamaRMSNorm):
        def forward(self, hidden_states):
            return super().forward(hidden_states) + 0.001

    for kind in (OwnRMSNorm, GemmaRMSNorm):
        norm = layer(kind)
        lean_norm.prepare(norm)
        assert "forward" not in vars(norm)
