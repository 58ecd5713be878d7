"""Exercises and quizzes: each solution is right, each known wrong answer has its own reason, nothing is given away."""

import ast
import functools
import json
import linecache
import signal
import sys
import threading

import ipywidgets
import nbformat
import pytest
import yaml

from helpers.data.records import DataError, KitError
from helpers.lessons import checks, exercises
from tools.lessons import NOTEBOOKS

LESSONS = sorted(path.stem for path in exercises.FOLDER.glob("*.yaml"))
ALL = [exercise for number in LESSONS for exercise in exercises.load(number).exercises]


def each(found):
    return pytest.mark.parametrize("exercise", found, ids=[exercise.key for exercise in found])


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path / "own"))
    return tmp_path / "own"


@functools.cache
def imported(number):
    """What the cells of a notebook import, by its names there."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    sources = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    exec("\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)), scope := {})
    return scope


def written(code, exercise):
    """The function as a learner's cell makes it: Python finds its source, as it finds that of a cell."""
    cell = f"<cell {hash(code)}>"
    linecache.cache[cell] = len(code), None, code.splitlines(keepends=True), cell
    exec(compile(code, cell, "exec"), scope := dict(imported(exercise.key[:2])))
    return scope[exercise.name]


# Exercises in code.


@each(ALL)
def test_the_solution_is_right_and_every_known_wrong_answer_gets_its_own_reason(exercise):
    outcome = exercise.check(written(exercise.solution_code, exercise))
    assert outcome.state == "right" and exercise.why in outcome.message, outcome
    reasons = []
    for code in exercise.wrong:
        outcome = exercise.check(written(code, exercise))
        assert outcome.state == "wrong", code
        reasons.append(next(case.says for case in exercise.rule.cases if case.says in outcome.message))
    assert reasons and len(set(reasons)) == len(reasons)


@each(ALL)
def test_what_was_handed_out_is_not_attempted_and_a_mistake_in_python_is_a_sentence(exercise, own_results):
    assert exercise.check(written(exercise.given, exercise)).state == "not attempted"
    assert exercise.check(...).state == "not attempted" and not (own_results / "progress.json").exists()

    def broken(*given):
        raise ValueError("<b>no</b>")

    outcome = exercise.check(broken)
    assert outcome.state == "wrong" and "stopped with ValueError: <b>no</b>" in outcome.message
    assert "&lt;b&gt;no&lt;/b&gt;" in outcome._repr_html_() and "<b>no" not in outcome._repr_html_()
    assert exercise.check(3).state == "wrong"


@each(ALL)
def test_hints_and_reasons_do_not_give_the_solution_away(exercise):
    own = [line.strip() for line in exercise.solution_code.splitlines()]
    own = [line for line in own if line not in exercise.given and not line.startswith(("def ", "import "))]
    own = [line.removeprefix("return ") for line in own]
    assert own and all(line in exercise.solution().data for line in own), "the solution is what was handed out"
    reasons = [exercise.check(written(code, exercise)).message for code in exercise.wrong]
    for text in [exercise.hint().data, exercise.text, *reasons]:
        assert not any(line in text for line in own)


def test_a_function_that_changes_its_arguments_is_wrong():
    rule = checks.FunctionRule(cases=[{"given": [[1, 2]], "gives": 3, "says": "Add them."}])
    assert rule.check(sum, "total").state == "right"
    outcome = rule.check(lambda numbers: numbers.pop() + numbers.pop(), "total")
    assert outcome.state == "wrong" and "changed its arguments" in outcome.message


ENDLESS = """
def one_line(x):
    while True: pass
def catches(x):
    while True:
        try:
            x += 1
        except Exception:
            pass
"""


def test_an_endless_loop_and_an_interruption_end_in_a_sentence(own_results):
    exec(compile(ENDLESS, "<cell endless>", "exec"), scope := {})
    rule = checks.FunctionRule(cases=[{"given": [1], "gives": 2, "says": "No."}], seconds=0.2)
    before, outcomes = signal.getsignal(signal.SIGALRM), []

    def attempt():
        outcomes.extend(rule.check(scope[name], name) for name in ("one_line", "catches"))

    attempt()
    (beside := threading.Thread(target=attempt)).start()  # where no signal reaches
    beside.join(30)
    assert len(outcomes) == 4 and all(o.state == "wrong" and "more than 0.2 s" in o.message for o in outcomes)
    assert signal.getsignal(signal.SIGALRM) == before and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert sys.gettrace() is None or "checks" not in repr(sys.gettrace())

    def interrupted(*given):
        raise KeyboardInterrupt

    outcome = ALL[0].check(interrupted)
    assert outcome.state == "stopped" and "interrupted" in outcome.message and not exercises.progress()


def test_results_are_compared_by_meaning_and_texts_by_a_pattern():
    assert checks.same({"a": (1, 2)}, {"a": [1.0, 2.0 + 1e-9]}) and checks.same(None, None)
    assert not checks.same(True, 1) and not checks.same("1", 1) and not checks.same([1], [1, 2])
    assert not checks.same({"a": 1}, {"b": 1}) and not checks.same(None, 0)
    case = checks.Case(given=[], says="No.", matches="^(?!.*three).*one.*two")
    assert case.fits("one (\n two") and not case.fits("two one") and not case.fits("one two three") and not case.fits(1)


@pytest.mark.parametrize("number", LESSONS)
def test_most_exercises_of_a_lesson_use_the_libraries(number):
    lesson = exercises.load(number)
    ours = ("helpers", "IPython", *sys.stdlib_module_names)
    library = {
        name for name, thing in imported(number).items()
        if (getattr(thing, "__module__", "") or getattr(thing, "__name__", "")).split(".")[0] not in ours
    }  # fmt: skip
    using = [
        exercise.id for exercise in lesson.exercises
        if library & {node.id for node in ast.walk(ast.parse(exercise.solution_code)) if isinstance(node, ast.Name)}
    ]  # fmt: skip
    assert len(lesson.exercises) == (0 if number == "00" else 5) and (number == "00" or len(using) >= 3), using


# The quiz.


@pytest.mark.parametrize("number", LESSONS)
def test_one_choice_is_right_and_each_wrong_one_has_its_reason(number):
    asked = exercises.load(number).quiz
    assert len(asked.questions) in (4, 5)
    assert len({question.choices.index(question.right) for question in asked.questions}) >= 2, "it has no fixed place"
    for n, question in enumerate(asked.questions, 1):
        assert len(question.choices) == 4 and len(set(question.choices)) == 4
        lengths = [len(choice) for choice in question.wrong]
        assert 0.5 * min(lengths) <= len(question.right) <= 1.5 * max(lengths), "its length gives the right one away"
        outcomes = {choice: asked.answer(n, choice) for choice in question.choices}
        assert [choice for choice, outcome in outcomes.items() if outcome.state == "right"] == [question.right]
        assert len({outcome.message for outcome in outcomes.values()}) == len(outcomes)
        for choice, reason in question.wrong.items():
            assert reason and question.right.lower() not in reason.lower() and outcomes[choice].message == reason


def test_the_quiz_on_the_page_gives_its_verdicts_keeps_them_and_counts():
    quiz = exercises.load("02").quiz
    total = ipywidgets.HTML()
    _, choices, button, verdict = quiz.question_box(1, total).children
    button.click()
    assert "Not attempted" in verdict.value and "0 of" in total.value
    wrong = next(choice for choice in choices.options if choice != quiz.questions[0].right)
    for choice, state in ((wrong, "Not yet"), (quiz.questions[0].right, "Right")):
        choices.value = choice
        assert verdict.value == "", "a verdict belongs to the choice that it was given for"
        button.click()
        assert state in verdict.value
        _, again, _, said = quiz.question_box(1, total).children  # the cell is run again
        assert again.value == choice and said.value == verdict.value
    assert f"1 of {len(quiz.questions)}" in total.value
    exercises.keep("02/quiz1", checks.Outcome("wrong"), choice="a choice of an older edition")
    assert quiz.question_box(1, total).children[1].value is None
    page = quiz.static()
    assert all(checks.marked(question.ask) in page for question in quiz.questions)
    assert not any(checks.marked(question.because) in page for question in quiz.questions)


# The notebooks, which repeat what the data files say.


@pytest.mark.parametrize("number", LESSONS)
def test_a_notebook_shows_its_exercises_word_for_word(number):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    page, lesson = "\n".join(cell.source for cell in nbformat.read(path, 4).cells), exercises.load(number)
    for exercise in lesson.exercises:
        assert exercise.title in page and exercise.text in page and exercise.given in page
    assert f'exercises.load("{number}")' in page


# Progress, and what is not there.


@pytest.fixture
def solve():
    """One of the exercises in code, and a right answer to it."""
    return ALL[0], written(ALL[0].solution_code, ALL[0])


def test_what_was_right_once_stays_right(own_results, solve):
    exercise, right = solve
    for answer, state in ((written(exercise.wrong[0], exercise), "wrong"), (right, "right")):
        exercise.check(answer)
        assert exercises.progress()[exercise.key] == {"state": state}
    exercise.check(written(exercise.wrong[0], exercise))
    assert json.loads((own_results / "progress.json").read_text(encoding="utf-8"))[exercise.key]["state"] == "right"


@pytest.mark.parametrize("damaged", ["{", "[1]", '{"%s": 3}'])
def test_a_damaged_progress_file_does_not_stop_a_check(damaged, own_results, solve):
    own_results.mkdir()
    (own_results / "progress.json").write_text(damaged.replace("%s", solve[0].key), encoding="utf-8")
    assert exercises.progress() == {} and solve[0].check(solve[1]).state == "right"
    assert exercises.progress() == {solve[0].key: {"state": "right"}}


def test_what_is_not_there_and_what_is_damaged_is_named(tmp_path, monkeypatch):
    for wrong, text in ((lambda: exercises.load("99"), "'99'.*01"),):
        with pytest.raises(KitError, match=text):
            wrong()
    record = yaml.safe_load((exercises.FOLDER / "01.yaml").read_text(encoding="utf-8"))
    record["exercises"][0]["rule"]["sais"] = "a slip of the pen"
    (tmp_path / "01.yaml").write_text(yaml.safe_dump(record), encoding="utf-8")
    monkeypatch.setattr(exercises, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"(?s)01\.yaml.*sais"):
        exercises.load("01")
