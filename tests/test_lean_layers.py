"""Lean layers against those of transformers: the same numbers, less kept, and only where a layer is of a known kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP

from helpers.fast import layers as lean_layers
from helpers.fast import lora as lean_lora
from helpers.fast import training_attention as lean_attention
from helpers.fast.layers import LeanAttentionLayer, LeanFeedForward
from helpers.tuning import loss as objective
from helpers.tuning.loss import Objective
from helpers.tuning.packing import collate, text_rows

CONFIG = {
    "hidden_size": 48, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 60, "initializer_range": 0.2,
}  # fmt: skip
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapted(
    dtype: torch.dtype = torch.float32, architecture: str = "Llama", modules: Any = ALL, lean: bool = True,
    seed: int = 3, **more: Any,
) -> Any:  # fmt: skip
    """A model with adapters whose second matrix is not the zeros that it begins as."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{architecture}Config")(**CONFIG | more)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config).to(dtype)
    lean_attention.prepare(model)
    lora = LoraConfig(r=4, lora_alpha=6, target_modules=list(modules))
    model = get_peft_model(model, lora, autocast_adapter_dtype=False)
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


def apart(seed: int, **told: Any) -> float:
    """How far the gradients of a model in 16 bits lie from those of the same weights in float32."""
    exact = gradients(adapted(torch.bfloat16, lean=False, seed=seed).float())
    model = adapted(torch.bfloat16, seed=seed, lean=told.get("lean", True))
    if told.get("compiled"):
        assert objective.compile_layers(model.get_base_model()) == 2
    return sum(float((one - exact[name]).norm() / exact[name].norm()) for name, one in gradients(model).items())


def test_in_16_bits_gradients_are_as_near_to_the_exact_ones_as_those_of_transformers_and_peft():
    plain, lean = (sum(apart(seed, lean=each) for seed in range(12)) for each in (False, True))
    assert 0 < lean <= 1.05 * plain


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"modules": ("q_proj", "v_proj", "down_proj")}, [0, 0]),  # a part has no adapter
        ({"modules": ALL[:4]}, [2, 0]),
        ({"hidden_act": "gelu"}, [2, 0]),
        ({"architecture": "Qwen2"}, [2, 2]),
        ({"architecture": "Mistral"}, [2, 2]),
        ({"architecture": "Granite", "attention_multiplier": 0.3}, [2, 2]),
        ({"architecture": "Qwen3", "head_dim": 8}, [0, 2]),  # queries and keys are normalized
        ({"architecture": "SmolLM3", "pad_token_id": 0}, [0, 2]),  # some layers know no positions
        ({"architecture": "Gemma2", "head_dim": 8}, [0, 0]),  # scores are capped, the gate is another
        ({"architecture": "Cohere2", "pad_token_id": 0}, [0, 2]),  # neighbours are turned together
        ({"architecture": "Olmo", "clip_qkv": 0.1, "pad_token_id": 0}, [0, 2]),  # queries, keys and values are cut
        ({"architecture": "Phi", "modules": ("q_proj", "k_proj", "v_proj")}, [0, 0]),  # half of a head is turned
        ({"architecture": "Mixtral", "modules": ALL[:4]}, [2, 0]),  # experts
    ],
)
def test_only_layers_of_the_known_kind_are_lean(dtype, told, wanted):
    lean, plain = adapted(dtype, **told), adapted(dtype, lean=False, **told)
    if dtype == torch.bfloat16:  # in float32 gates are lean without adapters too
        assert kinds(lean) == wanted
    near = 1e-5 if dtype == torch.float32 else 0.01
    assert loss_of(lean).item() == pytest.approx(loss_of(plain).item(), rel=near)


def test_in_float32_feed_forward_layers_without_adapters_are_lean_for_their_memory():
    for dtype, wanted in ((torch.float32, [2, 2]), (torch.bfloat16, [2, 0])):
        lean = adapted(dtype, modules=ALL[:4])
        assert kinds(lean) == wanted
        plain = adapted(dtype, modules=ALL[:4], lean=False)
        assert loss_of(lean).item() == pytest.approx(loss_of(plain).item(), rel=0.01)
    plain, lean = (gradients(adapted(modules=ALL[:4], lean=each)) for each in (False, True))
    assert all((lean[name] - one).norm() <= 1e-5 * one.norm() for name, one in plain.items())


def test_layers_with_other_code_stay_as_they_are():
    for kind, wanted in ((LlamaAttention, [0, 2]), (LlamaMLP, [2, 0])):

        class Other(kind):
            def forward(self, *args, **options):
                found = super().forward(*args, **options)
                return (found[0] * 1.001, None) if isinstance(found, tuple) else found * 1.001

        model = adapted(torch.bfloat16, lean=False)
        for module in model.modules():
            if type(module) is kind:
                module.__class__ = Other
        lean_lora.prepare(model)
        lean_layers.prepare(model)
        assert kinds(model) == wanted


def test_without_the_adapter_and_merged_it_is_what_peft_makes_of_it():
    plain, lean = adapted(lean=False), adapted()
    tuned = loss_of(plain).item()
    with plain.disable_adapter(), lean.disable_adapter():
        base = loss_of(plain).item()
        assert base != pytest.approx(tuned, rel=1e-3) and loss_of(lean).item() == pytest.approx(base, rel=1e-6)
    lean.merge_adapter()
    assert loss_of(lean).item() == pytest.approx(tuned, rel=1e-4)
    assert loss_of(lean.merge_and_unload()).item() == pytest.approx(tuned, rel=1e-4)


def test_answers_with_a_cache_are_those_of_transformers():
    plain, lean = adapted(lean=False).eval(), adapted().eval()
    ids, told = torch.arange(5, 12)[None], {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    for model in (plain, lean):
        model.get_base_model().set_attn_implementation("eager")
    assert torch.equal(plain.generate(input_ids=ids, **told), lean.generate(input_ids=ids, **told))


@pytest.mark.skipif(not objective.can_compile(), reason="there is no C++ compiler here")
def test_compiled_lean_layers_are_one_graph_and_have_the_loss_and_gradients_of_plain_ones():
    plain, compiled = adapted(torch.bfloat16), adapted(torch.bfloat16)
    torch._dynamo.utils.counters.clear()
    assert kinds(compiled) == [2, 2] and objective.compile_layers(compiled.get_base_model()) == 2
    assert loss_of(compiled).item() == pytest.approx(loss_of(plain).item(), rel=0.002)
    assert not torch._dynamo.utils.counters["graph_break"]
    exact, made = (sum(apart(seed, compiled=each) for seed in range(3)) for each in (False, True))
    assert 0 < made <= 1.1 * exact


@pytest.mark.skipif(not objective.can_compile(), reason="there is no C++ compiler here")
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
def test_each_training_of_a_process_is_compiled_whatever_came_before(dtype, near):
    for length in (16, 24):
        plain, compiled = Objective(adapted(dtype)), Objective(adapted(dtype))
        objective.compile_layers(compiled.causal)
        rows = collate(text_rows([list(range(3, 40))], length, 2))
        with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
            losses = [each(**rows)["loss"].item() for each in (plain, compiled)]
        assert losses[1] == pytest.approx(losses[0], rel=near)


@pytest.mark.skipif(not objective.can_compile(), reason="there is no C++ compiler here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_compilation_serves_all_layers_and_later_trainings(monkeypatch, tmp_path, dtype):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    counted = torch._dynamo.utils.counters
    for told in ("autograd_cache_miss", "autograd_cache_hit"):  # nothing in memory is kept between them
        counted.clear()
        ours = Objective(adapted(dtype))
        objective.compile_layers(ours.causal)
        ours(**collate(text_rows([list(range(3, 40))], 24, 2)))["loss"].backward()
        assert counted["stats"]["unique_graphs"] == 1
        assert counted["aot_autograd"][told] == 1


def test_in_16_bits_weights_lie_in_one_matrix_with_their_adapters_and_stay_what_they_are():
    plain, lean = adapted(torch.bfloat16, lean=False), adapted(torch.bfloat16)
    for (name, old), (other, new) in zip(plain.named_parameters(), lean.named_parameters(), strict=True):
        assert name == other and torch.equal(old, new) and new.is_contiguous() == ("_proj" not in name), name
    for layer in lean.base_model.model.model.layers:
        groups = [(layer.self_attn, "q_proj k_proj v_proj"), (layer.mlp, "gate_proj up_proj")]
        groups += [(single, "") for single in (layer.self_attn.o_proj, layer.mlp.down_proj)]
        for owner, names in groups:
            for each in [getattr(owner, name) for name in names.split()] or [owner]:
                assert {t.untyped_storage().data_ptr() for t in each.tensors() if t is not None} == {
                    owner.joint.untyped_storage().data_ptr()
                }
    assert all(weight.is_contiguous() for weight in adapted(torch.float32).parameters())


def test_what_an_optimizer_changes_of_joined_weights_is_what_the_next_step_computes_with():
    plain, lean = (adapted(torch.bfloat16, lean=each) for each in (False, True))
    before = loss_of(lean).item()
    for model in (plain, lean):
        tuned = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        optimizer = objective.MasterAdamW(tuned, lr=0.3, weight_decay=0.0)
        for number, weight in enumerate(tuned.values()):
            weight.grad = torch.arange(weight.numel()).view_as(weight).add(number).sin().to(weight.dtype)
        optimizer.step()
    for one, other in zip(plain.parameters(), lean.parameters(), strict=True):
        assert torch.equal(one, other)
    assert loss_of(lean).item() == pytest.approx(loss_of(plain).item(), rel=0.01)
    assert loss_of(lean).item() != pytest.approx(before, rel=0.05)


def test_adapters_of_different_scale_are_computed_one_by_one():
    losses = []
    for lean in (False, True):
        model = adapted(lean=lean)
        for layer in model.get_base_model().model.layers:
            layer.self_attn.k_proj.scaling["default"] *= 2
        losses.append(loss_of(model).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert losses[0] != pytest.approx(loss_of(adapted()).item(), rel=1e-4)


def test_adapters_on_some_of_the_layers_alone_are_joined_one_by_one():
    modules = ("q_proj", "v_proj")
    model, plain = (adapted(torch.bfloat16, lean=lean, modules=modules) for lean in (True, False))
    layers = [module for module in model.modules() if type(module) is lean_lora.LeanLinear]
    assert kinds(model) == [0, 0] and len(layers) == 4
    assert all(layer.joint.shape == (len(layer.base_layer.weight) + 4, 48 + 4) for layer in layers)
    assert loss_of(model).item() == pytest.approx(loss_of(plain).item(), rel=0.005)


def test_one_kind_of_layer_has_one_class_so_that_it_is_compiled_once():
    layers = adapted().get_base_model().model.layers
    assert type(layers[0].self_attn) is type(layers[1].self_attn) and type(layers[0].mlp) is type(layers[1].mlp)
    assert isinstance(layers[0].self_attn, LlamaAttention)
