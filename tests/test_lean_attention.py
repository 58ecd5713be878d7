"""Lean attention against eager attention: the same loss, the same gradients, less kept for the way back."""

from __future__ import annotations

import pytest
import torch
from transformers.models.llama.modeling_llama import eager_attention_forward

from helpers.fast import training_attention as lean_attention


class Layer(torch.nn.Module):
    """What eager attention asks of its layer."""

    def __init__(self, groups: int):
        super().__init__()
        self.num_key_value_groups = groups


def inputs(dtype: torch.dtype, keys: int = 3) -> tuple[torch.Tensor, ...]:
    """Queries of 9 heads, keys and narrower values, 2 rows of 24 tokens of which the last 5 of a row are hidden."""
    torch.manual_seed(1)
    sizes = ((9, 16), (keys, 16), (keys, 10))
    made = [torch.randn(2, heads, 24, width).to(dtype).requires_grad_() for heads, width in sizes]
    mask = torch.zeros(2, 1, 24, 24, dtype=dtype)
    hidden = torch.ones(24, 24, dtype=torch.bool).triu(1)
    mask[:, :, hidden] = torch.finfo(dtype).min
    mask[1, :, :, 19:] = torch.finfo(dtype).min
    return *made, mask


@pytest.mark.parametrize("block", [lean_attention.BLOCK, 32])  # all tokens at once, and 8 or 16 of the 24
@pytest.mark.parametrize("kept", [lean_attention.KEPT, 0])
@pytest.mark.parametrize("keys", [1, 3, 9])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_output_and_gradients_are_those_of_eager_attention(monkeypatch, dtype, apart, keys, kept, block):
    monkeypatch.setattr(lean_attention, "KEPT", kept)
    monkeypatch.setattr(lean_attention, "BLOCK", block)
    found = []
    for attend in (eager_attention_forward, lean_attention.attention):
        query, key, value, mask = inputs(dtype, keys)
        out, _ = attend(Layer(9 // keys), query, key, value, mask, scaling=0.25)
        (out.float() * torch.arange(out.numel()).view_as(out).sin()).sum().backward()
        found.append([out.detach(), query.grad, key.grad, value.grad])
    last = 1e-6 if dtype == torch.float32 else 0  # blocks sum in another order: its last digits, lost in 16 bits
    assert torch.allclose(found[0][0], found[1][0], rtol=0, atol=last), "the forward pass rounds in the same places"
    for eager, lean in zip(*found, strict=True):
        assert lean.shape == eager.shape
        assert (lean.float() - eager.float()).norm() <= apart * eager.float().norm()


def test_one_matrix_of_scores_is_kept_instead_of_several_and_none_where_it_is_large(monkeypatch):
    sizes = []
    for attend, most in (
        (eager_attention_forward, 0),
        (lean_attention.attention, 10**9),
        (lean_attention.attention, 0),
    ):
        monkeypatch.setattr(lean_attention, "KEPT", most)
        query, key, value, mask = inputs(torch.bfloat16)
        kept: dict[int, int] = {}

        def keep(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            attend(Layer(3), query, key, value, mask, scaling=0.25)
        sizes.append(sum(kept.values()))
    assert sizes[1] < 0.5 * sizes[0] and sizes[1] - sizes[2] >= 2 * 9 * 24 * 24 * 2 - 2 * 24 * 24 * 2


@pytest.mark.parametrize("field", lean_attention.MORE)
def test_an_attention_that_does_more_stays_eager(tiny, field):
    chosen = tiny.model.config._attn_implementation
    try:
        lean_attention.prepare(tiny.model)
        assert tiny.model.config._attn_implementation == lean_attention.NAME
        before = getattr(tiny.model.config, field, None)
        setattr(tiny.model.config, field, 0.5)
        lean_attention.prepare(tiny.model)
        assert tiny.model.config._attn_implementation == "eager"
    finally:
        setattr(tiny.model.config, field, before)
        tiny.model.set_attn_implementation(chosen)


def test_an_attention_with_sinks_stays_eager(tiny):
    chosen, layer = tiny.model.config._attn_implementation, tiny.model.model.layers[0].self_attn
    layer.sinks = torch.nn.Parameter(torch.zeros(4))
    try:
        lean_attention.prepare(tiny.model)
        assert tiny.model.config._attn_implementation == "eager"
    finally:
        del layer.sinks
        tiny.model.set_attn_implementation(chosen)


@pytest.mark.parametrize("asked", lean_attention.ASKED)
def test_a_layer_that_asks_for_more_is_refused(asked):
    query, key, value, mask = inputs(torch.float32)
    with pytest.raises(ValueError, match=f"Layer asks for {asked}"):
        lean_attention.attention(Layer(3), query, key, value, mask, scaling=0.25, **{asked: 30.0})
    out, _ = lean_attention.attention(Layer(3), query, key, value, mask, scaling=0.25, **{asked: None})
    assert out.shape == (2, 24, 9, 10)


def test_blocks_keep_only_scores_of_keys_that_were_read(monkeypatch):
    sizes: list[int] = []

    def keep(tensor):
        sizes.append(tensor.numel() if tensor.shape[-1] not in (16, 10) else 0)  # queries, keys, values
        return tensor

    for block in (48, 24):
        monkeypatch.setattr(lean_attention, "BLOCK", block)
        query, key, value, mask = inputs(torch.bfloat16)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            lean_attention.attention(Layer(3), query, key, value, mask, scaling=0.25)
    assert [size for size in sizes if size] == [2 * 9 * 24 * 24, 2 * 9 * 12 * 12, 2 * 9 * 12 * 24]
