"""Results side by side: accuracy with 95 % intervals, latency, retrieval and effort, for people and as JSON.

python -m helpers compare results/own [--json]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from .records import QUESTION_SETS, DataError, Result, Score
from .results import read_results

CONFIDENCE = 0.95
RESAMPLES = 2000


def accuracy(scores: Sequence[Score]) -> dict[str, float]:
    """Mean score with its 95 % interval.

    Where several questions are about one asset they go together, so whole assets are resampled (percentile bootstrap,
    Efron & Tibshirani 1993, chapter 13). Independent right-or-wrong questions, and samples in which resampling finds no
    spread (all right, say), get Wilson's score interval (Wilson 1927), in which a question counts once for all seeds.

    Returns:
        `value`, `low`, `high`, `n` (the number of questions).

    Raises:
        DataError: There is nothing to average.
    """
    if not scores:
        raise DataError("there are no scored answers to average")
    values = np.array([score.value for score in scores])
    groups = [score.question.asset or score.question.id for score in scores]
    binary = bool(np.isin(values, (0, 1)).all())
    low = high = 0.0
    if not binary or len(set(groups)) < len(groups):
        low, high = _by_group(values, groups)
    if high - low < 1e-9:
        low, high = _wilson(float(values.mean()), len({score.question.id for score in scores}))
    return {"value": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval; for scores between 0 and 1, whose variance is smaller, it is a cautious one."""
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def _by_group(values: np.ndarray, groups: Sequence[str]) -> tuple[float, float]:
    """The percentile interval of the mean when whole groups are drawn with replacement."""
    _, which = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(which, values), np.bincount(which)
    if len(counts) == 1 and values.min() < values.max():
        return 0.0, 1.0
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def spread(seconds: Sequence[float] | None) -> dict[str, float] | None:
    """Median and 95th percentile of times in seconds; None where nothing was timed."""
    if not seconds:
        return None
    return {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95))}


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts and profile.

    Raises:
        DataError: There are none, or two of them differ; the message names in what.
    """
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    first = results[0]
    for other in results[1:]:
        if other.experiment == first.experiment:
            continue
        for name in ("data_hash", "model", "model_hash", "dtype"):
            if other.config.get(name) != first.config.get(name):
                what = f"{name} {first.config.get(name)!r} against {other.config.get(name)!r}"
                break
        else:
            what = f"profile {first.profile!r} against {other.profile!r}"
            if first.profile == other.profile:
                what = "the prompts or the profile's sizes"
        raise DataError(
            f"{first.arm}/{first.question_set} and {other.arm}/{other.question_set} cannot be compared: they differ in "
            f"{what}. Keep each experiment in a folder of its own (`study --out`)."
        )
    for question_set in {result.question_set for result in results}:
        asked = {tuple(s.question.id for s in r.scores) for r in results if r.question_set == question_set
                 and r.status == "complete"}  # fmt: skip
        if len(asked) > 1:
            raise DataError(f"the arms were not asked the same questions of {question_set}: run the study again")


def table(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """The comparison as plain data: arm, then question set, then its figures; `effort` once an arm.

    Seeds of one arm are pooled question by question. Interrupted runs are left out of the figures and listed under
    `interrupted` of their arm.

    Raises:
        DataError: The results cannot be compared; see `check_comparable`.
    """
    check_comparable(results)
    compared: dict[str, dict[str, Any]] = {}
    for arm in dict.fromkeys(result.arm for result in results):
        runs = [result for result in results if result.arm == arm]
        row: dict[str, Any] = {}
        for question_set in [s for s in QUESTION_SETS if any(r.question_set == s for r in runs)]:
            chosen = [r for r in runs if r.question_set == question_set and r.status == "complete"]
            if chosen:
                row[question_set] = _figures(chosen)
        interrupted = sorted(r.question_set for r in runs if r.status != "complete")
        if interrupted:
            row["interrupted"] = interrupted
        row["effort"] = asdict(runs[0].effort)
        compared[arm] = row
    return compared


def _figures(runs: Sequence[Result]) -> dict[str, Any]:
    """The figures of one arm on one question set."""
    timed = {name: [s for r in runs for s in r.metrics.get(name, ())] for name in ("first_token_s", "total_s")}
    figures: dict[str, Any] = {
        "accuracy": accuracy([score for run in runs for score in run.scores]),
        "first_token_s": spread(timed["first_token_s"]),
        "total_s": spread(timed["total_s"]),
    }
    for name in ("perplexity", "valid_json", "abstained", "exact_match", "token_f1"):
        if name in runs[0].metrics:
            figures[name] = float(np.mean([run.metrics[name] for run in runs]))
    for name in ("retrieval", "update"):
        if name in runs[0].metrics:
            figures[name] = runs[0].metrics[name]
    return figures


def compare(folder: Path) -> dict[str, dict[str, Any]]:
    """The comparison of every result in a folder; see `table`."""
    return table(read_results(folder))


def as_text(compared: dict[str, dict[str, Any]]) -> str:
    """The comparison for a terminal: accuracy a question set with its interval, then time and effort an arm."""
    sets = [s for s in QUESTION_SETS if any(s in row for row in compared.values())]
    lines = [f"{'arm':<20}" + "".join(f"{name:>22}" for name in sets)]
    for arm, row in compared.items():
        cells = []
        for name in sets:
            a = row.get(name, {}).get("accuracy")
            cells.append(f"{a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]" if a else "-")
        lines.append(f"{arm:<20}" + "".join(f"{cell:>22}" for cell in cells))
    lines += ["", f"{'arm':<20}{'one answer, median s':>22}{'preparation, s':>18}{'peak memory, MB':>18}{'labels':>8}"]
    for arm, row in compared.items():
        totals = [row[s]["total_s"]["median"] for s in sets if row.get(s, {}).get("total_s") and s != "triage"]
        one = f"{np.median(totals):.2f}" if totals else "-"
        e = row["effort"]
        memory = f"{e['peak_memory_bytes'] / 1e6:.0f}" if e["peak_memory_bytes"] else "-"
        lines.append(f"{arm:<20}{one:>22}{e['wall_s']:>18.1f}{memory:>18}{e['labelled_examples']:>8}")
    stopped = [f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row]
    if stopped:
        lines += ["", "interrupted, and left out above: " + "; ".join(stopped)]
    return "\n".join(lines)
