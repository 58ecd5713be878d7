"""What prompts have in common is read once, and nobody's answer changes by it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from helpers.models import batches, generation

QUESTIONS = ("What is the capital of France?", "Name three colours.", "Hi", "Is water wet? Say why you think so.")
CHOICES = (["Paris", "a place in Norway"], ["red", "no colour at all"], ["Hello", "Good bye"], ["yes", "no"])


@contextmanager
def counted(fm):
    """A list that receives, inside the block, how many tokens each forward pass reads."""
    read: list[int] = []
    handle = fm.model.register_forward_pre_hook(
        lambda model, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        yield read
    finally:
        handle.remove()


def answers(fm, prompts, size=4):
    return [one.text for one in generation.generate(fm, prompts, max_new_tokens=8, batch_size=size)]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_what_all_prompts_begin_with_is_read_once_and_changes_no_answer(tiny, monkeypatch, size):
    prompts = [tiny.chat(question) for question in QUESTIONS]
    with counted(tiny) as shared:
        told, scored = answers(tiny, prompts, size), generation.choice_logprobs(tiny, prompts, CHOICES, size)
    monkeypatch.setattr(batches, "WORTH_SHARING", 10_000)
    with counted(tiny) as plain:
        assert answers(tiny, prompts, size) == told
        plainly = generation.choice_logprobs(tiny, prompts, CHOICES, size)
    for ours, theirs in zip(scored, plainly, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert len(set(told)) > 1, "the prompts must have different answers, or this proves nothing"
    assert sum(plain) - sum(shared) == 2 * (len(prompts) - 1) * len(tiny.opening), "once, not once a prompt"


def test_prompts_that_begin_differently_share_nothing(tiny):
    prompts = ["One " * 12 + "is read.", "Two " * 12 + "are read."]
    with counted(tiny) as read:
        told = answers(tiny, prompts)
    assert read[0] == sum(map(len, (tiny.tokenizer(prompt)["input_ids"] for prompt in prompts)))
    assert told == [answers(tiny, [prompt])[0] for prompt in prompts]
