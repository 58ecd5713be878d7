"""Rows of tokens for the model: batches of similar length, padding, and a beginning that is read only once.

Prompts of one call begin alike: the system message, the task's instructions, the solved examples. What is the same is
read once, and each row goes on from a copy of its keys and values.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from ..fast import varlen as unpadded

if TYPE_CHECKING:
    from .foundation_model import FoundationModel

WORTH_SHARING = 8  # tokens; a shorter common beginning is read with each row
WORTH_READING_ON = 64  # tokens that rows share after the opening; a few more are not worth another reading than alone


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, the longest first, so that a lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def left_padded(fm: FoundationModel, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest)."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), fm.tokenizer.pad_token_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, width - len(tokens) :] = torch.tensor(tokens)
        mask[row, width - len(tokens) :] = 1
    return ids.to(fm.device), mask.to(fm.device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """The position of each token among those of its row that are no padding, (rows, tokens)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


class Beginning:
    """What all rows of a call begin with, read once by the model; it may be empty.

    `tokens` are its token ids. The keys and values belong to the weights that were in the model at that moment.
    """

    def __init__(self, fm: FoundationModel, rows: Sequence[Sequence[int]]):
        """Reads the common beginning of the rows, where it is worth it.

        A single row has none but the model's opening (its system message), which is read once for each change of
        weights: so a question that is asked alone costs what is its own, too. Rows that share little more than that
        share the opening alone: then each is read in the same two parts as it would be by itself, and in 16 bits
        gets the same reply.

        Args:
            fm: The model.
            rows: Token ids; each row keeps at least one token of its own.
        """
        self.fm = fm
        alone = len(rows) == 1
        common, opening = _common(*rows), _common(fm.opening, *rows)
        if alone or len(common) - len(opening) < WORTH_READING_ON:
            common = opening
        common = common[: min(map(len, rows), default=1) - 1]
        self._cache = DynamicCache(config=fm.model.config)
        if not alone and any(self._cache.is_sliding):  # the padding after the beginning would take room in the window
            common = []
        self.tokens: list[int] = common if len(common) >= WORTH_SHARING else []
        if self.tokens and alone:
            if tuple(self.tokens) not in fm.openings:
                self._read()
                fm.openings[tuple(self.tokens)] = self._cache
            self._cache = fm.openings[tuple(self.tokens)]
        elif self.tokens:
            self._read()

    def _read(self) -> None:
        ids = torch.tensor([self.tokens], device=self.fm.device)
        self.fm.model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)

    def read(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor, DynamicCache]:
        """Lets the model read these rows.

        Args:
            rows: Whole rows, the beginning included.

        Returns:
            The logits after each row (rows, vocabulary); the attention mask of all tokens,
            (rows, beginning + longest rest); and a cache that holds them, the beginning for each row included.
        """
        rest = [row[len(self.tokens) :] for row in rows]
        ids, mask = left_padded(self.fm, rest)
        mask = torch.cat([mask.new_ones(len(rows), len(self.tokens)), mask], dim=-1)
        cache = copy.deepcopy(self._cache)
        if self.tokens:
            cache.batch_repeat_interleave(len(rows))
        if unpadded.reads(self.fm.model):
            before = [(layer.keys, layer.values) for layer in self._cache.layers] if self.tokens else []
            logits, states = unpadded.read(self.fm.model, rest, before)
            for number, (keys, values) in enumerate(states):
                cache.update(keys, values, number)
            return logits, mask, cache
        logits = self.fm.model(
            input_ids=ids, attention_mask=mask, position_ids=positions(mask)[:, -ids.shape[1] :], past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        ).logits  # fmt: skip
        return logits[:, -1], mask, cache


def _common(*rows: Sequence[int]) -> list[int]:
    """The longest common beginning."""
    return list(os.path.commonprefix([list(row) for row in rows])) if rows else []
