"""Questions beyond one fact: twins, of which one has no answer, and questions that need two documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from helpers.data import Question

from .pages import Page, stated_in
from .questions import accepted
from .templates import Rotation, fill, load, seeded
from .world import FIELDS, World

TWINS = 40
TWO_HOP = 48


def twin_questions(world: World, pages: Iterable[Page]) -> list[Question]:
    """Pairs of questions about one machine in one wording: a document answers the first, none the second.

    Args:
        world: The table of facts.
        pages: The documents before the updates.

    Returns:
        Both halves of each pair, one after the other, with part `answerable` or `unanswerable`; machine and wording
        together belong to one pair.
    """
    templates, documents = load("questions")["twins"], stated_in(pages)
    random = seeded(world.seed, "twins")
    assets = [asset for asset in world.assets if asset.split in ("trained", "heldout")]
    patterns = templates["patterns"]
    pairs = [(i, j) for i in range(len(assets)) for j in range(len(patterns))]
    random.shuffle(pairs)
    times, fields, gaps = Counter(), list(templates["answerable"]), list(templates["unanswerable"])
    answerable, unanswerable = Rotation(len(fields), random), Rotation(len(gaps), random)
    questions = []
    for number in range(1, TWINS + 1):
        i, j = pairs.pop(min(range(len(pairs)), key=lambda n: (times["w", pairs[n][1]], times["a", pairs[n][0]], n)))
        times.update([("a", i), ("w", j)])
        asset, wording = assets[i], f"twins-{j + 1}"
        field, gap = fields[answerable.next()], gaps[unanswerable.next()]
        for part, topic in (("answerable", field), ("unanswerable", gap)):
            thing = fill(templates[part][topic], {"asset": asset.name})
            known = part == "answerable"
            questions.append(
                Question(
                    f"twins-{number:03}-{part}",
                    "twins",
                    fill(patterns[j], {"thing": thing}),
                    accepted(world, field, asset.values[field]) if known else (),
                    tuple(documents[asset.name, field]) if known else (),
                    asset=asset.name,
                    field=topic,
                    part=part,
                    wording=wording,
                )
            )
    return questions


def two_hop_questions(world: World, pages: Iterable[Page]) -> list[Question]:
    """Asks a fact of the machine that another fact identifies, where no one document holds both."""
    templates, documents = load("questions")["two_hop"], stated_in(pages)
    random = seeded(world.seed, "two hops")
    unique = {
        field: {value for value, times in Counter(world.all_values(field)).items() if times == 1}
        for field in templates["machines"]
    }
    hops = [
        (asset, named, asked)
        for asset in world.assets
        for named in templates["machines"]
        for asked in FIELDS
        if asset.split in ("trained", "heldout")
        and named != asked
        and asset.values[named] in unique[named]
        and not set(documents[asset.name, named]) & set(documents[asset.name, asked])
    ]
    random.shuffle(hops)
    times = Counter()
    wordings = {field: Rotation(len(texts), random) for field, texts in templates["questions"].items()}
    phrases = {field: Rotation(len(texts), random) for field, texts in templates["machines"].items()}
    questions = []
    for number in range(1, min(TWO_HOP, len(hops)) + 1):
        asset, named, asked = hops.pop(
            min(
                range(len(hops)),
                key=lambda i: (times["asked", hops[i][2]], times[hops[i][1:]], times[hops[i][0].name], i),
            )
        )
        times.update([("asked", asked), (named, asked), asset.name])
        machine = fill(templates["machines"][named][phrases[named].next()], asset.values)
        wording = wordings[asked].next()
        questions.append(
            Question(
                f"two_hop-{number:03}",
                "two_hop",
                fill(templates["questions"][asked][wording], {"machine": machine}),
                accepted(world, asked, asset.values[asked]),
                tuple(documents[asset.name, asked]),
                asset=asset.name,
                field=asked,
                part=asset.split,
                wording=f"two_hop-{asked}-{wording + 1}",
                bridge=tuple(documents[asset.name, named]),
            )
        )
    return questions
