"""Few rows through packed weights: what the plain layers compute, in float32."""

from __future__ import annotations

import pytest
import torch
from conftest import make_tiny
from transformers import DynamicCache

from helpers import few_rows, generation, lean_decoding
from helpers.batches import Beginning
from helpers.finetune import Material, TrainSettings, train
from helpers.models import load_model
from helpers.records import Example

PROMPTS = ["Which channel is used at the north weir?", "Who leads the crew?"]

PAIRS = tuple(Example(f"p{i}", "answers", f"Which is number {i}?", f"{i}") for i in range(4))


@pytest.fixture(scope="module", params=["Llama", "Qwen2"])
def coarse(request, tmp_path_factory):
    """A tiny model in bfloat16; Qwen2's layers have biases."""
    return load_model(make_tiny(request.param, tmp_path_factory.mktemp("tiny")), device="cpu", dtype="bfloat16")


def layers(fm):
    return {name: m for name, m in fm.model.named_modules() if isinstance(m, torch.nn.Linear)}


needs_fbgemm = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="torch has no fbgemm on this processor"
)


@needs_fbgemm
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [1, few_rows.FEW, few_rows.FEW + 1])
def test_packed_weights_compute_what_the_layers_compute(coarse, rows, dtype):
    torch.manual_seed(0)
    dtype = getattr(torch, dtype)
    given = {name: torch.randn(1, rows, m.in_features, dtype=dtype) for name, m in layers(coarse).items()}
    with few_rows.few_rows(coarse):
        inside = {name: m(given[name]) for name, m in layers(coarse).items()}
    packed = set(coarse.exact)
    assert packed == (set(layers(coarse)) if rows <= few_rows.FEW and dtype == torch.float32 else {"lm_head"})
    for name, layer in layers(coarse).items():
        bias = None if layer.bias is None else layer.bias.float()
        wanted = torch.nn.functional.linear(given[name].float(), layer.weight.float(), bias)
        assert inside[name].dtype == (torch.float32 if name == "lm_head" else dtype)
        near = 1e-5 if name in packed else 2**-7 * float(wanted.abs().max())  # 16-bit sums are rounded
        assert torch.allclose(inside[name].float(), wanted, rtol=2**-7, atol=near), name
        assert layer(given[name].bfloat16()).dtype == torch.bfloat16, "outside the block the layer is what it was"
    coarse.exact.clear()


@needs_fbgemm
def test_tokens_after_the_first_go_through_the_model_in_float32(coarse, monkeypatch):
    seen = []
    forward = coarse.model.forward

    def watched(*args, **options):
        output = forward(*args, **options)
        seen.append((options.get("inputs_embeds") is not None, output.past_key_values.layers[0].keys.dtype))
        return output

    monkeypatch.setattr(coarse.model, "forward", watched)
    generation.generate(coarse, PROMPTS[:1], 4, 1)
    assert seen[0] == (False, torch.bfloat16)
    assert len(seen) > 1 and set(seen[1:]) == {(True, torch.float32)}


def test_weights_that_were_written_again_are_packed_again(coarse):
    before = generation.generate(coarse, PROMPTS, 8, 1)
    states = {name: state for name, (state, _) in coarse.exact.items()}
    few_rows.make_ready(coarse)
    assert {name: state for name, (state, _) in coarse.exact.items()} == states
    with torch.no_grad():
        for layer in layers(coarse).values():
            layer.weight.neg_()
    after = generation.generate(coarse, PROMPTS, 8, 1)
    coarse.exact.clear()
    assert [a.text for a in after] == [a.text for a in generation.generate(coarse, PROMPTS, 8, 1)]
    assert [a.text for a in after] != [b.text for b in before]
    with torch.no_grad():
        for layer in layers(coarse).values():
            layer.weight.neg_()


def test_weights_that_come_back_are_not_packed_again(coarse, tmp_path, monkeypatch):
    tuned = train(coarse, Material(pairs=PAIRS), TrainSettings(epochs=1, batch_size=2, compile=False), tmp_path / "t")
    assert not coarse.exact, "a training has the memory of packed weights"
    before = generation.generate(coarse, PROMPTS, 8, 1)
    with coarse.using(tuned.folder):
        inside = generation.generate(coarse, PROMPTS, 8, 1)
    monkeypatch.setattr(few_rows, "_exact", lambda fm, layer: pytest.fail("packed again"))
    assert [a.text for a in before] == [a.text for a in generation.generate(coarse, PROMPTS, 8, 1)]
    with coarse.using(tuned.folder):
        assert [a.text for a in inside] == [a.text for a in generation.generate(coarse, PROMPTS, 8, 1)]
    monkeypatch.undo()
    coarse.forget_exact()
    with coarse.using(tuned.folder):
        assert [a.text for a in inside] == [a.text for a in generation.generate(coarse, PROMPTS, 8, 1)]


@pytest.mark.parametrize(
    "why", ["no fbgemm", pytest.param("a weight beyond float16", marks=needs_fbgemm), "a large model"]
)
def test_where_weights_cannot_be_packed_the_layers_answer_as_they_are(coarse, monkeypatch, why):
    coarse.exact.clear()
    rows = torch.ones(1, 1, layers(coarse)["lm_head"].in_features, dtype=torch.bfloat16)
    if why == "no fbgemm":
        monkeypatch.setattr(few_rows, "packs", lambda fm: False)
    elif why == "a large model":
        monkeypatch.setattr(few_rows, "MOST", 1)
    else:
        monkeypatch.setattr(few_rows, "LARGEST", 0.0)
    with few_rows.few_rows(coarse):
        logits = coarse.model.get_output_embeddings()(rows)
        changed = [name for name, layer in layers(coarse).items() if "forward" in vars(layer)]
    assert logits.dtype == torch.float32 and isinstance(coarse.exact["lm_head"][1], torch.Tensor)
    assert changed == (["lm_head"] if why != "a weight beyond float16" else list(layers(coarse)))
    coarse.exact.clear()


def test_norms_that_do_not_take_float32_beside_16_bits_are_left_alone(coarse):
    assert few_rows.packs(coarse) == ("fbgemm" in torch.backends.quantized.supported_engines)
    coarse.model.extra = torch.nn.LayerNorm(4)
    try:
        assert not few_rows.packs(coarse)
    finally:
        del coarse.model.extra


def test_a_float32_model_that_is_not_packed_is_left_alone(tiny, monkeypatch):
    monkeypatch.setattr(few_rows, "packs", lambda fm: False)
    tiny.forget_exact()
    with few_rows.few_rows(tiny):
        assert not any("forward" in vars(layer) for layer in layers(tiny).values())
    few_rows.make_ready(tiny)
    assert not tiny.exact


@needs_fbgemm
def test_a_float32_model_reads_prompts_as_it_is_and_decodes_through_packed_weights(tiny):
    torch.manual_seed(0)
    tiny.forget_exact()
    with few_rows.few_rows(tiny):
        for name, layer in layers(tiny).items():
            prompt, token = torch.randn(1, 5, layer.in_features), torch.randn(4, 1, layer.in_features)
            plain = [torch.nn.functional.linear(rows, layer.weight, layer.bias) for rows in (prompt, token)]
            assert name == "lm_head" or torch.equal(layer(prompt), plain[0])
            assert torch.allclose(layer(token), plain[1], rtol=2**-9, atol=2**-9 * float(plain[1].abs().max()))
            many = torch.randn(few_rows.FEW + 1, 1, layer.in_features)
            assert torch.equal(layer(many), torch.nn.functional.linear(many, layer.weight, layer.bias))
    assert set(tiny.exact) == set(layers(tiny))
    tiny.forget_exact()


@needs_fbgemm
def test_packed_float32_weights_of_16_bits_lose_nothing(coarse, tmp_path):
    torch.manual_seed(0)
    fm = load_model(coarse.name, device="cpu", dtype="float32")
    with torch.no_grad():
        for layer in layers(fm).values():
            layer.weight.copy_(layer.weight.bfloat16())
    rows = {name: torch.randn(1, 1, layer.in_features) for name, layer in layers(fm).items()}
    with few_rows.few_rows(fm):
        for name, layer in layers(fm).items():
            assert torch.allclose(
                layer(rows[name]),
                rows[name] @ layer.weight.t() + (layer.bias if layer.bias is not None else 0),
                rtol=1e-5,
                atol=1e-5,
            )


def one_step(fm, rows, lengths, seed=0):
    """Logits (rows, vocabulary) of one new token for each of padded rows, and the keys of the last layer after it."""
    made = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 50, (rows, max(lengths) + 1), generator=made)
    mask = torch.stack([(torch.arange(max(lengths) + 1) >= max(lengths) - each).long() for each in lengths])
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=fm.model.config)
    with torch.inference_mode():
        fm.model(ids[:, :-1], attention_mask=mask[:, :-1], position_ids=places[:, :-1], past_key_values=cache)
        with few_rows.few_rows(fm):
            given = few_rows.step(fm, ids[:, -1:], cache)
            told = fm.model(**given, attention_mask=mask, position_ids=places[:, -1:], past_key_values=cache)
    return told.logits[:, -1], cache.layers[-1].keys


@needs_fbgemm
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [1, 3, few_rows.FEW + 1])
def test_a_token_is_what_the_plain_layers_make_of_it(coarse, dtype, rows, monkeypatch):
    fm = coarse if dtype == "bfloat16" else load_model(coarse.name, device="cpu", dtype=dtype)
    with torch.no_grad():
        for layer in layers(fm).values():
            layer.weight.copy_(layer.weight.bfloat16())
            if layer.bias is not None:
                layer.bias.normal_(0, 0.5, generator=torch.Generator().manual_seed(1)).copy_(layer.bias.bfloat16())
    lengths = [4 + row % 3 for row in range(rows)]
    logits, keys = one_step(fm, rows, lengths)
    joined = {name for name in fm.exact if name.endswith(("self_attn", "mlp"))}
    parts = {name for name in fm.exact if name.endswith(("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"))}
    assert not parts, "weights that are read together are kept once"
    assert len(joined) == (2 * fm.model.config.num_hidden_layers if rows <= few_rows.FEW else 0)
    few_rows.make_ready(fm)
    assert not {name for name in fm.exact if name.endswith("q_proj")}
    fm.forget_exact()
    if dtype == "bfloat16" and rows > few_rows.FEW:
        return  # computed in 16 bits: there is nothing that it must equal to the last digits
    monkeypatch.setattr(lean_decoding, "joints", lambda model: {})
    monkeypatch.setattr(lean_decoding, "norms", lambda model, few: {})
    plain, its_keys = one_step(fm, rows, lengths)
    assert "model.layers.0.self_attn.q_proj" in fm.exact or rows > few_rows.FEW
    assert logits.dtype == plain.dtype == keys.dtype == torch.float32
    assert torch.allclose(logits, plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))
    assert torch.allclose(keys, its_keys, rtol=1e-4, atol=1e-4)
    fm.forget_exact()


@needs_fbgemm
def test_layers_with_other_code_decode_as_they_are(coarse):
    module = coarse.model.get_submodule("model.layers.0.self_attn")
    kind = type(module)

    class Other(kind):
        def forward(self, *args, **options):
            return super().forward(*args, **options)

    before = set(lean_decoding.joints(coarse.model))
    module.__class__ = Other
    try:
        assert before - set(lean_decoding.joints(coarse.model)) == {"model.layers.0.self_attn"}
        logits, _ = one_step(coarse, 2, [3, 5])
    finally:
        module.__class__ = kind
    assert "model.layers.0.self_attn.q_proj" in coarse.exact and "model.layers.1.self_attn" in coarse.exact
    coarse.forget_exact()
    assert torch.allclose(logits, one_step(coarse, 2, [3, 5])[0], rtol=1e-4, atol=1e-4)
    coarse.forget_exact()


@needs_fbgemm
def test_a_prompt_of_one_token_more_is_read_after_its_beginning(tiny):
    same = list(range(5, 45)) * 2
    with torch.inference_mode():
        beginning = Beginning(tiny, [[*same, 8], [*same, 9]])
        assert beginning.tokens == same
        with few_rows.few_rows(tiny):
            logits, _, _ = beginning.read([[*same, 8]])
        wanted = tiny.model(torch.tensor([[*same, 8]])).logits[:, -1]
    assert torch.allclose(logits, wanted, rtol=1e-2, atol=1e-2 * float(wanted.abs().max()))
    tiny.forget_exact()
