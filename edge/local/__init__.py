"""A read-only page of one detector on the home's own network, for a technician without signal.

Cast: ``facts_of`` (what the core knows of a detector now), ``page`` (as HTML, pure), ``LocalPage`` (a
small HTTP server: one key for each detector and day, few connections, short patience). Off unless the
agent's settings have ``local_page``.
"""

from __future__ import annotations

from edge.local.facts import Facts, facts_of
from edge.local.page import page
from edge.local.serve import LocalPage, read_secret

__all__ = ["Facts", "LocalPage", "facts_of", "page", "read_secret"]
