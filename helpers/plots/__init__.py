"""The kit's figures: each takes an Axes or makes one, returns it, and neither saves nor shows anything.

    ax = plots.accuracy_bars(compared)            # `compared` is what `compare.table` returns
    plots.show(ax, "Bars: rag stands above base on invented facts.")

An arm has the same colour and hatch everywhere, so that figures read alike, in black and white too.
"""

import matplotlib.pyplot as plt

from .bars import EFFORT_MEASURES, accuracy_bars, effort_bars, latency_bars
from .curves import (
    break_even_lines,
    freshness,
    latency_against_context,
    latency_against_index,
    latency_distribution,
    learning_curves,
    sweep_line,
)  # fmt: skip
from .images import SCREEN_DPI, image, show
from .quality import accuracy_heatmap, overview, pareto
from .style import ARM_COLOURS, ARM_HATCHES, ARM_MARKERS, ARM_NAMES
from .training import perplexity_by_pass, training_curve

__all__ = [
    "ARM_COLOURS", "ARM_HATCHES", "ARM_MARKERS", "ARM_NAMES", "EFFORT_MEASURES", "SCREEN_DPI", "accuracy_bars",
    "accuracy_heatmap", "break_even_lines", "effort_bars", "freshness", "image", "latency_against_context",
    "latency_against_index", "latency_bars", "latency_distribution", "learning_curves", "overview", "pareto",
    "perplexity_by_pass", "plt", "show", "sweep_line", "training_curve",
]  # fmt: skip
