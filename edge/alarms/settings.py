"""Settings of the alarms of one detector: every threshold has a name, a unit and a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

#: A device that says nothing else may be silent this long: what Zigbee2MQTT grants battery devices.
DEFAULT_DEADLINE_S = 25 * 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one detector's readings are judged. Defaults serve every data set we know."""

    #: CO standard whose windows hold: ``en50291`` or ``ul2034``
    co_profile: Literal["en50291", "ul2034"] = "en50291"
    #: raise ``lost`` after this silence of the whole device
    deadline_s: float = DEFAULT_DEADLINE_S
    #: raise ``never_seen`` when nothing came this long after registration
    never_seen_after_s: float = DEFAULT_DEADLINE_S

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from the ``alarms`` tables of a configuration.

        Raises ``ValueError`` that names the wrong key or value and says what was expected.
        """
        unknown = sorted(set(values) - set(cls.__struct_fields__))
        if unknown:
            known = ", ".join(cls.__struct_fields__)
            raise ValueError(f"unknown alarm setting {unknown[0]!r}; expected one of {known}")
        try:
            return msgspec.convert(dict(values), cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"alarm settings: {error}") from None
