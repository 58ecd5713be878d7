"""Records how many labels triage needs: results/reference/labels.curve.json, which notebook 04 draws.

    python benchmarks/label_curve.py

The settings are those of helpers/trainings.py and the world is that of the training sweep; only the number of pairs
differs from point to point.
"""

from __future__ import annotations

from dataclasses import replace

from training_sweep import Bench, options, where_and_when

from helpers import compare, trainings
from helpers.assistant import Assistant
from helpers.curves import Curve, write_curve
from helpers.evaluate import evaluate, sample
from helpers.finetune import train
from helpers.live import show
from helpers.profiles import get_profile

LABELS = (30, 60, 120, 240)


def main() -> None:
    """Trains and measures each point; finished points are not trained again."""
    arguments = options(__doc__, "results/reference", 128).parse_args()
    bench = Bench(arguments.work, arguments.questions)
    settings = trainings.settings("triage", get_profile("workshop"), seed=7)
    material = trainings.material("triage", bench.dataset)
    asked = sample(bench.dataset.questions("triage"), arguments.questions)
    points = []
    for count in LABELS:
        fewer = replace(material, pairs=material.pairs[:count])
        tuned = train(bench.fm, fewer, settings, arguments.work / f"labels-{count}", listener=show(f"{count} labels"))
        found = compare.accuracy(evaluate(Assistant(bench.fm, tuned.folder), asked).scores)
        points.append({"x": count} | found)
        print(points[-1], flush=True)
    about = where_and_when()
    curve = Curve("labels", "labelled pairs", "accuracy on triage (share of fields)", "customization", points, about)
    print(write_curve(arguments.out, curve))


if __name__ == "__main__":
    main()
