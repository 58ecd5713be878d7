"""From results to statements: intervals, comparison, claims, cost, advice."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["advice", "answers", "comparable", "comparison", "cost", "expectations", "rules", "textbook"],
    submod_attrs={
        "advice": ["Advice", "advise", "questionnaire"],
        "comparable": ["has_results", "read_comparable"],
        "cost": ["Cost", "Prices", "break_even", "break_even_changes", "costs", "energy_kwh", "load_prices", "scaled"],
        "expectations": ["as_text", "Expectation", "Verdict", "counts", "judge", "load_expectations"],
        "intervals": ["spread"],
        "latency": ["how_timed", "interleaved", "latency_ratio", "latency_summary", "timing_conditions"],
        "ratios": ["ratio"],
    },
)
