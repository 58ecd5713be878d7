"""The operator's documents and the three rounds of their revisions, filled from the table of facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from helpers.data import Document

from .templates import Rotation, fill, load, seeded, slots
from .world import FIELDS, NEW_IN, ROUNDS, Asset, World

BULLETINS = 5  # at least
ASSETS_A_BULLETIN = 2
IN_BULLETINS = 0.4  # share of the machines that a bulletin speaks of; each other one had an incident
FIRST_DAY = date(2026, 1, 5)
ROUND_DAYS = (date(2026, 9, 7), date(2026, 11, 2), date(2027, 1, 11))
_WRAP = re.compile(r"(?<=\S)\n[ \t]*(?=\S)(?!#|[-*|] |\d+\. )")


@dataclass(frozen=True)
class Page:
    """A document together with the facts that it states, as pairs of asset name and field."""

    document: Document
    states: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Update:
    """One round: pages with old or new ids, and the ids of documents that are withdrawn."""

    pages: tuple[Page, ...]
    withdrawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a document is made of, before any value is filled in.

    `parts` are pairs of a template and the asset that fills it, or None where the text has no slots.
    """

    id: str
    type: str
    title: str
    parts: tuple[tuple[str, Asset | None], ...]
    headed: bool = False


def slug(name: str) -> str:
    """A name as it is written in an id."""
    return name.lower().replace(" ", "-")


def documents(world: World) -> list[Page]:
    """The documents that state facts or rules, as they are before anything changes.

    Args:
        world: The table of facts.

    Returns:
        One page a document, in order of type and number; every fact is stated in one or two, those of one machine
        in at most three. The withdrawn document is the last policy.
    """
    days = seeded(world.seed, "dates")
    return [_page(plan, world, FIRST_DAY + timedelta(days.randrange(220))) for plan in _plans(world)]


def updates(world: World) -> list[Update]:
    """What comes later, round by round.

    Args:
        world: The table of facts.

    Returns:
        For each round the pages whose text changes, the manual of a new machine, and what is withdrawn at the end.
    """
    plans, days = _plans(world), seeded(world.seed, "revision dates")
    revision = {plan.id: 1 for plan in plans}
    rounds = []
    for number in range(1, ROUNDS + 1):
        pages = []
        for plan in plans:
            before = _page(plan, world, FIRST_DAY, after=number - 1).document
            if _page(plan, world, FIRST_DAY, after=number).document.text != before.text:
                revision[plan.id] += 1
                day = ROUND_DAYS[number - 1] + timedelta(days.randrange(30))
                pages.append(_page(plan, world, day, after=number, revision=revision[plan.id]))
        if number == NEW_IN:
            plans.append(_new_manual(world))
            pages.append(_page(plans[-1], world, ROUND_DAYS[number - 1], after=number))
            revision[plans[-1].id] = 1
        rounds.append(Update(tuple(pages), (withdrawn_id(),) if number == ROUNDS else ()))
    return rounds


def withdrawn_id() -> str:
    """The id of the document that the last round withdraws."""
    return f"policy-{len(load('documents')['policy']) + 1:02}"


def stated_in(pages: Iterable[Page]) -> dict[tuple[str, str], list[str]]:
    """For each pair of asset name and field, the sorted ids of the documents that state it."""
    found: dict[tuple[str, str], list[str]] = {}
    for page in pages:
        for fact in page.states:
            found.setdefault(fact, []).append(page.document.id)
    return {fact: sorted(ids) for fact, ids in found.items()}


def after_updates(pages: Iterable[Page], rounds: Iterable[Update]) -> list[Page]:
    """The pages that are valid once these rounds are in force."""
    valid = {page.document.id: page for page in pages}
    for each in rounds:
        valid |= {page.document.id: page for page in each.pages}
        valid = {name: page for name, page in valid.items() if name not in each.withdrawn}
    return list(valid.values())


def _page(plan: Plan, world: World, day: date, after: int = 0, revision: int = 1) -> Page:
    sections, states = [], []
    for template, asset in plan.parts:
        values = world.values(asset, after) if asset else {}
        text = fill(_WRAP.sub(" ", template), values)
        sections.append(f"## {asset.name}\n\n{text}" if plan.headed and asset else text)
        states += [(asset.name, field) for field in FIELDS if asset and field in slots(template)]
    first = plan.parts[0][1]
    title = fill(plan.title, world.values(first, after) if first else {})
    text = f"# {title}\n\n" + "\n\n".join(sections) + "\n"
    return Page(Document(plan.id, title, text, plan.type, revision, day.isoformat()), tuple(states))


def _plans(world: World) -> list[Plan]:
    """Decides which template tells about which asset."""
    templates = load("documents")
    plans = _one_an_asset(world, "manual", templates) + _one_an_asset(world, "procedure", templates)
    order = seeded(world.seed, "third documents").sample(world.assets, len(world.assets))
    share = max(BULLETINS * ASSETS_A_BULLETIN, round(IN_BULLETINS * len(order)))
    plans += _incidents(order[share:], templates["incident"], seeded(world.seed, "incidents"))
    plans += _bulletins(order[:share], templates["bulletin"], seeded(world.seed, "bulletins"))
    for kind, texts in {
        "notice": templates["notice"],
        "policy": [*templates["policy"], templates["withdrawn"]],
    }.items():
        plans += [
            Plan(f"{kind}-{number:02}", kind, text["title"], ((text["body"], None),))
            for number, text in enumerate(texts, 1)
        ]
    return plans


def _new_manual(world: World) -> Plan:
    new = load("documents")["new_asset"]
    return Plan(f"manual-{slug(world.newcomer.name)}", "manual", new["title"], ((new["body"], world.newcomer),))


def _one_an_asset(world: World, kind: str, templates: dict) -> list[Plan]:
    rotation = Rotation(len(templates[kind]), seeded(world.seed, kind))
    plans = []
    for asset in world.assets:
        template = templates[kind][rotation.next()]
        plans.append(Plan(f"{kind}-{slug(asset.name)}", kind, template["title"], ((template["body"], asset),)))
    return plans


def _incidents(assets: Sequence[Asset], templates: list, random: Random) -> list[Plan]:
    rotation = Rotation(len(templates), random)
    plans = []
    for number, asset in enumerate(assets, 1):
        template = templates[rotation.next()]
        plans.append(Plan(f"incident-{number:04}", "incident", template["title"], ((template["body"], asset),)))
    return plans


def _bulletins(assets: Sequence[Asset], templates: list, random: Random) -> list[Plan]:
    rotation = Rotation(len(templates), random)
    count = max(BULLETINS, len(assets) // ASSETS_A_BULLETIN)
    plans = []
    for number in range(1, count + 1):
        template = templates[rotation.next()]
        members = assets[number - 1 :: count]
        sections = random.sample(template["sections"], len(members))
        title = template["title"] if number <= len(templates) else f"{template['title']} (no. {number})"
        parts = ((template["intro"], None), *zip(sections, members, strict=True))
        plans.append(Plan(f"bulletin-{number:02}", "bulletin", title, parts, headed=True))
    return plans
