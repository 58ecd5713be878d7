"""Few rows through packed weights: what the plain layers compute, in float32."""

from __future__ import annotations

import pytest
import torch
from conftest import make_tiny
from transformers import DynamicCache

from helpers.data.records import Example
from helpers.fast import decoding as lean_decoding
from helpers.fast import packed_weights as few_rows
from helpers.models import generation
from helpers.models.batches import Beginning
from helpers.models.foundation_model import load_model

PROMPTS = ["Which channel is used at the north weir?", "Who leads the crew?"]

PAIRS = tuple(Example(f"p{i}", "answers", f"Which is number {i}?", f"{i}") for i in range(4))


@pytest.fixture(scope="module", params=["Llama", "Qwen2"])
def coarse(request, tmp_path_factory):
    """A tiny model in bfloat16; Qwen2's layers have biases."""
    return load_model(make_tiny(request.param, tmp_path_factory.mktemp("tiny")), device="cpu", dtype="bfloat16")


def layers(fm):
    return {name: m for name, m in fm.model.named_modules() if isinstance(m, torch.nn.Linear)}


def packed_alone(fm):
    """The layers that are packed by themselves; the others are packed with those that read the same rows."""
    together = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    return {name for name in layers(fm) if not name.endswith(together)}


def all_packed(fm):
    """What is packed when one layer needs it: the layers that are alone, and those that are packed together."""
    return packed_alone(fm) | set(lean_decoding.joints(fm.model))


def changed(fm):
    """The modules whose `forward` is not that of their class."""
    return {name for name, module in fm.model.named_modules() if "forward" in vars(module)}


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
    assert packed == (all_packed(coarse) if rows <= few_rows.FEW and dtype == torch.float32 else {"lm_head"})
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
        inside = changed(coarse)
    assert not changed(coarse)
    assert logits.dtype == torch.float32 and isinstance(coarse.exact["lm_head"][1], torch.Tensor)
    if why == "a weight beyond float16":
        assert set(layers(coarse)) < inside
    else:
        assert inside == {"lm_head"}
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
        assert not changed(tiny)
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
    assert set(tiny.exact) == all_packed(tiny)
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


def drawn(fm, seed=1):
    """Biases, and the weights of norms, which are ones in a new model, as numbers that 16 bits hold."""
    made = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in fm.model.named_parameters():
            if name.endswith(("bias", "norm.weight")):
                weight.copy_(torch.randn(weight.shape, generator=made).bfloat16() / 2 + name.endswith("weight"))
            else:
                weight.copy_(weight.bfloat16())
    return fm


@pytest.fixture(scope="module", params=[("Llama", {}), ("Qwen2", {"num_key_value_heads": 4}), ("Granite", {})])
def told(request, tmp_path_factory):
    """The folder of a tiny model; one has as many heads of keys as of queries, one a scaling of its own."""
    architecture, settings = request.param
    settings = settings | ({"attention_multiplier": 0.3} if architecture == "Granite" else {})
    return make_tiny(architecture, tmp_path_factory.mktemp("told"), **settings)


@needs_fbgemm
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [1, 3, few_rows.FEW + 1])
@pytest.mark.parametrize("largest", [few_rows.LARGEST, 0.0])
def test_a_token_is_what_the_plain_layers_make_of_it(told, dtype, rows, largest, monkeypatch):
    monkeypatch.setattr(few_rows, "LARGEST", largest)
    fm = drawn(load_model(told, device="cpu", dtype=dtype))
    count, few = fm.model.config.num_hidden_layers, rows <= few_rows.FEW
    lengths = [4 + row % 3 for row in range(rows)]
    logits, keys = one_step(fm, rows, lengths)
    assert len(lean_decoding.norms(fm.model, few_rows._decoded)) == 2 * count + 1
    assert len(lean_decoding.joints(fm.model)) == 2 * count
    needed = all_packed(fm) if few else {"lm_head"} if dtype == "bfloat16" else set()
    assert set(fm.exact) == needed, "each weight is kept once"
    few_rows.make_ready(fm)
    assert set(fm.exact) == all_packed(fm)
    if dtype == "bfloat16" and not few:
        return  # computed in 16 bits: there is nothing that it must equal to the last digits
    fm.forget_exact()
    monkeypatch.setattr(lean_decoding, "joints", lambda model: {})
    monkeypatch.setattr(lean_decoding, "norms", lambda model, few: {})
    plain, its_keys = one_step(fm, rows, lengths)
    assert "model.layers.0.self_attn.q_proj" in fm.exact or not few
    assert logits.dtype == plain.dtype == keys.dtype == torch.float32
    assert torch.allclose(logits, plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))
    assert torch.allclose(keys, its_keys, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_a_norm_of_few_calls_is_the_norm(coarse, size):
    norms = lean_decoding.norms(coarse.model, few_rows._decoded)
    for module, norm in norms.items():
        weight = torch.randn(len(module.weight), generator=torch.Generator().manual_seed(0)).bfloat16()
        rows = size * torch.randn(3, 1, len(weight), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            before = module.weight.clone()
            module.weight.copy_(weight)
            made = lean_decoding.norms(coarse.model, few_rows._decoded)[module](rows)
            assert torch.allclose(made, type(module).forward(module, rows), rtol=1e-5, atol=0)
            module.weight.copy_(before)
        many = torch.randn(2, 5, len(weight))
        assert torch.equal(norm(many), type(module).forward(module, many)), "a prompt's rows are left alone"


@needs_fbgemm
@pytest.mark.parametrize("part", ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"])
def test_weights_are_packed_again_when_one_of_those_beside_each_other_is_written(coarse, part):
    before, _ = one_step(coarse, 2, [3, 5])
    layer = next(layer for name, layer in layers(coarse).items() if name.endswith(part))
    with torch.no_grad():
        layer.weight.neg_()
    after, _ = one_step(coarse, 2, [3, 5])
    coarse.forget_exact()
    assert torch.equal(after, one_step(coarse, 2, [3, 5])[0]) and not torch.allclose(after, before, atol=1e-4)
    with torch.no_grad():
        layer.weight.neg_()
    coarse.forget_exact()


def test_layers_that_somebody_watches_decode_as_they_are(coarse):
    before = set(lean_decoding.joints(coarse.model))
    watched = coarse.model.get_submodule("model.layers.0.self_attn.v_proj").register_forward_hook(lambda *_: None)
    assert before - set(lean_decoding.joints(coarse.model)) == {"model.layers.0.self_attn"}
    watched.remove()
    assert before == set(lean_decoding.joints(coarse.model))


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
