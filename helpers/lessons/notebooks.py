"""What a notebook prints first."""

from __future__ import annotations

import sys

from ..experiment import versions
from ..models import describe, hardware


def header() -> str:
    """Versions, and the machine with its speed, which tells how long a notebook takes here (docs/teaching.md)."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {packages}\n{describe(hardware())}"
