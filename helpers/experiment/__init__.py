"""The fair experiment: arms, one Assistant, scores, times, studies and their results."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["arms", "assistant", "metrics", "results", "study"],
    submod_attrs={
        "arms": ["ARMS", "SHOWN", "fitting_documents", "get_arms", "left_out", "plain_name", "solved_examples"],
        "assistant": ["Assistant", "SHORT_ANSWER"], "evaluation": ["evaluate"], "study": ["Study"],
        "latency": ["LATENCY_FILE", "Timing", "Timings", "read_timings", "write_timings"],
        "results": ["Curve", "claims_hash", "file_name", "now", "of_one_figure", "read_curves", "read_results",
                    "versions", "write_curve", "write_result"],
    },
)  # fmt: skip
