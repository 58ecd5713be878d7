"""From results to statements: one validated `Comparison`, intervals, claims, the textbook table, cost, advice.

comparison = read_comparison(folder)      # or Comparison(results)
compared = comparison.table()             # what figures draw; .contrasts(), .caveats(), .scores(...), .text()
judge(comparison), textbook_rows(comparison), costs(comparison), advise(answers, comparison)
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["quantities", "rules"],
    submod_attrs={
        "claims": ["Claim", "counts", "judge", "read_claims", "verdicts_as_text"],
        "comparison": ["Comparison", "has_results", "in_brackets", "read_comparison"],
        "conclusions": ["MARKS", "advise", "questionnaire", "textbook_rows"],
        "cost": ["Cost", "cost_rows", "costs", "load_prices", "size_rows", "span"],
        "intervals": ["Sample", "accuracy", "difference"], "validate": ["timing_conditions"],
    },
)  # fmt: skip
