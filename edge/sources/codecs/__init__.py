"""LoRaWAN byte codecs: one small file for each device family, its vectors beside it.

A codec is a module with ``CODEC = Codec(...)`` whose ``decode(port, payload)`` returns ``Bytes`` or
raises ``WireError``; ``<name>.json`` beside it holds vectors (port, hex, what comes out) that a test
runs. ``docs/sources.md`` says how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edge.sources.codecs.base import Bytes, Codec
from edge.sources.codecs.netvox_ra02 import CODEC as _NETVOX_RA02

CODECS: Mapping[str, Codec] = MappingProxyType({codec.name: codec for codec in (_NETVOX_RA02,)})

__all__ = ["CODECS", "Bytes", "Codec"]
