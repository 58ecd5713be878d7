"""Small checks of an answer: is it right, or what is wrong with it? Every sentence comes from the exercise's data.

A check never says what the right answer is: it names the reason, and shows at most what the learner's own code gave.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

RIGHT, WRONG, NOT_ATTEMPTED = "right", "wrong", "not attempted"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verdict:
    """What a check found: `state` is `right`, `wrong` or `not attempted`; `reason` is a sentence."""

    state: str
    reason: str = ""


def check_value(answer: Any, rule: Mapping[str, Any]) -> Verdict:
    """A plain answer: a number, a word, a list.

    Args:
        answer: What the learner wrote; `...` means nothing yet.
        rule: `gives` is the right value; `faults` lists known wrong ones (`when`) with what to say (`says`), and
            `otherwise` is said of any other.
    """
    if answer is ...:
        return Verdict(NOT_ATTEMPTED, "Write your answer in place of the three dots.")
    if same(answer, rule["gives"]):
        return Verdict(RIGHT)
    for fault in rule.get("faults", ()):
        if same(answer, fault["when"]):
            return Verdict(WRONG, fault["says"])
    return Verdict(WRONG, rule["otherwise"])


def check_function(function: Any, rule: Mapping[str, Any], name: str) -> Verdict:
    """A function: it is called with the arguments of each case, in order, and the first one that fails is told.

    Args:
        function: What the learner wrote; one that returns `...` has not been written yet.
        rule: `cases`, each with its arguments (`given`), what must come out (`gives` the value, `holds` these texts in
            this order, `lacks` this text), and what to say where it does not (`says`).
        name: How the exercise calls the function.
    """
    if function is ...:
        return Verdict(NOT_ATTEMPTED, f"Write the function `{name}` first.")
    if not callable(function):
        return Verdict(WRONG, f"Hand over the function itself: `{name}` without brackets behind it.")
    for case in rule["cases"]:
        given = copy.deepcopy(case["given"])
        try:
            came = function(*given)
        except Exception as error:
            return Verdict(WRONG, f"`{_call(name, case['given'])}` stopped with {type(error).__name__}: {error}")
        if came is ...:
            return Verdict(NOT_ATTEMPTED, f"Write the body of `{name}`: it still returns the three dots.")
        if not _holds(came, case):
            return Verdict(WRONG, f"`{_call(name, case['given'])}` gave `{_short(came)}`. {case['says']}")
        if given != case["given"]:
            return Verdict(WRONG, f"`{name}` changed what was handed to it, and the next caller would be surprised.")
    return Verdict(RIGHT)


def check_prediction(predicted: Any, measured: Any, rule: Mapping[str, Any]) -> Verdict:
    """A prediction beside what was measured; here the result may be shown, since the run has shown it already.

    Args:
        predicted: A number, or one of the rule's `choices`.
        measured: A number, a choice, a list of choices of which each is right (a tie), or a mapping with `value` and
            its interval `low` to `high`.
        rule: `near` is how far off still counts as right where there is no interval; `low`, `high` and `otherwise` are
            said of a prediction that was too low, too high, or another choice.
    """
    tied = measured if "choices" in rule and isinstance(measured, list) else [measured]
    beside = f"You predicted {told(predicted)}; measured: {' and '.join(map(told, tied))}."
    if "choices" in rule:
        right = predicted in tied
        return Verdict(RIGHT, beside) if right else Verdict(WRONG, f"{beside} {rule['otherwise']}")
    if isinstance(measured, Mapping):
        low, high = measured["low"], measured["high"]
    else:
        low, high = measured - rule["near"], measured + rule["near"]
    if low - TOLERANCE <= predicted <= high + TOLERANCE:
        return Verdict(RIGHT, beside)
    return Verdict(WRONG, f"{beside} {rule['low'] if predicted < low else rule['high']}")


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; numbers up to rounding, and a tuple equals a list of the same."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, Real) and isinstance(other, Real):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def as_given(function: Any, source: str, name: str) -> bool:
    """Whether a function is still, instruction for instruction, the one that the exercise handed out."""
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    original = next(
        (part for part in compile(source, "<exercise>", "exec").co_consts if getattr(part, "co_name", "") == name), None
    )
    return original is not None and _instructions(code) == _instructions(original)


def told(value: Any) -> str:
    """A measured or predicted value in words, with its interval where it has one."""
    if isinstance(value, Mapping):
        return f"{value['value']:.2f} (interval {value['low']:.2f} to {value['high']:.2f})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _instructions(code: Any) -> tuple[Any, ...]:
    consts = tuple(_instructions(part) if hasattr(part, "co_code") else part for part in code.co_consts)
    return code.co_code, consts, code.co_names, code.co_varnames


def _holds(came: Any, case: Mapping[str, Any]) -> bool:
    if "gives" in case and not same(came, case["gives"]):
        return False
    if "holds" not in case and "lacks" not in case:
        return True
    if not isinstance(came, str):
        return False
    return case.get("lacks", "\0") not in came and _in_order(came, case.get("holds", ()))


def _in_order(text: str, parts: Sequence[str]) -> bool:
    place = 0
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _call(name: str, given: Sequence[Any]) -> str:
    return f"{name}({', '.join(_short(value) for value in given)})"


def _short(value: Any, longest: int = 120) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= longest else f"{text[:longest]} ..."


RULES: dict[str, Callable[..., Verdict]] = {
    "value": check_value,
    "cases": check_function,
    "prediction": check_prediction,
}
