"""What all widgets share: labelled controls, a status line, a result, and what a page without a kernel shows instead.

Slow work runs on a button and never on a drag. What comes from documents, models and learners is escaped.
"""

from __future__ import annotations

import html
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.display import HTML, display

from ...data import KitError

# A slider's handle has no accessible name: it is hidden from screen readers and the keyboard, which use the labelled
# field beside it, and what the mouse drags is drawn in its place.
STYLE = (
    ".kit-slider .noUi-handle {visibility: hidden}"
    " .kit-slider .noUi-handle::after {visibility: visible; content: ''; display: block; position: absolute; inset: 0;"
    " left: 0; width: auto; height: auto; border-radius: 50%; background: #1976d2; cursor: pointer}"
)


def escape(text: Any) -> str:
    """A text from a document, a model or a learner, as HTML that shows it and does nothing."""
    return html.escape(str(text), quote=True).replace("\n", "<br>")


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML; caption and head are plain texts, the cells are HTML already."""
    left = "style='text-align: left; vertical-align: top; padding: 2px 12px 2px 0'"
    top = "".join(f"<th scope='col' {left}>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td {left}>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    begin = f"<table style='margin: 6px 0; line-height: 1.35'><caption {left}>{escape(caption)}</caption>"
    return f"{begin}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def labelled(kind: type[ipywidgets.Widget], label: str, width: str = "480px", **options: Any) -> ipywidgets.Widget:
    """A control with its visible name, which is what a screen reader says too."""
    return kind(description=label, style={"description_width": "150px"}, layout={"width": width}, **options)


def number(label: str, low: float, high: float, step: float, value: float) -> ipywidgets.Widget:
    """A field for a number, whole where all of these are; its `row` is the field beside a slider that follows it."""
    limits = {"min": min(low, value), "max": max(high, value), "step": step, "value": value}
    whole = all(isinstance(limit, int) for limit in limits.values())
    field = labelled(ipywidgets.BoundedIntText if whole else ipywidgets.BoundedFloatText, label, "250px", **limits)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    slider = kind(readout=False, continuous_update=False, layout={"width": "230px"}, **limits)
    slider.add_class("kit-slider")
    ipywidgets.jslink((field, "value"), (slider, "value"))
    field.row = ipywidgets.HBox([field, slider])
    return field


def show_with_static(static: str, live: ipywidgets.Widget) -> None:
    """Displays a widget, and HTML for pages without a kernel: where the widget is drawn, it hides the HTML."""
    name = f"kit-static-{uuid.uuid4().hex[:8]}"
    display(HTML(f"<div class='{name}'>{static}</div>"))
    display(ipywidgets.VBox([ipywidgets.HTML(f"<style>.{name} {{display: none}} {STYLE}</style>"), live]))


class Panel:
    """A title, `controls`, a button, a status line, and the `result` of the settings in `shown`.

    `work` makes the result as HTML, in which it escapes what is not its own, from the controls' values by their names.
    `action` is what the button says; empty for work that is quick and follows every change.
    """

    def __init__(self, title: str, controls: dict[str, ipywidgets.Widget], work: Callable[..., str], action: str = ""):
        self.title, self.controls, self.work = title, controls, work
        self.shown: dict[str, Any] | None = None
        self.status, self.result = ipywidgets.HTML(), ipywidgets.HTML()
        self.button, self.at_once = ipywidgets.Button(description=action, button_style="primary"), not action
        self.button.on_click(lambda _: self.refresh())
        self.bar = ipywidgets.HBox([] if self.at_once else [self.button])
        for control in controls.values():
            control.observe(lambda _: self.changed(), "value")
            control.on_msg(self.entered)
        rows = [ipywidgets.HTML(f"<b>{escape(title)}</b>"), *(getattr(each, "row", each) for each in controls.values())]
        self.box = ipywidgets.VBox([*rows, self.bar, self.status, self.result])

    @property
    def values(self) -> dict[str, Any]:
        """What the controls are set to now."""
        return {name: control.value for name, control in self.controls.items()}

    def refresh(self) -> Panel:
        """Does the work for the present settings, unless their result is shown already; returns the panel."""
        if self.values == self.shown:
            return self
        self.button.disabled, self.shown = True, self.values
        self.say("" if self.at_once else "Working ...")
        try:
            self.result.value = self.work(**self.shown)
            self.say("" if self.at_once else "Done.")
        except (Exception, KeyboardInterrupt) as error:
            self.fail(error)
        self.button.disabled = False
        return self

    def changed(self) -> None:
        """Follows a control: at once, or with a note that the result belongs to other settings."""
        if self.at_once:
            self.refresh()
        elif self.shown is not None:
            stale = f"The settings have changed. Press “{self.button.description}” to see their result."
            self.say("" if self.values == self.shown else stale)

    def entered(self, _: Any, content: dict[str, Any], __: Any) -> None:
        """Follows the Enter key in a text field."""
        if content.get("event") == "submit":
            self.refresh()

    def say(self, text: str) -> None:
        """Puts a sentence into the status line, which screen readers announce."""
        self.status.value = f"<div role='status' aria-live='polite'>{escape(text)}</div>" if text else ""

    def fail(self, error: BaseException) -> None:
        """Shows what went wrong as a sentence, and takes the result of other settings away."""
        text = str(error) if isinstance(error, KitError) else f"This did not work: {type(error).__name__}: {error}"
        self.result.value, self.shown = "", None
        self.status.value = f"<div role='alert'><b>⚠</b> {escape(text)}</div>"

    def static(self) -> str:
        """What a page without a kernel shows in place of the panel: its settings and its result."""
        live = "<p><i>Run this cell to use it.</i></p>"
        told = [(each.description, getattr(each, "label", None) or each.value) for each in self.controls.values()]
        settings = table("Settings", ["setting", "value"], [map(escape, row) for row in told])
        return f"<b>{escape(self.title)}</b>{live}{settings}{self.result.value}{self.status.value}"

    def _ipython_display_(self) -> None:
        show_with_static(self.static(), self.box)
