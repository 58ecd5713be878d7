"""The kit's figures, each takes an Axes or makes one and returns it, and the report that holds them.

    ax = plots.accuracy_bars(compared)            # `compared` is what `compare.table` returns
    plots.show(ax, "Bars: rag stands above base on invented facts.")

An arm has the same colour and hatch everywhere, so that figures read alike, in black and white too.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["figures", "report", "style"],
    submod_attrs={
        "bars": ["EFFORT_MEASURES", "accuracy_bars", "effort_bars", "latency_bars"],
        "curves": [
            "break_even_lines", "freshness", "latency_against_context", "latency_against_index",
            "latency_distribution", "learning_curves", "sweep_line",
        ],
        "images": ["SCREEN_DPI", "image", "show"],
        "quality": ["accuracy_heatmap", "overview", "pareto"],
        "report": ["markdown", "write_report"],
        "style": [
            "ARM_COLOURS", "ARM_HATCHES", "ARM_MARKERS", "ARM_NAMES", "OKABE_ITO", "line_colour", "new_axes", "number",
            "plt",
        ],
        "training": ["perplexity_by_pass", "training_curve"],
    },
)  # fmt: skip
