"""Packed rows and the step over them: what is learned is what would be learned from each example alone."""

from __future__ import annotations

from random import Random

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from helpers.fast import training_attention as lean_attention
from helpers.models.foundation_model import load_model
from helpers.tuning import loss as objective
from helpers.tuning import packing
from helpers.tuning.loss import MasterAdamW, Objective, SlicedCrossEntropy

PASSAGES = "Use these passages. The pump of machine seven is green and hums. The valve of machine nine is red."
ASKED = [("What is green?", "the pump"), ("What is red?", "the valve of nine"), ("Who hums?", "it")]


def pairs_of(fm):
    return [packing.encode_pair(fm, f"p{i}", f"{PASSAGES} {q}", a) for i, (q, a) in enumerate(ASKED)]


def alone(fm, pair):
    """The summed loss of one pair by the model's own forward pass."""
    ids = torch.tensor([pair.prompt + pair.response])
    logits = fm.model(ids).logits[0, len(pair.prompt) - 1 : -1]
    return cross_entropy(logits, torch.tensor(pair.response), reduction="sum")


def test_pairs_that_share_their_beginning_have_the_loss_and_gradient_of_each_alone(tiny):
    pairs = pairs_of(tiny)
    rows = packing.pair_rows([pairs], 160, 2)
    assert len(rows) == 1 and packing.common_beginning(pairs) > 20
    tokens = sum(len(pair.prompt) + len(pair.response) for pair in pairs)
    assert rows[0].tokens < 0.6 * tokens
    tiny.model.zero_grad()
    expected = sum(alone(tiny, pair) for pair in pairs) / sum(len(pair.response) for pair in pairs)
    expected.backward()
    gradient = {name: p.grad.clone() for name, p in tiny.model.named_parameters()}
    tiny.model.zero_grad()
    found = Objective(tiny.model)(**packing.collate(rows))["loss"]
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in tiny.model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradient[name], rtol=1e-3, atol=1e-5)
    tiny.model.zero_grad()


def test_padding_that_is_cut_off_changes_neither_loss_nor_gradient(tiny):
    rows = packing.pair_rows([pairs_of(tiny)], 160, 2)
    made = {}
    for collate in (packing.collate, packing.collate_short):
        batch = collate([*rows, rows[-1].blank()])
        tiny.model.zero_grad()
        loss = Objective(tiny.model)(**batch)["loss"]
        loss.backward()
        made[batch["input_ids"].shape] = loss.item(), tiny.model.get_input_embeddings().weight.grad.clone()
    tiny.model.zero_grad()
    ((_, length),) = set(made) - {(2, 160)}
    assert rows[0].tokens <= length < rows[0].tokens + packing.LENGTHS and length % packing.LENGTHS == 0
    (whole, gradient), (short, cut) = made.values()
    assert short == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(cut, gradient, rtol=1e-4, atol=1e-7)


def test_windows_of_text_have_the_loss_of_the_model_itself(tiny):
    texts = [tiny.tokenizer(PASSAGES)["input_ids"], tiny.tokenizer("A second text, shorter.")["input_ids"]]
    rows = packing.text_rows(texts, 16, 2)
    flat = [token for text in texts for token in (*text, 2)]
    assert [t for row in rows for t in row.ids][: len(flat)] == flat
    total = count = 0
    for start in range(0, len(flat), 16):
        ids = torch.tensor([flat[start : start + 16]])
        if ids.shape[1] > 1:
            total += cross_entropy(tiny.model(ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
            count += ids.shape[1] - 1
    found = Objective(tiny.model)(**packing.collate(rows))["loss"]
    assert found.item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize(("left", "rows"), [(0, 2), (1, 2), (2, 3)])
def test_an_end_token_alone_makes_no_window(left, rows):
    found = packing.text_rows([list(range(10, 25)), list(range(30, 45 + left))], 16, 2)
    assert len(found) == rows and all(any(label != packing.IGNORED for label in row.labels) for row in found)
    assert not packing.text_rows([[]], 16, 2)


HEADS = {
    "Llama": {}, "Granite": {"logits_scaling": 3.0}, "HyperCLOVAX": {"logits_scaling": 3.0},
    "Cohere": {"logit_scale": 3.0}, "Gemma2": {"final_logit_softcapping": 2.0},
}  # fmt: skip


@pytest.mark.parametrize("architecture", HEADS)
def test_the_loss_is_the_models_own_whatever_its_head_does(architecture):
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, initializer_range=0.5, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        attn_implementation="eager", **HEADS[architecture],
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    objective = Objective(model)
    assert objective.plain_head == (architecture == "Llama")
    rows = packing.text_rows([list(range(5, 20)), list(range(20, 29))], 16, 2)
    assert len(rows) == 2 and rows[1].tokens == 10
    found, wanted = objective(**packing.collate(rows))["loss"], 0.0
    for row in rows:
        ids = torch.tensor([row.ids[: row.tokens]])
        wanted = wanted + model(input_ids=ids, labels=ids, use_cache=False).loss * (row.tokens - 1)
    wanted = wanted / sum(row.tokens - 1 for row in rows)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)
    gradients = [torch.autograd.grad(loss, model.model.layers[0].mlp.down_proj.weight)[0] for loss in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_every_pair_is_in_a_row_once_and_whole(tiny):
    pairs = pairs_of(tiny) * 7
    rows = packing.pair_rows([pairs], 96, 2, Random(1))
    labels = [[label for label in row.labels if label != packing.IGNORED] for row in rows]
    told = sorted(label for row in labels for label in row)
    assert told == sorted(token for pair in pairs for token in pair.response)
    assert all(len(row.ids) == len(row.labels) == len(row.segments) == len(row.positions) == 96 for row in rows)


def test_the_mask_hides_neighbours_and_what_comes_later():
    seen = packing.visible(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0]
    assert seen[3].tolist() == [True, True, True, True, False, False]
    assert seen[4].tolist() == [True, True, False, False, True, False]
    assert seen[1].tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("learns_head", [True, False])
def test_sliced_cross_entropy_is_cross_entropy(learns_head):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(700, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=learns_head)
    labels = torch.randint(50, (700,), generator=generator)
    expected = cross_entropy(hidden @ weight.t(), labels, reduction="sum")
    wanted = torch.autograd.grad(3 * expected, [hidden, weight] if learns_head else [hidden])
    found = SlicedCrossEntropy.apply(hidden, weight, labels)
    got = torch.autograd.grad(3 * found, [hidden, weight] if learns_head else [hidden])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 15, 10**9])
def test_float32_masters_step_as_adamw_does_whatever_is_held_at_once(monkeypatch, at_once):
    monkeypatch.setattr(objective, "AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    named = {name: torch.nn.Parameter(torch.randn(size, generator=generator)) for name, size in (("a", 12), ("b", 7))}
    twins = [torch.nn.Parameter(p.detach().clone()) for p in named.values()]
    kit, plain = MasterAdamW(named, lr=0.1, weight_decay=0.1), torch.optim.AdamW(twins, lr=0.1, weight_decay=0.1)
    for _ in range(5):
        for parameter, twin in zip(named.values(), twins, strict=True):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            twin.grad = parameter.grad.clone()
        kit.step()
        plain.step()
    for parameter, twin in zip(named.values(), twins, strict=True):
        torch.testing.assert_close(parameter, twin)
    assert all(int(kit.state[master]["step"]) == 5 for master in kit.masters.values())


@pytest.mark.parametrize("at_once", [1, 12, 10**9])
@pytest.mark.parametrize("most", [0.5, 1e9])
def test_gradients_are_clipped_as_torch_clips_them(monkeypatch, most, at_once):
    monkeypatch.setattr(objective, "AT_ONCE", at_once)
    torch.manual_seed(0)
    named = {name: torch.nn.Parameter(torch.randn(9)) for name in ("a", "b")}
    twins = [torch.nn.Parameter(weight.detach().clone()) for weight in named.values()]
    kit, plain = MasterAdamW(named, lr=0.1, eps=1.0), torch.optim.AdamW(twins, lr=0.1, eps=1.0, weight_decay=0.01)
    for clipped in (True, False):
        for weight, twin in zip(named.values(), twins, strict=True):
            weight.grad = torch.randn(9)
            twin.grad = weight.grad.clone()
        if clipped:
            assert kit.clip(most) == torch.nn.utils.clip_grad_norm_(twins, most)
        kit.step()
        plain.step()
        for weight, twin in zip(named.values(), twins, strict=True):
            torch.testing.assert_close(weight, twin)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_step_alike_however_they_lie_in_memory(dtype):
    torch.manual_seed(0)
    start, given = torch.randn(2, 6, 4).to(dtype)
    part, turned = torch.zeros(9, 7, dtype=dtype)[:6, 2:6], torch.zeros(7, 9, dtype=dtype).t()[1:7, 1:5]
    laid = {"rows": start.clone(), "columns": start.t().contiguous().t(), "part": part, "turned": turned}
    for name in ("part", "turned"):
        laid[name].copy_(start)
    named = {name: torch.nn.Parameter(weight) for name, weight in laid.items()}
    optimizer = MasterAdamW(named, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        for weight in named.values():
            (weight * given).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not torch.equal(named["rows"], start)
    for name, weight in named.items():
        assert torch.equal(weight, named["rows"]), name


def test_steps_too_small_for_16_bits_add_up():
    parameter = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    kit = MasterAdamW({"w": parameter}, lr=1e-3, weight_decay=0.0)
    for _ in range(20):
        parameter.grad = torch.ones(4, dtype=torch.bfloat16)
        kit.step()
    assert torch.ones(1, dtype=torch.bfloat16) - 1e-3 == 1, "one such step alone is rounded away"
    torch.testing.assert_close(parameter.float(), torch.full((4,), 0.98), rtol=0, atol=0.004)


@pytest.mark.skipif(not objective.can_compile(), reason="there is no C++ compiler here")
@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_compiled_layers_have_the_loss_and_gradient_of_plain_ones(tiny_folder, dtype, near):
    made = {}
    for compiled in (False, True):
        fm = load_model(tiny_folder, "cpu", dtype)
        fm.model.set_attn_implementation("eager")
        if compiled:
            lean_attention.prepare(fm.model)  # as a long training on a CPU combines them
            assert objective.compile_layers(fm.model) == 2
        loss = Objective(fm.model)(**packing.collate(packing.pair_rows([pairs_of(fm)], 160, 2)))["loss"]
        loss.backward()
        made[compiled] = loss.item(), fm.model.get_input_embeddings().weight.grad.clone()
    assert made[True][0] == pytest.approx(made[False][0], rel=near)
    ours, plain = (made[compiled][1].float().flatten() for compiled in (True, False))
    assert torch.nn.functional.cosine_similarity(ours, plain, dim=0) > 1 - near
    torch.testing.assert_close(ours, plain, rtol=100 * near, atol=near * float(plain.abs().max()))
