"""What prompts have in common is read once, and nobody's answer changes by it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from conftest import make_tiny

from helpers.data.records import Example, KitError
from helpers.models import adapters, batches, generation
from helpers.models.foundation_model import load_model
from helpers.tuning.training import train
from helpers.tuning.training_data import Lora, TrainingData, TrainSettings

QUESTIONS = ("What is the capital of France?", "Name three colours.", "Hi", "Is water wet? Say why you think so.")
CHOICES = (["Paris", "a place in Norway"], ["red", "no colour at all"], ["Hello", "Good bye"], ["yes", "no"])
PAIRS = tuple(Example(f"p{i}", "answers", f"Which is number {i}?", f"{i}") for i in range(4))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A tiny model, and two folders of adapters trained on it for a few steps."""
    place = tmp_path_factory.mktemp("batches")
    fm = load_model(make_tiny("Llama", place / "model"), device="cpu", dtype="float32")
    settings = TrainSettings(Lora(2, 2), learning_rate=0.05, epochs=2, batch_size=2, max_length=96, compile=False)
    return fm, [train(fm, TrainingData(pairs=PAIRS[i:]), settings, place / str(i)).folder for i in range(2)]


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


def test_arms_that_take_turns_read_the_opening_once_each(tuned):
    fm, folders = tuned
    question = fm.chat(QUESTIONS[0])
    whole = len(fm.tokenizer(question, add_special_tokens=False)["input_ids"])
    first: dict[object, list[int]] = {}
    for folder in (None, *folders) * 3:
        with fm.using(folder), counted(fm) as read:
            answers(fm, [question])
        first.setdefault(folder, []).append(read[0])
    own = whole - len(fm.opening)
    assert list(first.values()) == [[len(fm.opening), own, own]] * 3, "every arm pays the same, and pays it once"


def test_the_opening_of_one_arm_is_never_used_for_another(tuned):
    fm, folders = tuned
    question = fm.chat(QUESTIONS[0])
    told = []
    for folder in (None, *folders):
        fresh = load_model(fm.name, device="cpu", dtype="float32")
        with fresh.using(folder):
            told.append(generation.choice_logprobs(fresh, [question], [["Paris", "Oslo", "one"]])[0])
    assert told[0] != told[1] != told[2], "the weights must differ, or this proves nothing"
    for _ in range(2):
        for folder, expected in zip((None, *folders), told, strict=True):
            with fm.using(folder):
                assert generation.choice_logprobs(fm, [question], [["Paris", "Oslo", "one"]])[0] == expected


def test_weights_that_were_written_anew_are_read_anew(tuned, tmp_path):
    fm, (one, other) = tuned
    folder = tmp_path / "adapter"
    folder.mkdir()
    question = fm.chat(QUESTIONS[0])
    for source in (one, other):
        for name in (adapters.ADAPTER, adapters.CONFIG, adapters.RECORD):
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes((source / name).read_bytes())
        with fm.using(folder), counted(fm) as read:
            answers(fm, [question])
        assert read[0] == len(fm.opening)


def test_other_weights_inside_a_block_are_refused(tuned):
    fm, (one, other) = tuned
    with fm.using(one), pytest.raises(KitError, match="leave their block before using"), fm.using(other):
        pass
    with fm.using(one), fm.using(one) as model:
        assert model is fm.model
    assert fm.active is None
