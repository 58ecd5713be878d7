"""Results side by side: read once, validated once, and then asked for tables, differences and caveats."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from ..data import QUESTION_SETS, TIMED_SET, DataError, Effort, Result, Score
from ..experiment import ARMS, LATENCY_FILE, file_name, plain_name, read_results, read_timings
from .intervals import accuracy, difference, holm
from .validate import AGAIN, check_comparable, label, timing_conditions

ENOUGH = 93  # independent questions; with fewer, the interval of an accuracy of 0.5 reaches further than 0.10
OTHERS = ("perplexity", "valid_json", "abstained", "exact_match", "token_f1", "retrieval", "update")


@dataclass(frozen=True)
class Comparison:
    """Results that may be compared: checked when it is made (a `DataError` says what differs), and not changed then.

    They may be of several worlds: each a data set of its own, by the seed that its trainings have too. Figures are then
    means over worlds. Interrupted runs are left out of them. `timed` says which times the results have.
    """

    results: Sequence[Result]
    timed: str = "The times are those of the arms' own runs."

    def __post_init__(self) -> None:
        check_comparable(self.results)

    @property
    def arms(self) -> list[str]:
        """The arms in the order of the results."""
        return list(dict.fromkeys(result.arm for result in self.results))

    @property
    def sets(self) -> list[str]:
        """The question sets of which there are complete runs, in the kit's order."""
        asked = {result.question_set for result in self.results if result.status == "complete"}
        return [name for name in QUESTION_SETS if name in asked]

    @cached_property
    def worlds(self) -> dict[int, Self]:
        """Each world alone, by its seed."""
        seeds = sorted({result.seed for result in self.results})
        return {seed: replace(self, results=[r for r in self.results if r.seed == seed]) for seed in seeds}

    def runs(self, arm: str, question_set: str) -> dict[int, Result]:
        """An arm's complete runs on a set, by world."""
        wanted = (arm, question_set, "complete")
        return {r.seed: r for r in self.results if (r.arm, r.question_set, r.status) == wanted}

    def metric(self, arm: str, question_set: str, name: str) -> Any:
        """What an arm's runs on a set measured: the mean of finite numbers, else of the first run; None for nothing."""
        values = [run.metrics[name] for run in self.runs(arm, question_set).values() if name in run.metrics]
        if values and all(isinstance(value, int | float) for value in values):
            return float(np.mean(values)) if np.isfinite(values).all() else None
        return values[0] if values else None

    def scores(self, arm: str, question_set: str) -> list[Score]:
        """The scored answers of an arm on a set, world after world; empty where there are none."""
        return sum(self.by_world(arm, question_set).values(), [])

    def by_world(self, arm: str, question_set: str, part: str = "", metric: str = "accuracy") -> dict[int, list[Score]]:
        """The scored answers by world, of one `part` if any is named; with "right_kind" they have that as values."""
        found = {}
        for seed, run in self.runs(arm, question_set).items():
            scores = run.scores
            if metric != "accuracy":
                pairs = zip(run.scores, run.metrics.get(metric, ()), strict=False)
                scores = [replace(score, value=value) for score, value in pairs]
            if kept := [score for score in scores if part in ("", score.question.part)]:
                found[seed] = kept
        return found

    def losses(self, arm: str, question_set: str) -> dict[int, list[tuple[float, int]]]:
        """By world: for each text read with a set its loss and its tokens; a perplexity without them is one text."""
        return {
            seed: run.metrics.get("text_losses") or [(math.log(run.metrics["perplexity"]), 1)]
            for seed, run in self.runs(arm, question_set).items()
            if math.isfinite(run.metrics.get("perplexity", math.nan))
        }

    def seconds(self, arm: str, question_set: str = TIMED_SET, phase: str = "total_s") -> list[float]:
        """Times of single answers, one a question; empty where none was timed."""
        return [s for run in self.runs(arm, question_set).values() for s in run.metrics.get(phase) or ()]

    def effort(self, arm: str) -> Effort | None:
        """What preparing an arm took, in the first world where there are several; None where it has no result."""
        return next((result.effort for result in self.results if result.arm == arm), None)

    def update(self, arm: str) -> dict[str, Any]:
        """What absorbing the changed documents took an arm; empty where it was not recorded."""
        return self.metric(arm, "updates", "update") or {}

    def table(self) -> dict[str, dict[str, Any]]:
        """The comparison as plain data: arm, then question set, then figures; `effort` and `interrupted` once an arm.

        With several worlds, `accuracy` is pooled, and `worlds` has that of each by its seed. Beside it are the halves
        of `twins` and the `parts` of other sets.
        """
        compared: dict[str, dict[str, Any]] = {}
        for arm in self.arms:
            compared[arm] = {name: self._figures(arm, name) for name in self.sets if self.runs(arm, name)}
            stopped = sorted({r.question_set for r in self.results if r.arm == arm and r.status != "complete"})
            compared[arm] |= ({"interrupted": stopped} if stopped else {}) | {"effort": asdict(self.effort(arm))}
        return compared

    def _figures(self, arm: str, question_set: str) -> dict[str, Any]:
        scores = self.by_world(arm, question_set)
        figures: dict[str, Any] = {"accuracy": accuracy(scores)}
        for phase in ("first_token_s", "total_s"):
            taken = self.seconds(arm, question_set, phase)
            middle, late = map(float, np.quantile(taken, (0.5, 0.95))) if taken else (0.0, 0.0)
            figures[phase] = {"median": middle, "p95": late, "n": len(taken)} if taken else None
        measured = ((name, self.metric(arm, question_set, name)) for name in OTHERS)
        figures |= {name: value for name, value in measured if value is not None}
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
        another ability, so the p-values of one set are corrected together. A `DataError`: no such arm.
        """
        if against not in self.arms:
            raise DataError(f"there is no result of {against!r} to compare with: run `study --arms {against}` first")
        rows: list[dict[str, Any]] = []
        for name in self.sets:
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
        asked = {
            r.question_set: len(self.scores(r.arm, r.question_set)) for r in self.results if r.status == "complete"
        }
        sentences += [
            f"{plain_name(name)}: {count} questions, too few to say much ({ENOUGH} show an accuracy of 0.5 to ±0.1)."
            for name, count in asked.items() if 0 < count < ENOUGH
        ]  # fmt: skip
        lost = [label(r) for r in self.results if not math.isfinite(r.metrics.get("perplexity", 0))]
        if lost:
            sentences.append(f"The perplexity of {', '.join(lost)} is not a number and is left out: training diverged.")
        if "base" in self.arms:
            for name, rows in self.contrasts().query("not clear").groupby("question_set", sort=False)["arm"]:
                alike = ", ".join(map(plain_name, rows))
                sentences.append(f"{plain_name(name)}: no clear difference from Base for {alike}.")
        return sentences

    def text(self) -> str:
        """The comparison for a terminal: accuracy with its interval, and that of each world."""
        table = self.table()
        cells = {
            arm: {s: " ".join([in_brackets(row[s]), *(f"{each:.2f}" for each in row[s].get("worlds", {}).values())])
                  for s in self.sets if s in row} for arm, row in table.items()
        }  # fmt: skip
        told = [pd.DataFrame(cells, index=self.sets).T.fillna("-").to_string()]
        if len(self.worlds) > 1:
            told.append(f"The mean of the worlds {', '.join(map(str, self.worlds))}, and each of them.")
        stopped = [f"{arm}: {', '.join(row['interrupted'])}" for arm, row in table.items() if "interrupted" in row]
        return "\n\n".join([*told, *(f"interrupted, and left out above: {each}" for each in stopped)])

    def with_timings(self, folder: Path | str) -> Self:
        """The same with the times of the interleaved run in a folder, where there is one that fits these results.

        For each arm that took turns, the median of its rounds for each question replaces the seconds of its own runs.
        """
        kept = read_timings(folder)
        fitting = [seed for seed, own in self.worlds.items() if timing_conditions(own.results) == kept.about]
        if not fitting:
            why = f" {LATENCY_FILE} is about other results (an arm was added or trained anew) or another machine."
            own = "The arms were not timed in turns: the times are those of their own runs."
            return replace(self, timed=own + why * bool(kept.about))
        updated, alone, phases = [], {}, {phase: kept.seconds(phase) for phase in ("first_token_s", "total_s")}
        for result in self.results:
            timed = result.question_set == TIMED_SET and "total_s" in result.metrics
            if timed and result.arm in phases["total_s"]:
                own = {phase: taken[result.arm] * (result.seed in fitting) for phase, taken in phases.items()}
                result = replace(result, metrics=result.metrics | own)
            elif timed:
                alone[result.arm] = True
            updated.append(result)
        told = f" Timed in their own runs: {', '.join(map(plain_name, alone))}." * bool(alone)
        return replace(self, results=updated, timed="The arms were timed in turns." + told)


def read_comparison(folder: Path | str) -> Comparison:
    """Every result of a folder, arm by arm in the kit's order, with its interleaved times where there are any.

    A `DataError` says that they cannot be compared or read, or which file was renamed, or its label changed.
    """
    folder, order = Path(folder), {arm: place for place, arm in enumerate(ARMS)}
    found = read_results(folder)
    for result in found:
        name = file_name(result.arm, result.question_set, result.seed, result.experiment)
        if not (folder / name).is_file():
            raise DataError(f"{label(result)} is not in {folder / name}: renamed, or its label changed. {AGAIN}")
    found.sort(key=lambda result: (order.get(result.arm, len(order)), result.seed))
    return Comparison(found).with_timings(folder)


def has_results(folder: Path | str) -> bool:
    """Whether a folder holds any result; a folder that does not exist holds none."""
    return any(Path(folder).glob("*.seed*.json"))


def in_brackets(figures: Mapping[str, Any] | None) -> str:
    """The accuracy of an arm on a set with its interval, as "0.84 [0.74, 0.91]"; "-" where there is none."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**figures["accuracy"]) if figures else "-"
