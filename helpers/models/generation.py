"""Decoding and scoring in batches: answers with their times, log-probabilities of choices, losses of texts.

The plain path is the model itself, on batches that are padded on the left. Where `fast` knows the model (see
`FoundationModel.fast`), it does the same work in less time.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os.path import commonprefix
from types import SimpleNamespace

import torch
from transformers import GenerationConfig

from ..data import BLANK, DataError
from ..fast import Decoded
from .foundation_model import FoundationModel
from .machine import show_progress

TOKENS_A_BATCH = 16_384  # at most, of rows in a batch: each token's keys and values take memory
BATCH = 48  # prompts decoded together; 32, 48 and 64 short ones took the same time


@dataclass(frozen=True)
class Generation:
    """One decoded answer. Times are seconds from its batch's start, tokenizing included; its own in a batch of 1."""

    text: str
    prompt_tokens: int
    new_tokens: int
    first_token_s: float
    total_s: float
    batch_size: int


@torch.inference_mode()
def generate(
    fm: FoundationModel, prompts: Sequence[str], max_new_tokens: int = 64, batch_size: int = BATCH,
    progress: bool = False, exactly: bool = False,
) -> list[Generation]:  # fmt: skip
    """Decodes an answer to each prompt, greedily, and returns them in the order of the prompts.

    Args:
        fm, prompts: The model, and finished texts, chat template included.
        max_new_tokens: The most tokens of each answer; a stop token ends it earlier.
        batch_size: How many prompts are decoded together; 1 measures latency.
        progress: Whether to show a progress bar.
        exactly: Whether stop tokens end nothing, so that all answers have equal length.

    A `DataError` names a prompt that does not fit into the model's context together with its answer.
    """
    begun = time.perf_counter()
    encoded = [fm.encode(prompt) for prompt in prompts]
    for prompt, ids in zip(prompts, encoded, strict=True):
        _check_length(fm, prompt, len(ids), max_new_tokens)
    stop_ids = set() if exactly else fm.stop_ids
    decode = partial(_decode, fm, max_new_tokens, stop_ids)
    if fm.fast:
        prefix = fm.fast.shared_prefix(encoded, fm.system_prefix)
        decode = partial(fm.fast.decode, limit=max_new_tokens, stop_ids=stop_ids, prefix=prefix)
    made: dict[int, Generation] = {}
    with show_progress("Answering", len(prompts), "prompts", progress) as bar:
        for batch in _batches(encoded, batch_size):
            for i, one in zip(batch, decode([encoded[i] for i in batch]), strict=True):
                text = fm.tokenizer.decode([t for t in one.tokens if t not in fm.stop_ids], skip_special_tokens=True)
                made[i] = Generation(
                    text.strip(), len(encoded[i]), len(one.tokens), one.first - begun, one.ended - begun, len(batch)
                )
            begun = time.perf_counter()
            bar.update(len(batch))
    return [made[i] for i in range(len(prompts))]


def _decode(fm: FoundationModel, limit: int, stop_ids: set[int], rows: list[list[int]]) -> list[Decoded]:
    ids, mask = _left_padded(fm, rows)
    times: list[float] = []  # when the prompt and each token arrived
    clock = SimpleNamespace(put=lambda tokens: times.append(time.perf_counter()), end=lambda: None)
    config = GenerationConfig(  # all of it, so that the model's own defaults play no part
        max_new_tokens=limit, eos_token_id=sorted(stop_ids) or None, pad_token_id=fm.tokenizer.pad_token_id,
        repetition_penalty=1.0, do_sample=False, temperature=1.0, top_p=1.0, top_k=50,
    )  # fmt: skip
    made = fm.model.generate(input_ids=ids, attention_mask=mask, generation_config=config, streamer=clock)
    decoded = []
    for tokens in made[:, ids.shape[1] :].tolist():
        length = next((n for n, token in enumerate(tokens, 1) if token in stop_ids), len(tokens))
        decoded.append(Decoded(tokens[:length], times[1], times[length]))
    return decoded


@torch.inference_mode()
def choice_logprobs(
    fm: FoundationModel, prompts: Sequence[str], choices: Sequence[Sequence[str]], batch_size: int = BATCH
) -> list[list[float]]:
    """How likely each choice is as the answer to its prompt: mean log-probability per token (natural logarithm).

    Prompts have their chat template, choices are plain texts; `batch_size` is how many prompt-choice rows, at four
    choices each, go through the model together. A `DataError` names what does not fit into the context or is empty.
    """
    tails = [[fm.encode(fm.inert(choice)) for choice in options] for options in choices]
    return _mean_logprobs(fm, prompts, [fm.encode(prompt) for prompt in prompts], tails, batch_size)


@torch.inference_mode()
def blank_logprobs(
    fm: FoundationModel, texts: Sequence[str], choices: Sequence[Sequence[str]], batch_size: int = BATCH
) -> list[list[float]]:
    """How likely each choice is in the blank of a plain text (natural logarithm), without a chat template.

    Where the text ends with its blank, the mean log-probability of a choice's tokens after the text. Where it goes on,
    the summed log-probability of the whole text with the choice in it: what stands before the choices is the same for
    all of them, and is left out. A text is read after `FoundationModel.text_start`, as by `text_losses`; a `DataError`
    is as in `choice_logprobs`.
    """
    heads, tails, whole = [], [], []
    for text, options in zip(texts, choices, strict=True):
        before, _, after = text.rpartition(BLANK)
        whole.append(bool(after.strip(" .")))
        filled = [before, *(before + option + after * whole[-1] for option in options)]
        alone, *rows = (fm.text_start + fm.encode(fm.inert(each)) for each in filled)
        alike = rows if whole[-1] else [alone, *rows]
        head = commonprefix(alike)[: min(map(len, rows)) - 1]
        heads.append(head)
        tails.append([row[len(head) :] if option else [] for row, option in zip(rows, options, strict=True)])
    means = _mean_logprobs(fm, texts, heads, tails, batch_size)
    return [
        [mean * len(tail) if summed else mean for mean, tail in zip(*each, strict=True)]
        for *each, summed in zip(means, tails, whole, strict=True)
    ]


def _mean_logprobs(
    fm: FoundationModel, texts: Sequence[str], heads: list[list[int]], tails: list[list[list[int]]], batch_size: int
) -> list[list[float]]:
    """The mean log-probability of each tail after its head; `texts` are named in messages."""
    for text, head, options in zip(texts, heads, tails, strict=True):
        _check_length(fm, text, len(head), max(map(len, options)))
        if not all(options):
            raise DataError(f"an empty choice cannot be scored: correct the choices of {text[:60]!r}")
    score = partial(_choice_logprobs, fm)
    if fm.fast:
        score = partial(fm.fast.choice_logprobs, prefix=fm.fast.shared_prefix(heads, fm.system_prefix))
    means: dict[int, list[float]] = {}
    for batch in _batches(heads, max(1, batch_size // 4)):
        means |= zip(batch, score([heads[i] for i in batch], [tails[i] for i in batch]), strict=True)
    return [means[i] for i in range(len(heads))]


def _choice_logprobs(fm: FoundationModel, heads: list[list[int]], tails: list[list[list[int]]]) -> list[list[float]]:
    """Reads each head once with each of its tails."""
    rows = [head + tail for head, options in zip(heads, tails, strict=True) for tail in options]
    found = iter(_token_logprobs(fm, rows, [len(tail) for options in tails for tail in options]))
    return [[float(next(found).mean()) for _ in options] for options in tails]


@torch.inference_mode()
def text_losses(
    fm: FoundationModel, texts: Sequence[str], window: int = 512, batch_size: int = 4
) -> list[tuple[float, int]]:
    """The negative log-likelihood of each text, summed over its predicted tokens, and how many these are.

    Each text is read from its own beginning, in windows of `window` tokens, after `FoundationModel.text_start`. A text
    of fewer than two tokens predicts nothing and has (0.0, 0). A batch's logits take window x batch_size x vocabulary
    numbers: 0.4 GB in float32 as set, with a vocabulary of 49,152.
    """
    read = [fm.text_start + fm.encode(fm.inert(text)) for text in texts]
    pieces = [(n, ids[i : i + window]) for n, ids in enumerate(read) for i in range(0, len(ids) - 1, window)]
    totals, counts = [0.0] * len(texts), [0] * len(texts)
    for batch in _batches([piece for _, piece in pieces], batch_size):
        owners, rows = zip(*(pieces[i] for i in batch), strict=True)
        for owner, logprobs in zip(owners, _token_logprobs(fm, rows, [len(row) - 1 for row in rows]), strict=True):
            totals[owner] -= float(logprobs.double().sum())
            counts[owner] += len(logprobs)
    return list(zip(totals, counts, strict=True))


def perplexity(losses: Sequence[tuple[float, int]]) -> float:
    """Perplexity: exp of the mean of the losses of `text_losses` per predicted token, over all texts together.

    Formula: Jurafsky & Martin, Speech and Language Processing, 3rd ed., section 3.3. Without a token, a `DataError`.
    """
    count = sum(tokens for _, tokens in losses)
    if not count:
        raise DataError("perplexity needs at least one text of two tokens or more: check the text files")
    return math.exp(sum(loss for loss, _ in losses) / count)


def _batches(rows: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, the longest first, so that a lack of memory shows at once."""
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i))
    while order:
        count = max(1, min(size, TOKENS_A_BATCH // len(rows[order[0]])))
        yield order[:count]
        order = order[count:]


def _left_padded(fm: FoundationModel, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest)."""
    made = fm.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt").to(fm.device)
    return made["input_ids"], made["attention_mask"]


def _token_logprobs(fm: FoundationModel, rows: Sequence[list[int]], counts: list[int]) -> list[torch.Tensor]:
    """Reads rows together; the log-probabilities of each row's last tokens, as many as `counts` says."""
    ids, mask = _left_padded(fm, rows)
    logits = fm.model(
        input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0), use_cache=False,
        logits_to_keep=max(counts) + 1,
    ).logits  # fmt: skip
    return [  # one row after the other: each needs two more copies of its logits
        logits[row, -count - 1 : -1].float().log_softmax(-1).gather(-1, ids[row, -count:, None]).squeeze(-1)
        for row, count in enumerate(counts)
    ]


def _check_length(fm: FoundationModel, prompt: str, tokens: int, new: int) -> None:
    if tokens == 0:
        raise DataError("an empty prompt cannot be answered: write a question")
    if tokens + new > fm.context_length:
        raise DataError(
            f"the prompt beginning {prompt[:60]!r} has {tokens} tokens; with an answer of {new} it exceeds the model's "
            f"context of {fm.context_length}. Shorten the question, or retrieve fewer or smaller passages."
        )
