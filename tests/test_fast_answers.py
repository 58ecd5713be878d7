"""The fast path gives the answers, scores and losses of the plain one, and is left where it cannot."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from conftest import make_tiny

from helpers import fast
from helpers.fast import answering, packed_weights, varlen
from helpers.models import generation
from helpers.models.foundation_model import load_model

NAMES = "Brackwell Corrindale Dunmere Eastness Fallowgate Garrick Holmsey Inverlow Jarrow K".split()
ASKED = ("Where is {}?", "Who supervises {} in spring?", "Hi {}", "Name three parts of {}, and say why.", "Is {} wet?")
LAST = "well dale mere ness gate".split()
QUESTIONS = [question.format(name) for name in NAMES for question in ASKED]
CHOICES = [["yes", "no, it is not", "a place in Norway"][: 2 + n % 2] for n in range(len(QUESTIONS))]


def both(fm):
    """The model on the fast path, and on the plain one."""
    quick, plain = replace(fm), replace(fm)
    plain.fast = None
    assert quick.fast is not None, "or this proves nothing"
    return quick, plain


def answers(fm, prompts, size=16):
    return [one.text for one in generation.generate(fm, prompts, max_new_tokens=8, batch_size=size)]


@contextmanager
def tokens_read(fm):
    """A list that receives, inside the block, how many tokens each reading of prompts takes."""
    read: list[int] = []
    with fm.model.get_decoder().register_forward_pre_hook(
        lambda model, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    ):
        yield read


def test_both_paths_give_the_same_texts_and_scores_in_float32(tiny):
    quick, plain = both(tiny)
    prompts = [tiny.chat(question) for question in QUESTIONS]
    texts, alone = answers(plain, prompts), answers(plain, prompts, 1)
    sure = [i for i, text in enumerate(texts) if text == alone[i]]  # a tie within rounding follows the batch's size
    assert len(sure) >= 0.96 * len(prompts) and len(set(texts)) > 10
    for made in (answers(quick, prompts), answers(quick, prompts, 1)):
        assert [made[i] for i in sure] == [texts[i] for i in sure]
    fast_scores, plain_scores = (generation.choice_logprobs(fm, prompts, CHOICES) for fm in (quick, plain))
    for ours, theirs in zip(fast_scores, plain_scores, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
    losses = [generation.text_losses(fm, prompts) for fm in (quick, plain)]
    assert losses[0] == losses[1]


def test_most_texts_are_the_same_in_bfloat16(tiny_folder):
    quick, plain = both(load_model(tiny_folder, device="cpu", dtype="bfloat16"))
    names = [first + last for first in "Bra Corri Dun East Fallow Garr Holm Inver Jar Kel".split() for last in LAST]
    prompts = [quick.chat(question.format(name)) for name in names for question in ASKED]  # 250: of 50, chance is felt
    same = [a == b for a, b in zip(answers(quick, prompts), answers(plain, prompts), strict=True)]
    assert sum(same) >= 0.8 * len(same)


def test_the_switch_turns_it_off(tiny, monkeypatch):
    monkeypatch.setenv("KIT_FAST", "0")
    assert not fast.enabled() and fast.enable(tiny.model) is None and replace(tiny).fast is None
    assert not fast.enable_training(tiny.model)
    monkeypatch.delenv("KIT_FAST")
    assert fast.enabled() and fast.enable(tiny.model)


def test_layers_of_other_classes_and_windows_stay_plain(tmp_path, capsys):
    window = load_model(make_tiny("Mistral", tmp_path / "m", sliding_window=48), device="cpu", dtype="float32")
    other = load_model(make_tiny("Qwen3", tmp_path / "q", head_dim=8), device="cpu", dtype="float32")
    for fm in (window, other):
        prompts = [fm.chat("The tide turns. " * count + "Why?") for count in (2, 9)]
        assert fm.fast is None
        assert answers(fm, prompts) == [answers(fm, [prompt])[0] for prompt in prompts]
    assert capsys.readouterr().out == ""
    whole = make_tiny("Mistral", tmp_path / "w", sliding_window=None)
    quick, plain = both(load_model(whole, device="cpu", dtype="float32"))  # without a window it is fast
    prompts = [quick.chat(question) for question in QUESTIONS[:8]]
    assert answers(quick, prompts) == answers(plain, prompts)


def test_a_path_that_computes_something_else_is_noticed_and_left(tiny, monkeypatch, capsys):
    monkeypatch.setattr(packed_weights, "rms_norm", lambda x, shape, weight, eps: x * weight)
    assert fast.enable(tiny.model) is None
    assert "plain path" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(varlen, "causal_mask", lambda begun, length, branches=(): None)
    assert fast.enable(tiny.model) is None


def test_weights_beyond_float16_take_the_plain_path(tiny_folder, capsys):
    fm = load_model(tiny_folder, device="cpu", dtype="float32")
    layer = fm.model.get_submodule("model.layers.1.mlp.down_proj")
    with torch.no_grad():
        layer.weight.mul_(10 * torch.finfo(torch.float16).max / layer.weight.abs().max())
    assert fm.fast is None and "the plain path is used" in capsys.readouterr().out


def test_a_copy_for_tuning_has_weights_of_its_own(tiny):
    quick, _ = both(tiny)
    own = replace(tiny, model=copy.deepcopy(quick.model))
    with torch.no_grad():
        own.model.get_input_embeddings().weight.neg_()
        own.model.get_output_embeddings().weight.neg_()
    _, plain = both(own)
    prompts = [tiny.chat(question) for question in QUESTIONS[:8]]
    assert answers(own, prompts) == answers(plain, prompts) != answers(quick, prompts)


@torch.inference_mode()
def test_texts_and_their_branches_are_read_as_if_they_were_alone(tiny):
    decoder, head = tiny.model.get_decoder(), tiny.fast.packed.logits
    prefix, *rows = ([*range(start, start + size)] for start, size in ((7, 9), (30, 5), (60, 17), (90, 1)))
    _, states = varlen.read(decoder, [prefix], [])
    found, _ = varlen.read(decoder, rows, states)
    for row, part in zip(rows, head(found).split([len(row) for row in rows]), strict=True):
        plain = tiny.model(input_ids=torch.tensor([prefix + row])).logits[0, len(prefix) :]
        torch.testing.assert_close(part, plain, atol=1e-4, rtol=1e-4)
    forked, _ = varlen.read(decoder, [[1, 2, 3, 4, 5, 6, 7]], states, [(2, 3)])
    plain = tiny.model(input_ids=torch.tensor([[*prefix, 1, 2, 5, 6, 7]])).logits[0, -3:]
    torch.testing.assert_close(head(forked)[-3:], plain, atol=1e-4, rtol=1e-4)


def test_what_prompts_share_is_read_once(tiny, monkeypatch):
    quick, _ = both(tiny)
    prompts = [tiny.chat(question) for question in QUESTIONS[:4]]
    with tokens_read(quick) as shared:
        texts, scores = answers(quick, prompts), generation.choice_logprobs(quick, prompts, CHOICES[:4])
    monkeypatch.setattr(answering, "WORTH_SHARING", 10_000)
    with tokens_read(quick) as apart:
        assert answers(quick, prompts) == texts
        for one, other in zip(generation.choice_logprobs(quick, prompts, CHOICES[:4]), scores, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
    saved = 8 * len(tiny.system_prefix) - len(tiny.system_prefix)
    assert sum(apart) - sum(shared) == saved, "read once, and kept for the second call"
    monkeypatch.undo()
    examples = [tiny.chat(question, examples=[("What is it? " * 20, "That.")]) for question in QUESTIONS[:4]]
    with tokens_read(quick) as read:
        texts = answers(quick, examples)
    assert read[0] > len(tiny.system_prefix) + answering.WORTH_MORE
    with tokens_read(quick) as alone:
        assert [answers(quick, [prompt])[0] for prompt in examples] == texts
    assert min(alone) > read[0] - len(tiny.system_prefix), "alone, a question pays for its own examples"
