"""LoRaWAN byte codecs: one small file for each device family, its vectors beside it.

A codec is a module with ``CODEC = Codec(...)`` whose ``decode(port, payload)`` returns ``Bytes`` or
raises ``WireError``; ``<name>.json`` beside it holds vectors (port, hex, what comes out) that a test
runs. ``docs/sources.md`` says how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edge.sources.codecs.base import Bytes, Codec
from edge.sources.codecs.milesight_gs524n import CODEC as _MILESIGHT_GS524N
from edge.sources.codecs.netvox_ra02 import CODEC as _NETVOX_RA02
from edge.sources.codecs.tg563a import CODEC as _TG563A

CODECS: Mapping[str, Codec] = MappingProxyType(
    {codec.name: codec for codec in (_NETVOX_RA02, _MILESIGHT_GS524N, _TG563A)}
)

__all__ = ["CODECS", "Bytes", "Codec"]
