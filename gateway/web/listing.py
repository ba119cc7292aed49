"""Every list of the pages, declared once: what it says while nothing is in it, and how it fills.

A template shows one by the macro ``listed`` of ``parts.html``. Rows that are None are another's to see;
none at all is the emptiness told here; what was cut off is counted. ``lists.js`` adds what a browser
alone knows: it loads, it failed, it is old. ``STATES`` are all; ``gallery.html`` shows each of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What a list can be in besides showing its rows.
STATES: Final = ("empty", "loading", "failed", "no_permission", "too_many", "stale")


@dataclass(frozen=True)
class Listed:
    """A list: ``title`` and the two texts are keys of the catalogues.

    ``good``: that nothing is in it is good news and is said so.
    """

    title: str
    empty: str
    hint: str = ""
    good: bool = False


#: By the name its template calls it.
LISTS: Final[dict[str, Listed]] = {
    # the city now, and the duty desk
    "incidents": Listed("Open incidents", "Nothing is open", good=True),
    "recent": Listed("Recently over", "Nothing yet."),
    "sites": Listed(
        "Sites and detectors", "No site has reported yet.",
        "Connect an edge agent: its site appears here by itself.",
    ),
    "site-detectors": Listed(
        "Detectors of a site", "No detector was heard here yet.",
        "It appears by itself with its first message.",
    ),
    "desk": Listed("Duty desk", "Nothing is open", good=True),
    "wall": Listed("Wall", "All quiet", good=True),
    "told": Listed("What happened, and who was told", "Nothing yet."),
    "shift-open": Listed("Open now", "Nothing is open", good=True),
    "shift-ended": Listed("Closed in this shift", "Nothing yet."),
    "shift-notes": Listed("Notes", "Nothing yet.", "Notes are written on the page of an incident."),
    # the office
    "cameras": Listed(
        "Cameras", "There is no camera yet.", "Enter one, or import the table you have."
    ),
    "camera-seen": Listed("What was seen of it", "Nothing was recorded of it yet."),
    "camera-past": Listed("History", "Nothing was recorded of it yet."),
    "camera-life": Listed("Life", "No step was recorded yet."),
    "detector-life": Listed("Life", "No step was recorded yet."),
    "detector-stays": Listed("Where it hung", "It has hung nowhere yet."),
    "households": Listed(
        "Homes", "There is no home yet.", "Import the list of homes, or enter them by the API."
    ),
    "home-contacts": Listed(
        "Who is told", "Nobody is told yet.", "Enter the family's numbers, or import them."
    ),
    "home-detectors": Listed("Detectors", "No detector hangs in this home yet."),
    "home-past": Listed("History", "Nothing was recorded of it yet."),
    "imports": Listed(
        "Imports", "No file was taken up yet.",
        "Upload the table you keep now: headings are matched by themselves.",
    ),
    "import-rows": Listed("Rows to look at", "No row needs to be looked at.", good=True),
    "import-kept": Listed("Records left as they are", "No record was changed since.", good=True),
    "papers-waiting": Listed("Specifications that wait for me", "Nothing waits for you.", good=True),
    "papers": Listed(
        "All specifications", "There is none here.",
        "A draft begins with the requirements usual for its kind.",
    ),
    "paper-files": Listed("Attached files", "No file is attached."),
    "paper-comments": Listed("Comments", "Nobody has said anything yet."),
    "fibre-outages": Listed("Cuts", "No cut is open.", good=True),
    "fibre-hops": Listed("Every hop", "Nothing is connected there."),
    "fibre-impact": Listed("Who hangs on", "Nobody loses the connection.", good=True),
    "fibre-causes": Listed("Where is the cut?", "No section explains it."),
    "fibre-wrong": Listed("What in the plant cannot be", "Nothing wrong was found.", good=True),
    "late-findings": Listed("Findings overdue", "None is late.", good=True),
    "late-requests": Listed("Requests overdue", "None is late.", good=True),
    "support": Listed("Support that ends", "Nothing ends within 90 days.", good=True),
    "audit": Listed("Audit", "Nothing was done yet."),
    # the family
    "my-detectors": Listed(
        "Detectors at home", "No detector belongs to your home yet.",
        "When the technician has put one up, it appears here by itself.",
    ),
    "my-charts": Listed("Measurements", "No values in this time."),
    "my-alarms": Listed("What happened", "Nothing happened in the last three months.", good=True),
    "my-people": Listed(
        "Who is told", "Nobody is told yet.", "Ask your khoroo to enter the numbers of your family."
    ),
    "my-ways": Listed("Ways to reach somebody", "Cannot be reached by anything yet."),
    "my-requests": Listed("What you have said", "Nothing yet."),
}  # fmt: skip
