"""Instant checks of an answer: is it right, or what is wrong with it? Every reason comes from the exercise's data."""

import copy
import html
import math
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

from IPython.display import HTML, display
from pydantic import BaseModel, ConfigDict

MARKS = {
    "right": ("✓ Right.", "#1a7f37"), "wrong": ("✗ Not yet.", "#b35900"),
    "not attempted": ("○ Not attempted.", "#6e7781"), "stopped": ("■ Stopped.", "#6e7781"),
}  # fmt: skip
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What a check says: `state` is one of MARKS, `message` says why, `hint` is folded away."""

    state: str
    message: str = ""
    hint: str = ""

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.state]
        look = f"border-left: 4px solid {colour}; padding: 2px 10px"
        hint = f"<details><summary>Hint</summary>{marked(self.hint)}</details>" if self.hint else ""
        return f"<div style='{look}'><b>{mark}</b> {marked(self.message)}{hint}</div>"


class Rule(BaseModel):
    """A part of an exercise's data file; a field that does not belong there is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=True)


class Case(Rule):
    """One call of the learner's function: its arguments (`given`), and what to say where the result is not right."""

    given: list[Any]
    says: str
    gives: Any = None
    matches: str = ""

    def fits(self, result: Any) -> bool:
        """Whether a result is right: it equals `gives`, or is a text in which the expression `matches` is found."""
        if self.matches:
            return isinstance(result, str) and bool(re.search(self.matches, result, re.DOTALL))
        return same(result, self.gives)


class FunctionRule(Rule):
    """A function is right when all cases are; the first case that is not is named. A call may take `seconds`."""

    cases: list[Case]
    seconds: float = 10.0

    def check(self, function: Any, name: str) -> Outcome:
        """Calls the function with each case's arguments, in order; an error or an endless loop becomes a sentence."""
        if not callable(function):
            return Outcome("wrong", f"Pass the function itself: `{name}` without brackets after it.")
        for case in self.cases:
            given, call = copy.deepcopy(case.given), f"{name}({', '.join(f'{value!r:.120}' for value in case.given)})"
            try:
                with at_most(self.seconds, function):
                    result = function(*given)
            except OutOfTime:
                again = "Does a loop in it never end?"
                return Outcome("wrong", f"`{call}` was stopped: it ran for more than {self.seconds:g} s. {again}")
            except KeyboardInterrupt:
                return Outcome("stopped", f"You interrupted `{call}`. Nothing was counted; run the cell again.")
            except (Exception, SystemExit) as error:
                return Outcome("wrong", f"`{call}` stopped with {type(error).__name__}: {error}")
            if not case.fits(result):
                return Outcome("wrong", f"`{call}` returned `{result!r:.120}`. {case.says}")
            if given != case.given:
                return Outcome("wrong", f"`{name}` changed its arguments, which would surprise the next caller.")
        return Outcome("right")


class OutOfTime(BaseException):
    """Raised inside a function that runs for too long; no `except Exception` in it holds this up."""


@contextmanager
def at_most(seconds: float, function: Callable[..., Any]) -> Iterator[None]:
    """Stops what runs inside the block, a call of `function`, after this time; nothing is left running.

    A timer's signal does it in the main thread, which runs a notebook's cells. Elsewhere, and on Windows, the lines of
    the function's own file are traced.
    """

    running = [True]

    def stop(*_: Any) -> None:
        if running:
            raise OutOfTime

    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)  # again and again, for a loop with a bare `except:`
        try:
            yield
        finally:
            running.clear()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return
    file, end = getattr(function, "__code__", stop.__code__).co_filename, time.monotonic() + seconds
    before = sys.gettrace()

    def trace(frame: Any, *_: Any) -> Any:
        if frame.f_code.co_filename == file:
            frame.f_trace_opcodes = True  # a loop of one line that does nothing reaches no other line
            return trace if time.monotonic() < end else stop()

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; numbers up to rounding, and a tuple equals a list of the same."""
    if isinstance(one, Real) and isinstance(other, Real) and bool not in (type(one), type(other)):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def marked(text: str) -> str:
    """A sentence as HTML: escaped, with what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")


def verdict(who: str, reply: str, right: bool) -> None:
    """Displays a model's reply, marked and coloured as right or wrong; `who` says which method gave it."""
    mark, colour = ("✓ right", "#d2f4d9") if right else ("✗ wrong", "#ffe0d1")
    look = f"background: {colour}; color: #1a1a1a; padding: 4px 10px; margin: 2px 0"
    display(HTML(f"<p style='{look}'><b>{mark}</b> · {html.escape(who)}: {html.escape(reply)}</p>"))
