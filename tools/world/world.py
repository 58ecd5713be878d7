"""The one table of facts behind the invented domain: Tidewater's machines, and what changes later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from helpers.data import KitError

from .templates import load, seeded

FIELDS = (
    "site", "commissioned", "supervisor", "rated_capacity", "inspection_interval", "alarm_code", "spare_part",
    "radio_channel",
)  # fmt: skip
CHANGING = ("supervisor", "inspection_interval", "radio_channel")
SMALLEST, LARGEST = 12, 2000
FIRST_YEAR, LAST_YEAR = 1991, 2025
ABSENT = 40


@dataclass(frozen=True)
class Asset:
    """One tidal machine; `split` is `trained`, `heldout`, or `new` for the one that comes with the updates.

    Only the new one was commissioned in `LAST_YEAR`.
    """

    name: str
    split: str
    values: dict[str, str]


@dataclass(frozen=True)
class World:
    """Everything that is true of the invented domain.

    `changes` holds, for each asset whose facts change, the new value of every field in `CHANGING`; `newcomer` is
    commissioned with the updates; `absent` are names of machines that do not exist.
    """

    seed: int
    assets: tuple[Asset, ...]
    newcomer: Asset
    changes: dict[str, dict[str, str]]
    absent: tuple[str, ...]

    def values(self, asset: Asset, updated: bool = False) -> dict[str, str]:
        """An asset's facts, its name among them as `asset`: before or after the updates."""
        later = self.changes.get(asset.name, {}) if updated else {}
        return {"asset": asset.name} | asset.values | later

    def all_values(self, field: str) -> list[str]:
        """Every value that a field ever takes, with repetitions: now, after the updates, and at the newcomer."""
        now = [asset.values[field] for asset in (*self.assets, self.newcomer)]
        return now + [change[field] for change in self.changes.values() if field in change]


def make_world(seed: int = 7, assets: int = 24) -> World:
    """Draws the table of facts.

    Args:
        seed: The same seed and number give the same world on every platform.
        assets: How many machines there are, 12 to 2,000.

    Returns:
        The world: values are unique within each field for as long as its pool lasts.

    Raises:
        KitError: The number of assets is out of bounds.
    """
    if not SMALLEST <= assets <= LARGEST:
        raise KitError(f"A world has {SMALLEST} to {LARGEST} assets, not {assets}: choose --assets in that range.")
    names, absent = _names(assets + 1, seeded(seed, "names"))
    newcomer_name = names.pop()
    held_out = _held_out(names, seeded(seed, "split"))
    draw = _drawers(seed)
    seeded(seed, "order").shuffle(names)
    table = [
        Asset(name, "heldout" if name in held_out else "trained", {field: next(draw[field]) for field in FIELDS})
        for name in names
    ]
    newcomer = Asset(newcomer_name, "new", {f: next(draw[f]) for f in FIELDS} | {"commissioned": str(LAST_YEAR)})
    changing = sorted(seeded(seed, "changes").sample(range(assets), round(assets * 5 / 6)))
    changes = {table[i].name: {f: _other(draw[f], table[i].values[f]) for f in CHANGING} for i in changing}
    return World(seed, tuple(table), newcomer, changes, tuple(absent))


def _other(draw: Iterator[str], old: str) -> str:
    return next(value for value in draw if value != old)


def _names(count: int, random: Random) -> tuple[list[str], list[str]]:
    """`count` names in groups that share their start (near misses), and names of machines that do not exist."""
    lists = load("names")
    starts = list(lists["asset_starts"])
    random.shuffle(starts)
    group = max(2, -(-(count + 2) // len(starts)))
    names: list[str] = []
    others: list[str] = []
    for start in starts:
        fitting = []
        for kind in ("asset_endings", "more_endings"):
            made = [start + end for end in lists[kind] if end[0] != start[-1]]
            fitting += [name for name in random.sample(made, len(made)) if name not in lists["asset_never"]]
        wanted = max(0, min(group, count - len(names)))
        names += fitting[:wanted]
        others += fitting[wanted : wanted + 3]
    absent = [name for name in others if name not in names]
    return names, random.sample(absent, ABSENT)


def _held_out(names: list[str], random: Random) -> set[str]:
    """Chooses the held-out names so that near misses stand on the same side for some, on both sides for others."""
    share = 0.42 if len(names) >= 24 else 0.4
    count = max(10 if len(names) >= 24 else 0, round(share * len(names)))
    pairs = [names[i : i + 2] for i in range(0, len(names) - 1, 2)]
    random.shuffle(pairs)
    whole = count // 5
    chosen = [name for pair in pairs[:whole] for name in pair]
    chosen += [random.choice(pair) for pair in pairs[whole : whole + count - 2 * whole]]
    return set(chosen)


def _drawers(seed: int) -> dict[str, Iterator[str]]:
    """One endless stream of values a field, short ones first.

    Bare numbers are shared between fields only when nothing else is left; those in codes and parts stand apart.
    """
    lists = load("names")
    numbers: set[str] = set()
    codes = [
        [f"{a}-{n}" for n, a in product(range(301, 1000), lists[part]) if n % 5]
        for part in ("alarm_letter", "more_alarm_letters")
    ]
    parts = [f"P-{n}" for n in range(3000, 10000)]
    streams: dict[str, tuple[list[list[str]], Callable[[str], str], set[str]]] = {
        "site": ([[f"{a} {b}" for a, b in product(lists["site_words"], lists["site_kinds"])]], _first, set()),
        "commissioned": ([[str(year) for year in range(FIRST_YEAR, LAST_YEAR)]], _number, numbers),
        "supervisor": ([[f"{a} {b}" for a, b in product(lists["first_names"], lists["surnames"])]], _last, set()),
        "rated_capacity": (_tiers("{} kW", range(105, 1000, 5), range(1000, 3000, 5)), _number, numbers),
        "inspection_interval": (_tiers("{} days", range(21, 100), range(100, 301)), _number, numbers),
        "alarm_code": (codes, str, set()),
        "spare_part": ([parts], str, set()),
        "radio_channel": (_tiers("channel {}", range(1, 100), range(100, 1000)), _number, numbers),
    }
    return {field: _draw(*stream, seeded(seed, field)) for field, stream in streams.items()}


def _tiers(form: str, *ranges: range) -> list[list[str]]:
    """Values with numbers that take the article "a", since a text may say "a 640 kW machine" whatever the number is."""
    return [[form.format(n) for n in numbers if not re.match(r"8|1[18]$|1[18]\d\d$", str(n))] for numbers in ranges]


def _number(value: str) -> str:
    return re.findall(r"\d+", value)[0]


def _first(value: str) -> str:
    return value.split()[0]


def _last(value: str) -> str:
    return value.split()[-1]


def _draw(tiers: list[list[str]], key: Callable[[str], str], taken: set[str], random: Random) -> Iterator[str]:
    """Yields every value of the tiers once before any twice, those whose `key` is not yet `taken` first."""
    while True:
        later = []
        for tier in tiers:
            for value in random.sample(tier, len(tier)):
                if key(value) in taken:
                    later.append(value)
                else:
                    taken.add(key(value))
                    yield value
        yield from later
