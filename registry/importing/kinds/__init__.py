"""The kinds of records that can be imported, one module each; ``KINDS`` has them by name."""

from __future__ import annotations

from typing import Final

from registry.importing.kinds.base import Kind
from registry.importing.kinds.cameras import CAMERA_MODELS, CAMERAS
from registry.importing.kinds.homes import DETECTORS, HOUSEHOLDS
from registry.importing.kinds.organisations import ORGANISATIONS

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind for kind in (CAMERAS, CAMERA_MODELS, ORGANISATIONS, HOUSEHOLDS, DETECTORS)
}


def kind_named(name: str) -> Kind:
    """Raises ``ValueError`` that names the kinds there are."""
    if name not in KINDS:
        raise ValueError(f"{name!r} cannot be imported; expected one of {', '.join(KINDS)}")
    return KINDS[name]
