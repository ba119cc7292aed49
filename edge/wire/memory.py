"""The collector of unreachable objects, for processes that run for months and must not pause."""

from __future__ import annotations

import gc

#: So many new objects before a look for unreachable ones (the default is 700): a fire makes thousands,
#: nearly all of them gone with their last reference.
NEW_OBJECTS = 5_000


def keep_what_is_loaded() -> None:
    """Once a process has started: leave libraries, settings and tables out of every later look.

    A full look over a gateway's half a million objects takes a tenth of a second in which nothing else
    runs, and comes again and again in a storm. What is made from now on is looked at as before.
    """
    gc.collect()
    gc.freeze()
    _, second, third = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, second, third)
