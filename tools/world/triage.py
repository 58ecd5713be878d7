"""The triage task: incident reports put together from clauses, and the house rules that answer them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from helpers.data import Example, Question

from .templates import Rotation, fill, load, seeded
from .world import World

TRAIN, VALIDATION, TEST_PART = 240, 60, 64
# How far a symptom's row is from its component's, round the table: these cells of it are kept for the test.
HELD_OUT_STEPS = (0, 3)
HELD_OUT_MORE = (5, (0, 3, 6))


@dataclass(frozen=True)
class Report:
    """One incident report and what the rules make of it."""

    asset: str
    component: str
    symptom: str
    circumstance: str
    text: str
    answer: str


def combinations(held_out: bool) -> list[tuple[str, str]]:
    """The pairs of component and symptom that training never shows, or those that it does."""
    rules = load("triage")
    symptoms = list(rules["symptoms"])
    step, rows = HELD_OUT_MORE
    pairs = []
    for row, component in enumerate(rules["components"]):
        for column, symptom in enumerate(symptoms):
            distance = (column - row) % len(symptoms)
            kept = distance in HELD_OUT_STEPS or (distance == step and row in rows)
            if kept == held_out:
                pairs.append((component, symptom))
    return pairs


def judge(component: str, symptom: str, circumstance: str) -> str:
    """Applies the house rules.

    Args:
        component: One of the components of `triage.yaml`.
        symptom: One of its symptoms.
        circumstance: One of its circumstances.

    Returns:
        The right reply, as JSON with severity, team and code.
    """
    rules = load("triage")
    levels = rules["levels"]
    level = levels.index(rules["symptoms"][symptom]["severity"]) + int(rules["circumstances"][circumstance]["raises"])
    code = f"{rules['components'][component]['letters']}-{rules['symptoms'][symptom]['digit']}"
    return json.dumps({"severity": levels[level], "team": rules["components"][component]["team"], "code": code})


def triage_reports(world: World) -> dict[str, list[Report]]:
    """Writes all reports of a world.

    Args:
        world: Its trained assets are named in training and validation, all of its assets in the tests.

    Returns:
        The parts `train`, `validation`, `new_combinations` (pairs that training never shows, in its wordings) and
        `new_wordings` (such pairs, in wordings that training never shows); no text occurs twice.
    """
    trained = [asset.name for asset in world.assets if asset.split == "trained"]
    everyone = [asset.name for asset in world.assets]
    seen, unseen = combinations(held_out=False), combinations(held_out=True)
    writer = _Writer(seeded(world.seed, "triage"))
    return {
        "train": writer.reports(TRAIN, seen, trained, "training"),
        "validation": writer.reports(VALIDATION, seen, trained, "training"),
        "new_combinations": writer.reports(TEST_PART, unseen, everyone, "training"),
        "new_wordings": writer.reports(TEST_PART, unseen, everyone, "new"),
    }


def prompt(report: Report) -> str:
    """The instruction with the report under it."""
    return f"{load('triage')['instruction']}\n\nReport: {report.text}"


def triage_examples(reports: dict[str, list[Report]], part: str) -> list[Example]:
    """The pairs of one part, `train` or `validation`."""
    return [
        Example(f"triage-{part}-{number:04}", "triage", prompt(report), report.answer, report.asset)
        for number, report in enumerate(reports[part], 1)
    ]


def triage_questions(reports: dict[str, list[Report]]) -> list[Question]:
    """The question set `triage`, in two parts."""
    told = [(part, report) for part in ("new_combinations", "new_wordings") for report in reports[part]]
    return [
        Question(f"triage-{number:03}", "triage", prompt(report), (report.answer,), asset=report.asset, part=part)
        for number, (part, report) in enumerate(told, 1)
    ]


def rules_text() -> str:
    """The house rules in Markdown, as a person would be given them."""
    rules = load("triage")
    lines = ["# House rules of triage", "", rules["instruction"], ""]
    lines += [f"- {rule}" for rule in rules["rules"]]
    lines += ["", "| component | letters | team |", "| --- | --- | --- |"]
    lines += [f"| {name} | {entry['letters']} | {entry['team']} |" for name, entry in rules["components"].items()]
    lines += ["", "| symptom | digit | severity to start from |", "| --- | --- | --- |"]
    lines += [f"| {name} | {entry['digit']} | {entry['severity']} |" for name, entry in rules["symptoms"].items()]
    lines += ["", f"Levels of severity: {', '.join(rules['levels'])}.", ""]
    return "\n".join(lines)


class _Writer:
    """Writes reports, each wording used as evenly as chance and the wish for new texts allow."""

    def __init__(self, random: Random):
        self._random = random
        self._rules = load("triage")
        self._rotations: dict[str, Rotation] = {}
        self._written: set[str] = set()

    def reports(self, count: int, pairs: list[tuple[str, str]], assets: list[str], wordings: str) -> list[Report]:
        """`count` reports that go round `pairs` and the circumstances, in shuffled order."""
        order = list(pairs)
        self._random.shuffle(order)
        written = [self._report(*order[number % len(order)], assets, wordings) for number in range(count)]
        self._random.shuffle(written)
        return written

    def _report(self, component: str, symptom: str, assets: list[str], wordings: str) -> Report:
        rules = self._rules
        raised = self._next(f"raised {wordings} {symptom}", [True, False])
        fitting = [name for name, entry in rules["circumstances"].items() if entry["raises"] == raised]
        circumstance = self._next(f"circumstance {raised}", fitting)
        while True:
            parts = {
                "asset": self._random.choice(assets),
                "component": self._next(f"{wordings} {component}", rules["components"][component][wordings]),
                "symptom": self._next(f"{wordings} {symptom}", rules["symptoms"][symptom][wordings]),
                "circumstance": self._next(circumstance, rules["circumstances"][circumstance]["wordings"]),
                "detail": self._next("detail", rules["details"]),
            }
            text = fill(self._next("frame", rules["frames"]), parts)
            if text not in self._written:
                self._written.add(text)
                return Report(
                    parts["asset"], component, symptom, circumstance, text, judge(component, symptom, circumstance)
                )

    def _next(self, what: str, options: list) -> object:
        rotation = self._rotations.setdefault(what, Rotation(len(options), self._random))
        return options[rotation.next()]
