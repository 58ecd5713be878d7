"""Results side by side: accuracy with 95 % intervals, latency, retrieval and effort, for people and as JSON.

python -m helpers compare results/own [--json]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ..data import CLOZE_PART, QUESTION_SETS, TIMED_SET, DataError, Result, Score
from .comparable import check_comparable, read_comparable
from .intervals import CONFIDENCE, Difference, accuracy, difference, holm, seed_values, spread, wilson

__all__ = ["Contrast", "accuracy", "caveats", "check_comparable", "compare", "contrasts", "seeds", "spread", "table"]

SURE = 0.1  # half the width of an interval; where it is wider, an accuracy alone says little


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two arms on one set; `p` is corrected (Holm) for the set's other contrasts."""

    question_set: str
    first: str
    second: str
    difference: Difference
    p: float

    @property
    def clear(self) -> bool:
        """Whether the difference is larger than chance explains, after the correction and by its interval."""
        return self.p < 0.05 and not self.difference.low <= 0 <= self.difference.high


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
    first = next((r.metrics for r in sorted(runs, key=lambda r: r.seed) if r.metrics.get("total_s")), {})
    timed = {name: first.get(name, []) for name in ("first_token_s", "total_s")}  # seeds answer equally fast
    figures: dict[str, Any] = {
        "accuracy": accuracy([score for run in runs for score in run.scores]),
        **{name: (found := spread(times)) and found | {"n": len(times)} for name, times in timed.items()},
    }
    for name in ("perplexity", "valid_json", "abstained", "exact_match", "token_f1"):
        values = [run.metrics[name] for run in runs if math.isfinite(run.metrics.get(name, math.nan))]
        if values:  # a training that went wrong can leave a perplexity that is no number
            figures[name] = float(np.mean(values))
    for name in ("retrieval", "update"):
        if name in runs[0].metrics:
            figures[name] = runs[0].metrics[name]
    return figures


def contrasts(results: Sequence[Result], against: str = "base") -> list[Contrast]:
    """Every arm against one arm, on every set that both have completed.

    Each set asks about another ability, so the p-values of one set are corrected together. With `a` assets no p-value
    is below 2 / 2**a: a correction over all sets would leave nothing that could ever be clear.

    Args:
        results: Results that can be compared.
        against: The arm that the others are held against.

    Raises:
        DataError: The results cannot be compared, or hold nothing of that arm.
    """
    check_comparable(results)
    arms = list(dict.fromkeys(result.arm for result in results))
    if against not in arms:
        raise DataError(f"there is no result of {against!r} to compare with: run `study --arms {against}` first")
    made: list[Contrast] = []
    for question_set in QUESTION_SETS:
        reference = scores_of(results, against, question_set)
        scored = {arm: scores_of(results, arm, question_set) for arm in arms if arm != against}
        found = {arm: difference(reference, scores) for arm, scores in scored.items() if reference and scores}
        corrected = holm([each.p for each in found.values()])
        made += [Contrast(question_set, against, a, d, p) for (a, d), p in zip(found.items(), corrected, strict=True)]
    return made


def caveats(results: Sequence[Result], against: str = "base") -> list[str]:
    """What a reader must know before concluding anything: weak questions, small samples, arms not told apart.

    Returns:
        Sentences; none where the sample bears what it is asked.
    """
    told = []
    if len({(str(r.hardware), str(r.config.get("device"))) for r in results}) > 1:
        told.append("The results come from different machines: compare quality, and leave times and effort aside.")
    asked = {r.question_set: [s.question for s in r.scores] for r in results if r.status == "complete" and r.scores}
    for name, questions in asked.items():
        if any(question.part == CLOZE_PART for question in questions):
            told.append(f"The questions of `{name}` are cloze questions, made from the documents: weak evidence.")
        low, high = wilson(0.5, len(questions))
        if (high - low) / 2 > SURE:
            z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
            enough = int(np.ceil((z / (2 * SURE)) ** 2 - z * z))
            told.append(
                f"`{name}` has {len(questions)} questions: too few to conclude much. A middling accuracy is known to "
                f"±{(high - low) / 2:.2f} only; {enough} questions would give ±{SURE:.2f}."
            )
    lost = [f"{r.arm} on {r.question_set}" for r in results if not math.isfinite(r.metrics.get("perplexity", 0))]
    if lost:
        told.append(f"The perplexity of {', '.join(lost)} is no number, and left out: the training has come apart.")
    if any(result.arm == against for result in results):
        unclear: dict[str, list[str]] = {}
        for contrast in contrasts(results, against):
            if not contrast.clear:
                unclear.setdefault(contrast.question_set, []).append(contrast.second)
        told += [f"On `{name}` not told apart from `{against}`: {', '.join(arms)}." for name, arms in unclear.items()]
    return told


def scores_of(results: Sequence[Result], arm: str, question_set: str) -> list[Score]:
    """The scored answers of an arm's completed runs on a set, seed after seed; empty where there are none."""
    runs = [r for r in results if (r.arm, r.question_set, r.status) == (arm, question_set, "complete")]
    return [score for run in sorted(runs, key=lambda run: run.seed) for score in run.scores]


def losses_of(results: Sequence[Result], arm: str, question_set: str) -> list[tuple[float, int]]:
    """The losses of the texts beside a set, averaged over an arm's complete runs; empty where there are none.

    Where a run kept no more than its perplexity, each run counts as one text: a ratio then has no interval.
    """
    runs = [r for r in results if (r.arm, r.question_set, r.status) == (arm, question_set, "complete")]
    known = [r.metrics for r in runs if math.isfinite(r.metrics.get("perplexity", math.nan))]
    read = [found.get("text_losses") for found in known]
    if not all(read) or len({len(texts) for texts in read}) > 1:  # a perplexity alone stands for one text
        read = [[(math.log(found["perplexity"]), 1)] for found in known]
    return [(float(np.mean([loss for loss, _ in text])), text[0][1]) for text in zip(*read, strict=True)]


def seeds(results: Sequence[Result]) -> dict[str, dict[str, list[float]]]:
    """The accuracy of every single seed, by arm and question set, where an arm was run with several."""
    found: dict[str, dict[str, list[float]]] = {}
    for arm, question_set in dict.fromkeys((result.arm, result.question_set) for result in results):
        values = seed_values(scores_of(results, arm, question_set))
        if len(values) > 1:
            found.setdefault(arm, {})[question_set] = values
    return found


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The arms that no other beats in both: none is as cheap and better, or cheaper and as good.

    Args:
        points: For each arm what it costs (less is better) and its quality (more is better).
    """
    return [
        arm
        for arm, (cost, quality) in points.items()
        if not any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points.values())
    ]


def freshness_steps(compared: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each arm what absorbing the changed documents took, and how it answers about what changed.

    `fresh` tells an arm that was asked after its index was brought up to date from one that answered as it was trained
    before the change; `estimated` tells that the seconds are those of its first preparation.

    Args:
        compared: What `table` returns.
    """
    steps = {}
    for arm, row in compared.items():
        figures = row.get("updates", {})
        update = figures.get("update", {})
        if "effort" in update:
            steps[arm] = {
                **figures["accuracy"], "seconds": update["effort"]["wall_s"], "fresh": "reembedded" in update,
                "estimated": not update.get("measured", True),
            }  # fmt: skip
    return steps


def compare(folder: Path) -> dict[str, dict[str, Any]]:
    """The comparison of every result in a folder; see `table`."""
    return table(read_comparable(folder))


def as_text(compared: dict[str, dict[str, Any]]) -> str:
    """The comparison for a terminal: accuracy a question set with its interval, then time and effort an arm."""
    sets = [s for s in QUESTION_SETS if any(s in row for row in compared.values())]
    width = max(20, 1 + max(map(len, compared)))
    lines = [f"{'arm':<{width}}" + "".join(f"{name:>22}" for name in sets)]
    for arm, row in compared.items():
        cells = []
        for name in sets:
            a = row.get(name, {}).get("accuracy")
            cells.append(f"{a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]" if a else "-")
        lines.append(f"{arm:<{width}}" + "".join(f"{cell:>22}" for cell in cells))
    lines += [
        "",
        f"{'arm':<{width}}{'one answer, median s':>22}{'preparation, s':>18}{'peak memory, MB':>18}{'labels':>8}",
    ]
    for arm, row in compared.items():
        timed = [row[s]["total_s"] for s in (TIMED_SET, *sets) if row.get(s, {}).get("total_s")]
        one = f"{timed[0]['median']:.2f}" if timed else "-"
        e = row["effort"]
        memory = f"{e['peak_memory_bytes'] / 1e6:.0f}" if e["peak_memory_bytes"] else "-"
        lines.append(f"{arm:<{width}}{one:>22}{e['wall_s']:>18.1f}{memory:>18}{e['labelled_examples']:>8}")
    stopped = [f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row]
    if stopped:
        lines += ["", "interrupted, and left out above: " + "; ".join(stopped)]
    return "\n".join(lines)
