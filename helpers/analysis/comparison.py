"""Results side by side: read once, validated once, and then asked for tables, differences and caveats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import QUESTION_SETS, TIMED_SET, DataError, Effort, Result, Score
from ..experiment import ARMS, file_name, read_results
from .intervals import Z, accuracy, difference, holm, wilson
from .validate import AGAIN, check_comparable, interleaved, label

SURE = 0.1  # half the width of an interval; where it is wider, an accuracy alone says little
OTHERS = ("perplexity", "valid_json", "abstained", "exact_match", "token_f1", "retrieval", "update")


@dataclass(frozen=True)
class Comparison:
    """Results that may be compared: checked when it is made, and not changed afterwards.

    They may be of several worlds: each a data set of its own, by the seed that its trainings have too. Figures are then
    means over worlds. Interrupted runs are left out of them. `timed` says which times the results have.

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

    @cached_property
    def worlds(self) -> dict[int, Comparison]:
        """Each world alone, by its seed."""
        seeds = sorted({result.seed for result in self.results})
        alone = {seed: [result for result in self.results if result.seed == seed] for seed in seeds}
        return {seed: replace(self, results=own) if len(seeds) > 1 else self for seed, own in alone.items()}

    def runs(self, arm: str, question_set: str) -> dict[int, Result]:
        """An arm's complete runs on a set, by world."""
        wanted = (arm, question_set, "complete")
        return {r.seed: r for r in self.results if (r.arm, r.question_set, r.status) == wanted}

    def run(self, arm: str, question_set: str) -> Result | None:
        """An arm's complete run on a set, the first one where there are several worlds, or None."""
        return next(iter(self.runs(arm, question_set).values()), None)

    def metric(self, arm: str, question_set: str, name: str) -> Any:
        """What an arm's runs on a set measured under a name: the mean of numbers, else what the first one measured.

        None where there is nothing, or a number that is not finite.
        """
        values = [run.metrics[name] for run in self.runs(arm, question_set).values() if name in run.metrics]
        if values and all(isinstance(value, int | float) for value in values):
            return float(np.mean(values)) if np.isfinite(values).all() else None
        return values[0] if values else None

    def scores(self, arm: str, question_set: str) -> list[Score]:
        """The scored answers of an arm on a set, world after world; empty where there are none."""
        return [score for run in self.runs(arm, question_set).values() for score in run.scores]

    def by_world(self, arm: str, question_set: str, part: str = "", metric: str = "accuracy") -> dict[int, list[Score]]:
        """The scored answers by world, of one `part` of the set if any is named.

        Another `metric` is one that a run has question by question, such as "right_kind"; the scores have its values.
        """
        found = {seed: run.scores for seed, run in self.runs(arm, question_set).items()}
        if metric != "accuracy":
            for seed, run in self.runs(arm, question_set).items():
                pairs = zip(run.scores, run.metrics.get(metric, ()), strict=False)
                found[seed] = [replace(score, value=value) for score, value in pairs]
        kept = {seed: [s for s in scores if part in ("", s.question.part)] for seed, scores in found.items()}
        return {seed: scores for seed, scores in kept.items() if scores}

    def losses(self, arm: str, question_set: str) -> dict[int, list[tuple[float, int]]]:
        """By world: for each text read with a set its loss and its tokens; a perplexity without them is one text."""
        return {
            seed: run.metrics.get("text_losses") or [(math.log(run.metrics["perplexity"]), 1)]
            for seed, run in self.runs(arm, question_set).items()
            if math.isfinite(run.metrics.get("perplexity", math.nan))
        }

    def seconds(self, arm: str, question_set: str = TIMED_SET, phase: str = "total_s") -> list[float]:
        """Times of single answers, one a question; empty where none was timed."""
        timed = (run.metrics.get(phase) for run in self.runs(arm, question_set).values())
        return [seconds for listed in timed for seconds in listed or ()]

    def effort(self, arm: str) -> Effort | None:
        """What preparing an arm took, in the first world where there are several; None where it has no result."""
        return next((result.effort for result in self.results if result.arm == arm), None)

    def update(self, arm: str) -> dict[str, Any]:
        """What absorbing the changed documents took an arm; empty where it was not recorded."""
        return self.metric(arm, "updates", "update") or {}

    def table(self) -> dict[str, dict[str, Any]]:
        """The comparison as plain data: arm, then question set, then its figures; `effort` once an arm.

        With several worlds, `accuracy` is pooled, and `worlds` has that of each by its seed. Beside it are the halves
        of `twins` and the `parts` of other sets. Interrupted runs are listed as `interrupted` of their arm.
        """
        compared: dict[str, dict[str, Any]] = {}
        for arm in self.arms:
            compared[arm] = {name: self._figures(arm, name) for name in QUESTION_SETS if self.run(arm, name)}
            stopped = sorted({r.question_set for r in self.results if r.arm == arm and r.status != "complete"})
            compared[arm] |= ({"interrupted": stopped} if stopped else {}) | {"effort": asdict(self.effort(arm))}
        return compared

    def _figures(self, arm: str, question_set: str) -> dict[str, Any]:
        times = {phase: _spread(self.seconds(arm, question_set, phase)) for phase in ("first_token_s", "total_s")}
        others = {name: self.metric(arm, question_set, name) for name in OTHERS}
        known = {name: value for name, value in others.items() if value is not None}
        scores = self.by_world(arm, question_set)
        figures = {"accuracy": accuracy(scores)} | times | known
        if len(self.worlds) > 1:
            figures["worlds"] = {str(seed): accuracy(each)["value"] for seed, each in scores.items()}
        if kinds := self.by_world(arm, question_set, metric="right_kind"):
            figures["right_kind"] = accuracy(kinds)
        names = dict.fromkeys(s.question.part for listed in scores.values() for s in listed if s.question.part)
        parts = {name: accuracy(self.by_world(arm, question_set, name)) for name in names}
        return figures | (parts if question_set == "twins" else {"parts": parts} if parts else {})

    def contrasts(self, against: str = "base") -> pd.DataFrame:
        """The paired difference of every arm from one arm, on every set that both have completed: a row an arm and set.

        `clear` says whether it is larger than chance explains, by its interval and by `p_holm`. Each set asks about
        another ability, so the p-values of one set are corrected together.

        Raises:
            DataError: There is no result of that arm.
        """
        if against not in self.arms:
            raise DataError(f"there is no result of {against!r} to compare with: run `study --arms {against}` first")
        rows: list[dict[str, Any]] = []
        for name in QUESTION_SETS:
            reference = self.by_world(against, name)
            others = [arm for arm in self.arms if arm != against and reference.keys() & self.by_world(arm, name).keys()]
            found = [difference(reference, self.by_world(arm, name)) for arm in others]
            for arm, each, p in zip(others, found, holm([each["p"] for each in found]), strict=True):
                clear = p < 0.05 and not each["low"] <= 0 <= each["high"]
                rows.append({"question_set": name, "arm": arm, **each, "p_holm": p, "clear": clear})
        columns = ["question_set", "arm", "value", "low", "high", "n", "p", "p_holm", "clear"]
        return pd.DataFrame(rows, columns=columns).astype({"clear": bool})

    def caveats(self) -> list[str]:
        """What to know before concluding anything: small samples, and no clear difference from `base`."""
        sentences = []
        if len({(str(r.hardware), str(r.config.get("device"))) for r in self.results}) > 1:
            sentences.append("The results come from different machines: compare quality, and ignore times and effort.")
        complete = dict.fromkeys((r.question_set, r.arm) for r in self.results if r.status == "complete" and r.scores)
        for name, asked in {name: len(self.scores(arm, name)) for name, arm in complete}.items():
            low, high = wilson(0.5, asked)
            if (high - low) / 2 > SURE:
                enough = math.ceil((Z / (2 * SURE)) ** 2 - Z * Z)
                sentences.append(
                    f"`{name}` has {asked} questions, too few to conclude much: an accuracy near 0.5 is known "
                    f"to ±{(high - low) / 2:.2f} only; {enough} questions would give ±{SURE:.2f}."
                )
        lost = [label(r) for r in self.results if not math.isfinite(r.metrics.get("perplexity", 0))]
        if lost:
            sentences.append(f"The perplexity of {', '.join(lost)} is not a number and is left out: training diverged.")
        unclear = self.contrasts().query("not clear") if "base" in self.arms else pd.DataFrame(columns=["question_set"])
        for name, rows in unclear.groupby("question_set", sort=False):
            sentences.append(f"On `{name}`, no clear difference from `base`: {', '.join(rows['arm'])}.")
        return sentences

    def text(self) -> str:
        """The comparison for a terminal: accuracy by question set with its interval, then time and effort by arm."""
        table = self.table()
        quality = {arm: {name: in_brackets(row.get(name)) for name in QUESTION_SETS} for arm, row in table.items()}
        effort = {}
        for arm, row in table.items():
            timed = self.seconds(arm) or next(filter(None, (self.seconds(arm, name) for name in row)), [])
            effort[arm] = {
                "one answer, median s": f"{np.median(timed):.2f}" if timed else "-",
                "preparation, s": f"{row['effort']['wall_s']:.1f}",
                "peak memory, MB": f"{row['effort']['peak_memory_bytes'] / 1e6:.0f}",
                "labels": row["effort"]["labelled_examples"],
            }
        accuracies = pd.DataFrame(quality).T.replace("-", pd.NA).dropna(axis="columns", how="all").fillna("-")
        tables = [accuracies.to_string()]
        if len(self.worlds) > 1:
            alone = accuracies.copy()
            for arm, name in itertools.product(*alone.axes):
                values = (f"{value:.2f}" for value in table[arm].get(name, {}).get("worlds", {}).values())
                alone.loc[arm, name] = " ".join(values) or "-"
            tables += [f"The worlds {', '.join(map(str, self.worlds))}, whose mean is above:", alone.to_string()]
        stopped = [f"{arm}: {', '.join(row['interrupted'])}" for arm, row in table.items() if "interrupted" in row]
        note = ["interrupted, and left out above: " + "; ".join(stopped)] if stopped else []
        return "\n\n".join([*tables, pd.DataFrame(effort).T.to_string(), *note])

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
    found.sort(key=lambda r: (order.index(r.arm) if r.arm in order else len(order), r.seed))
    return Comparison(found).with_timings(folder)


def has_results(folder: Path | str) -> bool:
    """Whether a folder holds any result; a folder that does not exist holds none."""
    return any(Path(folder).glob("*.seed*.json"))


def in_brackets(figures: Mapping[str, Any] | None) -> str:
    """The accuracy of an arm on a set with its interval, as "0.84 [0.74, 0.91]"; "-" where there is none."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**figures["accuracy"]) if figures else "-"


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """Median, 95th percentile and number of times in seconds; None where nothing was timed."""
    if not seconds:
        return None
    if not np.isfinite(seconds).all():
        raise DataError("a time is not a number. Delete the result file that holds it, and run the study again.")
    return {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95)), "n": len(seconds)}
