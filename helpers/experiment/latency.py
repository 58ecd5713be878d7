"""How long one answer took where the arms took turns, as `tools.benchmarks.arm_times` records it beside results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import TIMED_SET
from .results import read_record, write_record

LATENCY_FILE = "latency.json"  # the timings beside the results that they belong to
EQUAL_TOKENS = 16  # of every reply, where replies of equal length are timed


@dataclass(frozen=True)
class Timing:
    """One answer, asked alone. Seconds; `first_token_s` and `total_s` count from the question and include retrieval.

    `per_token_s` is the mean time of each token after the first, None where there was only one. `equal_length` says
    that the reply was made to have `EQUAL_TOKENS` tokens, where others end as they end.
    """

    arm: str
    question_id: str
    retrieval_s: float
    first_token_s: float
    per_token_s: float | None
    total_s: float
    prompt_tokens: int
    new_tokens: int
    question_set: str = TIMED_SET
    equal_length: bool = False


@dataclass(frozen=True)
class Timings:
    """What the file of timings holds; `about` is what they depend on, such as the machine."""

    about: dict[str, Any]
    timings: list[Timing]


def write_timings(path: Path, timings: Sequence[Timing], about: Mapping[str, Any] | None = None) -> Path:
    """Keeps timings as one JSON file."""
    return write_record(Path(path), Timings(dict(about or {}), list(timings)))


def read_timings(
    path: Path, about: Mapping[str, Any] | None = None, question_set: str = TIMED_SET, equal_length: bool = False
) -> list[Timing]:
    """The timings of a file on a question set, of replies as they came or of equal length.

    There are none where the file is not there, or is not `about` this (None: whatever it is about). A `DataError` says
    why a file cannot be read.
    """
    kept = read_record(path, Timings, "timings") if Path(path).is_file() else Timings({}, [])
    fits = about is None or kept.about == dict(about)
    return [t for t in kept.timings if fits and (t.question_set, t.equal_length) == (question_set, equal_length)]
