"""What a training learns from, how it goes, and the order in which its rows are read."""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..data import DataError, Example, KitError, Question, sentences
from ..models import FoundationModel, prompts
from .packing import IGNORED, Pair, Row, encode, encode_pair, pair_rows, text_rows

MOST = 100_000  # of a setting, whatever it counts


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, 2106.09685) of every linear layer: W becomes W + alpha/rank * B A."""

    rank: int = 16
    alpha: int = 16

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha) < 1:
            raise KitError(f"`rank` and `alpha` of adapters must be at least 1. Got {self.rank} and {self.alpha}")


@dataclass(frozen=True)
class TrainSettings:
    """How a training goes; a value out of range raises a KitError.

    Attributes:
        lora: The adapters; None trains all weights.
        schedule: A name of transformers' learning-rate schedules, after a warm-up over the share `warmup` of the steps.
        epochs: Passes over each kind of data; `pair_epochs` those over the pairs, where they differ.
        batch_size: Rows a step, over all processes.
        max_length: Tokens of a row.
        replay: General text that is mixed in, as a share of the tokens of the domain text, or else of the pairs.
        sentences: Whether the sentences of all domain texts are shuffled anew for each pass, so that a fact cannot be
            memorised from its neighbours (Allen-Zhu & Li 2023, 2309.14316, find that permuted sentences help).
        embeddings: Whether training all weights includes the token embeddings; without them less is forgotten.
        checkpoint_steps: A checkpoint is written about every so many steps.
    """

    lora: Lora | None = Lora()
    learning_rate: float = 1e-3
    schedule: str = "linear"
    warmup: float = 0.05
    epochs: float = 4.0
    pair_epochs: float | None = None
    batch_size: int = 4
    max_length: int = 256
    replay: float = 0.0
    sentences: bool = False
    embeddings: bool = True
    seed: int = 7
    checkpoint_steps: int = 25

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "pair_epochs", "batch_size", "max_length", "checkpoint_steps"):
            value = getattr(self, name)
            most = sys.float_info.max if name == "learning_rate" else MOST  # a high one diverges and says so
            if value is not None and not 0 < value <= most:
                raise KitError(f"`{name}` must be a number above 0, at most {most:,g}. Got {value}")
        for name in ("warmup", "replay"):
            if not 0 <= getattr(self, name) <= MOST:
                raise KitError(f"`{name}` must be a share, 0 to {MOST:,}. Got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainingData:
    """What is learned from: `texts` without labels, labelled `pairs`, or both, mixed from the start.

    `groups` are pairs that share a beginning longer than the system message, such as passages: `(id, prompt, response)`
    as they are. `replay` is general text, of which `TrainSettings.replay` says how much is mixed in. The validation
    parts are never learned from, nor are `general_texts`, whose loss shows what is forgotten.
    """

    texts: Sequence[str] = ()
    pairs: Sequence[Example] = ()
    groups: Sequence[Sequence[tuple[str, str, str]]] = ()
    replay: Sequence[str] = ()
    validation_texts: Sequence[str] = ()
    validation_pairs: Sequence[Example] = ()
    general_texts: Sequence[str] = ()

    @property
    def labelled(self) -> int:
        """How many different labelled pairs there are."""
        return len({pair.id for pair in self.pairs} | {member[0] for group in self.groups for member in group})


def training_rows(
    fm: FoundationModel, data: TrainingData, settings: TrainSettings
) -> tuple[list[Row], dict[str, list[Row]], dict[str, Any]]:
    """All rows of a training in the order in which they are read, the rows of evaluation, and what became of the data.

    Each pass over the data is shuffled and packed anew; the kinds of data are spread evenly over the whole training.
    The last batch is filled with rows that hold nothing to learn from. A `DataError` says that nothing is left.

    Returns:
        Rows to learn from; rows of the evaluation's parts, `validation` and `general`, where there are any; and a
        report: how many `examples`, `tokens`, `labelled_tokens` and `rows` are learned from, and the ids of pairs, of
        validation too, that were left out as `too_long`.
    """
    rng = random.Random(settings.seed)
    end, length = fm.tokenizer.eos_token_id, settings.max_length
    pieces = [piece for text in data.texts for piece in (sentences(text) if settings.sentences else [text])]
    texts, replay = encode(fm, pieces), encode(fm, data.replay)
    tasks = dict.fromkeys(pair.task for pair in data.pairs)
    groups = [_encoded(fm, [pair for pair in data.pairs if pair.task == task]) for task in tasks]
    groups += [[encode_pair(fm, *member) for member in group] for group in data.groups]
    pair_epochs = settings.pair_epochs or settings.epochs
    kinds = [
        _passes(lambda: text_rows(texts, length, end, rng), settings.epochs if texts else 0),
        _passes(lambda: pair_rows(groups, length, end, rng), pair_epochs if any(groups) else 0),
    ]
    if settings.replay and replay:
        read = sum(map(len, texts)) * settings.epochs or sum(row.tokens for row in kinds[1])
        share = settings.replay * read / sum(map(len, replay))
        kinds.append(_passes(lambda: text_rows(replay, length, end, rng), share))
    placed = [((i + rng.random()) / len(rows), row) for rows in kinds for i, row in enumerate(rows)]
    rows = [row for _, row in sorted(placed, key=lambda item: item[0])]
    held, general = _encoded(fm, data.validation_pairs), encode(fm, data.general_texts)
    evaluation = {
        "validation": text_rows(encode(fm, data.validation_texts), length, end) + pair_rows([held], length, end),
        "general": text_rows(general, length, end),
    }
    report = _report(rows, [pair for group in groups for pair in group], length, len(data.texts))
    report["too_long"] += [pair.id for pair in held if len(pair) > length]
    rows += [rows[-1].blank()] * (-len(rows) % min(settings.batch_size, len(rows)))
    return rows, {name: part for name, part in evaluation.items() if part}, report


def _report(rows: Sequence[Row], pairs: Sequence[Pair], length: int, texts: int) -> dict[str, Any]:
    too_long = [pair.id for pair in pairs if len(pair) > length]
    labelled = sum(label != IGNORED for row in rows for label in row.labels)
    if not labelled:
        reason = f"all {len(too_long)} are longer than {length} tokens" if too_long else "there are none"
        raise DataError(f"no training example is left: {reason}. Raise `max_length` or shorten the examples.")
    return {
        "examples": len(pairs) - len(too_long) + texts, "tokens": sum(row.tokens for row in rows),
        "labelled_tokens": labelled, "rows": len(rows), "too_long": too_long,
    }  # fmt: skip


def _encoded(fm: FoundationModel, examples: Sequence[Example]) -> list[Pair]:
    return [encode_pair(fm, e.id, prompts.ask(Question(e.id, e.task, e.prompt)), e.response) for e in examples]


def _passes(pack: Callable[[], list[Row]], epochs: float) -> list[Row]:
    """The rows of so many passes; part of the last one, where `epochs` is not a whole number."""
    rows: list[Row] = []
    while epochs > 1e-9:
        once = pack()
        rows += once[: max(1, round(len(once) * min(1.0, epochs)))]
        epochs -= 1
    return rows
