"""Answers on a CPU: what prompts share is read once, prompts are read without padding, tokens use packed weights."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from . import varlen
from .packed_weights import Cache, PackedDecoder, supports

WORTH_SHARING = 8  # tokens; a shorter prefix is read with each row
LONG = 2_048  # tokens; the states of so long a prefix are kept until another one is read
WORTH_MORE = 64  # tokens that rows share beyond the system prefix before it is worth reading them apart
TOLERANCE = {torch.float32: 0.01, torch.bfloat16: 0.1, torch.float16: 0.02}  # relative error of logits, in `agrees`


def enabled() -> bool:
    """Whether the fast paths may be used: unless the environment variable KIT_FAST is 0."""
    return os.environ.get("KIT_FAST", "1") != "0"


@torch.inference_mode()
def enable(model: PreTrainedModel) -> FastAnswers | None:
    """What answers faster with a model on a CPU, where its layers are of known classes; None: use the model itself.

    It is tried on a few tokens first. Where its logits are not those of the model, a line says so.
    """
    if not enabled() or not supports(model) or not varlen.accept(model):
        return None
    answers = FastAnswers(model)
    if answers.agrees():
        return answers
    print(f"{type(model).__name__}: the fast path computes other logits than the model, so the plain path is used")
    return None


@dataclass(frozen=True)
class Decoded:
    """The tokens of one reply, its stop token included, and when the first and the last came (`perf_counter`, s)."""

    tokens: list[int]
    first: float
    ended: float


@dataclass(frozen=True)
class SharedPrefix:
    """Token ids that all rows of a call begin with, and the states that the model made of them; may be empty."""

    tokens: list[int] = field(default_factory=list)
    states: varlen.States = field(default_factory=list)


class FastAnswers:
    """Decodes and scores with one model, whose weights must not change afterwards."""

    def __init__(self, model: PreTrainedModel):
        """Packs the weights of a model that `packed_weights.supports`."""
        self.model, self.decoder, self.packed = model, model.get_decoder(), PackedDecoder(model)
        self.system: dict[tuple[int, ...], SharedPrefix] = {}
        self.long = SharedPrefix()

    def shared_prefix(self, rows: Sequence[Sequence[int]], system: Sequence[int] = ()) -> SharedPrefix:
        """Reads what all rows begin with, where that is worth it.

        A single row shares the system prefix alone, so that a question that is asked alone costs what is its own;
        rows that share little more than that share it alone too. A long prefix, such as documents that come before
        every question, is kept, and serves a single row as well; so are the states of `system`, which every chat begins
        with. Each row keeps at least one token of its own.
        """
        long = len(self.long.tokens)
        if long and all(len(row) > long and list(row[:long]) == self.long.tokens for row in rows):
            return self.long
        common, opening = _common(rows), _common([system, *rows])
        if len(rows) == 1 or len(common) - len(opening) < WORTH_MORE:
            common = opening
        common = common[: min(map(len, rows), default=1) - 1]
        if len(common) < WORTH_SHARING:
            return SharedPrefix()
        key = tuple(common)
        if key in self.system:
            return self.system[key]
        prefix = SharedPrefix(common, varlen.read(self.decoder, [common], [])[1])
        if len(common) <= len(system):
            self.system[key] = prefix
        elif len(common) >= LONG:
            self.long = prefix
        return prefix

    def decode(
        self, rows: Sequence[Sequence[int]], limit: int, stop_ids: set[int], prefix: SharedPrefix
    ) -> list[Decoded]:
        """Decodes a batch of whole prompts greedily, each up to a stop token or `limit` tokens."""
        logits, cache = self._begin(rows, limit, prefix)
        live, first = list(range(len(rows))), 0.0
        tokens: list[list[int]] = [[] for _ in rows]
        ended = [0.0] * len(rows)
        while True:
            picked = logits.argmax(-1)
            now, going = time.perf_counter(), []
            first = first or now
            for place, (row, token) in enumerate(zip(live, picked.tolist(), strict=True)):
                tokens[row].append(token)
                ended[row] = now
                if token not in stop_ids and len(tokens[row]) < limit:
                    going.append(place)
            if not going:
                return [Decoded(*each) for each in zip(tokens, [first] * len(rows), ended, strict=True)]
            if len(going) < len(live):
                kept = torch.tensor(going)
                cache.select(kept)
                picked, live = picked[kept], [live[place] for place in going]
            logits = self.packed.step(picked, cache)

    def choice_logprobs(
        self, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[Sequence[int]]], prefix: SharedPrefix
    ) -> list[list[float]]:
        """Mean log-probability per token of each tail after its head; each head is read once for all of its tails."""
        begun = len(prefix.tokens)
        rows = [[*head[begun:], *(t for tail in own for t in tail)] for head, own in zip(heads, tails, strict=True)]
        branches = [tuple(map(len, own)) for own in tails]
        hidden, _ = varlen.read(self.decoder, rows, prefix.states, branches)
        made, start = [], 0
        for row, head, own in zip(rows, heads, tails, strict=True):
            last, place, means = start + len(head) - begun - 1, start + len(head) - begun, []
            for tail in own:
                before = torch.tensor([last, *range(place, place + len(tail) - 1)])
                logprobs = self.packed.logits(hidden[before]).log_softmax(-1)
                means.append(float(logprobs.gather(-1, torch.tensor(tail)[:, None]).mean()))
                place += len(tail)
            made.append(means)
            start += len(row)
        return made

    def agrees(self) -> bool:
        """Whether logits are those of the model itself, on a few tokens: read, and read on by one."""
        rows = [[token % self.model.config.vocab_size for token in (1, *row)] for row in (range(9, 21), range(40, 44))]
        prefix = SharedPrefix(rows[0][:1], varlen.read(self.decoder, [rows[0][:1]], [])[1])
        logits, cache = self._begin(rows, 1, prefix)
        ids = logits.argmax(-1)
        after = self.packed.step(ids, cache)
        for number, (row, token) in enumerate(zip(rows, ids.tolist(), strict=True)):
            plain = self.model(input_ids=torch.tensor([[*row, token]])).logits[0, -2:].float()
            found = torch.stack([logits[number], after[number]])
            if not (found - plain).norm() <= TOLERANCE.get(self.model.dtype, 0.01) * plain.norm():
                return False
        return True

    def _begin(self, rows: Sequence[Sequence[int]], room: int, prefix: SharedPrefix) -> tuple[torch.Tensor, Cache]:
        """The logits after each row, and a cache with room for so many tokens more."""
        rest = [row[len(prefix.tokens) :] for row in rows]
        lengths = list(map(len, rest))
        hidden, states = varlen.read(self.decoder, rest, prefix.states)
        logits = self.packed.logits(hidden[torch.tensor(lengths).cumsum(0) - 1])
        return logits, Cache(prefix.states, states, lengths, room)


def _common(rows: Sequence[Sequence[int]]) -> list[int]:
    return list(os.path.commonprefix([list(row) for row in rows])) if rows else []
