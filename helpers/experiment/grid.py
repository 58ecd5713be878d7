"""A grid of studies, arms x seeds x settings, as jobs that any scheduler can start: each machine takes its share.

    python -m helpers study --arms rag,customization --seed 7,8,9 --set k=1,3 --shard 2/4

A job is one arm with one seed and one choice of settings. Its results are files, so a job that was interrupted goes on,
a finished one is not repeated, and results of several machines merge by being copied into one folder. Jobs that need
the same trained weights stay in one share; a share never times latency, since others may be at work on its machine.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from ..data import KitError, Result
from ..models import FoundationModel, hardware
from ..rag import RagSettings
from ..tuning import TrainSettings, with_starts
from .arms import get_arms
from .evaluation import Evaluation, time_alone
from .results import write_result
from .study import Study

TRAINING_WEIGHT = 5  # a training counts as much as so many jobs when shares are balanced
RETRIEVAL = {field.name: field.default for field in fields(RagSettings)}
TRAINING = {name: getattr(TrainSettings(), name) for name in ("learning_rate", "epochs", "batch_size", "replay")}


@dataclass(frozen=True)
class Job:
    """One arm with one seed; `changes` are settings by name that differ from the default."""

    arm: str
    seed: int
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def folder(self) -> str:
        """Where its results go, below the grid's folder: one folder for each choice of settings."""
        return ",".join(f"{name}={value}" for name, value in self.changes)

    @property
    def weights(self) -> set[tuple]:
        """The trainings that it needs, told apart by seed and by the settings that training depends on."""
        (arm,) = get_arms([self.arm])
        relevant = tuple((name, value) for name, value in self.changes if name in TRAINING)
        return {(name, self.seed, relevant) for name in with_starts(arm.trainings)}

    def __str__(self) -> str:
        return " ".join(part for part in (self.arm, f"seed {self.seed}", self.folder) if part)


class Point(Study):
    """The study of one seed and one choice of settings; all points of a grid share models, indices and adapters."""

    def __init__(self, job: Job, first: Study | None, timing: bool, folder: Path, *options: Any):
        """Opens the data set.

        Args:
            job: Whose seed and settings it has.
            first: The study whose models it shares; None loads its own.
            timing: Whether latency is timed.
            folder: Of the grid.
            options: Data folder, profile, model, progress and vector store, as for `Study`.
        """
        data, profile, model, progress, vector_store = options
        changes = dict(job.changes)
        retrieval = RagSettings(**{name: value for name, value in changes.items() if name in RETRIEVAL})
        super().__init__(data, profile, job.seed, folder / job.folder, model, retrieval, progress, vector_store)
        self.artefacts, self.timing, self.first = folder, timing, first
        self.changes = {name: value for name, value in changes.items() if name in TRAINING}

    @cached_property
    def model(self) -> FoundationModel:
        """The one model of the grid."""
        return super().model if self.first is None else self.first.model

    @cached_property
    def embedder(self) -> Any:
        """The one embedder of the grid."""
        return super().embedder if self.first is None else self.first.embedder


def jobs(arms: Sequence[str], seeds: Sequence[int], settings: Sequence[tuple[str, Sequence[Any]]] = ()) -> list[Job]:
    """Every job of a grid. An arm without trained weights does not depend on the seed, and runs with the first alone.

    Raises:
        KitError: There is no arm or no seed, or an arm is unknown.
    """
    if not arms or not seeds:
        raise KitError("a study needs at least one arm and one seed: name them with `--arms` and `--seed`")
    chosen = get_arms(dict.fromkeys(arms))
    swept: dict[str, list[Any]] = {}
    for name, values in settings:  # a setting that is given twice has the values of both
        swept.setdefault(name, []).extend(value for value in values if value not in swept.get(name, ()))
    points = [tuple(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    return [
        Job(arm.name, seed, changes)
        for changes in points
        for arm in chosen
        for seed in list(dict.fromkeys(seeds))[: None if arm.trainings else 1]
    ]


def share(wanted: Sequence[Job], number: int, count: int) -> list[Job]:
    """The jobs of share `number` of `count`, in their order; the same on every machine, and none in two shares."""
    loads, owner = [0] * count, {}
    groups = _groups(wanted)
    for group in sorted(groups, key=_weight, reverse=True):
        lightest = loads.index(min(loads))
        loads[lightest] += _weight(group)
        owner |= dict.fromkeys(group, lightest + 1)
    return [job for job in wanted if owner[job] == number]


def plan(wanted: Sequence[Job], count: int) -> list[dict[str, Any]]:
    """Every job with the number of its share, as plain rows."""
    shares = {job: number for number in range(1, count + 1) for job in share(wanted, number, count)}
    return [
        {"arm": job.arm, "seed": job.seed, "settings": dict(job.changes), "shard": f"{shares[job]}/{count}"}
        for job in wanted
    ]


def run(
    wanted: Sequence[Job],
    data: str | Path,
    profile: str,
    out: Path,
    model: str | FoundationModel,
    timing: bool = True,
    question_sets: Sequence[str] | None = None,
    progress: bool = True,
    vector_store: str | None = None,
) -> dict[str, list[Result]]:
    """Runs jobs one after the other; what is there is reused, and what a share left untimed is timed.

    Args:
        wanted: From `jobs` or `share`.
        data: A data set's folder.
        profile: "quick", "workshop" or "full".
        out: The grid's folder; indices and adapters lie in it, results in it or in one folder for each setting.
        model: The foundation model, or its name.
        timing: Whether latency is timed.
        question_sets: None takes every set of the data.
        progress: Whether to show progress.
        vector_store: The URL of a Chroma server for the indices; None keeps them in folders.

    Returns:
        The results by the folder that they lie in, below `out`: empty where nothing is set, else such as "k=3".

    Raises:
        KitError: A job failed. The others were run all the same, and the message names each that failed.
    """
    points: dict[tuple, Point] = {}
    made: dict[str, list[Result]] = {}
    failed = []
    for job in wanted:
        key = (job.seed, job.changes)
        first = next(iter(points.values()), None)
        if key not in points:
            points[key] = Point(job, first, timing, Path(out), data, profile, model, progress, vector_store)
        if progress:
            print(f"job: {job}", file=sys.stderr)
        try:
            found = [_timed(points[key], result) for result in points[key].run([job.arm], question_sets)]
            made.setdefault(job.folder, []).extend(found)
        except Exception as error:  # whatever it is (memory, a setting that cannot be), the other jobs go on
            if len(wanted) == 1:
                raise
            if not isinstance(error, KitError):
                traceback.print_exc()
            failed.append(f"{job}: {error if isinstance(error, KitError) else repr(error)}")
    if failed:
        raise KitError(f"{len(failed)} of {len(wanted)} jobs failed; what was finished is kept.\n" + "\n".join(failed))
    return made


def read_share(text: str) -> tuple[int, int]:
    """Number and count of a share such as "2/8".

    Raises:
        KitError: It is no such thing.
    """
    number, _, count = text.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise KitError(f"`--shard` must be i/n with i from 1 to n, such as 2/8. Got {text!r}")


def read_seeds(text: str) -> list[int]:
    """Seeds such as "7,8,9".

    Raises:
        KitError: One of them is no whole number.
    """
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise KitError(f"`--seed` must be whole numbers with commas between them. Got {text!r}") from None


def read_setting(text: str) -> tuple[str, list[Any]]:
    """Name and values of a setting such as "k=1,3".

    Raises:
        KitError: The setting is unknown, or a value does not fit it.
    """
    name, _, values = text.partition("=")
    known = RETRIEVAL | TRAINING
    if name not in known:
        raise KitError(f"unknown setting {name!r}: choose one of {', '.join(known)}")
    read: Callable[[str], Any] = type(known[name])
    try:
        return name, [read(value) for value in dict.fromkeys(values.split(","))]
    except ValueError:
        raise KitError(f"the values of `{name}` must be like {known[name]!r}, with commas. Got {values!r}") from None


def _groups(wanted: Sequence[Job]) -> list[list[Job]]:
    """Jobs that share trained weights, directly or through another job, together; each other job by itself."""
    groups: list[list[Job]] = []
    for job in wanted:
        near = [group for group in groups if any(job.weights & other.weights for other in group)]
        groups = [group for group in groups if group not in near] + [[*itertools.chain(*near), job]]
    return groups


def _weight(group: Sequence[Job]) -> int:
    return len(group) + TRAINING_WEIGHT * len(set().union(*(job.weights for job in group)))


def _timed(study: Study, made: Result) -> Result:
    """The result with its times: those of a result that a share left without are taken now; its answers stay."""
    questions = study.questions(made.question_set)
    count = study.timed(made.question_set)
    if not count or "total_s" in made.metrics or all(question.choices for question in questions):
        return made
    timed = Evaluation()
    time_alone(study.assistant(made.arm, made.question_set), questions, count, timed)
    made.metrics |= {"first_token_s": timed.first_token_s, "total_s": timed.total_s}
    if made.hardware != hardware():
        made.metrics["timed_on"] = hardware()
    write_result(study.out, made)
    return made
