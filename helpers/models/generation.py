"""Decoding and scoring in batches: answers with their times, log-probabilities of choices, perplexity.

Prompts are sorted by length, padded on the left, decoded together and given back in the order they came; what they
all begin with is read once (see `helpers.batches`).
A row that is finished leaves its batch, so a short answer does not wait for a long one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from ..data import DataError
from ..fast import few_rows, step
from .batches import Beginning, batches, left_padded, positions
from .foundation_model import FoundationModel
from .machine import synchronise

BATCH = 48  # prompts decoded together; 32, 48 and 64 short ones took the same time within the machine's noise


@dataclass(frozen=True)
class Generation:
    """One decoded answer. Times are seconds from its batch's start, tokenizing included; its own in a batch of 1."""

    text: str
    prompt_tokens: int
    new_tokens: int
    first_token_s: float
    total_s: float
    batch_size: int


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; `temperature` 0 is greedy. `top_p` keeps the likeliest tokens of that much mass."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.temperature < 0:
            raise ValueError(f"`temperature` must be at least 0. Got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must lie in (0, 1]. Got {self.top_p}")


@torch.inference_mode()
def generate(
    fm: FoundationModel,
    prompts: Sequence[str],
    max_new_tokens: int = 64,
    batch_size: int = BATCH,
    sampling: Sampling = Sampling(),
    progress: bool = False,
) -> list[Generation]:
    """Decodes an answer to each prompt.

    Args:
        fm: The model; an adapter that is switched on is used.
        prompts: Finished texts, chat template included.
        max_new_tokens: At most so many tokens are decoded for each; a stop token ends an answer earlier.
        batch_size: How many prompts are decoded together; 1 measures latency.
        sampling: Greedy by default.
        progress: Whether to show a progress bar.

    Returns:
        One `Generation` a prompt, in the order of the prompts.

    Raises:
        DataError: A prompt does not fit into the model's context together with its answer.
        ValueError: `max_new_tokens` or `batch_size` is less than 1.
    """
    begun = time.perf_counter()
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Got {value}")
    encoded = [fm.tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    for prompt, ids in zip(prompts, encoded, strict=True):
        _check_length(fm, prompt, len(ids), max_new_tokens)
    generator = torch.Generator(device=fm.device).manual_seed(sampling.seed)
    done: dict[int, Generation] = {}
    with few_rows(fm), tqdm(total=len(prompts), desc="answering", unit="answer", disable=not progress) as bar:
        beginning = Beginning(fm, encoded)
        for batch in batches([len(ids) for ids in encoded], batch_size):
            rows = {i: encoded[i] for i in batch}
            done |= _decode(fm, rows, beginning, max_new_tokens, sampling, generator, begun)
            begun = time.perf_counter()
            bar.update(len(batch))
    return [done[i] for i in range(len(prompts))]


def _check_length(fm: FoundationModel, prompt: str, tokens: int, new: int) -> None:
    if tokens == 0:
        raise DataError("an empty prompt cannot be answered: write a question")
    if tokens + new > fm.context_length:
        raise DataError(
            f"the prompt beginning {prompt[:60]!r} has {tokens} tokens; with an answer of {new} it passes the model's "
            f"context of {fm.context_length}. Shorten the question, or retrieve fewer or smaller passages."
        )


def _pick(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """The next token of each row, (rows,), from logits (rows, vocabulary)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits.float() / sampling.temperature).softmax(-1)
    ordered, ids = probabilities.sort(descending=True)
    ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
    return ids.gather(-1, torch.multinomial(ordered, 1, generator=generator)).squeeze(-1)


def _decode(
    fm: FoundationModel,
    rows: dict[int, list[int]],
    beginning: Beginning,
    max_new_tokens: int,
    sampling: Sampling,
    generator: torch.Generator,
    start: float,
) -> dict[int, Generation]:
    """Decodes one batch; keys are the caller's indices. Its seconds count from `start`."""
    logits, mask, cache = beginning.read(list(rows.values()))
    live = list(rows)  # the caller's index of each row that is still being decoded
    new: dict[int, list[int]] = {i: [] for i in rows}
    ended: dict[int, float] = {}
    first_token_s = 0.0
    while True:
        picked = _pick(logits, sampling, generator)
        tokens = picked.tolist()  # waits for the device
        now = time.perf_counter() - start
        first_token_s = first_token_s or now
        for i, token in zip(live, tokens, strict=True):
            new[i].append(token)
        going = [
            row
            for row, (i, token) in enumerate(zip(live, tokens, strict=True))
            if token not in fm.stop_ids and len(new[i]) < max_new_tokens
        ]
        ended |= {i: now for row, i in enumerate(live) if row not in going}
        if not going:
            break
        if len(going) < len(live):
            kept = torch.tensor(going, device=fm.device)
            cache.batch_select_indices(kept)
            picked, mask, live = picked[kept], mask[kept], [live[row] for row in going]
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=-1)
        logits = fm.model(
            **step(fm, picked[:, None], cache),
            attention_mask=mask,
            position_ids=positions(mask)[:, -1:],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
    return {
        i: Generation(
            text=fm.tokenizer.decode([t for t in new[i] if t not in fm.stop_ids], skip_special_tokens=True).strip(),
            prompt_tokens=len(rows[i]),
            new_tokens=len(new[i]),
            first_token_s=first_token_s,
            total_s=ended[i],
            batch_size=len(rows),
        )
        for i in rows
    }


@torch.inference_mode()
def choice_logprobs(
    fm: FoundationModel,
    prompts: Sequence[str],
    choices: Sequence[Sequence[str]],
    batch_size: int = BATCH,
    progress: bool = False,
) -> list[list[float]]:
    """How likely each choice is as the answer to its prompt.

    Args:
        fm: The model; an adapter that is switched on is used.
        prompts: Finished texts, chat template included.
        choices: The choices of each prompt, as plain texts.
        batch_size: How many prompt-choice rows, at four choices each, go through the model together.
        progress: Whether to show a progress bar.

    Returns:
        For each prompt one mean log-probability per token (natural logarithm) for each choice.

    Raises:
        DataError: A prompt and a choice do not fit into the model's context, or a choice is empty.
    """
    heads = [fm.tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    tails = [[fm.tokenizer(c, add_special_tokens=False)["input_ids"] for c in options] for options in choices]
    for prompt, head, options in zip(prompts, heads, tails, strict=True):
        _check_length(fm, prompt, len(head), max(map(len, options)))
        if not all(options):
            raise DataError(f"an empty choice cannot be scored: mend the choices of {prompt[:60]!r}")
    means: dict[int, list[float]] = {}
    silent = not progress or not heads
    with (
        few_rows(fm, decoding=False),
        tqdm(total=len(heads), desc="scoring choices", unit="question", disable=silent) as bar,
    ):
        beginning = Beginning(fm, heads)
        for batch in batches([len(head) for head in heads], max(1, batch_size // 4)):
            scored = _score_tails(fm, beginning, [heads[i] for i in batch], [tails[i] for i in batch])
            means |= dict(zip(batch, scored, strict=True))
            bar.update(len(batch))
    return [means[i] for i in range(len(heads))]


def _score_tails(
    fm: FoundationModel, beginning: Beginning, heads: list[list[int]], tails: list[list[list[int]]]
) -> list[list[float]]:
    """Reads each head once, then all its tails on copies of its cache; mean log-probability of each tail."""
    logits, mask, cache = beginning.read(heads)
    copies = torch.tensor([row for row, options in enumerate(tails) for _ in options], device=fm.device)
    cache.batch_select_indices(copies)
    flat = [tail for options in tails for tail in options]
    width = max(map(len, flat))
    told = torch.zeros(len(flat), width, dtype=torch.long)
    told_mask = torch.zeros_like(told)
    for row, tail in enumerate(flat):
        told[row, : len(tail)] = torch.tensor(tail)
        told_mask[row, : len(tail)] = 1
    told, told_mask = told.to(fm.device), told_mask.to(fm.device)
    first = logits[copies][:, None]
    if width > 1:
        full = torch.cat([mask[copies], told_mask[:, :-1]], dim=-1)
        rest = fm.model(
            input_ids=told[:, :-1], attention_mask=full, position_ids=positions(full)[:, -width + 1 :],
            past_key_values=cache,
        ).logits  # fmt: skip
        first = torch.cat([first, rest], dim=1)
    logprobs = first.float().log_softmax(-1).gather(-1, told[..., None]).squeeze(-1)
    mean = iter(((logprobs * told_mask).sum(-1) / told_mask.sum(-1)).tolist())
    return [[next(mean) for _ in options] for options in tails]


@torch.inference_mode()
def text_losses(
    fm: FoundationModel, texts: Sequence[str], window: int = 512, batch_size: int = 4, progress: bool = False
) -> list[tuple[float, int]]:
    """The negative log-likelihood of each text, summed over its predicted tokens, and how many these are.

    Each text is read from its own beginning, in windows of `window` tokens, after one start token where the
    tokenizer has one. A text of fewer than two tokens predicts nothing and has (0.0, 0). A batch's logits take
    window x batch_size x vocabulary numbers: 0.4 GB in float32 as set, with a vocabulary of 49,152.
    """
    start = [fm.tokenizer.bos_token_id] if fm.tokenizer.bos_token_id is not None else []
    pieces, owner = [], []
    for number, text in enumerate(texts):
        ids = start + fm.tokenizer(text, add_special_tokens=False)["input_ids"]
        found = [ids[i : i + window] for i in range(0, len(ids), window) if len(ids[i : i + window]) > 1]
        pieces += found
        owner += [number] * len(found)
    totals, counts = [0.0] * len(texts), [0] * len(texts)
    with tqdm(total=len(pieces), desc="perplexity", unit="text", disable=not progress) as bar:
        for batch in batches([len(piece) for piece in pieces], batch_size):
            ids, mask = left_padded(fm, [pieces[i] for i in batch])
            logits = fm.model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False).logits
            for row, i in enumerate(batch):  # one by one: each needs two more copies of its logits
                tokens = len(pieces[i]) - 1
                told, wanted = logits[row, -tokens - 1 : -1].float(), ids[row, -tokens:]
                losses = torch.nn.functional.cross_entropy(told, wanted, reduction="none")
                totals[owner[i]] += float(losses.double().sum())
                counts[owner[i]] += tokens
            bar.update(len(batch))
    synchronise(fm.device)
    return list(zip(totals, counts, strict=True))


def perplexity(losses: Sequence[tuple[float, int]]) -> float:
    """Perplexity of texts: exp of the mean negative log-likelihood per predicted token, over all texts together.

    Formula: Jurafsky & Martin, Speech and Language Processing, 3rd ed., section 3.3.

    Args:
        losses: What `text_losses` returned.

    Raises:
        DataError: There is no text of at least two tokens.
    """
    count = sum(tokens for _, tokens in losses)
    if not count:
        raise DataError("perplexity needs at least one text of two tokens or more: check the text files")
    return math.exp(sum(loss for loss, _ in losses) / count)
