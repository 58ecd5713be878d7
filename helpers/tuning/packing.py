"""Training examples as rows of one fixed length: labelled pairs with the loss on the response, or plain text.

Pairs that begin alike (the same system message, the same passages) share that beginning: it stands in a row once, and
each pair's own part sees the beginning and itself, never its neighbours. So a row holds several pairs and the model
computes what they have in common once; what it learns from each is what it would learn from that pair alone.

    beginning | rest of pair 1, response 1 | rest of pair 2, response 2 | padding
    segment 0 | segment 1                  | segment 2                  | segment -1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from ..data import DataError

if TYPE_CHECKING:
    import torch

    from ..models import FoundationModel

IGNORED = -100  # the label of a token that the loss leaves out
PADDING = -1  # the segment of padding
LENGTHS = 32  # tokens: a batch of rows that are not compiled is as long as a multiple of them


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
        """How many of its tokens are no padding."""
        return sum(segment != PADDING for segment in self.segments)

    def blank(self) -> Row:
        """A row of the same length that holds nothing to learn from."""
        size = len(self.ids)
        return Row(self.ids, [IGNORED] * size, [0] * size, [PADDING] * size)


@dataclass(frozen=True)
class Pair:
    """A prompt and its response as token ids; the response ends with the token that ends a turn."""

    id: str
    prompt: list[int]
    response: list[int]


@dataclass
class PackingReport:
    """What became of the examples: how many were packed, their tokens, and the ids of those left out as too long.

    `held_too_long` names those of validation, which are left out in the same way.
    """

    examples: int = 0
    tokens: int = 0
    labelled_tokens: int = 0
    rows: int = 0
    too_long: list[str] = field(default_factory=list)
    held_too_long: list[str] = field(default_factory=list)


def encode_pair(fm: FoundationModel, id: str, prompt: str, response: str) -> Pair:
    """A pair in the model's chat template.

    Raises:
        DataError: The response is empty, so there would be nothing to learn.
    """
    if not response.strip():
        raise DataError(f"the pair {id!r} has an empty response: every token of it would be masked. Write a response.")
    tokenizer = fm.tokenizer
    ids = tokenizer(fm.chat(prompt), add_special_tokens=False)["input_ids"]
    told = tokenizer(response, add_special_tokens=False)["input_ids"]
    return Pair(id, ids, told + [tokenizer.eos_token_id])


def pair_rows(groups: Sequence[Sequence[Pair]], length: int, pad: int, random: Random | None = None) -> list[Row]:
    """Packs pairs, each group into rows of its own, every row opening with what the pairs of its group have in common.

    Args:
        groups: Pairs that are packed together, such as those on the same passages.
        length: Tokens of a row; a pair that is longer is left out, never cut (see `report`).
        pad: The token that fills the end of a row; it is masked and its value does not matter.
        random: Shuffles the pairs of a group and the rows; None keeps the order.
    """
    rows = []
    for group in groups:
        fitting = [pair for pair in group if _fits(pair, length)]
        if random is not None:
            random.shuffle(fitting)
        shared = common_beginning(fitting)
        waiting: list[Pair] = []
        used = shared
        for pair in fitting:
            need = len(pair.prompt) - shared + len(pair.response)
            if used + need > length:
                rows.append(_row(waiting, shared, length, pad))
                waiting, used = [], shared
            waiting.append(pair)
            used += need
        if waiting:
            rows.append(_row(waiting, shared, length, pad))
    if random is not None:
        random.shuffle(rows)
    return rows


def common_beginning(pairs: Sequence[Pair]) -> int:
    """How many tokens all prompts begin with alike; the last token of a prompt always stays with its response."""
    if not pairs:
        return 0
    first = pairs[0].prompt
    shared = min(len(pair.prompt) for pair in pairs) - 1
    for pair in pairs[1:]:
        shared = next((i for i in range(shared) if pair.prompt[i] != first[i]), shared)
    return shared


def _fits(pair: Pair, length: int) -> bool:
    return len(pair.prompt) + len(pair.response) <= length


def _row(pairs: Sequence[Pair], shared: int, length: int, pad: int) -> Row:
    ids = pairs[0].prompt[:shared]
    labels = [IGNORED] * shared
    positions, segments = list(range(shared)), [0] * shared
    for number, pair in enumerate(pairs, 1):
        rest = pair.prompt[shared:]
        ids = ids + rest + pair.response
        labels += [IGNORED] * (len(rest) - 1) + pair.response + [IGNORED]
        positions += range(shared, shared + len(rest) + len(pair.response))
        segments += [number] * (len(rest) + len(pair.response))
    empty = length - len(ids)
    return Row(ids + [pad] * empty, labels + [IGNORED] * empty, positions + [0] * empty, segments + [PADDING] * empty)


def text_rows(texts: Sequence[Sequence[int]], length: int, end: int, random: Random | None = None) -> list[Row]:
    """Packs texts one after the other into full windows, an end token after each; every token has a loss.

    Args:
        texts: Token ids of each text.
        length: Tokens of a window. What is left over after the last full window is padded, not dropped; an end token
            alone, with nothing after it to learn, makes no window.
        end: The token that separates texts.
        random: Shuffles the texts; None keeps the order.
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


def too_long(pairs: Sequence[Pair], length: int) -> list[str]:
    """The ids of the pairs that no row of so many tokens holds."""
    return [pair.id for pair in pairs if not _fits(pair, length)]


def report(rows: Sequence[Row], pairs: Sequence[Pair] = (), length: int = 0, texts: int = 0) -> PackingReport:
    """Counts what was packed.

    Raises:
        DataError: Nothing is left to learn from.
    """
    found = PackingReport(rows=len(rows))
    found.too_long = too_long(pairs, length)
    found.examples = len(pairs) - len(found.too_long) + texts
    found.tokens = sum(row.tokens for row in rows)
    found.labelled_tokens = sum(label != IGNORED for row in rows for label in row.labels)
    if not found.labelled_tokens:
        reason = f"all {len(found.too_long)} are longer than {length} tokens" if found.too_long else "there are none"
        raise DataError(f"no training example is left: {reason}. Raise `max_length` or shorten the examples.")
    return found


def collate(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Rows as tensors of shape (rows, length): `input_ids`, `shift_labels`, `positions`, `segments`."""
    import torch

    return {
        "input_ids": torch.tensor([row.ids for row in rows]),
        "shift_labels": torch.tensor([row.labels for row in rows]),
        "positions": torch.tensor([row.positions for row in rows]),
        "segments": torch.tensor([row.segments for row in rows]),
    }


def collate_short(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """As `collate`, without the padding that all of them end with, but for a rest: for layers that are not compiled.

    Lengths are multiples of `LENGTHS`. A library for matrix products prepares itself anew for every length, and memory
    that a row of one length leaves does not fit the next one: 37 steps on pairs took 26 s and 1.9 GB so, and 32 s and
    2.4 GB with a length for each batch; multiples of 16 and 64 took as long.
    """
    real = max(max(row.tokens for row in rows), 1)
    length = min(-(-real // LENGTHS) * LENGTHS, len(rows[0].ids))
    return {name: tensor[:, :length] for name, tensor in collate(rows).items()}


def visible(segments: torch.Tensor) -> torch.Tensor:
    """Which tokens each token sees: boolean, (rows, length, length), from segments (rows, length).

    A token sees itself and what stands before it in its own segment, and all of segment 0.
    """
    import torch

    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return before & ((segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0))
