"""What a notebook adds to reading: exercises, checks, progress, verdicts, widgets."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, ["exercises", "widgets"], {"checks": ["verdict"]})
