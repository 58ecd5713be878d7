"""One JSON file a run: written whole or not at all, read back or named with a remedy.

A result lies as ARM.QUESTION_SET.seedN.EXPERIMENT.json. What the results of an experiment have in common lies beside
them once, as shared.EXPERIMENT.json: questions, passages, and what scoring needs. A result keeps replies, not scores:
these are computed anew, by the present rules, when it is read.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..data import ROOT, DataError, Passage, Question, Result, Score, explain, held, table, write_text
from . import metrics

SCHEMA = 2
DIGITS = 5  # that are kept of a number with a decimal point
KEPT = "text prompt_tokens new_tokens batch_size logprobs".split()  # of an answer; a batch's times say little
EXAMPLE = 4000  # characters of the prompt that is kept, its middle left out
REMEDY = "Delete it, or move it out of the folder, and run the study again."
PACKAGES = ("torch", "transformers", "peft", "llama-index-core", "chromadb", "sentence-transformers")
CLAIMS = ROOT / "helpers" / "analysis" / "rules" / "claims.yaml"
POINT = ("x", "value", "low", "high")  # of a curve
adapter = cache(TypeAdapter)


def versions() -> dict[str, str]:
    """The versions of the packages that numbers depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


@cache
def claims_hash() -> str:
    """SHA-256 over what the kit claims, prose left out; results carry it, so that no claim moves after the runs."""
    prose = ("text", "source")
    return fingerprint([{key: row[key] for key in row if key not in prose} for row in table(CLAIMS)])


def fingerprint(record: Any) -> str:
    """SHA-256 in hexadecimal over what JSON can hold."""
    return sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_name(arm: str, question_set: str, seed: int, experiment: str) -> str:
    """A result's file name; `:` cannot stand in file names everywhere."""
    return f"{arm.replace(':', '~')}.{question_set}.seed{seed}.{experiment[:8]}.json"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Shared:
    """What results of one experiment share: questions and passages by key, the values of each asset, kinds by field."""

    questions: dict[str, Question] = field(default_factory=dict)
    passages: dict[str, Passage] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    @cached_property
    def rivals(self) -> metrics.Rivals:
        """The values of all assets, as scoring takes them."""
        return metrics.Rivals(self.values)


@lru_cache(maxsize=65536)
def _key(record: Question | Passage) -> str:
    text = adapter(type(record)).dump_json(record, exclude={"score"})  # that of a passage is its question's
    return b64encode(sha256(text).digest()[:6], b"-_").decode()


def write_result(
    folder: Path, result: Result, values: Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """Writes a result into a folder, and what it shares with others beside it; returns the result's path.

    `values` and `kinds` are those of the data set: scores are computed with them when the result is read. The first
    prompt is kept, as an example. Several processes may write at once.
    """
    folder, answers = Path(folder), [score.answer for score in result.scores]
    questions = {_key(score.question): score.question for score in result.scores}
    passages = {_key(each): replace(each, score=0.0) for answer in answers for each in answer.passages}
    path = _shared_path(folder, result.experiment)
    with held(path):
        before = _read_shared(path) if path.exists() else Shared()
        values, kinds = {**before.values, **(values or {})}, {**before.kinds, **(kinds or {})}
        shared = Shared(before.questions | questions, before.passages | passages, values, kinds)
        if shared != before or not path.exists():
            write_text(path, adapter(Shared).dump_json(shared, exclude_defaults=True).decode("utf-8") + "\n")
    columns: dict[str, list[Any]] = {"question": [_key(score.question) for score in result.scores]}
    columns["passages"] = [[[_key(each), each.score] for each in answer.passages] for answer in answers]
    columns |= {name: [getattr(answer, name) for answer in answers] for name in KEPT}
    prompt = answers[0].prompt if answers else ""
    if len(prompt) > EXAMPLE:
        prompt = f"{prompt[: EXAMPLE // 2]} [...] {prompt[-EXAMPLE // 2 :]}"
    record = adapter(Result).dump_python(replace(result, scores=[], schema=SCHEMA), mode="json")
    columns = {name: column for name, column in columns.items() if any(column)}
    numbers = json.dumps({"metrics": record["metrics"], "prompt": prompt, "scores": columns})
    record |= json.loads(numbers, parse_float=lambda number: round(float(number), DIGITS))
    lines = (f" {json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in record.items())
    name = file_name(result.arm, result.question_set, result.seed, result.experiment)
    return write_text(folder / name, "{\n" + ",\n".join(lines) + "\n}\n")


def _shared_path(folder: Path, experiment: str) -> Path:
    return folder / f"shared.{experiment[:8]}.json"


def _read_shared(path: Path) -> Shared:
    try:
        changed = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): the results beside it need it. {REMEDY}") from None
    return _shared_as_of(path, changed.st_mtime_ns, changed.st_size)


@lru_cache(maxsize=4)
def _shared_as_of(path: Path, *_: int) -> Shared:
    return read_record(path, Shared, "what results share", REMEDY)


def write_record(path: Path, record: Any) -> Path:
    """Writes a dataclass as one JSON file, whole or not at all, and returns the file's path."""
    return write_text(path, adapter(type(record)).dump_json(record, indent=1).decode("utf-8") + "\n")


def read_record(path: Path, kind: Any, what: str, remedy: str = "Delete it and measure again.", had: Any = None) -> Any:
    """Reads a dataclass that `write_record` wrote, or makes one of what the file `had`; a `DataError` says why not."""
    try:
        return adapter(kind).validate_python(had) if had else adapter(kind).validate_json(Path(path).read_bytes())
    except (OSError, ValidationError, DataError) as error:
        why = explain(error) if isinstance(error, ValidationError) else f"{error}."
        raise DataError(f"{path} cannot be read as {what}: {why} {remedy}") from error


def read_result(path: Path) -> Result:
    """Reads one result, its scores computed anew from the replies; only the first answer has its prompt, others "".

    A result of the first edition (schema 1), which holds whole records, is taken as it was scored. A `DataError` names
    a file that is no result, is damaged, lacks what lies beside it, or is of another schema.
    """
    path = Path(path)
    record = read_record(path, dict[str, Any], "a result", REMEDY)
    if record.get("schema") not in (1, SCHEMA):
        raise DataError(f"{path} has schema {record.get('schema')}; this kit reads 1 and {SCHEMA}. {REMEDY}")
    record.pop("git_revision", None)  # of the first edition
    if record["schema"] == 1:
        return read_record(path, Result, "a result", REMEDY, record)
    shared = _read_shared(_shared_path(path.parent, str(record.get("experiment"))))
    result = read_record(path, Result, "a result", REMEDY, record | {"scores": list(_joined(record, shared, path))})
    asked = [(score.question, score.answer) for score in result.scores]
    try:
        result.scores = [Score(*each, *metrics.score(*each, shared.rivals)) for each in asked]
        result.metrics |= metrics.summary(result.scores, shared.kinds)
    except (IndexError, ValueError, re.error) as error:  # no accepted answer, a record that is no JSON, no pattern
        raise DataError(f"the replies of {path} cannot be scored: {error}. {REMEDY}") from error
    return result


def _joined(record: dict[str, Any], shared: Shared, path: Path) -> Iterator[dict[str, Any]]:
    """The scores of a stored result, as records whose value is still to be computed."""
    columns, prompt = record.get("scores"), record.pop("prompt", "")
    try:
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            question = shared.questions[row.pop("question")]
            passages = [replace(shared.passages[key], score=score) for key, score in row.pop("passages", ())]
            answer = {"question_id": question.id, "prompt": prompt, "text": "", "passages": passages} | row
            yield {"question": question, "answer": answer, "value": 0.0, "why": ""}
            prompt = ""
    except KeyError as error:
        lacking = f"{_shared_path(path.parent, record['experiment'])} lacks {error}, which {path.name} refers to"
        raise DataError(f"{lacking}: the two were not written together. {REMEDY}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a result: scores: {error}. {REMEDY}") from None


def read_results(folder: Path) -> list[Result]:
    """Every result of a folder, sorted by file name; a `DataError` where it holds none, or one that is damaged."""
    found = [read_result(path) for path in sorted(Path(folder).glob("[!.]*.seed*.json"))]
    if not found:
        lacks = "holds no results" if Path(folder).is_dir() else "is not there"
        raise DataError(f"{folder} {lacks}. `python -m helpers study --out {folder}` makes some.")
    return found


@dataclass(frozen=True)
class Curve:
    """A value against what was varied, too long to measure in every run: it lies beside results, as NAME.curve.json.

    Each of `points` has `x`, `value`, `low` and `high`, and `n` for questions. `x` and `y` are the titles of the axes
    with their units, `arm` is what was measured, and `about` holds what else a reader must know: machine, date.
    """

    name: str
    x: str
    y: str
    arm: str
    points: list[dict[str, int | float]]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = [p for p in self.points if not all(math.isfinite(p.get(key, math.nan)) for key in POINT)]
        if bad or not self.points:
            raise DataError(f"a curve needs points with numbers for {', '.join(POINT)}. {self.name!r} has {bad[:1]}")


def write_curve(folder: Path, curve: Curve) -> Path:
    """Writes a curve into a folder of results, points in the order of `x`; returns its path."""
    ordered = replace(curve, points=sorted(curve.points, key=lambda point: point["x"]))
    return write_record(Path(folder) / f"{curve.name}.curve.json", ordered)


def read_curves(folder: Path) -> dict[str, Curve]:
    """The curves of a folder by name, none where nothing was recorded; a `DataError` names a damaged one."""
    curves = [read_record(path, Curve, "a curve") for path in sorted(Path(folder).glob("*.curve.json"))]
    return {curve.name: curve for curve in curves}


def of_one_figure(curves: Collection[Curve]) -> list[list[Curve]]:
    """Curves of several arms that share both axes, put together: they belong in one figure."""
    axes = dict.fromkeys((curve.x, curve.y) for curve in curves)
    return [[curve for curve in curves if (curve.x, curve.y) == titles] for titles in axes]
