"""Exercises and quizzes: each solution is right, each known wrong answer has its own reason, nothing is given away."""

import json
import math
import re
import statistics

import nbformat
import numpy as np
import pytest

from helpers.data.records import KitError
from helpers.experiment import metrics
from helpers.lessons import checks, exercises, progress
from tools.notebooks import NOTEBOOKS

LESSONS = ("00", "01", "02", "03", "04", "05", "06", "07")
QUIZ_ALONE = ("00", "07")  # the first and the last notebook have a quiz and no exercises
ALL = [(number, exercise) for number in LESSONS for exercise in exercises.load(number).exercises.values()]
CODED = [pair for pair in ALL if pair[1].kind in ("write", "mend")]
PREDICTED = [pair for pair in ALL if pair[1].kind == "predict"]
QUIZ = [(number, n) for number in LESSONS for n, _ in enumerate(exercises.load(number).quiz.questions, 1)]
NOTEBOOK = {"metrics": metrics, "math": math, "statistics": statistics, "np": np}


def names(pairs):
    return [f"{number}-{exercise.id}" for number, exercise in pairs]


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path / "own"))
    return tmp_path / "own"


def written(code, name):
    """The function of this name, as a learner's cell would make it."""
    scope = dict(NOTEBOOK)
    exec(code, scope)
    return scope[name]


def fresh(pair):
    number, exercise = pair
    return exercises.load(number).exercises[exercise.id]


# What there is.


def test_every_notebook_has_a_quiz_of_eight_and_all_between_first_and_last_have_four_exercises():
    assert exercises.lessons() == list(LESSONS)
    assert len(ALL) >= 24
    for number in LESSONS:
        lesson = exercises.load(number)
        assert len(lesson.quiz.questions) >= 8
        assert len(lesson.exercises) >= 4 or (number in QUIZ_ALONE and not lesson.exercises)
        assert {exercise.kind for exercise in lesson.exercises.values()} <= {"write", "mend", "answer", "predict"}


def test_the_three_bugs_of_published_kits_are_there_to_be_found():
    mended = {exercise.name for _, exercise in ALL if exercise.kind == "mend"}
    assert {"means", "rag_prompt", "labels_for"} <= mended
    base, rag = [0, 0], [1, 1]
    assert written(exercises.load("06").e2.given, "means")(base, rag) == {"rag": 0, "base": 1}
    assert "red" not in written(exercises.load("02").e4.given, "rag_prompt")(["It is red."], "What is it?")
    assert set(written(exercises.load("04").e1.given, "labels_for")([5, 6], [7, 2])) == {-100}


# Exercises in code.


@pytest.mark.parametrize("pair", CODED, ids=names(CODED))
def test_the_solution_is_right(pair):
    exercise = fresh(pair)
    outcome = exercise.check(written(exercise.solution_code, exercise.name))
    assert outcome.state == "right", outcome
    assert exercise.why in outcome.message


@pytest.mark.parametrize("pair", CODED, ids=names(CODED))
def test_every_known_wrong_answer_gets_its_own_reason(pair):
    exercise = fresh(pair)
    said = []
    for code in exercise.wrong:
        outcome = exercise.check(written(code, exercise.name))
        assert outcome.state == "wrong", code
        said.append(next(case["says"] for case in exercise.rule["cases"] if case["says"] in outcome.message))
    assert sorted(said) == sorted(case["says"] for case in exercise.rule["cases"])


@pytest.mark.parametrize("pair", CODED, ids=names(CODED))
def test_what_was_handed_out_counts_as_not_attempted(pair, own_results):
    exercise = fresh(pair)
    outcome = exercise.check(written(exercise.given, exercise.name))
    assert outcome.state == "not attempted", outcome
    assert not (own_results / "progress.json").exists()


@pytest.mark.parametrize("pair", CODED, ids=names(CODED))
def test_a_mistake_in_python_is_told_as_a_sentence(pair):
    exercise = fresh(pair)

    def broken(*given):
        raise ValueError("<b>no</b>")

    outcome = exercise.check(broken)
    assert outcome.state == "wrong" and "stopped with ValueError: <b>no</b>" in outcome.message
    assert "&lt;b&gt;no&lt;/b&gt;" in outcome._repr_html_() and "<b>no" not in outcome._repr_html_()
    assert exercise.check(3).state == "wrong"
    assert "without brackets" in exercise.check(3).message


@pytest.mark.parametrize("pair", CODED, ids=names(CODED))
def test_hints_and_reasons_do_not_give_the_solution_away(pair):
    exercise = fresh(pair)
    own = [line.strip() for line in exercise.solution_code.splitlines()]
    own = [line for line in own if line not in exercise.given and not line.startswith(("def ", "import "))]
    own = [line.removeprefix("return ") for line in own]
    assert own, "the solution is what was handed out"
    reasons = [exercise.check(written(code, exercise.name)).message for code in exercise.wrong]
    for text in [exercise.hint().data, exercise.text, *reasons]:
        assert not any(line in text for line in own)
    for case in exercise.rule["cases"]:
        if isinstance(case.get("gives"), int | float) and not isinstance(case["gives"], bool) and case["gives"] > 2:
            assert not re.search(rf"\b{case['gives']:g}\b", case["says"]), case["says"]


def test_a_function_that_changes_its_arguments_is_told_so():
    def in_place(start, name, options):
        points = [start | {name: option} for option in options]
        start.clear()
        return points

    outcome = exercises.load("03").e1.check(in_place)
    assert outcome.state == "wrong" and "changed what was handed to it" in outcome.message


def test_the_solution_shows_its_code_and_why():
    exercise = exercises.load("06").e2
    assert exercise.solution_code in exercise.solution().data and exercise.why in exercise.solution().data
    assert exercise.given in exercise._repr_markdown_() and exercise.heading in exercise._repr_markdown_()


# Predictions.


@pytest.mark.parametrize("pair", PREDICTED, ids=names(PREDICTED))
def test_a_prediction_is_kept_and_shown_beside_the_result(pair):
    exercise = fresh(pair)
    assert exercise.predict(...).state == "not attempted"
    assert exercise.check(0.5).state == "not attempted"
    if "choices" in exercise.rule:
        first, second = exercise.rule["choices"][:2]
        assert exercise.predict("nowhere").state == "wrong"
        assert exercise.predict(first).state == "kept"
        assert fresh(pair).check(first).state == "right"
        outcome = fresh(pair).check(second)
        assert outcome.state == "wrong" and f"You predicted {first}; measured: {second}." in outcome.message
        return
    low, high = exercise.rule["range"]
    middle, near = (low + high) / 2, exercise.rule["near"]
    assert exercise.predict(high + 1).state == "wrong" and exercise.predict("many").state == "wrong"
    assert exercise.predict(middle).state == "kept"
    assert fresh(pair).check(middle + 0.9 * near).state == "right"
    assert fresh(pair).check({"value": middle, "low": middle - near, "high": middle}).state == "right"
    for measured, reason in ((high, exercise.rule["low"]), (low, exercise.rule["high"])):
        outcome = fresh(pair).check(measured)
        assert outcome.state == "wrong" and reason in outcome.message
        assert f"You predicted {checks.told(middle)}; measured: {checks.told(measured)}." in outcome.message
    assert checks.told(middle) in exercise.predict(...).message


@pytest.mark.parametrize("pair", PREDICTED, ids=names(PREDICTED))
def test_the_hint_of_a_prediction_names_neither_a_figure_nor_a_choice(pair):
    exercise = fresh(pair)
    hint = exercise.hint().data
    assert not re.search(r"\d", re.sub(r"[Nn]otebook \d\d", "", hint)), "a figure in the hint is as good as the answer"
    assert not any(re.search(rf"\b{re.escape(choice)}\b", hint) for choice in exercise.rule.get("choices", ()))
    assert exercise.why not in hint


def test_only_predictions_can_be_predicted():
    with pytest.raises(KitError, match="asks for no prediction"):
        exercises.load("01").e1.predict(0.5)


# Values, which no notebook asks for yet in a cell of its own, go through the same check.


def test_a_value_is_checked_with_a_reason_for_each_known_mistake():
    rule = {"gives": [1, 2.5], "faults": [{"when": [1, 3], "says": "the second is off"}], "otherwise": "neither"}
    assert checks.check_value((1, 2.5 + 1e-9), rule).state == "right"
    assert checks.check_value([1, 3], rule) == checks.Verdict("wrong", "the second is off")
    assert checks.check_value("x", rule) == checks.Verdict("wrong", "neither")
    assert checks.check_value(..., rule).state == "not attempted"


def test_values_are_the_same_by_meaning_and_not_by_accident():
    assert checks.same({"a": (1, 2)}, {"a": [1.0, 2.0]}) and checks.same(None, None)
    assert not checks.same(True, 1) and not checks.same("1", 1) and not checks.same([1], [1, 2])
    assert not checks.same({"a": 1}, {"b": 1}) and not checks.same(None, 0)


# The quiz.


@pytest.mark.parametrize(("number", "n"), QUIZ, ids=[f"{number}-{n}" for number, n in QUIZ])
def test_one_choice_is_right_and_each_wrong_one_has_its_reason(number, n):
    quiz = exercises.load(number).quiz
    question = quiz.questions[n - 1]
    assert len(question.choices) >= 3 and len(set(question.choices)) == len(question.choices)
    outcomes = {choice: quiz.answer(n, choice) for choice in question.choices}
    assert [choice for choice, outcome in outcomes.items() if outcome.state == "right"] == [question.right]
    reasons = [outcome.message for outcome in outcomes.values()]
    assert len(set(reasons)) == len(reasons) and all(reasons)
    for choice, reason in question.says.items():
        assert question.right.lower() not in reason.lower() and outcomes[choice].message == reason
    letter = exercises.LETTERS[question.choices.index(question.right)]
    assert quiz.answer(n, letter).state == "right"


def test_the_right_choice_stands_in_no_fixed_place():
    places = [q.choices.index(q.right) for number in LESSONS for q in exercises.load(number).quiz.questions]
    shares = [places.count(place) / len(places) for place in range(3)]
    assert all(share > 0.15 for share in shares), shares


def test_a_quiz_question_or_choice_that_is_not_there_is_refused():
    quiz = exercises.load("01").quiz
    with pytest.raises(KitError, match="no question 99"):
        quiz.answer(99, "a")
    with pytest.raises(KitError, match="no choice 'z'"):
        quiz.answer(1, "z")
    assert quiz.answer(1, None).state == "not attempted"


# The notebooks, which repeat what the data files say.


@pytest.mark.parametrize("number", LESSONS)
def test_a_notebook_shows_its_exercises_word_for_word(number):
    found = [path for path in NOTEBOOKS.glob(f"{number}_*.ipynb") if f'exercises.load("{number}")' in sources(path)]
    if not found:
        pytest.skip(f"notebook {number} has no exercises yet")
    page, lesson = sources(found[0]), exercises.load(number)
    for exercise in lesson.exercises.values():
        assert exercise.heading in page and exercise.text in page and exercise.given in page
        assert f"q.{exercise.id}.check(" in page
        assert (f"q.{exercise.id}.predict(...)" in page) == (exercise.kind == "predict")
    assert "q.quiz" in page


def sources(path):
    return "\n".join(cell.source for cell in nbformat.read(path, 4).cells)


# Progress.


def test_progress_counts_what_was_right_once(own_results):
    lesson = exercises.load("05")
    assert lesson.done() == (0, 0)
    lesson.e3.check(lambda domain, share: round(domain * share))
    assert lesson.done() == (0, 0) and progress.entry("05", "e3") == {"state": "wrong", "tries": 1}
    lesson.e3.check(lambda domain, share: round(domain * share / (1 - share)))
    lesson.quiz.answer(1, lesson.quiz.questions[0].right)
    lesson.e3.check(lambda domain, share: 0)
    assert lesson.done() == (1, 1) and progress.entry("05", "e3") == {"state": "right", "tries": 3}
    assert json.loads((own_results / "progress.json").read_text(encoding="utf-8"))["05"]["e3"]["state"] == "right"


@pytest.mark.parametrize(
    "damaged", ["{", "[1]", '{"05": 3}', '{"05": {"e3": "right"}}', '{"05": {"e3": {"tries": "x"}}}']
)
def test_a_damaged_progress_file_is_no_hindrance(damaged, own_results):
    own_results.mkdir()
    (own_results / "progress.json").write_text(damaged, encoding="utf-8")
    lesson = exercises.load("05")
    assert lesson.done() == (0, 0)
    assert lesson.e3.check(lambda domain, share: round(domain * share / (1 - share))).state == "right"
    assert lesson.done() == (1, 0)
    kept = own_results / "progress.damaged.json"
    assert not kept.exists() if damaged.startswith('{"') else kept.read_text(encoding="utf-8") == damaged


def test_a_folder_that_cannot_be_written_is_told_and_does_not_stop_the_check(own_results):
    own_results.write_text("a file where the folder should be", encoding="utf-8")
    lesson = exercises.load("05")
    outcome = lesson.e3.check(lambda domain, share: round(domain * share / (1 - share)))
    assert outcome.state == "right" and "Your progress could not be kept" in outcome.message


def test_what_is_not_there_is_named():
    with pytest.raises(KitError, match="no exercises for notebook '99'"):
        exercises.load("99")
    with pytest.raises(AttributeError, match="no exercise 'e9'.*e1, e2"):
        _ = exercises.load("01").e9
    assert "e1" in dir(exercises.load("01"))


def test_a_tie_has_several_right_predictions():
    rule = {"choices": ["triage", "two_hop", "terms"], "otherwise": "Look again."}
    assert checks.check_prediction("two_hop", ["triage", "two_hop"], rule).state == checks.RIGHT
    wrong = checks.check_prediction("terms", ["triage", "two_hop"], rule)
    assert wrong.state == checks.WRONG and "triage" in wrong.reason and "two_hop" in wrong.reason
