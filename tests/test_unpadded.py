"""Prompts that are read without padding: the same logits, keys and values as one by one."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import make_tiny
from transformers import DynamicCache

from helpers.fast import varlen as unpadded
from helpers.models import generation
from helpers.models.foundation_model import load_model

QUESTIONS = ("What is the capital of France?", "Hi", "Is water wet? Say why you think so, in a whole sentence.")

NEAR = {"float32": 1e-4, "bfloat16": 0.1}  # how far apart two ways of one sum may lie


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def fm(request, tmp_path_factory):
    return load_model(make_tiny("Llama", tmp_path_factory.mktemp("tiny")), device="cpu", dtype=request.param)


def rows_of(fm):
    return [fm.tokenizer(question)["input_ids"] for question in QUESTIONS]


@torch.inference_mode()
def test_every_prompt_is_computed_as_if_it_were_alone(fm):
    rows = rows_of(fm)
    logits, states = unpadded.read(fm.model, rows, ())
    width, near = max(map(len, rows)), NEAR[fm.dtype]
    for i, row in enumerate(rows):
        alone, (one, *_) = unpadded.read(fm.model, [row], ())
        assert torch.allclose(logits[i], alone[0], atol=near)
        for together, single in zip(states[0], one, strict=True):
            assert torch.allclose(together[i, :, width - len(row) :], single[0], atol=near)
            assert not together[i, :, : width - len(row)].any()


@torch.inference_mode()
def test_it_computes_what_a_plain_forward_pass_computes(fm):
    rows = rows_of(fm)
    begun = DynamicCache(config=fm.model.config)
    fm.model(input_ids=torch.tensor([rows[0]]), past_key_values=begun, use_cache=True)
    logits, _ = unpadded.read(fm.model, rows, [(layer.keys, layer.values) for layer in begun.layers])
    for row, found in zip(rows, logits, strict=True):
        plain = fm.model(input_ids=torch.tensor([rows[0] + row]), logits_to_keep=1).logits[0, -1]
        assert torch.allclose(found.float(), plain.float(), atol=NEAR[fm.dtype])
        assert not torch.allclose(found.float(), logits.float().mean(0), atol=NEAR[fm.dtype]), "or this proves nothing"


def test_another_kind_of_attention_reads_with_padding_and_answers_alike(tmp_path):
    sliding = load_model(make_tiny("Mistral", tmp_path), device="cpu", dtype="float32")
    assert not unpadded.reads(sliding.model)
    prompts = [sliding.chat(question) for question in QUESTIONS]
    together = [one.text for one in generation.generate(sliding, prompts, 6, 3)]
    assert together == [generation.generate(sliding, [prompt], 6, 1)[0].text for prompt in prompts]


def test_a_window_that_slides_sees_no_padding(tmp_path):
    folder = make_tiny("Mistral", tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 48}), encoding="utf-8")
    sliding = load_model(folder, device="cpu", dtype="float32")
    prompts = [sliding.chat("The tide turns. " * count + QUESTIONS[0]) for count in (20, 24, 32)]
    together = [one.text for one in generation.generate(sliding, prompts, 6, 3)]
    assert together == [generation.generate(sliding, [prompt], 6, 1)[0].text for prompt in prompts]
