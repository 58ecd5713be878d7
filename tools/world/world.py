"""The one table of facts behind the invented domain: Tidewater's machines, and what changes later."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from helpers.data import KitError

from .templates import load, seeded

FIELDS = (
    "location", "commissioned", "supervisor", "rated_capacity", "inspection_interval", "alarm_code", "spare_part",
    "radio_channel",
)  # fmt: skip
CHANGING = ("supervisor", "inspection_interval", "radio_channel")
ROUNDS = 3
NEW_IN = 2  # the round of updates in which a machine is commissioned
CHECKS = 2  # machines whose facts are asked only to choose when a training stops
SMALLEST, LARGEST = 12, 2000
FIRST_YEAR, LAST_YEAR = 1991, 2025


@dataclass(frozen=True)
class Asset:
    """One tidal machine; `split` is `trained`, `heldout`, `check`, or `new` for the one that comes with the updates.

    Only the new one was commissioned in `LAST_YEAR`.
    """

    name: str
    split: str
    values: dict[str, str]


@dataclass(frozen=True)
class World:
    """Everything that is true of the invented domain.

    `assets` are all machines before the updates, the two of split `check` last. `rounds` holds the new values of each
    round of updates by machine and field; `newcomer` is commissioned in round `NEW_IN`.
    """

    seed: int
    assets: tuple[Asset, ...]
    newcomer: Asset
    rounds: tuple[dict[tuple[str, str], str], ...]

    @property
    def size(self) -> int:
        """How many machines are trained or held out."""
        return len(self.assets) - CHECKS

    def fleet(self, after: int = 0) -> tuple[Asset, ...]:
        """The machines that there are after this many rounds of updates."""
        return (*self.assets, self.newcomer) if after >= NEW_IN else self.assets

    def values(self, asset: Asset, after: int = 0) -> dict[str, str]:
        """An asset's facts after this many rounds of updates, its name among them as `asset`."""
        values = {"asset": asset.name} | asset.values
        for changes in self.rounds[:after]:
            values |= {field: value for (name, field), value in changes.items() if name == asset.name}
        return values

    def all_values(self, field: str) -> list[str]:
        """Every value that a field ever takes, with repetitions: now, after each round, and at the newcomer."""
        now = [asset.values[field] for asset in (*self.assets, self.newcomer)]
        return now + [value for changes in self.rounds for (_, other), value in changes.items() if other == field]


def make_world(seed: int = 7, assets: int = 24, avoid: Collection[str] = ()) -> World:
    """Draws the table of facts.

    Args:
        seed: The same seed and number give the same world on every platform.
        assets: How many machines are trained or held out, 12 to 2,000; two more are kept for checks.
        avoid: Names that no machine of this world may have.

    Returns:
        The world: values are unique within each field for as long as its pool lasts.

    Raises:
        KitError: The number of assets is out of bounds.
    """
    if not SMALLEST <= assets <= LARGEST:
        raise KitError(f"A world has {SMALLEST} to {LARGEST} assets, not {assets}: choose --assets in that range.")
    names = _names(assets + CHECKS + 1, seeded(seed, "names"), avoid)
    newcomer_name, kept = names.pop(), [names.pop() for _ in range(CHECKS)]
    held_out = _held_out(names, seeded(seed, "split"))
    draw = _drawers(seed)
    seeded(seed, "order").shuffle(names)
    splits = {name: "heldout" if name in held_out else "trained" for name in names} | dict.fromkeys(kept, "check")
    table = [Asset(name, split, {field: next(draw[field]) for field in FIELDS}) for name, split in splits.items()]
    newcomer = Asset(newcomer_name, "new", {f: next(draw[f]) for f in FIELDS} | {"commissioned": str(LAST_YEAR)})
    rounds = _rounds(table[:assets], draw, seeded(seed, "changes"))
    return World(seed, tuple(table), newcomer, rounds)


def _rounds(
    table: list[Asset], draw: dict[str, Iterator[str]], random: Random
) -> tuple[dict[tuple[str, str], str], ...]:
    """Changes more than half of the facts that can change, a third in each round; half of the first change again."""
    current = {(asset.name, field): asset.values[field] for asset in table for field in CHANGING}
    chosen = random.sample(sorted(current), round(len(table) * 5 / 3))
    turns = [sorted(chosen[turn::ROUNDS]) for turn in range(ROUNDS)]
    turns[-1] = sorted(turns[-1] + random.sample(turns[0], len(turns[0]) // 2))
    rounds = []
    for facts in turns:
        rounds.append({fact: next(v for v in draw[fact[1]] if v != current[fact]) for fact in facts})
        current |= rounds[-1]
    return tuple(rounds)


def _names(count: int, random: Random, avoid: Collection[str]) -> list[str]:
    """`count` names in groups that share their start (near misses)."""
    lists = load("names")
    starts = list(lists["asset_starts"])
    random.shuffle(starts)
    group = max(2, -(-(count + 2) // len(starts)))
    names: list[str] = []
    for start in starts:
        fitting = []
        for kind in ("asset_endings", "more_endings"):
            made = [start + end for end in lists[kind] if end[0] != start[-1]]
            fitting += [name for name in random.sample(made, len(made)) if name not in lists["asset_never"]]
        fitting = [name for name in fitting if name not in avoid]
        names += fitting[: max(0, min(group, count - len(names)))]
    return names


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
        "location": (
            [[f"{a} {b}" for a, b in product(lists["location_words"], lists["location_kinds"])]],
            _first,
            set(),
        ),
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
