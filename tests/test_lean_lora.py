"""Lean LoRA against PEFT's own layers: the same outputs, the same gradients, and only where a layer is plain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear

from helpers import lean_lora


class Two(torch.nn.Module):
    """Two matrices, the first one with a bias."""

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        torch.manual_seed(3)
        self.one = torch.nn.Linear(24, 40, dtype=dtype)
        self.other = torch.nn.Linear(40, 16, bias=False, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(torch.nn.functional.silu(self.one(x)))


def adapted(dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """The model with adapters whose second matrix is not the zeros that it begins as."""
    config = LoraConfig(r=4, target_modules=["one", "other"], **{"lora_alpha": 6} | options)
    model = get_peft_model(Two(dtype), config, autocast_adapter_dtype=False)
    torch.manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def adapters(model: Any) -> list[Linear]:
    """Its adapted layers."""
    return [module for module in model.modules() if isinstance(module, Linear)]


def results(model: Any, dtype: torch.dtype) -> list[torch.Tensor]:
    """Output and gradients for an input that stands in two dimensions of rows."""
    torch.manual_seed(5)
    x = torch.randn(3, 7, 24).to(dtype).requires_grad_()
    out = model(x)
    (out.float() * torch.arange(out.numel()).view_as(out).sin()).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize("alpha", [4, 6])  # scaled by 1 and by 1.5
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_outputs_and_gradients_are_those_of_peft(dtype, apart, alpha):
    plain, lean = (adapted(dtype, lora_alpha=alpha) for _ in range(2))
    lean_lora.prepare(lean)
    assert [type(layer) for layer in adapters(lean)] == [lean_lora.LeanLinear] * 2
    wanted, found = results(plain, dtype), results(lean, dtype)
    assert len(wanted) == 2 + 4
    for one, other in zip(wanted, found, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (one.float() - other.float()).norm() <= apart * one.float().norm()


def test_no_rows_at_all_pass_through_it():
    model = adapted()
    lean_lora.prepare(model)
    x = torch.randn(0, 24).requires_grad_()
    out = model(x)
    out.sum().backward()
    assert out.shape == (0, 16) and x.grad.shape == (0, 24)


def test_frozen_weights_get_no_gradient_and_an_input_without_one_asks_for_none():
    model = adapted()
    lean_lora.prepare(model)
    model(torch.randn(5, 24)).sum().backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert len(with_gradient) == 4 and all("lora_" in name for name in with_gradient)


@pytest.mark.parametrize(
    "options", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}, {"bias": "lora_only"}, {}]
)
def test_layers_that_do_more_stay_as_peft_computes_them(options):
    model = adapted(**options)
    lean_lora.prepare(model)
    assert type(adapters(model)[0]) is (Linear if options else lean_lora.LeanLinear)


def test_adapters_of_another_dtype_or_more_than_one_stay_as_peft_computes_them():
    wider = adapted(torch.bfloat16)
    for layer in adapters(wider):
        layer.lora_A["default"].float()
    several = adapted()
    several.add_adapter("second", LoraConfig(r=2, target_modules=["one", "other"]))
    several.base_model.set_adapter(["default", "second"])
    for model in (wider, several):
        lean_lora.prepare(model)
        assert {type(layer) for layer in adapters(model)} == {Linear}


def test_without_the_adapter_and_merged_it_is_what_peft_makes_of_it():
    model, x = adapted(), torch.randn(5, 24)
    lean_lora.prepare(model)
    tuned = model(x)
    with model.disable_adapter():
        torch.testing.assert_close(model(x), Two(torch.float32)(x))
    model.merge_adapter()
    torch.testing.assert_close(model(x), tuned, rtol=1e-4, atol=1e-5)
