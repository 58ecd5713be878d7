"""What a notebook prints first, and how it marks what a model says."""

from __future__ import annotations

import html
import sys

from IPython.display import HTML, display

from ..experiment import versions
from ..models import describe, hardware


def header() -> str:
    """Versions, and the machine with its speed, which tells how long a notebook takes here (docs/teaching.md)."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {packages}\n{describe(hardware())}"


def verdict(who: str, reply: str, right: bool) -> None:
    """Displays a model's reply, marked and coloured as right or wrong; `who` says which method gave it."""
    mark, colour = ("✓ right", "#d2f4d9") if right else ("✗ wrong", "#ffe0d1")
    look = f"background: {colour}; color: #1a1a1a; padding: 4px 10px; margin: 2px 0"
    display(HTML(f"<p style='{look}'><b>{mark}</b> · {html.escape(who)}: {html.escape(reply)}</p>"))
