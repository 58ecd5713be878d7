"""Fast training has the losses and gradients of transformers and PEFT, on known models alone, in less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy

from helpers.fast import training
from helpers.fast.sliced_loss import SlicedCrossEntropy
from helpers.tuning.packing import Collator, pair_rows, text_rows
from helpers.tuning.packing import Pair as PackedPair

CONFIG = {
    "hidden_size": 48, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 60, "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip


def adapted(dtype: torch.dtype = torch.float32, architecture: str = "Llama", **more: Any) -> Any:
    """A model with adapters whose second matrix is not the zeros that it begins as."""
    torch.manual_seed(3)
    config = getattr(transformers, f"{architecture}Config")(**CONFIG | more)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config).to(dtype)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model.train()


def batch() -> dict[str, torch.Tensor]:
    """Three pairs that share their beginning, in one row, and a row of two texts."""
    pairs = [PackedPair(str(i), [3, 4, 5, 6, 7, 8 + i], [20 + i, 2]) for i in range(3)]
    return Collator()([*pair_rows([pairs], 40, 2), *text_rows([list(range(5, 30)), list(range(30, 44))], 40, 2)])


def step(model: Any, dtype: torch.dtype = torch.float32) -> tuple[float, torch.Tensor]:
    """The loss of a batch, and the gradient of everything that learns."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = model(**batch()).loss
    loss.backward()
    gradient = torch.cat([weight.grad.float().flatten() for weight in model.parameters() if weight.requires_grad])
    return loss.item(), gradient


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("part", [*training.PARTS, "all", "all weights"])
def test_each_part_and_all_have_the_loss_and_gradient_of_the_plain_path(dtype, near, part):
    parts = (part,) if part in training.PARTS else tuple(training.PARTS)
    model = adapted(dtype)
    if part == "all weights":  # in 16 bits as the kit trains them: float32 weights under autocast
        model = adapted().merge_and_unload().requires_grad_(True)
    loss, gradient = step(model, dtype)
    assert training.enable_training(model, "bfloat16" if dtype == torch.bfloat16 else None, parts=parts)
    found, ours = step(model, dtype)
    assert found == pytest.approx(loss, rel=near)
    assert (ours - gradient).norm() <= 3 * near * gradient.norm()
    usual = {name: each for name, each in batch().items() if name != "shift_labels"}  # as other collators make them
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert model(**usual).loss.item() == pytest.approx(loss, rel=near)


HEADS = {
    "Qwen2": {}, "Mistral": {}, "Granite": {"logits_scaling": 3.0}, "Cohere": {"logit_scale": 3.0},
    "Gemma2": {"final_logit_softcapping": 2.0, "head_dim": 8}, "Qwen3": {"head_dim": 8},
}  # fmt: skip


@pytest.mark.parametrize("architecture", HEADS)
def test_a_model_that_computes_more_trains_on_the_plain_path_and_says_so(architecture, capsys):
    model = adapted(architecture=architecture, **HEADS[architecture])
    loss, gradient = step(model)
    on = training.enable_training(model)
    assert on == (architecture in ("Qwen2", "Mistral", "Qwen3"))
    assert (architecture in capsys.readouterr().err) != on
    found, ours = step(model)
    assert found == pytest.approx(loss, rel=1e-4) and (ours - gradient).norm() <= 1e-4 * gradient.norm()


# ---- loss


@pytest.mark.parametrize("learns_head", [True, False])
def test_sliced_cross_entropy_is_cross_entropy(learns_head):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(700, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=learns_head)
    labels = torch.randint(50, (700,), generator=generator)
    inputs, results = [hidden, weight] if learns_head else [hidden], []
    for loss in (cross_entropy(hidden @ weight.t(), labels, reduction="sum"), SlicedCrossEntropy.apply(hidden, weight, labels)):  # fmt: skip  # noqa: E501
        results.append([loss.detach(), *torch.autograd.grad(3 * loss, inputs)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_logits_are_made_where_there_are_labels_and_nowhere_else():
    model = adapted()
    training.enable_training(model, parts=("loss",))
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.extend(t.shape[-1:]) or t, lambda t: t):
        output = model(**batch())
    assert 60 not in sizes and output.logits is None
