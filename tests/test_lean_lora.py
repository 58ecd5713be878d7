"""Lean LoRA against PEFT's own layers: the same outputs, the same gradients, and only where a layer is plain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear

from helpers.fast import lora as lean_lora


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


def far(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """How far results lie from others, on average of all of them."""
    return sum(float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)) / len(wanted)


@pytest.mark.parametrize("alpha", [4, 6])
def test_joined_with_the_weights_outputs_and_gradients_are_nearer_to_the_exact_ones_than_those_of_peft(alpha):
    plain, lean = (adapted(torch.bfloat16, lora_alpha=alpha) for _ in range(2))
    exact = adapted(torch.bfloat16, lora_alpha=alpha).float()
    join(lean)
    wanted, one, other = (
        results(model, torch.float32 if model is exact else torch.bfloat16) for model in (exact, plain, lean)
    )
    assert [each.shape for each in other] == [each.shape for each in wanted] and len(wanted) == 2 + 4
    assert 0 < far(other, wanted) < far(one, wanted) < 0.02


def join(model: Any) -> None:
    """Lays each layer's weights and adapters into one matrix."""
    lean_lora.prepare(model)
    for layer in adapters(model):
        assert lean_lora.joinable([layer])
        lean_lora.join(layer, [layer])
        assert not lean_lora.joinable([layer])


@pytest.mark.parametrize("most", [10, 1000])  # the way back by a product for each layer, and by one
@pytest.mark.parametrize("biased", [False, True])
def test_layers_that_read_the_same_rows_are_joined_as_a_whole(monkeypatch, biased, most):
    monkeypatch.setattr(lean_lora, "LONGEST", most)
    found = []
    for joined in (False, True):
        torch.manual_seed(7)
        model = torch.nn.ModuleDict(
            {n: torch.nn.Linear(24, w, bias=biased) for n, w in {"a": 40, "b": 8, "c": 12}.items()}
        )
        config = LoraConfig(r=4, lora_alpha=6, target_modules=["a", "b", "c"])
        model = get_peft_model(model.bfloat16(), config, autocast_adapter_dtype=False)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        lean_lora.prepare(model)
        layers, owner = adapters(model), torch.nn.Module()
        if joined:
            assert lean_lora.joinable(layers)
            lean_lora.join(owner, layers)
            assert owner.joint.shape == (60 + 12, 24 + 12)
        x = torch.randn(3, 7, 24).bfloat16().requires_grad_()
        outs = lean_lora.together(x, layers, owner.joint if joined else None)
        assert [out.shape for out in outs] == [(3, 7, 40), (3, 7, 8), (3, 7, 12)]
        sum((out.float() * torch.arange(out.numel()).view_as(out).sin()).sum() for out in outs).backward()
        found.append([*outs, x.grad, *(p.grad for p in model.parameters() if p.requires_grad)])
    assert len(found[0]) == 3 + 1 + 6
    for one, other in zip(*found, strict=True):
        assert (one.float() - other.float()).norm() <= 0.01 * one.float().norm() > 0


def test_layers_of_float32_or_with_and_without_a_bias_are_not_joined():
    for dtype, wanted in ((torch.float32, [False, False]), (torch.bfloat16, [True, True])):
        model = adapted(dtype)
        assert not any(lean_lora.joinable([layer]) for layer in adapters(model))
        lean_lora.prepare(model)
        assert [lean_lora.joinable([layer]) for layer in adapters(model)] == wanted
        assert not lean_lora.joinable(adapters(model))


@pytest.mark.parametrize("joined", [False, True])
def test_no_rows_at_all_pass_through_it(joined):
    model = adapted(torch.bfloat16 if joined else torch.float32)
    (join if joined else lean_lora.prepare)(model)
    x = torch.randn(0, 24, dtype=model.base_model.model.one.weight.dtype).requires_grad_()
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
