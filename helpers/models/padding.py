"""Rows of tokens for the model: batches of similar length, padded on the left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .foundation_model import FoundationModel


def batches(rows: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, the longest first, so that a lack of memory shows at once."""
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def left_padded(fm: FoundationModel, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest)."""
    made = fm.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt").to(fm.device)
    return made["input_ids"], made["attention_mask"]


def positions(mask: torch.Tensor) -> torch.Tensor:
    """The position of each token among those of its row that are no padding, (rows, tokens)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
