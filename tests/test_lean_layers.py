"""Lean layers against those of transformers: the same numbers, less kept, and only where a layer is of a known kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP

from helpers import lean_attention, lean_layers, lean_lora
from helpers.lean_layers import LeanAttentionLayer, LeanFeedForward
from helpers.objective import MasterAdamW, Objective
from helpers.packing import collate, text_rows

CONFIG = {
    "hidden_size": 36, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 60, "initializer_range": 0.2,
}  # fmt: skip
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapted(
    dtype: torch.dtype = torch.float32, architecture: str = "Llama", modules: Any = ALL, lean: bool = True, **more: Any
) -> Any:
    """A model with adapters whose second matrix is not the zeros that it begins as."""
    torch.manual_seed(3)
    config = getattr(transformers, f"{architecture}Config")(**CONFIG | more)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config).to(dtype)
    lean_attention.prepare(model)
    lora = LoraConfig(r=4, lora_alpha=6, target_modules=list(modules))
    model = get_peft_model(model, lora, autocast_adapter_dtype=False)
    torch.manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    if lean:
        lean_lora.prepare(model)
        lean_layers.prepare(model)
    return model.train()


def kinds(model: Any) -> list[int]:
    """How many attention layers, and how many feed-forward layers, are lean."""
    return [sum(isinstance(each, kind) for each in model.modules()) for kind in (LeanAttentionLayer, LeanFeedForward)]


def loss_of(model: Any) -> torch.Tensor:
    """The loss of two rows, one of them of two texts."""
    rows = text_rows([list(range(5, 20)), list(range(20, 29)), list(range(3, 9))], 16, 2)
    return Objective(model)(**collate(rows))["loss"]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Of every adapter, by name."""
    loss_of(model).backward()
    return {name: weight.grad.float() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("bias", [False, True])
def test_loss_and_gradients_are_those_of_transformers_and_peft(bias):
    more = {"attention_bias": bias, "mlp_bias": bias}
    plain, lean = adapted(lean=False, **more), adapted(**more)
    assert kinds(plain) == [0, 0] and kinds(lean) == [2, 2]
    assert loss_of(lean).item() == pytest.approx(loss_of(plain).item(), rel=1e-6)
    wanted, found = gradients(plain), gradients(lean)
    assert wanted.keys() == found.keys() and len(found) == 2 * 7 * 2
    for name, one in wanted.items():
        assert one.norm() > 0 and (found[name] - one).norm() <= 1e-5 * one.norm(), name


def test_in_16_bits_gradients_are_as_near_to_the_exact_ones_as_those_of_transformers_and_peft():
    plain, lean = adapted(torch.bfloat16, lean=False), adapted(torch.bfloat16)
    exact = gradients(adapted(torch.bfloat16, lean=False).float())
    assert loss_of(lean).item() == pytest.approx(loss_of(plain).item(), rel=0.002)
    apart = [
        sum((found[name] - one).norm() / one.norm() for name, one in exact.items())
        for found in (gradients(plain), gradients(lean))
    ]
    assert 0 < apart[1] <= 1.1 * apart[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gate_is_that_of_transformers_to_the_last_digit(dtype):
    torch.manual_seed(6)
    gate, up = (torch.randn(2, 21, 40) * torch.logspace(-2, 2, 21)[:, None]).to(dtype)
    given, found = torch.randn(21, 40).to(dtype), []
    for opened in (lambda g, u: torch.nn.functional.silu(g) * u, lean_layers.LeanGate.apply):
        inputs = [each.clone().requires_grad_() for each in (gate, up)]
        out = opened(*inputs)
        found.append([out, *torch.autograd.grad(out, inputs, given)])
    for one, other in zip(*found, strict=True):
        assert one.abs().sum() > 0 and torch.equal(one, other)


def test_positions_are_turned_as_transformers_turns_them():
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    torch.manual_seed(6)
    x, given = torch.randn(2, 2, 5, 3, 8).bfloat16()
    cos, sin = torch.randn(2, 2, 5, 8).bfloat16()  # the halves differ, unlike those of a model
    found = []
    for turn in (
        lambda heads: apply_rotary_pos_emb(heads, heads, cos, sin, unsqueeze_dim=2)[0],
        lambda heads: lean_layers.LeanTurn.apply(heads, cos[:, :, None], sin[:, :, None]),
    ):
        heads = x.clone().requires_grad_()
        out = turn(heads)
        found.append([out.detach(), *torch.autograd.grad(out, heads, given)])
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0.02, atol=0.02)


def test_in_float32_the_open_gate_is_not_kept():
    kept = {}
    for dtype in (torch.float32, torch.bfloat16):
        gate, up = torch.randn(2, 50, 20).to(dtype)
        places: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, places=places: places.append(t) or t, lambda t: t):
            lean_layers.LeanGate.apply(gate.requires_grad_(), up)
        kept[dtype] = len(places)
    assert kept == {torch.float32: 2, torch.bfloat16: 3}


def test_a_step_of_the_optimizer_changes_what_is_computed_together():
    model = adapted()
    tuned = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer, layer = MasterAdamW(tuned, lr=0.05), model.get_base_model().model.layers[1].self_attn
    before, first = layer.below.clone(), loss_of(model)
    first.backward()
    optimizer.step()
    assert not torch.equal(layer.below, before) and loss_of(model) < first
    own = [getattr(layer, name).tensors()[2] for name in lean_layers.READING]
    assert torch.equal(layer.below, torch.cat(own))


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"modules": ("q_proj", "v_proj", "down_proj")}, [0, 0]),  # a part has no adapter
        ({"modules": ALL[:4]}, [2, 0]),
        ({"hidden_act": "gelu"}, [2, 0]),
        ({"architecture": "Qwen3", "head_dim": 6}, [0, 2]),  # queries and keys are normalized
        ({"architecture": "Gemma2", "head_dim": 6}, [0, 0]),  # scores are capped, the gate is another
        ({"architecture": "Qwen2"}, [2, 2]),
    ],
)
def test_only_layers_of_the_known_kind_are_lean(told, wanted):
    model = adapted(**told)
    assert kinds(model) == wanted
    assert loss_of(model).item() == pytest.approx(loss_of(adapted(lean=False, **told)).item(), rel=1e-5)


def test_layers_that_compute_something_else_stay_as_they_are(monkeypatch):
    for kind in (LlamaAttention, LlamaMLP):
        own = kind.forward
        with monkeypatch.context() as changed:

            def more(self, x=None, *args, own=own, **options):
                found = own(self, x if x is not None else options.pop("hidden_states"), *args, **options)
                return (found[0] * 1.001, None) if isinstance(found, tuple) else found * 1.001

            more.__wrapped__ = own  # it takes the same arguments
            changed.setattr(kind, "forward", more)
            assert kinds(adapted()) == ([0, 2] if kind is LlamaAttention else [2, 0])


def test_adapters_of_different_scale_are_computed_one_by_one():
    model = adapted(lean=False)
    for layer in model.get_base_model().model.layers:
        layer.self_attn.k_proj.scaling["default"] *= 2
    lean_lora.prepare(model)
    lean_layers.prepare(model)
    assert kinds(model) == [0, 2]


def test_one_kind_of_layer_has_one_class_so_that_it_is_compiled_once():
    layers = adapted().get_base_model().model.layers
    assert type(layers[0].self_attn) is type(layers[1].self_attn) and type(layers[0].mlp) is type(layers[1].mlp)
    assert isinstance(layers[0].self_attn, LlamaAttention)
