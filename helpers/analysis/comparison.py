"""Results side by side: read once, validated once, and then asked for tables, differences and caveats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import QUESTION_SETS, TIMED_SET, DataError, Effort, Result, Score
from ..experiment import ARMS, file_name, read_results
from .intervals import Interval, Z, accuracy, difference, holm, wilson
from .latency import interleaved, spread
from .validate import AGAIN, check_comparable, label

SURE = 0.1  # half the width of an interval; where it is wider, an accuracy alone says little
FIGURES = ("perplexity", "valid_json", "abstained", "exact_match", "token_f1")


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two arms on one set; `p` is corrected (Holm) for the set's other contrasts."""

    question_set: str
    first: str
    second: str
    difference: Interval
    p: float

    @property
    def clear(self) -> bool:
        """Whether the difference is larger than chance explains, after the correction and by its interval."""
        return self.p < 0.05 and not self.difference["low"] <= 0 <= self.difference["high"]


@dataclass(frozen=True)
class Comparison:
    """Results that may be compared: checked when it is made, and not changed afterwards.

    Interrupted runs are listed in the table and left out of every figure. `timed` says which times the results have.

    Raises:
        DataError: The results cannot be compared; the message says what differs, or whose label does not fit.
    """

    results: Sequence[Result]
    timed: str = "The times are those of the arms' own runs."

    def __post_init__(self) -> None:
        check_comparable(self.results)

    @property
    def arms(self) -> list[str]:
        """The arms in the order of the results."""
        return list(dict.fromkeys(result.arm for result in self.results))

    def runs(self, arm: str, question_set: str) -> list[Result]:
        """An arm's complete runs on a set, by seed; empty where there are none."""
        wanted = (arm, question_set, "complete")
        return sorted((r for r in self.results if (r.arm, r.question_set, r.status) == wanted), key=lambda r: r.seed)

    def scores(self, arm: str, question_set: str) -> list[Score]:
        """The scored answers of an arm on a set, seed after seed; empty where there are none."""
        return [score for run in self.runs(arm, question_set) for score in run.scores]

    def losses(self, arm: str, question_set: str) -> list[tuple[float, int]]:
        """The losses of the texts read with a set, averaged over an arm's runs; empty where there are none.

        Where a run kept no more than its perplexity, each run counts as one text: a ratio then has no interval.
        """
        known = [run.metrics for run in self.runs(arm, question_set) if _finite(run, "perplexity")]
        read = [run.get("text_losses") for run in known]
        if not all(read):  # a perplexity alone stands for one text
            read = [[(math.log(run["perplexity"]), 1)] for run in known]
        return [(float(np.mean([loss for loss, _ in text])), text[0][1]) for text in zip(*read, strict=True)]

    def seconds(self, arm: str, question_set: str = TIMED_SET, phase: str = "total_s") -> list[float]:
        """Times of single answers, one a question: those of the first timed seed, since seeds answer equally fast."""
        return next((list(run.metrics[phase]) for run in self.runs(arm, question_set) if run.metrics.get(phase)), [])

    def effort(self, arm: str) -> Effort | None:
        """What preparing an arm took, or None where it has no result."""
        return next((result.effort for result in self.results if result.arm == arm), None)

    def update(self, arm: str) -> dict[str, Any]:
        """What absorbing the changed documents took an arm; empty where it was not recorded."""
        runs = [run.metrics.get("update", {}) for run in self.runs(arm, "updates")]
        return next((update for update in runs if "effort" in update), {})

    def seeds(self) -> dict[str, dict[str, list[float]]]:
        """The accuracy of every single seed, by arm and question set, where an arm was run with several."""
        several: dict[str, dict[str, list[float]]] = {}
        for arm, name in product(self.arms, QUESTION_SETS):
            runs = [[score.value for score in run.scores] for run in self.runs(arm, name) if run.scores]
            if len(runs) > 1:
                several.setdefault(arm, {})[name] = [float(np.mean(values)) for values in runs]
        return several

    def table(self) -> dict[str, dict[str, Any]]:
        """The comparison as plain data: arm, then question set, then its figures; `effort` once an arm.

        Seeds of one arm are pooled question by question. Interrupted runs are listed as `interrupted` of their arm.
        """
        compared: dict[str, dict[str, Any]] = {}
        for arm in self.arms:
            compared[arm] = {name: self._figures(arm, name) for name in QUESTION_SETS if self.runs(arm, name)}
            stopped = sorted(r.question_set for r in self.results if r.arm == arm and r.status != "complete")
            compared[arm] |= ({"interrupted": stopped} if stopped else {}) | {"effort": asdict(self.effort(arm))}
        return compared

    def _figures(self, arm: str, question_set: str) -> dict[str, Any]:
        runs = self.runs(arm, question_set)
        figures: dict[str, Any] = {"accuracy": accuracy(self.scores(arm, question_set))}
        for phase in ("first_token_s", "total_s"):
            seconds = self.seconds(arm, question_set, phase)
            figures[phase] = spread(seconds) | {"n": len(seconds)} if seconds else None
        for name in FIGURES:
            values = [run.metrics[name] for run in runs if _finite(run, name)]
            figures |= {name: float(np.mean(values))} if values else {}
        return figures | {name: runs[0].metrics[name] for name in ("retrieval", "update") if name in runs[0].metrics}

    def contrasts(self, against: str = "base") -> list[Contrast]:
        """Every arm against one arm, on every set that both have completed.

        Each set asks about another ability, so the p-values of one set are corrected together. With `a` assets no
        p-value is below 2 / 2**a: a correction over all sets would leave nothing that could ever be clear.

        Raises:
            DataError: There is no result of that arm.
        """
        if against not in self.arms:
            raise DataError(f"there is no result of {against!r} to compare with: run `study --arms {against}` first")
        contrasts: list[Contrast] = []
        for name in QUESTION_SETS:
            reference = self.scores(against, name)
            others = [arm for arm in self.arms if arm != against and reference and self.scores(arm, name)]
            found = [difference(reference, self.scores(arm, name)) for arm in others]
            corrected = holm([each["p"] for each in found])
            contrasts += [Contrast(name, against, *row) for row in zip(others, found, corrected, strict=True)]
        return contrasts

    def caveats(self, against: str = "base") -> list[str]:
        """What to know before concluding anything: small samples, differences that are not clear."""
        sentences = []
        if len({(str(r.hardware), str(r.config.get("device"))) for r in self.results}) > 1:
            sentences.append("The results come from different machines: compare quality, and ignore times and effort.")
        complete = [r for r in self.results if r.status == "complete" and r.scores]
        for name, asked in {r.question_set: [s.question for s in r.scores] for r in complete}.items():
            low, high = wilson(0.5, len(asked))
            if (high - low) / 2 > SURE:
                enough = math.ceil((Z / (2 * SURE)) ** 2 - Z * Z)
                sentences.append(
                    f"`{name}` has {len(asked)} questions, too few to conclude much: an accuracy near 0.5 is known "
                    f"to ±{(high - low) / 2:.2f} only; {enough} questions would give ±{SURE:.2f}."
                )
        lost = [label(r) for r in self.results if "perplexity" in r.metrics and not _finite(r, "perplexity")]
        if lost:
            sentences.append(f"The perplexity of {', '.join(lost)} is not a number and is left out: training diverged.")
        unclear = [c for c in self.contrasts(against) if not c.clear] if against in self.arms else []
        for name in dict.fromkeys(contrast.question_set for contrast in unclear):
            arms = ", ".join(contrast.second for contrast in unclear if contrast.question_set == name)
            sentences.append(f"On `{name}`, no clear difference from `{against}`: {arms}.")
        return sentences

    def text(self) -> str:
        """The comparison for a terminal: accuracy by question set with its interval, then time and effort by arm."""
        quality: dict[str, dict[str, str]] = {}
        effort: dict[str, dict[str, str]] = {}
        stopped = []
        for arm, row in self.table().items():
            quality[arm] = {name: in_brackets(row.get(name)) for name in QUESTION_SETS}
            timed = self.seconds(arm) or next(filter(None, (self.seconds(arm, name) for name in row)), None)
            memory = row["effort"]["peak_memory_bytes"] / 1e6
            effort[arm] = {
                "one answer, median s": f"{np.median(timed):.2f}" if timed else "-",
                "preparation, s": f"{row['effort']['wall_s']:.1f}",
                "peak memory, MB": f"{memory:.0f}" if memory else "-",
                "labels": f"{row['effort']['labelled_examples']}",
            }
            stopped += [f"{arm}: {', '.join(row['interrupted'])}"] if "interrupted" in row else []
        accuracies = pd.DataFrame.from_dict(quality, orient="index")
        accuracies = accuracies.loc[:, (accuracies != "-").any()]
        note = ["interrupted, and left out above: " + "; ".join(stopped)] if stopped else []
        return "\n\n".join([accuracies.to_string(), pd.DataFrame(effort).T.to_string(), *note])

    def with_timings(self, folder: Path | str) -> Comparison:
        """The same with the times of the interleaved run in a folder, where there is one that fits these results."""
        return Comparison(*interleaved(self.results, Path(folder)))


def read_comparison(folder: Path | str) -> Comparison:
    """Every result of a folder, arm by arm in the kit's order, with its interleaved times where there are any.

    Raises:
        DataError: The results cannot be compared or read, or a file was renamed, or its label changed.
    """
    folder, order = Path(folder), list(ARMS)
    found = read_results(folder)
    for result in found:
        name = file_name(result.arm, result.question_set, result.seed, result.experiment)
        if not (folder / name).is_file():
            raise DataError(f"{label(result)} is not in {folder / name}: renamed, or its label changed. {AGAIN}")
    found.sort(key=lambda result: order.index(result.arm) if result.arm in order else len(order))
    return Comparison(found).with_timings(folder)


def has_results(folder: Path | str) -> bool:
    """Whether a folder holds any result; a folder that does not exist holds none."""
    return any(Path(folder).glob("*.seed*.json"))


def in_brackets(figures: Mapping[str, Any] | None) -> str:
    """The accuracy of an arm on a set with its interval, as "0.84 [0.74, 0.91]"; "-" where there is none."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**figures["accuracy"]) if figures else "-"


def _finite(run: Result, metric: str) -> bool:
    """Whether a run has the metric: a training that went wrong can leave a perplexity that is not a number."""
    return math.isfinite(run.metrics.get(metric, math.nan))
