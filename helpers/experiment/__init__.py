"""The fair experiment: arms, one Assistant, scores, times, studies and their results."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["arms", "assistant", "curves", "grid", "latency", "metrics", "results", "study"],
    submod_attrs={
        "arms": ["ARMS", "get_arms", "left_out"],
        "assistant": ["Assistant", "SHORT_ANSWER"],
        "curves": ["Curve", "of_one_figure", "read_curves"],
        "evaluation": ["evaluate", "text_perplexity"],
        "grid": ["read_setting"],
        "latency": ["LATENCY_FILE", "PHASES", "Timing", "read_timings", "time_arms", "write_timings"],
        "results": ["file_name", "now", "read_results", "versions"],
        "study": ["Study"],
    },
)
