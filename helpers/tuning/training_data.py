"""What a training learns from, and how: settings, the data of each kind, and the order in which its rows are read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..data import Example, Question, sentences
from ..models import FoundationModel, prompts
from . import packing

if TYPE_CHECKING:
    from .packing import Row


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, 2106.09685): W of a layer becomes W + alpha/rank * B A; A and B learn."""

    rank: int = 16
    alpha: int = 16
    target_modules: str | tuple[str, ...] = "all-linear"


@dataclass(frozen=True)
class TrainSettings:
    """How a training goes. `lora=None` trains all weights.

    `epochs` counts passes over each kind of data; `batch_size` is the number of rows of `max_length` tokens a step,
    over all processes; with `accumulation` above 1 they go through the model in so many parts. `schedule` is a name of
    transformers' schedulers. `replay` mixes in general text, as a share of the domain's tokens; without domain text,
    of those of the pairs. With `embeddings` False, training all weights leaves the token embeddings as they are: less
    memory, and less is forgotten. With `sentences`, the sentences of all domain texts are shuffled anew for each pass,
    so that a fact cannot be learned by heart from what stands around it (Allen-Zhu & Li 2023, 2309.14316, find that
    permuted sentences help). A checkpoint is written every `checkpoint_steps` steps, but
    not after the last one, when the weights themselves are. `compile` None compiles where a
    C++ compiler is there and the run is long.
    """

    lora: Lora | None = Lora()
    learning_rate: float = 1e-3
    schedule: str = "linear"
    warmup: float = 0.05
    weight_decay: float = 0.0
    epochs: float = 4.0
    pair_epochs: float | None = None
    batch_size: int = 4
    accumulation: int = 1
    max_length: int = 256
    replay: float = 0.0
    sentences: bool = False
    embeddings: bool = True
    seed: int = 7
    checkpoint_steps: int = 25
    compile: bool | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "batch_size", "accumulation", "checkpoint_steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0. Got {getattr(self, name)}")
        if self.batch_size % self.accumulation:
            raise ValueError(f"`accumulation` must divide `batch_size` ({self.batch_size}). Got {self.accumulation}")

    @property
    def key(self) -> dict[str, Any]:
        """What makes two settings the same. `embeddings` came later and counts where it is set: older weights stay."""
        told = asdict(self)
        return told if not self.embeddings else {name: value for name, value in told.items() if name != "embeddings"}


@dataclass(frozen=True)
class TrainingData:
    """What is learned from: `texts` without labels, labelled `pairs`, or both, mixed from the start.

    `groups` are pairs that share a beginning longer than the system message, such as retrieved passages: prompt and
    response as they stand, `(id, prompt, response)`. `replay` is general text, of which `TrainSettings.replay` says how
    much is mixed in. The validation parts are never learned from, nor is `general_texts`, whose loss is watched to see
    what is forgotten.
    """

    texts: Sequence[str] = ()
    pairs: Sequence[Example] = ()
    groups: Sequence[Sequence[tuple[str, str, str]]] = ()
    replay: Sequence[str] = ()
    validation_texts: Sequence[str] = ()
    validation_pairs: Sequence[Example] = ()
    general_texts: Sequence[str] = ()


def encode(fm: FoundationModel, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, without any that a tokenizer would put around it."""
    return [fm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def watched_rows(fm: FoundationModel, training_data: TrainingData, settings: TrainSettings) -> list[Row]:
    """The rows of general text whose loss is watched."""
    return packing.text_rows(encode(fm, training_data.general_texts), settings.max_length, fm.tokenizer.eos_token_id)


def training_rows(
    fm: FoundationModel, training_data: TrainingData, settings: TrainSettings
) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """All rows of a training in the order in which they are read, the rows of validation, and what became of the data.

    Each pass over the data is shuffled and packed anew; the kinds of data are spread evenly over the whole training.

    Raises:
        DataError: There is nothing to learn from.
    """
    rng = random.Random(settings.seed)
    end, length = fm.tokenizer.eos_token_id, settings.max_length
    pieces = [piece for text in training_data.texts for piece in (sentences(text) if settings.sentences else [text])]
    texts, replay = encode(fm, pieces), encode(fm, training_data.replay)
    tasks = dict.fromkeys(pair.task for pair in training_data.pairs)
    groups = [_pairs(fm, [pair for pair in training_data.pairs if pair.task == task]) for task in tasks] + [
        [packing.encode_pair(fm, *member) for member in group] for group in training_data.groups
    ]
    pairs = [pair for group in groups for pair in group]
    pair_epochs = settings.pair_epochs or settings.epochs
    kinds = [
        _passes(lambda: packing.text_rows(texts, length, end, rng), settings.epochs if texts else 0),
        _passes(lambda: packing.pair_rows(groups, length, end, rng), pair_epochs if pairs else 0),
    ]
    if settings.replay and replay:
        read = sum(map(len, texts)) * settings.epochs or sum(row.tokens for row in kinds[1])
        share = settings.replay * read / sum(map(len, replay))
        kinds.append(_passes(lambda: packing.text_rows(replay, length, end, rng), share))
    placed = [((i + rng.random()) / len(rows), row) for rows in kinds for i, row in enumerate(rows)]
    rows = [row for _, row in sorted(placed, key=lambda item: item[0])]
    report = packing.report(rows, pairs, length, len(training_data.texts))
    if rows:  # whole batches: one shape, so compiled layers stay valid; what fills the last one counts for nothing
        rows += [rows[-1].blank()] * (-len(rows) % min(settings.batch_size, len(rows)))
    held = packing.text_rows(encode(fm, training_data.validation_texts), length, end)
    held_pairs = _pairs(fm, training_data.validation_pairs)
    held += packing.pair_rows([held_pairs], length, end)
    report.held_too_long = packing.too_long(held_pairs, length)
    return rows, held, asdict(report)


def _pairs(fm: FoundationModel, examples: Sequence[Example]) -> list[packing.Pair]:
    return [packing.encode_pair(fm, e.id, prompts.ask(Question(e.id, e.task, e.prompt)), e.response) for e in examples]


def _passes(pack: Callable[[], list[Row]], epochs: float) -> list[Row]:
    """The rows of so many passes; of the last one a part, where `epochs` is no whole number."""
    rows: list[Row] = []
    while epochs > 1e-9:
        once = pack()
        rows += once[: max(1, round(len(once) * min(1.0, epochs)))]
        epochs -= 1
    return rows
