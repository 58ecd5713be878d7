"""The `answers` pairs and the question sets, all derived from the table of facts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from helpers.data import Example, Question, general_questions

from .templates import Rotation, fill, load, seeded
from .texts import TERMS_A_GLOSSARY, Page, slug, stated_in
from .world import CHANGING, FIELDS, Asset, World

PAIRS_A_FACT = 2
VALIDATION_PAIRS = 30
TWO_HOP = 48
GAP_QUESTIONS, ABSENT_QUESTIONS = 40, 28
CHOICES = 4


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


def answer_examples(world: World) -> dict[str, list[Example]]:
    """Question and short answer for every fact of every trained asset.

    Args:
        world: The table of facts.

    Returns:
        The parts `train` (each fact asked in two ways) and `validation` (some facts asked in a third way).
    """
    fields = load("questions")["fields"]
    random = seeded(world.seed, "answers")
    train, spare = [], []
    for asset in (asset for asset in world.assets if asset.split == "trained"):
        for field in FIELDS:
            ways = random.sample(fields[field]["training"], PAIRS_A_FACT + 1)
            pairs = [(fill(way, {"asset": asset.name}), asset.values[field], asset.name) for way in ways]
            train += pairs[:PAIRS_A_FACT]
            spare += pairs[PAIRS_A_FACT:]
    random.shuffle(train)
    parts = {"train": train, "validation": random.sample(spare, VALIDATION_PAIRS)}
    return {
        part: [Example(f"answers-{part}-{n:05}", "answers", *pair) for n, pair in enumerate(pairs, 1)]
        for part, pairs in parts.items()
    }


def question_sets(world: World, pages: Iterable[Page], updated: Iterable[Page]) -> dict[str, list[Question]]:
    """All question sets but `triage`.

    Args:
        world: The table of facts.
        pages: The documents before the updates.
        updated: The documents valid after them.

    Returns:
        Questions by set; those about the same fact have the same prompt in every set.
    """
    before, after = stated_in(pages), stated_in(updated)
    return {
        "facts_trained": _facts(world, "trained", before),
        "facts_heldout": _facts(world, "heldout", before),
        "terms": _terms(world),
        "updates": _updates(world, after),
        "two_hop": _two_hop(world, before),
        "unanswerable": _unanswerable(world),
        "general": general_questions(),
    }


def withdrawn_question(document: str) -> Question:
    """The question that only the withdrawn document answers."""
    template = load("documents")["withdrawn"]
    answer = str(template["answer"])
    return Question("withdrawn-1", "updates", template["question"], (answer,), (document,), part="withdrawn")


def evaluation_ways(field: str) -> list[str]:
    """Every way in which a fact of this field is asked for in a test, with the slot `asset`."""
    templates = load("questions")
    noun = templates["fields"][field]["noun"]
    return templates["fields"][field]["evaluation"] + [way.replace("{noun}", noun) for way in templates["patterns"]]


def _prompts(world: World) -> dict[tuple[str, str], str]:
    """One prompt for each fact, the ways spread evenly over the assets."""
    prompts = {}
    for field in FIELDS:
        ways = evaluation_ways(field)
        rotation = Rotation(len(ways), seeded(world.seed, f"ways {field}"))
        for asset in (*world.assets, world.newcomer):
            prompts[asset.name, field] = fill(ways[rotation.next()], {"asset": asset.name})
    return prompts


def _facts(world: World, split: str, documents: dict[tuple[str, str], list[str]]) -> list[Question]:
    prompts = _prompts(world)
    return [
        _fact_question(world, f"facts_{split}", asset, field, asset.values[field], prompts, documents, "")
        for asset in world.assets
        if asset.split == split
        for field in FIELDS
    ]


def _fact_question(
    world: World,
    name: str,
    asset: Asset,
    field: str,
    value: str,
    prompts: dict[tuple[str, str], str],
    documents: dict[tuple[str, str], list[str]],
    part: str,
) -> Question:
    where = tuple(documents[asset.name, field])
    answers = accepted(world, field, value)
    number = f"{name}-{slug(asset.name)}-{field}"
    return Question(number, name, prompts[asset.name, field], answers, where, (), asset.name, field, part)


def _updates(world: World, documents: dict[tuple[str, str], list[str]]) -> list[Question]:
    prompts = _prompts(world)
    changed = [
        (asset, field, world.changes[asset.name][field])
        for asset in world.assets
        if asset.name in world.changes
        for field in CHANGING
    ]
    changed += [(world.newcomer, field, world.newcomer.values[field]) for field in FIELDS]
    return [
        _fact_question(world, "updates", asset, field, value, prompts, documents, asset.split)
        for asset, field, value in changed
    ]


def _terms(world: World) -> list[Question]:
    random = seeded(world.seed, "term questions")
    entries = load("glossary")
    pages = {
        entry["term"]: f"glossary-{number // TERMS_A_GLOSSARY + 1}"
        for number, entry in enumerate(sorted(entries, key=lambda entry: entry["term"]))
    }
    ways = load("questions")["terms"]
    places = Rotation(CHOICES, random)
    questions = []
    for number, entry in enumerate(entries):
        same = [other["meaning"] for other in entries if other["kind"] == entry["kind"] and other is not entry]
        choices = random.sample(same, CHOICES - 1)
        choices.insert(places.next(), entry["meaning"])
        questions.append(
            Question(
                f"terms-{entry['term']}",
                "terms",
                fill(ways[number % len(ways)], {"term": entry["term"]}),
                (entry["meaning"],),
                (pages[entry["term"]],),
                tuple(choices),
                field=entry["kind"],
            )
        )
    return questions


def _two_hop(world: World, documents: dict[tuple[str, str], list[str]]) -> list[Question]:
    """Asks a fact of the machine that another fact identifies, where no one document holds both."""
    templates = load("questions")["two_hop"]
    random = seeded(world.seed, "two hops")
    unique = {
        field: {value for value, times in Counter(world.all_values(field)).items() if times == 1}
        for field in templates["machines"]
    }
    hops = [
        (asset, told, asked)
        for asset in world.assets
        for told in templates["machines"]
        for asked in FIELDS
        if told != asked
        and asset.values[told] in unique[told]
        and not set(documents[asset.name, told]) & set(documents[asset.name, asked])
    ]
    random.shuffle(hops)
    kinds = Counter()
    questions = []
    for _ in range(min(TWO_HOP, len(hops))):
        asset, told, asked = hops.pop(
            min(range(len(hops)), key=lambda i: (kinds[hops[i][1:]], kinds[hops[i][0].name], i))
        )
        kinds.update([(told, asked), asset.name])
        machine = fill(random.choice(templates["machines"][told]), asset.values)
        questions.append(
            Question(
                f"two_hop-{len(questions) + 1:03}",
                "two_hop",
                fill(random.choice(templates["questions"][asked]), {"machine": machine}),
                accepted(world, asked, asset.values[asked]),
                tuple(documents[asset.name, asked]),
                asset=asset.name,
                field=asked,
                part=asset.split,
            )
        )
    return questions


def _unanswerable(world: World) -> list[Question]:
    """Real machines asked for what no document gives, and machines that do not exist, as answerable ones are asked."""
    templates = load("questions")
    random = seeded(world.seed, "unanswerable")
    asked = []
    gaps = [(asset.name, gap) for asset in world.assets for gap in templates["gaps"]]
    ways = Rotation(len(templates["patterns"]), random)
    for name, gap in random.sample(gaps, GAP_QUESTIONS):
        way = templates["patterns"][ways.next()].replace("{noun}", templates["gaps"][gap])
        asked.append(("gap", name, gap, fill(way, {"asset": name})))
    pairs = [(name, field) for name in world.absent for field in FIELDS]
    for name, field in random.sample(pairs, ABSENT_QUESTIONS):
        asked.append(("absent", name, field, fill(random.choice(evaluation_ways(field)), {"asset": name})))
    return [
        Question(f"unanswerable-{number:03}", "unanswerable", text, asset=name, field=field, part=part)
        for number, (part, name, field, text) in enumerate(asked, 1)
    ]
