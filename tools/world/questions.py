"""Questions about facts, and the labelled pairs: all derived from the table of facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from random import Random

from helpers.data import Example, Question

from .pages import Page, slug, stated_in
from .templates import Rotation, fill, load, seeded
from .world import FIELDS, ROUNDS, Asset, World

PAIRS_A_FACT = 2
VALIDATION_PAIRS = 30
KEPT = 12


def accepted(world: World, field: str, value: str) -> tuple[str, ...]:
    """What counts as a right answer.

    Args:
        world: Tells whether a surname belongs to one person only.
        field: The field asked for.
        value: Its value as the documents write it.

    Returns:
        The value itself, then its fair variants: the bare number, the unit spelt out, the surname, the code
        unhyphened or its number alone where no other code has it.
    """
    if field == "rated_capacity":
        return value, value.split()[0], f"{value.split()[0]} kilowatts"
    if field in ("inspection_interval", "radio_channel"):
        return value, re.findall(r"\d+", value)[0]
    if field in ("alarm_code", "spare_part"):
        number = value.split("-")[1]
        alone = sum(other.split("-")[1] == number for other in set(world.all_values(field))) == 1
        return (value, value.replace("-", ""), number) if alone else (value, value.replace("-", ""))
    if field == "supervisor":
        surname = value.split()[-1]
        namesakes = {name for name in world.all_values(field) if name.split()[-1] == surname}
        return (value, surname) if len(namesakes) == 1 else (value,)
    return (value,)


def answer_pairs(world: World) -> dict[str, list[tuple[str, str, str]]]:
    """Question, short answer and machine for every fact of every trained machine.

    Args:
        world: The table of facts.

    Returns:
        The parts `train` (each fact asked in two wordings) and `validation` (some facts asked in a third one).
    """
    random = seeded(world.seed, "answers")
    train, spare = [], []
    for field in FIELDS:
        wordings = Wordings(field, "training", random)
        for asset in (asset for asset in world.assets if asset.split == "trained"):
            drawn: list[int] = []
            for _ in range(PAIRS_A_FACT + 1):
                drawn.append(wordings.next(avoid=drawn))
            pairs = [(wordings.fill(i, asset.name), asset.values[field], asset.name) for i in drawn]
            train += pairs[:PAIRS_A_FACT]
            spare += pairs[PAIRS_A_FACT:]
    return {"train": train, "validation": random.sample(spare, VALIDATION_PAIRS)}


def examples(task: str, part: str, pairs: Sequence[tuple[str, str, str]]) -> list[Example]:
    """Numbered records of prompt, response and asset."""
    return [Example(f"{task}-{part}-{number:05}", task, *pair) for number, pair in enumerate(pairs, 1)]


def fact_questions(world: World, split: str, pages: Iterable[Page]) -> list[Question]:
    """Every fact of the machines of one split, asked once; the wordings of a field are used equally often."""
    assets = [asset for asset in world.assets if asset.split == split]
    facts = [(asset, field, "") for asset in assets for field in FIELDS]
    return _ask(world, f"facts_{split}", facts, stated_in(pages), 0, "evaluation")


def check_questions(world: World, pages: Iterable[Page]) -> list[Question]:
    """Every fact of the machines that are kept for checks, in wordings of their own."""
    facts = [(asset, field, "facts") for asset in world.assets if asset.split == "check" for field in FIELDS]
    return _ask(world, "checks", facts, stated_in(pages), 0, "check")


def update_questions(world: World, before: Iterable[Page], after: Iterable[Page]) -> list[Question]:
    """Asks after the last round: every changed fact, those of the new machine, and some that changed documents keep.

    Args:
        world: The table of facts.
        before: The documents before the updates.
        after: The documents after the last round.

    Returns:
        Questions with part `changed`, `new` or `kept`.
    """
    assets = {asset.name: asset for asset in world.fleet(ROUNDS)}
    changed = sorted({fact for changes in world.rounds for fact in changes})
    revised = {page.document.id: page for page in after if page.document.revision > 1}
    kept = sorted({fact for page in revised.values() for fact in page.states} - set(changed))
    kept = [fact for fact in kept if assets[fact[0]].split in ("trained", "heldout")]
    kept = seeded(world.seed, "kept").sample(kept, min(KEPT, len(kept)))
    facts = [(assets[name], field, "changed") for name, field in changed]
    facts += [(world.newcomer, field, "new") for field in FIELDS]
    facts += [(assets[name], field, "kept") for name, field in sorted(kept)]
    return _ask(world, "updates", facts, stated_in(after), ROUNDS, "evaluation")


def withdrawn_question(document: str) -> Question:
    """The question that only the withdrawn document answers."""
    template = load("documents")["withdrawn"]
    answer = str(template["answer"])
    return Question("withdrawn-1", "updates", template["question"], (answer,), (document,), part="withdrawn")


class Wordings:
    """The wordings of a field, handed out equally often."""

    def __init__(self, field: str, kind: str, random: Random):
        self._texts = load("questions")["fields"][field][kind]
        self._rotation = Rotation(len(self._texts), random)

    def next(self, avoid: Iterable[int] = ()) -> int:
        """The number of the next wording, from 0."""
        return self._rotation.next(avoid)

    def fill(self, number: int, name: str) -> str:
        """The question about a machine."""
        return fill(self._texts[number], {"asset": name})


def _ask(
    world: World,
    name: str,
    facts: Iterable[tuple[Asset, str, str]],
    documents: dict[tuple[str, str], list[str]],
    after: int,
    kind: str,
) -> list[Question]:
    """One question a fact (asset, field, part), with what is true after so many rounds."""
    wordings = {field: Wordings(field, kind, seeded(world.seed, f"{name} {field}")) for field in FIELDS}
    questions = []
    for asset, field, part in facts:
        number = wordings[field].next()
        questions.append(
            Question(
                f"{name}-{slug(asset.name)}-{field}",
                name,
                wordings[field].fill(number, asset.name),
                accepted(world, field, world.values(asset, after)[field]),
                tuple(documents[asset.name, field]),
                asset=asset.name,
                field=field,
                part=part,
                wording=f"{field}-{number + 1}",
            )
        )
    return questions
