"""When Python looks for garbage, in the processes of the project's own."""

from __future__ import annotations

import atexit
import gc


def rarely_look_for_garbage() -> None:
    """Look for garbage seldom, and not at exit.

    Modules and boards are many small objects that live to the end: looking through them while they are made, and once
    more at exit, would take a fifth of a short command's time.
    """
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)
