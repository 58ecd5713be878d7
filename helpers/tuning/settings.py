"""How a training goes: adapters or all weights, learning rate, passes, batches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, 2106.09685): W of a layer becomes W + alpha/rank * B A; A and B learn."""

    rank: int = 16
    alpha: int = 16
    target_modules: str | tuple[str, ...] = "all-linear"


@dataclass(frozen=True)
class TrainSettings:
    """How a training goes; values out of range raise a ValueError.

    Attributes:
        lora: The adapters; None trains all weights.
        schedule: A name of transformers' learning-rate schedules, after a warm-up over the share `warmup` of the steps.
        epochs: Passes over each kind of data; `pair_epochs` those over the pairs, where they differ.
        batch_size: Rows a step, over all processes; they go through the model in `accumulation` parts.
        max_length: Tokens of a row.
        replay: General text that is mixed in, as a share of the tokens of the domain text, or else of the pairs.
        sentences: Whether the sentences of all domain texts are shuffled anew for each pass, so that a fact cannot be
            memorised from its neighbours (Allen-Zhu & Li 2023, 2309.14316, find that permuted sentences help).
        embeddings: Whether training all weights includes the token embeddings; without them less is forgotten.
        checkpoint_steps: A checkpoint is written about every so many steps.
        compile: Whether decoder layers are compiled; None decides by the length of the training.
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
        for name in ("learning_rate", "epochs", "batch_size", "accumulation", "max_length", "checkpoint_steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0. Got {getattr(self, name)}")
        if self.batch_size % self.accumulation:
            raise ValueError(f"`accumulation` must divide `batch_size` ({self.batch_size}). Got {self.accumulation}")

    @property
    def key(self) -> dict[str, Any]:
        """What makes two settings the same."""
        return asdict(self)
