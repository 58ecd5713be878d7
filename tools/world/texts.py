"""The operator's documents and their later revisions, filled from the table of facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from helpers.data import Document

from .templates import Rotation, fill, load, seeded, slots
from .world import FIELDS, Asset, World

ASSETS_A_BULLETIN = 4
TERMS_A_GLOSSARY = 16
FIRST_DAY = date(2026, 1, 5)
_WRAP = re.compile(r"(?<=\S)\n[ \t]*(?=\S)(?!#|[-*] |\d+\. )")
REVISION_DAY = date(2026, 9, 7)


@dataclass(frozen=True)
class Page:
    """A document together with the facts that it states, as pairs of asset name and field."""

    document: Document
    states: tuple[tuple[str, str], ...] = ()


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


def plan_documents(world: World) -> list[Plan]:
    """Decides which template tells about which asset.

    Args:
        world: The table of facts.

    Returns:
        One plan a document, in order of type and number; the withdrawn document is the last policy.
    """
    templates = load("documents")
    plans = _one_an_asset(world, "manual", templates) + _one_an_asset(world, "procedure", templates)
    plans += _incidents(world, templates["incident"]) + _bulletins(world, templates["bulletin"])
    policies = [*templates["policy"], templates["withdrawn"]]
    plans += [
        Plan(f"policy-{number:02}", "policy", policy["title"], ((policy["body"], None),))
        for number, policy in enumerate(policies, 1)
    ]
    return plans + _glossaries(templates["glossary"])


def documents(world: World) -> list[Page]:
    """The documents as they are before anything changes.

    Args:
        world: The table of facts.

    Returns:
        One page a document; every fact is stated in at least one.
    """
    days = seeded(world.seed, "dates")
    return [_page(plan, world, FIRST_DAY + timedelta(days.randrange(220))) for plan in plan_documents(world)]


def updates(world: World) -> tuple[list[Page], str]:
    """What comes later: documents whose text changed, one new document, and the id of the withdrawn one.

    Args:
        world: The table of facts.

    Returns:
        The revised and the new pages, and the id of the document that is no longer valid.
    """
    days = seeded(world.seed, "revision dates")
    plans = plan_documents(world)
    pages = []
    for plan in plans:
        before = _page(plan, world, FIRST_DAY).document
        after = _page(plan, world, REVISION_DAY + timedelta(days.randrange(60)), revision=2)
        if after.document.text != before.text:
            pages.append(after)
    new = load("documents")["new_asset"]
    plan = Plan(f"manual-{slug(world.newcomer.name)}", "manual", new["title"], ((new["body"], world.newcomer),))
    pages.append(_page(plan, world, REVISION_DAY))
    return pages, withdrawn_id()


def withdrawn_id() -> str:
    """The id of the document that the updates withdraw."""
    return f"policy-{len(load('documents')['policy']) + 1:02}"


def stated_in(pages: Iterable[Page]) -> dict[tuple[str, str], list[str]]:
    """For each pair of asset name and field, the sorted ids of the documents that state it."""
    found: dict[tuple[str, str], list[str]] = {}
    for page in pages:
        for fact in page.states:
            found.setdefault(fact, []).append(page.document.id)
    return {fact: sorted(ids) for fact, ids in found.items()}


def after_updates(pages: Iterable[Page], updated: Iterable[Page], withdrawn: str) -> list[Page]:
    """The pages that are valid once the updates are in force."""
    by_id: Mapping[str, Page] = {page.document.id: page for page in (*pages, *updated)}
    return [page for name, page in by_id.items() if name != withdrawn]


def _page(plan: Plan, world: World, day: date, revision: int = 1) -> Page:
    updated = revision > 1
    sections, states = [], []
    for template, asset in plan.parts:
        values = world.values(asset, updated) if asset else {}
        text = _WRAP.sub(" ", fill(template, values))
        sections.append(f"## {asset.name}\n\n{text}" if plan.headed and asset else text)
        states += [(asset.name, field) for field in FIELDS if asset and field in slots(template)]
    first = plan.parts[0][1]
    title = fill(plan.title, world.values(first, updated) if first else {})
    text = f"# {title}\n\n" + "\n\n".join(sections) + "\n"
    return Page(Document(plan.id, title, text, plan.type, revision, day.isoformat()), tuple(states))


def _one_an_asset(world: World, kind: str, templates: Mapping) -> list[Plan]:
    rotation = Rotation(len(templates[kind]), seeded(world.seed, kind))
    plans = []
    for asset in world.assets:
        template = templates[kind][rotation.next()]
        plans.append(Plan(f"{kind}-{slug(asset.name)}", kind, template["title"], ((template["body"], asset),)))
    return plans


def _incidents(world: World, templates: list) -> list[Plan]:
    random = seeded(world.seed, "incidents")
    rotation = Rotation(len(templates), random)
    order = random.sample(world.assets, len(world.assets))
    told: dict[str, list[int]] = {asset.name: [] for asset in order}
    plans = []
    for number in range(max(30, round(1.25 * len(order)))):
        asset = order[number % len(order)]
        choice = rotation.next(avoid=told[asset.name])
        told[asset.name].append(choice)
        parts = ((templates[choice]["body"], asset),)
        plans.append(Plan(f"incident-{number + 1:04}", "incident", templates[choice]["title"], parts))
    return plans


def _bulletins(world: World, templates: list) -> list[Plan]:
    random = seeded(world.seed, "bulletins")
    rotation = Rotation(len(templates), random)
    order = random.sample(world.assets, len(world.assets))
    plans = []
    for number in range(max(6, -(-len(order) // ASSETS_A_BULLETIN))):
        choice = rotation.next()
        template = templates[choice]
        sections = random.sample(template["sections"], ASSETS_A_BULLETIN)
        members = [order[(number * ASSETS_A_BULLETIN + i) % len(order)] for i in range(ASSETS_A_BULLETIN)]
        title = template["title"] if number < len(templates) else f"{template['title']} (no. {number + 1})"
        parts = ((template["intro"], None), *zip(sections, members, strict=True))
        outro = ((f"## Closing note\n\n{template['outro']}", None),)
        plans.append(Plan(f"bulletin-{number + 1:02}", "bulletin", title, parts + outro, headed=True))
    return plans


def _glossaries(templates: list) -> list[Plan]:
    terms = sorted(load("glossary"), key=lambda entry: entry["term"])
    plans = []
    for number, template in enumerate(templates):
        listed = terms[number * TERMS_A_GLOSSARY : (number + 1) * TERMS_A_GLOSSARY]
        lines = "\n\n".join(f"**{entry['term']}**: {entry['meaning']}." for entry in listed)
        parts = ((template["intro"], None), (lines, None))
        plans.append(Plan(f"glossary-{number + 1}", "glossary", template["title"], parts))
    return plans
