"""What people read: catalogues in Mongolian and English, and the one place that fills them in.

``Catalogues`` holds the texts of ``locale/<language>/LC_MESSAGES/utaa.po`` (gettext files; any
translation editor opens them). ``compose`` makes a ``Text`` of the ``Facts`` of one message: subject,
body, a short form for the lock screen and the SMS. No text is cut in the middle of an instruction: only
the address gives way.
"""

from alerts.texts.catalogue import LANGUAGES, Catalogue, Catalogues, load_catalogues
from alerts.texts.compose import SHORT_LIMIT, Facts, Text, compose

__all__ = [
    "LANGUAGES", "SHORT_LIMIT", "Catalogue", "Catalogues", "Facts", "Text", "compose",
    "load_catalogues",
]  # fmt: skip
