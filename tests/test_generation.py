"""Decoding and scoring: what a batch, a pad token, a neighbour or an order must not change."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from helpers.data.records import DataError
from helpers.models import generation

PROMPTS = (
    "What is the capital of France?",
    "Name three colours.",
    "Hi",
    "The pump in hall two has been leaking oil since Monday, and the crew that looked at it found nothing. What now?",
    "Count from one to five.",
    "Reply with the word yes and nothing else.",
    "Is water wet? Answer in one sentence, and say why you think so.",
    "List the days of the week, in order, with a comma between each of them.",
)


def chats(model, prompts=PROMPTS) -> list[str]:
    return [model.chat(prompt) for prompt in prompts]


def texts(made) -> list[str]:
    return [one.text for one in made]


def one_by_one(model, prompts, max_new_tokens: int) -> list:
    """Each prompt in a call of its own, so that nothing is shared between them."""
    return [generation.generate(model, [prompt], max_new_tokens)[0] for prompt in prompts]


@pytest.fixture(params=["fast", "plain"])
def tiny(tiny, request):
    """The tiny model on both paths: everything here must hold for each."""
    made = replace(tiny)
    if request.param == "plain":
        made.fast = None
    assert (made.fast is None) == (request.param == "plain")
    return made


def test_batched_answers_equal_single_ones(tiny):
    prompts = chats(tiny)
    single = one_by_one(tiny, prompts, 12)
    for size in (1, 3, 8):
        batched = generation.generate(tiny, prompts, max_new_tokens=12, batch_size=size)
        assert texts(batched) == texts(single)
        assert [one.new_tokens for one in batched] == [one.new_tokens for one in single]
    assert len(set(texts(single))) > 1, "the prompts must have different answers, or this proves nothing"


def test_the_default_model_answers_and_batched_answers_end_each_at_its_own_place(fm):
    batched = generation.generate(fm, chats(fm, PROMPTS[:3]), max_new_tokens=24)
    assert texts(batched) == texts(one_by_one(fm, chats(fm, PROMPTS[:3]), 24)) and "Paris" in batched[0].text
    assert len({one.new_tokens for one in batched}) > 1, "some rows must end before others, or this proves nothing"


def likeliest(model, prompt: str, count: int) -> list[int]:
    """The likeliest tokens after a prompt, one plain forward pass each."""
    ids, told = model.encode(prompt), []
    with torch.inference_mode():
        for _ in range(count):
            told.append(int(model.model(torch.tensor([ids + told])).logits[0, -1].argmax()))
    return told


def test_greedy_decoding_is_the_likeliest_token_of_a_plain_forward_pass(tiny):
    prompt = tiny.chat("Which tide turns it?")
    (made,) = generation.generate(tiny, [prompt], max_new_tokens=6)
    assert made.text == tiny.tokenizer.decode(likeliest(tiny, prompt, 6)).strip()
    assert made.prompt_tokens == len(tiny.encode(prompt))


def test_a_stop_token_ends_an_answer_and_does_not_change_the_others(tiny, monkeypatch):
    prompts = chats(tiny)
    told = likeliest(tiny, prompts[0], 3)
    assert told[2] not in told[:2]
    monkeypatch.setattr(tiny.model.generation_config, "eos_token_id", [told[2]])
    assert tiny.stop_ids == {told[2], tiny.tokenizer.eos_token_id}
    together = generation.generate(tiny, prompts, max_new_tokens=12)
    assert together[0].new_tokens == 3 and together[0].text == tiny.tokenizer.decode(told[:2]).strip()
    assert texts(together) == texts(one_by_one(tiny, prompts, 12))
    assert max(one.new_tokens for one in together) == 12
    assert together[0].total_s < max(one.total_s for one in together), "a finished row waited for the longest"


def test_limits_and_times(tiny):
    assert generation.generate(tiny, []) == []
    for one, prompt in zip(generation.generate(tiny, chats(tiny), 5, batch_size=4), chats(tiny), strict=True):
        assert one.prompt_tokens == tiny.count_tokens(prompt)
        assert 1 <= one.new_tokens <= 5 and one.batch_size == 4
        assert 0 < one.first_token_s <= one.total_s
    (first,) = generation.generate(tiny, chats(tiny)[:1], max_new_tokens=1)
    assert first.new_tokens == 1 and first.first_token_s == first.total_s and first.batch_size == 1


def test_prompts_that_cannot_be_answered_are_named(tiny, fm):
    with pytest.raises(DataError, match="an empty prompt"):
        generation.generate(tiny, [""])
    long = "tide " * tiny.context_length
    with pytest.raises(DataError, match=f"'tide tide .*context of {tiny.context_length}"):
        generation.generate(tiny, ["short", long], max_new_tokens=1)
    fits = tiny.tokenizer.decode(tiny.encode(long)[: tiny.context_length - 4])
    size = tiny.count_tokens(fits)
    assert generation.generate(tiny, [fits], max_new_tokens=tiny.context_length - size)[0].prompt_tokens == size
    with pytest.raises(DataError):
        generation.generate(tiny, [fits], max_new_tokens=tiny.context_length - size + 1)
    with pytest.raises(DataError):
        generation.choice_logprobs(tiny, [long], [["yes", "no"]])
    assert generation.generate(fm, [fm.chat(long)], max_new_tokens=1)[0].prompt_tokens > tiny.context_length


def plain_mean_logprob(model, prompt: str, choice: str) -> float:
    """The mean log-probability of a choice's tokens, from one forward pass over prompt and choice."""
    head, tail = model.encode(prompt), model.encode(choice)
    with torch.inference_mode():
        logprobs = model.model(torch.tensor([head + tail])).logits[0].float().log_softmax(-1)
    told = [logprobs[len(head) - 1 + i, token].item() for i, token in enumerate(tail)]
    return sum(told) / len(told)


@pytest.mark.parametrize("batch_size", [1, 4, 12, 32])
def test_choices_are_scored_as_by_a_plain_forward_pass(tiny, batch_size):
    prompts = chats(tiny)[:4]
    choices = [["yes", "no"], ["a", "a rather longer choice, of many tokens", "x y z"], ["one"], ["B", "A", "C", "D"]]
    scored = generation.choice_logprobs(tiny, prompts, choices, batch_size)
    for prompt, options, row in zip(prompts, choices, scored, strict=True):
        assert row == pytest.approx([plain_mean_logprob(tiny, prompt, choice) for choice in options], abs=1e-4)


def test_a_blank_is_filled_with_what_makes_the_whole_text_likeliest(tiny):
    completed, unread = "At the yard, a glim means ____.", "Nobody goes out while the ____ is up, says the foreman."
    options = [["the daily count of energy", "a lamp"], ["glim", "big red flag", "glim lamp"]]
    texts = [f"A passage with a ____.\n\n{completed}", unread]
    mean, summed = generation.blank_logprobs(tiny, texts, options, batch_size=4)
    head = "A passage with a ____.\n\nAt the yard, a glim means"
    start = tiny.tokenizer.bos_token
    expected = [plain_mean_logprob(tiny, start + head, f" {choice}") for choice in options[0]]
    assert mean == pytest.approx(expected, abs=1e-4)
    losses, _ = zip(*generation.text_losses(tiny, [unread.replace("____", each) for each in options[1]]), strict=True)
    assert [one - summed[0] for one in summed] == pytest.approx([losses[0] - one for one in losses], abs=1e-2)
    assert generation.blank_logprobs(tiny, ["____ is up."], [["Glim", "A flag"]]) != [[0.0, 0.0]]


def test_an_empty_choice_is_refused(tiny):
    for score in (generation.blank_logprobs, generation.choice_logprobs):
        with pytest.raises(DataError, match="an empty choice"):
            score(tiny, ["It is ____."], [["wet", ""]])


def perplexity(model, written, **how):
    return generation.perplexity(generation.text_losses(model, written, **how))


def test_perplexity_is_exp_of_the_models_own_loss_and_weighs_every_predicted_token_alike(tiny):
    texts = [PROMPTS[2], PROMPTS[3]]
    losses, counts = [], []
    for text in texts:
        ids = torch.tensor([[tiny.tokenizer.bos_token_id, *tiny.encode(text)]])
        with torch.inference_mode():
            losses.append(tiny.model(ids, labels=ids).loss.item())
        counts.append(tiny.count_tokens(text))  # each is predicted, after one start token
        assert perplexity(tiny, [text]) == pytest.approx(math.exp(losses[-1]), rel=1e-4)
    mean = sum(n * loss for n, loss in zip(counts, losses, strict=True)) / sum(counts)
    assert math.log(perplexity(tiny, texts)) == pytest.approx(mean, rel=1e-4)


def test_perplexity_reads_long_texts_in_windows_knows_english_and_needs_a_text(tiny, fm):
    assert math.isfinite(perplexity(tiny, ["tide " * 2000], window=64))
    english = "The weather in the mountains can change quickly, so walkers should carry warm clothes and a map."
    shuffled = " ".join(sorted(english.split(), key=lambda word: word[::-1]))
    assert 1 < perplexity(fm, [english]) < 0.3 * perplexity(fm, [shuffled])
    for nothing in ([], [""]):
        with pytest.raises(DataError, match="at least one text"):
            perplexity(tiny, nothing)
