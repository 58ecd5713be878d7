"""How often the comparison's intervals cover the truth, by simulation with effects of machines and of wordings.

    python -m tools.benchmarks.interval_coverage --draws 1500      # four minutes on one core

Answers are right by chance whose logit varies between machines and between wordings, as in the first edition: standard
deviations 0.76 (an intraclass correlation of 0.15) and 1.4. `tests/test_intervals.py` does the same with few draws.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import optimize, stats

from helpers.analysis import Sample, accuracy, difference

MACHINES, WORDINGS = 0.76, 1.4  # standard deviations of logits
FIELDS = 8  # asked of each machine
SHARES = ((0.02, 0.02), (0.1, 0.1), (0.3, 0.3), (0.5, 0.5), (0.8, 0.8), (0.8, 0.9), (0.3, 0.8))
DESIGNS = {  # machines in a world, wordings a field, whether all fields have the same ones, worlds
    "held-out facts (n = 80)": (10, 6, False, 1),
    "trained facts (n = 112)": (14, 6, False, 1),
    "24 machines, six wordings a field": (24, 6, False, 1),
    "24 machines, a wording a field": (24, 1, False, 1),
    "24 machines, six wordings for all fields": (24, 6, True, 1),
    "three worlds of ten machines, the same wordings": (10, 6, False, 3),
}


def logit(share: float, machines: float = MACHINES, wordings: float = WORDINGS) -> float:
    """The logit around which machines and wordings vary where so large a share is right on average."""
    nodes = stats.norm.ppf((np.arange(400) + 0.5) / 400) * math.hypot(machines, wordings)
    return optimize.brentq(lambda middle: (1 / (1 + np.exp(-middle - nodes))).mean() - share, -15, 15)


def coverage(
    design: tuple[int, int, bool, int], shares: tuple[float, float], draws: int, common: float = 0.5,
    one_way: bool = False, seed: int = 0,
) -> tuple[float, ...]:  # fmt: skip
    """How often the intervals of a share and of a difference cover the truth, and how often p is below 0.05.

    Args:
        design: See `DESIGNS`.
        shares: Right answers of two arms, in truth.
        draws: How many samples are drawn.
        common: The share of the variance of machines and wordings that both arms have in common.
        one_way: Take every question for a wording of its own, as intervals that know of machines alone do.
        seed: Of the draws.
    """
    machines, wordings, same, worlds = design
    generator, n = np.random.default_rng([seed, *map(int, design)]), machines * FIELDS * worlds
    machine, field = np.divmod(np.arange(n), FIELDS)
    wording = (machine + field) % wordings + (0 if same else wordings * field)
    clusters = np.arange(n) if one_way else np.unique(wording, return_inverse=True)[1]
    found, middles = np.zeros(3), [logit(share) for share in shares]

    def effects() -> np.ndarray:
        of_machines, of_wordings = generator.normal(size=machines * worlds), generator.normal(size=FIELDS * wordings)
        return MACHINES * of_machines[machine] + WORDINGS * of_wordings[wording]

    for _ in range(draws):
        shared, arms = effects(), []
        for middle in middles:
            logits = middle + math.sqrt(common) * shared + math.sqrt(1 - common) * effects()
            right = (generator.random(n) < 1 / (1 + np.exp(-logits))).astype(float)
            arms.append(Sample(right, machine // machines, machine, clusters, n))
        one, both, truth = accuracy(arms[0]), difference(*arms), shares[1] - shares[0]
        found += one["low"] <= shares[0] <= one["high"], both["low"] <= truth <= both["high"], both["p"] < 0.05
    return tuple((found / draws).tolist())


def main() -> None:
    """Prints a line a design and pair of shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1500)
    parser.add_argument("--one-way", action="store_true")
    asked = parser.parse_args()
    print(f"{'':<50}{'shares':<14}{'share':>8}{'difference':>12}{'p < 0.05':>10}")
    for name, design in DESIGNS.items():
        for common in (0.5, 0.0):
            for shares in SHARES:
                share, both, sure = coverage(design, shares, asked.draws, common, asked.one_way)
                arms = name + ("" if common else ", arms independent")
                print(f"{arms:<50}{shares[0]:g}, {shares[1]:<9g}{share:>8.3f}{both:>12.3f}{sure:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
