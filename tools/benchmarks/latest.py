"""Runs all benchmarks and keeps their figures in latest.json beside it: the tables of docs/speed.md are made from it.

    python -m tools.benchmarks.latest --quick       # what `make bench` does
    python -m tools.benchmarks.latest               # the sizes that count; takes hours
    python -m tools.benchmarks.latest --only indexing --repeats 5
    python -m tools.benchmarks.latest --only        # none: only write the page's tables anew

The record is written whole, after each benchmark, whose earlier figures it replaces; one that fails is named instead.
Options that are not this script's own go to every benchmark.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.data import KitError, write_text
from helpers.models import describe

from .measuring import INSTALL, ROOT

HERE = Path(__file__).resolve().parent
LATEST = HERE / "latest.json"
PAGE = ROOT / "docs" / "speed.md"
BENCHMARKS = ("training", "answering", "indexing")
NOTHING = "No figures have been recorded yet; `make bench` measures them and writes this table."
GB = 10**9

# What is measured, where its ratio stands in the record, what the ratio is against, and how much is wanted.
ROWS = (
    ("training, labelled pairs", "training", ("pairs", "against_sft"), "trl's SFTTrainer", "3"),
    ("training, labelled pairs", "training", ("pairs", "against_trainer"), "transformers' Trainer, its best settings",
     "1.8"),
    ("training, packed text", "training", ("text", "against_sft"), "trl's SFTTrainer", "3"),
    ("training, packed text", "training", ("text", "against_trainer"), "transformers' Trainer, its best settings",
     "1.8"),
    ("scoring answers without context", "answering", ("without_context",), "LlamaIndex with HuggingFaceLLM", "10"),
    ("scoring answers with passages", "answering", ("with_passages",), "LlamaIndex with HuggingFaceLLM", "3"),
    ("one answer without context", "answering", ("without_context", "single"), "LlamaIndex with HuggingFaceLLM",
     "1.25"),
    ("one answer with passages", "answering", ("with_passages", "single"), "LlamaIndex with HuggingFaceLLM", "1.25"),
    ("indexing", "indexing", (), "LlamaIndex's stock pipeline", "2.5"),
)  # fmt: skip

# What else is measured: where it stands, how it is written, and what it should be.
FIGURES = (
    ("training packed text: share of the machine's limit", "training", ("text", "kit", "share_of_limit"), "{:.0%}",
     "at least 30%"),
    ("training packed text: SFTTrainer's share of it", "training", ("text", "sft", "share_of_limit"), "{:.0%}", ""),
    ("training packed text: the Trainer's share of it", "training", ("text", "trainer", "share_of_limit"), "{:.0%}",
     ""),
    ("training pairs: peak memory (GB)", "training", ("pairs", "kit", "peak_memory_bytes"), "{:.1f}", "at most 2.5"),
    ("training packed text: peak memory (GB)", "training", ("text", "kit", "peak_memory_bytes"), "{:.1f}",
     "at most 2.5"),
    ("one answer without context: share of the peer's time", "answering",
     ("without_context", "single", "share_of_peers_time"), "{:.2f}", "at most 0.8"),
    ("one answer with passages: share of the peer's time", "answering",
     ("with_passages", "single", "share_of_peers_time"), "{:.2f}", "at most 0.8"),
    ("one answer without context: first token (s)", "answering",
     ("without_context", "single", "kit", "first_token_s"), "{:.3f}", ""),
)  # fmt: skip


def run_all(names: Sequence[str], arguments: Sequence[str], path: Path = LATEST) -> None:
    """Runs benchmarks one after the other and writes what they found, after each."""
    for name in names:
        print(f"== {name}", flush=True)
        record = read_latest(path) or {"benchmarks": {}, "failed": {}}
        record["failed"].pop(name, None)
        try:
            record["benchmarks"][name] = run_one(name, arguments)
        except KitError as error:
            record["benchmarks"].pop(name, None)
            record["failed"][name] = str(error)
            print(error, file=sys.stderr)
        write_text(path, json.dumps(record, indent=1) + "\n")


def command_of(name: str, arguments: Sequence[str]) -> list[str]:
    """How a benchmark is started."""
    return [sys.executable, "-m", f"tools.benchmarks.{name}", "--json", *arguments]


def run_one(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """One benchmark's JSON document; what it says on the way is passed on.

    Raises:
        KitError: It failed.
        SystemExit: A peer is missing (exit code 2).
    """
    last = ""
    command = command_of(name, arguments)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8") as run:
        for line in run.stdout or ():
            print(last, end="", flush=True)
            last = line
    if run.returncode == 2:
        raise SystemExit(2)
    if run.returncode not in (0, 1):
        raise KitError(f"{name}.py ended with exit code {run.returncode}")
    try:
        return json.loads(last)
    except ValueError as error:
        raise KitError(f"the last line of {name}.py is no JSON: {last[:200]!r}") from error


def table(record: dict[str, Any]) -> str:
    """The record as a Markdown table, with machine and date, and with what failed or did not agree."""
    found = record["benchmarks"]
    lines = [
        "| work | compared with | times as fast | lowest to highest | wanted | sizes, dtype, day |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for work, name, place, peer, wanted in ROWS:
        whole, figures = found.get(name), _at(found.get(name), place)
        if figures:
            spread = f"{figures['ratio_low']:.2f} to {figures['ratio_high']:.2f}"
            each = "questions" if place[-1:] == ("single",) else "rounds"
            spread = "one round" if each == "rounds" and whole["repeats"] == 1 else f"{spread} ({each})"
            sizes = "quick" if whole["quick"] else "full"
            when = ", ".join(filter(None, (sizes, whole.get("dtype"), whole["created"][:10])))
            least = wanted and f"at least {wanted}"
            lines.append(f"| {work} | {peer} | {figures['ratio']:.2f} | {spread} | {least} | {when} |")
    others = [
        f"| {what} | {form.format(value / GB if what.endswith('(GB)') else value)} | {wanted} |"
        for what, name, place, form, wanted in FIGURES
        if (value := _at(found.get(name), place)) is not None
    ]
    lines += ["", "| what else | measured | wanted |", "| --- | --- | --- |", *others] if others else []
    machines: dict[str, list[str]] = {}
    for name, figures in found.items():
        machines.setdefault(_machine(figures), []).append(name)
    notes = [
        f"Measured on {told}." if len(machines) == 1 else f"{', '.join(names)}: measured on {told}."
        for told, names in machines.items()
    ]
    apart = [name for name, figures in found.items() if not figures["agree"]]
    notes += [f"Kit and peer did not do the same work in: {', '.join(apart)}."] if apart else []
    notes += [f"Failed: {', '.join(record['failed'])}."] if record["failed"] else []
    return "\n".join([*lines, "", "Above 1 the kit is faster.", *notes])


def _at(record: Any, place: Sequence[str]) -> Any:
    """What stands at a place in a record; None where nothing does."""
    for key in place:
        record = (record or {}).get(key)
    return record


def _machine(figures: dict[str, Any]) -> str:
    machine = {"accelerator": "", **figures, "processor": figures["machine"]}
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return f"{describe(machine)}, with {versions}"


def with_table(page: str, record: dict[str, Any] | None) -> str:
    """The page's text with the table of a record between its markers, or a sentence where there is none.

    Raises:
        KitError: The markers are missing.
    """
    first, last = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise KitError(f"{PAGE} lacks the markers {first} and {last}: put them where the table belongs")
    return f"{before}{first}\n{table(record) if record else NOTHING}\n{last}{after}"


def read_latest(path: Path = LATEST) -> dict[str, Any] | None:
    """The recorded figures; None where there are none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def main() -> int:
    """Runs the benchmarks and writes the page's tables; exit code 1 where one failed or did not agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"The peers: {INSTALL}"
    )
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=BENCHMARKS, help="these benchmarks")
    parser.add_argument("--record", type=Path, default=LATEST, help="the file that keeps the figures")
    arguments, others = parser.parse_known_args()
    run_all(arguments.only, others, arguments.record)
    record = read_latest(arguments.record)
    write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), record))
    if record is None:
        return 0
    return int(bool(record["failed"]) or not all(each["agree"] for each in record["benchmarks"].values()))


if __name__ == "__main__":
    sys.exit(main())
