"""Records what continued pretraining gains and forgets: three curves in results/reference.

    python -m tools.benchmarks.retention_curves

`retention_learning_rate` and `retention_epochs` are the accuracy on general questions, by which two claims are
judged; `continued_pretraining` is the perplexity of domain text that was not read, which appendix C draws. The
training is `domain` on the world of the training sweep, without replay; only the rate (in one pass) or the passes
differ.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any

from helpers.analysis import accuracy
from helpers.data import get_profile, sample
from helpers.experiment import Assistant, Curve, evaluate, write_curve
from helpers.tuning import Progress, TrainSettings, recipes, train

from .training_sweep import Bench, options, text_perplexity, where_and_when

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
EPOCHS = (1, 2, 4)
ARM = "domain_adaptation"


def point(bench: Bench, settings: TrainSettings, arguments: Namespace) -> tuple[dict[str, Any], float]:
    """Trains in one way; the accuracy on general questions, and the perplexity of unread domain text."""
    material = recipes.training_data("domain", bench.dataset)
    folder = arguments.work / f"retention-{settings.learning_rate:g}-{settings.epochs:g}"
    tuned = train(bench.fm, material, settings, folder, callback=Progress(folder.name))
    assistant = Assistant(bench.fm, tuned.folder)
    asked = sample(bench.dataset.questions("general"), arguments.questions)
    kept = accuracy(evaluate(assistant, asked).scores)
    return kept, text_perplexity(assistant, bench.dataset.corpus("validation"))


def main() -> None:
    """Trains and measures each point; finished points are not trained again."""
    arguments = options(__doc__, "results/reference", 100).parse_args()
    bench = Bench(arguments.work, arguments.questions)
    plain = replace(recipes.settings("domain", get_profile("workshop"), seed=7), replay=0.0)
    rates, passes, read = [], [], []
    for rate in RATES:
        kept, _ = point(bench, replace(plain, learning_rate=rate, epochs=EPOCHS[0]), arguments)
        rates.append({"x": rate} | kept)
        print(rates[-1], flush=True)
    for epochs in EPOCHS:
        kept, perplexity = point(bench, replace(plain, epochs=epochs), arguments)
        passes.append({"x": epochs} | kept)
        print(passes[-1], perplexity, flush=True)
        read.append({"x": epochs, "value": perplexity, "low": perplexity, "high": perplexity})
    about, general = where_and_when(), "accuracy on general questions"
    for curve in (
        Curve("retention_learning_rate", "learning rate (one pass, no replay)", general, ARM, rates, about),
        Curve("retention_epochs", "passes over the corpus (no replay)", general, ARM, passes, about),
        Curve(
            "continued_pretraining", "passes over the corpus (no replay)", "perplexity of domain text", ARM, read, about
        ),
    ):
        print(write_curve(arguments.out, curve))


if __name__ == "__main__":
    main()
