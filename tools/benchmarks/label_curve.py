"""Records how many labels triage needs: results/reference/labels.curve.json, which appendix C draws.

    python -m tools.benchmarks.label_curve
    python -m tools.benchmarks.label_curve --adapted  # after continued pretraining: labels_adapted.curve.json

The settings are those of the recipes and the world is that of the training sweep; only the number of pairs differs
from point to point.
"""

from __future__ import annotations

from dataclasses import replace

from helpers.analysis import accuracy
from helpers.data import get_profile, sample
from helpers.experiment import Assistant, Curve, evaluate, write_curve
from helpers.tuning import Progress, recipes, train

from .training_sweep import Bench, options, where_and_when

LABELS = (30, 60, 120, 240)


def main() -> None:
    """Trains and measures each point; finished points are not trained again."""
    parser = options(__doc__, "results/reference", 128)
    parser.add_argument("--adapted", action="store_true", help="begin with weights that have read the domain's text")
    arguments = parser.parse_args()
    training, name = ("domain,triage", "labels_adapted") if arguments.adapted else ("triage", "labels")
    arm = "domain_adaptation+customization" if arguments.adapted else "customization"
    bench = Bench(arguments.work, arguments.questions)
    settings = recipes.settings(training, get_profile("workshop"), seed=7)
    material, start = recipes.training_data(training, bench.dataset), bench.start(training)
    asked = sample(bench.dataset.questions("triage"), arguments.questions)
    points = []
    for count in LABELS:
        fewer = replace(material, pairs=material.pairs[:count])
        tuned = train(
            bench.fm, fewer, settings, arguments.work / f"{name}-{count}", start, callback=Progress(f"{count} labels")
        )
        found = accuracy(evaluate(Assistant(bench.fm, tuned.folder), asked).scores)
        points.append({"x": count} | found)
        print(points[-1], flush=True)
    about = where_and_when()
    curve = Curve(name, "labelled pairs", "accuracy on triage (share of fields)", arm, points, about)
    print(write_curve(arguments.out, curve))


if __name__ == "__main__":
    main()
