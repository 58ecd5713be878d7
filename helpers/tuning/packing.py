"""Training examples as rows of one length: labelled pairs with the loss on the response, or plain text.

Pairs that begin alike (the same system message, the same passages) share that beginning: it is in a row once, and each
pair's own tokens see the beginning and themselves, never their neighbours. So a row holds several pairs, the model
computes what they have in common once, and learns from each what it would learn from that pair alone.

    beginning | rest of pair 1, response 1 | rest of pair 2, response 2 | padding
    segment 0 | segment 1                  | segment 2                  | segment -1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix
from random import Random
from typing import TYPE_CHECKING

from ..data import DataError
from ..models import FoundationModel

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the label of a token that the loss leaves out
PADDING = -1  # the segment of padding
STEP = 32  # tokens: batches are cut to multiples of them, since libraries for matrix products prepare for each length


@dataclass(frozen=True)
class Row:
    """One row: four lists of the same length.

    `labels[i]` is the token that the model must predict after reading `ids[i]`, or `IGNORED`: labels are already
    shifted. `positions` count from the beginning of a pair; `segments` say which tokens see each other.
    """

    ids: list[int]
    labels: list[int]
    positions: list[int]
    segments: list[int]

    @property
    def tokens(self) -> int:
        """How many of its tokens are not padding."""
        return sum(segment != PADDING for segment in self.segments)

    def blank(self) -> Row:
        """A row of the same length that holds nothing to learn from."""
        size = len(self.ids)
        return Row(self.ids, [IGNORED] * size, [0] * size, [PADDING] * size)


@dataclass(frozen=True)
class Pair:
    """A prompt and its response as token ids; the response ends as the chat template ends a turn."""

    id: str
    prompt: list[int]
    response: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def encode_pair(fm: FoundationModel, id: str, prompt: str, response: str) -> Pair:
    """A pair in the model's chat template; a `DataError` names one whose response is empty."""
    if not response.strip():
        raise DataError(f"the pair {id!r} has an empty response: every token of it would be masked. Write a response.")
    return Pair(id, fm.encode(fm.chat(prompt)), [*fm.encode(fm.inert(response)), *fm.turn_end])


def encode(fm: FoundationModel, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, without special tokens: what looks like one is plain text."""
    return [fm.encode(fm.inert(text)) for text in texts]


def pair_rows(groups: Sequence[Sequence[Pair]], length: int, pad: int, random: Random | None = None) -> list[Row]:
    """Packs pairs, each group into rows of its own; every row opens with what the pairs of its group have in common.

    A row has `length` tokens; a longer pair is left out, never cut. The token `pad` fills the end of a row and is
    masked. `random` shuffles the pairs of a group and the rows; None keeps the order.
    """
    rows = []
    for group in groups:
        fitting = [pair for pair in group if len(pair) <= length]
        if random is not None:
            random.shuffle(fitting)
        shared = used = len(commonprefix([pair.prompt[:-1] for pair in fitting]))  # a response keeps a token before it
        waiting: list[Pair] = []
        for pair in fitting:
            if waiting and used + len(pair) - shared > length:
                rows.append(_row(waiting, shared, length, pad))
                waiting, used = [], shared
            waiting.append(pair)
            used += len(pair) - shared
        if waiting:
            rows.append(_row(waiting, shared, length, pad))
    if random is not None:
        random.shuffle(rows)
    return rows


def _row(pairs: Sequence[Pair], shared: int, length: int, pad: int) -> Row:
    ids = pairs[0].prompt[:shared]
    labels = [IGNORED] * shared
    positions, segments = list(range(shared)), [0] * shared
    for number, pair in enumerate(pairs, 1):
        rest = pair.prompt[shared:]
        ids = ids + rest + pair.response
        labels += [IGNORED] * (len(rest) - 1) + pair.response + [IGNORED]
        positions += range(shared, len(pair))
        segments += [number] * (len(pair) - shared)
    empty = length - len(ids)
    return Row(ids + [pad] * empty, labels + [IGNORED] * empty, positions + [0] * empty, segments + [PADDING] * empty)


def text_rows(texts: Sequence[Sequence[int]], length: int, end: int, random: Random | None = None) -> list[Row]:
    """Packs texts one after the other into full windows, an end token after each; every token has a loss.

    What is left over after the last full window of `length` tokens is padded, not dropped; an end token alone, with
    nothing after it to learn, makes no window. `random` shuffles the texts; None keeps the order.
    """
    texts = list(texts)
    if random is not None:
        random.shuffle(texts)
    stream = [token for text in texts for token in (*text, end)]
    rows = []
    for start in range(0, len(stream) - 1, length):
        ids = stream[start : start + length]
        empty = length - len(ids)
        labels = ids[1:] + [IGNORED] * (empty + 1)
        segments = [0] * len(ids) + [PADDING] * empty
        rows.append(Row(ids + [end] * empty, labels, list(range(len(ids))) + [0] * empty, segments))
    return rows


class Collator:
    """Makes a batch of rows: what any causal language model of transformers takes.

    The mask has four dimensions, (rows, 1, length, length), and is added to the scores of attention; `shift_labels` are
    those that transformers' loss takes where labels are already shifted. Padding at the end of all rows is cut off.
    """

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        import torch

        length = min(len(rows[0].ids), -(-max(row.tokens for row in rows) // STEP) * STEP or STEP)
        ids, labels, positions, segments = (
            torch.tensor([getattr(row, name)[:length] for row in rows])
            for name in ("ids", "labels", "positions", "segments")
        )
        hidden = torch.zeros(len(rows), 1, length, length)
        hidden.masked_fill_(~visible(segments)[:, None], torch.finfo(torch.bfloat16).min)
        unshifted = torch.nn.functional.pad(labels, (1, 0), value=IGNORED)[:, :-1]
        read = {"input_ids": ids, "attention_mask": hidden, "position_ids": positions}
        return read | {"labels": unshifted, "shift_labels": labels}


def visible(segments: torch.Tensor) -> torch.Tensor:
    """Which tokens each token sees: boolean, (rows, length, length), from segments (rows, length).

    A token sees itself and what comes before it in its own segment, and all of segment 0.
    """
    import torch

    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return before & ((segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0))
