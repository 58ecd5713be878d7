"""Stated prices, each a range, and what models of other sizes would take: estimated by published formulas, not run."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from ..data import DataError
from . import rules

NAMES = (
    "label", "engineer_hour", "document_minutes", "note_minutes", "question_minutes", "label_minutes", "rules_minutes",
    "questions", "machine_hour", "gpu_hour", "trainings", "storage_gb_month", "input_per_million", "output_per_million",
    "own_machine", "queries", "changes", "months",
)  # fmt: skip
GPU_GB, GPU_FLOPS, GPU_SHARE = (
    80,
    312e12,
    0.3,
)  # an A100 in bfloat16 by its datasheet, and the share that trainings reach
MACHINE_GB, HOURS = 8, 730  # what is hosted on a machine without a GPU, and the hours of a month

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = Annotated[tuple[Number, Number], BeforeValidator(lambda x: (x, x) if isinstance(x, int | float) else x)]
Prices = dict[Literal[*NAMES], Range]  # lowest and highest, by the names of `rules/prices.yaml`
Values = np.ndarray | float  # one value for each combination of prices


class Size(NamedTuple):
    """A model of the Llama kind; `token_price` is relative to that of an 8B model."""

    parameters: float
    width: int
    layers: int
    token_price: float

    def training_gb(self, how: str, rank: int = 16, tokens: int = 2048) -> float:
        """Memory of a training with batches of so many tokens, in gigabytes: weights, gradients, Adam, activations.

        All weights take 16 bytes a parameter with Adam in mixed precision (Rajbhandari et al. 2020, ZeRO,
        arXiv:1910.02054, section 3.1). Frozen weights take 2 bytes, in 4 bits 0.516 with double quantisation (Dettmers
        et al. 2023, QLoRA, arXiv:2305.14314, section 3). LoRA adds rank x (inputs + outputs) parameters a matrix (Hu et
        al. 2021, arXiv:2106.09685, section 4.1), in a layer about 20 x its width. Activations that are recomputed take
        2 bytes a token, layer and unit of width (Korthikanti et al. 2022, arXiv:2205.05198, section 5).
        """
        frozen = {"all weights": 0.0, "LoRA": 2.0, "4-bit LoRA": 0.516}[how] * self.parameters
        trained = self.parameters if how == "all weights" else rank * 20 * self.width * self.layers
        return (frozen + 16 * trained + 2 * tokens * self.width * self.layers) / 1e9

    def gpu_hours(self, tokens: float, how: str = "all weights") -> float:
        """Hours on one GPU to train on so many tokens, all passes together: 6 operations a parameter and token.

        Kaplan et al. 2020, arXiv:2001.08361, section 2.1. Frozen weights save 2 of them: they have no gradient.
        """
        return (6 if how == "all weights" else 4) * self.parameters * tokens / (GPU_FLOPS * GPU_SHARE) / 3600

    def hosting(self, prices: SimpleNamespace) -> Values:
        """A machine for this model alone, all month, in dollars: 2 bytes a parameter, and a fifth more to work with."""
        needed = 1.2 * 2 * self.parameters / 1e9
        return HOURS * (prices.machine_hour if needed <= MACHINE_GB else prices.gpu_hour * math.ceil(needed / GPU_GB))


SIZES = {  # as published: SmolLM2, and three of Llama 3
    "135M": Size(0.135e9, 576, 30, 0.02), "1B": Size(1.2e9, 2048, 16, 0.15), "8B": Size(8.0e9, 4096, 32, 1.0),
    "70B": Size(70.6e9, 8192, 80, 8.8),
}  # fmt: skip


def load_prices(folder: Path = rules.FOLDER, **other: float | tuple[float, float]) -> Prices:
    """The prices of the data file, with those that are passed by name in their place.

    Raises:
        DataError: A price is missing, unknown or wrong; the message names it.
    """
    prices = rules.read_rules("prices", Prices, folder, **other)
    for name in NAMES:
        low, high = prices.get(name, (1.0, 0.0))
        if low > high or (not low and name in ("months", "queries")):
            why = f"{name} must be a number or [low, high], and months and queries more than 0"
            raise DataError(f"{folder / 'prices.yaml'}: {why}. Got {prices.get(name)}")
    return prices


def combined(prices: Prices) -> SimpleNamespace:
    """Every price by its name: the ends of its range, in all combinations with the ends of the other ranges."""
    ranges = {name: ends for name, ends in prices.items() if ends[0] < ends[1]}
    picked = np.indices((2,) * len(ranges)).reshape(len(ranges), 2 ** len(ranges))
    arrays = {name: np.array(ends)[pick] for (name, ends), pick in zip(ranges.items(), picked, strict=True)}
    return SimpleNamespace(**{name: low for name, (low, _) in prices.items()} | arrays)


def size_rows(tokens: float, prices: Prices | None = None) -> list[dict[str, str | int]]:
    """What models of four sizes take to train on so many tokens and to host for a month: all of it estimated."""
    p, rows = combined(prices or load_prices()), []
    for (name, size), how in itertools.product(SIZES.items(), ("all weights", "LoRA", "4-bit LoRA")):
        gb, hours = size.training_gb(how), size.gpu_hours(tokens, how)
        rows.append({
            "model": name, "trained": how, "memory (GB)": span(gb), "GPUs of 80 GB": math.ceil(gb / GPU_GB),
            "one training (GPU hours)": span(hours), "one training ($)": span(hours * p.gpu_hour),
            "hosted alone ($ a month)": span(size.hosting(p)),
            "shared ($ for a million tokens read)": span(p.input_per_million * size.token_price),
        })  # fmt: skip
    return rows


def span(values: Values | tuple[float, float]) -> str:
    """A range in words with two significant digits, as "3.5 to 40"; one number where both ends are the same."""
    ends = [float(f"{end:.2g}") for end in (np.min(values), np.max(values))]
    low, high = (f"{end:,.0f}" if 1000 <= end < math.inf else f"{end:g}" for end in ends)
    return low if low == high else f"{low} to {high}"
