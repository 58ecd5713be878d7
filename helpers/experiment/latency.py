"""How long one answer took where the arms took turns, as `tools.benchmarks.arm_times` records it beside results."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..data import TIMED_SET
from .results import read_record, write_record

LATENCY_FILE = "latency.json"


@dataclass(frozen=True)
class Timing:
    """One answer, asked alone. Seconds; `first_token_s` and `total_s` count from the question and include retrieval.

    `per_token_s` is the mean time of each token after the first, None where there was only one. `equal_length` says
    that the reply was made to have as many tokens as all others, which otherwise end as they end.
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

    def seconds(self, phase: str) -> dict[str, list[float]]:
        """By arm, of replies as they came to the typical questions, the median of each question's rounds."""
        rounds: dict[str, dict[str, list[float]]] = {}
        for timing in self.timings:
            if timing.question_set == TIMED_SET and not timing.equal_length:
                rounds.setdefault(timing.arm, {}).setdefault(timing.question_id, []).append(getattr(timing, phase))
        return {arm: [median(each) for each in own.values()] for arm, own in rounds.items()}


def write_timings(folder: Path, timings: Timings) -> Path:
    """Keeps timings beside the results that they belong to."""
    return write_record(Path(folder) / LATENCY_FILE, timings)


def read_timings(folder: Path) -> Timings:
    """The timings of a folder, none where it has no file of them; a `DataError` says why a file cannot be read."""
    path = Path(folder) / LATENCY_FILE
    return read_record(path, Timings, "timings") if path.is_file() else Timings({}, [])
