"""What the user can mend, as one line; and the message when the optional parts are not installed."""

from __future__ import annotations

import importlib
from typing import Any


class CameraError(Exception):
    """Something the user can mend: what, where, what to do."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")


class PartMissing(CameraError):
    """The optional libraries for cameras are not installed."""

    def __init__(self, module: str) -> None:
        super().__init__("cameras", f"{module} is not installed; pip install 'utaa[cameras]'")


def need(module: str) -> Any:
    """The library, or a ``PartMissing`` that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise PartMissing(module) from None
