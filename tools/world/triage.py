"""The triage task: incident reports put together from clauses, and the rules that answer them.

No labelled pair holds a house word. The test part `house_words` tells component and symptom in house words alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from helpers.data import Document, Example, Question

from .templates import Rotation, fill, load, seeded
from .words import Word
from .world import World

TRAIN, VALIDATION, TEST_PART = 240, 60, 64
PARTS = ("new_combinations", "new_wordings", "house_words")
RULES_ID = "triage-rules"
# How far a symptom's row is from its component's, round the table: these cells of it are kept for the test.
HELD_OUT_STEPS = (0, 3)
HELD_OUT_MORE = (5, (0, 3, 6))


@dataclass(frozen=True)
class Report:
    """One incident report and what the rules make of it; `frame` is the id of the pattern that it was written in."""

    asset: str
    component: str
    symptom: str
    circumstance: str
    frame: str
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


def triage_reports(world: World, words: Iterable[Word]) -> dict[str, list[Report]]:
    """Writes all reports of a world.

    Args:
        world: Its trained assets are named in training and validation, all of its assets in the tests.
        words: The house words of the world.

    Returns:
        The parts `train`, `validation`, `new_combinations` (pairs of component and symptom that training never shows,
        in its wordings), `new_wordings` (such pairs, in wordings that training never shows) and `house_words` (each
        pair whose two house words no labelled pair names, in those words); no text occurs twice.
    """
    trained = [asset.name for asset in world.assets if asset.split == "trained"]
    everyone = [asset.name for asset in world.assets]
    seen, unseen = combinations(held_out=False), combinations(held_out=True)
    house = {word.slot: word.term for word in words if not word.named}
    in_words = [pair for pair in seen + unseen if all(slot(name) in house for name in pair)]
    writer = _Writer(seeded(world.seed, "triage"), house)
    return {
        "train": writer.reports(TRAIN, seen, trained, "training"),
        "validation": writer.reports(VALIDATION, seen, trained, "training"),
        "new_combinations": writer.reports(TEST_PART, unseen, everyone, "training"),
        "new_wordings": writer.reports(TEST_PART, unseen, everyone, "new"),
        "house_words": writer.reports(TEST_PART, in_words, everyone, "house"),
    }


def slot(name: str) -> str:
    """The slot in `words.yaml` of the house word for a component or symptom."""
    return name.replace(" ", "_")


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
    """The question set `triage`, in three parts; the rules are the document that answers it."""
    asked = [(part, report) for part in PARTS for report in reports[part]]
    return [
        Question(
            f"triage-{number:03}",
            "triage",
            prompt(report),
            (report.answer,),
            (RULES_ID,),
            part=part,
            wording=report.frame,
        )
        for number, (part, report) in enumerate(asked, 1)
    ]


def rules_document(date: str = "2026-01-05") -> Document:
    """The rules of triage, as a person would be given them; short enough to be put into a prompt.

    Args:
        date: The document's date in ISO 8601.

    Returns:
        The document `triage-rules`.
    """
    rules = load("triage")
    document = rules["document"]
    components = [document["component"].format(name=n, **entry) for n, entry in rules["components"].items()]
    symptoms = [document["symptom"].format(name=n, **entry) for n, entry in rules["symptoms"].items()]
    parts = [f"# {document['title']}", document["reply"], document["components"], "\n".join(components)]
    parts += [document["symptoms"], "\n".join(symptoms), document["raise"], document["example"]]
    return Document(RULES_ID, document["title"], "\n\n".join(parts) + "\n", "rules", date=date)


class _Writer:
    """Writes reports, each wording used as evenly as chance and the wish for new texts allow."""

    def __init__(self, random: Random, house: dict[str, str]):
        self._random = random
        self._house = house
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
                "component": self._worded("components", component, wordings),
                "symptom": self._worded("symptoms", symptom, wordings),
                "circumstance": self._next(circumstance, rules["circumstances"][circumstance]["wordings"]),
                "detail": self._next("detail", rules["details"]),
            }
            frame = self._next("frame", list(rules["frames"]))
            text = fill(rules["frames"][frame], parts)
            if text not in self._written:
                self._written.add(text)
                answer = judge(component, symptom, circumstance)
                return Report(parts["asset"], component, symptom, circumstance, frame, text, answer)

    def _worded(self, kind: str, name: str, wordings: str) -> str:
        """Component or symptom in one of its `training` or `new` wordings, or in its `house` word."""
        if wordings == "house":
            return fill(self._next(f"house {kind}", self._rules["house"][kind]), {"word": self._house[slot(name)]})
        return self._next(f"{wordings} {name}", self._rules[kind][name][wordings])

    def _next(self, what: str, options: list) -> Any:
        rotation = self._rotations.setdefault(what, Rotation(len(options), self._random))
        return options[rotation.next()]
