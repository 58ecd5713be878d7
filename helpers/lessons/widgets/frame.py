"""What all widgets share: a title, labelled controls, a line that says what is going on, and a result.

Slow work runs on a button and never on a drag. A result always says which settings it belongs to: when they have been
changed since, the status line says so, and pressing the button twice does not do the work twice. Every text is escaped.
"""

from __future__ import annotations

import html
import itertools
import math
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import traitlets
from IPython.display import HTML, display

from ...data import KitError

LABEL_WIDTH = "150px"
STATIC = "kit-static"
HANDLE = (
    ".kit-slider .noUi-handle {visibility: hidden}"
    " .kit-slider .noUi-handle::after {visibility: visible; content: ''; display: block; position: absolute; inset: 0;"
    " left: 0; width: auto; height: auto; border-radius: 50%; background: #1976d2; cursor: pointer}"
)
_numbers = itertools.count(1)


def static_name() -> str:
    """A new class name for a static part, by which the live part that stands beside it hides it."""
    return f"{STATIC}-{next(_numbers)}"


def escape(text: Any) -> str:
    """A text from a document, a model or a learner, as HTML that shows it and does nothing."""
    return html.escape(str(text), quote=True).replace("\n", "<br>")


def marked(text: str) -> str:
    """A sentence of the kit's own data files as HTML: escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML; caption and head are plain texts, the cells are HTML already."""
    top = "".join(f"<th scope='col' style='text-align: left'>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align: left; vertical-align: top'>{c}</td>" for c in r) + "</tr>"
        for r in rows
    )
    return (
        f"<table style='margin: 6px 0; line-height: 1.35'><caption style='text-align: left'>{escape(caption)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


def labelled(kind: type[ipywidgets.Widget], label: str, width: str = "480px", **options: Any) -> ipywidgets.Widget:
    """A control with its visible name, which is what a screen reader says too."""
    return kind(
        description=label, style={"description_width": LABEL_WIDTH}, layout=ipywidgets.Layout(width=width), **options
    )


class NumberSlider(ipywidgets.HBox):
    """A number that can be typed or dragged; `value` follows both.

    The handle of ipywidgets' slider has no accessible name, so it is hidden from screen readers and the keyboard, which
    use the labelled field beside it; what the mouse drags is drawn in the handle's place.
    """

    value = traitlets.Any()
    _moving = False

    def __init__(self, label: str, low: float, high: float, step: float, value: float, logarithmic: bool = False):
        """A slider from `low` to `high`; whole numbers where all of them are; `logarithmic` for powers of ten.

        A `value` beyond an end moves that end: what is computed with must be what is shown.
        """
        low, high = min(low, value), max(high, value)
        whole = all(isinstance(number, int) for number in (low, high, step, value))
        field_kind = ipywidgets.BoundedIntText if whole else ipywidgets.BoundedFloatText
        limits = {"min": low, "max": high, "step": step}
        self.description, self.logarithmic = label, logarithmic
        self.field = labelled(field_kind, label, "250px", **limits, value=value)
        look = {"readout": False, "layout": ipywidgets.Layout(width="230px")}
        if logarithmic:
            ends = {"min": math.log10(low), "max": math.log10(high), "step": 0.01}
            self.slider = ipywidgets.FloatSlider(**ends, value=math.log10(value), **look)
        else:
            slider_kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
            self.slider = slider_kind(**limits, value=value, **look)
        self.slider.add_class("kit-slider")
        super().__init__([self.field, self.slider])
        self.value = value
        self.field.observe(lambda change: self._move(change["new"], self.field), "value")
        self.slider.observe(lambda change: self._move(self._from_slider(change["new"]), self.slider), "value")
        self.observe(lambda change: self._move(change["new"], None), "value")

    def _from_slider(self, at: float) -> float:
        if not self.logarithmic:
            return at
        number = 10**at
        return type(self.field.value)(float(f"{number:.2g}"))

    def _move(self, value: float, moved: ipywidgets.Widget | None) -> None:
        """Brings the other parts to where one of them was moved."""
        if self._moving:
            return
        self._moving = True
        try:
            if moved is not self.field:
                self.field.value = value
            if moved is not self.slider:
                self.slider.value = math.log10(value) if self.logarithmic else value
            self.value = self.field.value
        finally:
            self._moving = False


class Panel:
    """A widget on the page; the widgets of this package fill it with controls and with what happens on the button.

    `controls` are what the learner sets, by name; `result` shows what came out of the settings in `shown`.
    """

    def __init__(
        self,
        title: str,
        controls: dict[str, ipywidgets.Widget],
        work: Callable[..., str],
        action: str = "",
        expected_s: float | None = None,
    ):
        """Puts a panel together; `refresh` or the button then fills it.

        Args:
            title: Stands above it.
            controls: Widgets with a `value`, by the name under which `work` gets it.
            work: Makes the result from the controls' values, as HTML; it escapes what it shows.
            action: What the button says; empty for work that is done at once, at every change.
            expected_s: Seconds that the first run is expected to take, where that is known.
        """
        self.title, self.controls, self.work, self.expected_s = title, controls, work, expected_s
        self.static_name = static_name()
        self.status, self.result = ipywidgets.HTML(), ipywidgets.HTML()
        self.button = ipywidgets.Button(description=action, button_style="primary") if action else None
        self.shown: dict[str, Any] | None = None
        for control in controls.values():
            control.observe(lambda _: self._changed(), "value")
        if self.button:
            self.button.on_click(lambda _: self.refresh())
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HTML(f"<b>{escape(title)}</b><style>.{self.static_name} {{display: none}} {HANDLE}</style>"),
                *controls.values(),
                *([self.button] if self.button else []),
                self.status,
                self.result,
            ]
        )

    @property
    def values(self) -> dict[str, Any]:
        """What the controls are set to now."""
        return {name: control.value for name, control in self.controls.items()}

    def refresh(self) -> None:
        """Does the work for the present settings, unless their result is what is shown already."""
        wanted = self.values
        if wanted == self.shown:
            self.say("This is the result of these settings already.")
            return
        self.busy(True)
        started = time.perf_counter()
        try:
            made = self.work(**wanted)
        except KitError as error:
            self.fail(str(error))
        except KeyboardInterrupt:
            self.fail("Stopped. Press the button to begin again." if self.button else "Stopped.")
        except Exception as error:
            self.fail(f"This did not work: {type(error).__name__}: {error}")
        else:
            self.result.value, self.shown = made, wanted
            self.expected_s = time.perf_counter() - started
            self.say(f"Done in {self.expected_s:.1f} s." if self.button else "")
        finally:
            self.busy(False)

    def busy(self, working: bool) -> None:
        """Locks the button while work goes on, and says how long it should take."""
        if self.button:
            self.button.disabled = working
            if working:
                usual = f" The last time it took {self.expected_s:.1f} s." if self.expected_s else ""
                self.say(f"Working ...{usual}")

    def say(self, text: str) -> None:
        """Puts a sentence into the status line, which screen readers announce."""
        self.status.value = f"<div role='status' aria-live='polite'>{escape(text)}</div>" if text else ""

    def fail(self, text: str) -> None:
        """Shows what went wrong as a sentence, and takes the result of other settings away."""
        self.result.value, self.shown = "", None
        self.status.value = f"<div role='alert'><b>⚠</b> {escape(text)}</div>"

    def static(self) -> str:
        """What a page without a kernel shows in place of the panel: its settings and its result."""
        rows = [(escape(control.description or name), escape(self._told(control))) for name, control in self._named()]
        settings = table("Settings", ["setting", "value"], rows) if rows else ""
        return f"<b>{escape(self.title)}</b>{settings}{self.result.value}{self.status.value}"

    def _named(self) -> list[tuple[str, ipywidgets.Widget]]:
        return list(self.controls.items())

    @staticmethod
    def _told(control: ipywidgets.Widget) -> str:
        return str(getattr(control, "label", None) or control.value)

    def _changed(self) -> None:
        if self.button is None:
            self.refresh()
        elif self.values == self.shown:
            self.say("")
        elif self.shown is not None:
            self.say(f"The settings have changed since. Press “{self.button.description}” to see their result.")

    def _ipython_display_(self) -> None:
        display(HTML(f"<div class='{self.static_name}'>{self.static()}</div>"))
        display(self.box)
