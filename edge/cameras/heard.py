"""What others say about cameras over MQTT, as observations: our native JSON, Frigate, Axis and ONVIF.

Native: ``utaa/v1/camera/<address>/state``, a flat object of the facts' names with true or false, and
``reason``. Frigate: ``frigate/available`` (the program itself), ``frigate/stats`` (each camera's
rate of
pictures, 0 when its stream is lost) and ``frigate/<camera>/status/<role>`` (online, offline, disabled).
Frigate's rate stays at the registered value when a camera repeats its last picture, so a rate says that
pictures **advance** and never that they change. Axis cameras publish events as JSON with a ``topic``
in ONVIF's words (``tns1:VideoSource/GlobalSceneChange/ImagingService``) under a prefix of their own, by
default ``axis/<serial>/event/…``; ONVIF's JSON over MQTT (``onvif-ej/…``, ``UtcTime``, ``Source``,
``Data``) has the same topics as levels of its own. Of them those that concern the picture are
understood: tampering, a changed scene, too bright, dark or blurry, and a lost signal.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge.cameras.states import FACTS, Fact, Observation
from edge.wire.errors import WireError
from edge.wire.topics import ROOT

#: Frigate's statistics of a hundred cameras are about 60 kB.
MAX_PAYLOAD_BYTES: Final = 512 << 10
FILTERS: Final = (
    f"{ROOT}/camera/+/state", "frigate/available", "frigate/stats", "frigate/+/status/+",
    "axis/+/event/#", "onvif-ej/+/#",
)  # fmt: skip
#: The last words of an ONVIF topic → which fact is bad while its flag is on.
_ONVIF_FACTS: Final[dict[str, tuple[Fact, str]]] = {
    "globalscenechange": ("in_place", "the scene changed"),
    "tampering": ("in_place", "tampering"),
    "tamper": ("in_place", "tampering"),
    "imagetoobright": ("well_exposed", "too bright"),
    "imagetoodark": ("well_exposed", "too dark"),
    "imagetooblurry": ("in_focus", "too blurry"),
    "signalloss": ("advancing", "no signal"),
}
#: Names of the flag among an event's data.
_FLAGS: Final = ("State", "state", "IsTampering", "tampering", "active", "value", "Value")
#: Frigate names its own topics beside the cameras'.
_NO_CAMERA: Final = frozenset({"stats", "available", "events", "reviews", "restart"})


def hear(topic: str, payload: bytes, received_us: int) -> dict[str, Observation]:
    """Observations by camera address (``frigate/<name>`` for Frigate's). Raises ``WireError``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError("too_large", f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    parts = topic.split("/")
    if topic.startswith(f"{ROOT}/camera/") and len(parts) == 5 and parts[4] == "state":
        return {parts[3]: _native(_json(payload), received_us)}
    if topic == "frigate/stats":
        return _frigate_stats(_json(payload), received_us)
    if len(parts) == 4 and parts[0] == "frigate" and parts[2] == "status":
        return _frigate_status(parts[1], parts[3], payload, received_us)
    if topic == "frigate/available":
        return {}
    if parts[0] in ("axis", "onvif-ej") and len(parts) >= 3:
        return _onvif(parts, _json(payload), received_us)
    raise WireError("unknown_topic", topic[:80])


def _json(payload: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("not_json", str(error)[:100]) from None
    if not isinstance(value, dict):
        raise WireError("wrong_type", "expected an object")
    return value


def _native(said: dict[str, Any], received_us: int) -> Observation:
    facts: dict[Fact, bool] = {}
    for fact in FACTS:
        value = said.get(fact)
        if isinstance(value, bool):
            facts[fact] = value
        elif value is not None:
            raise WireError("wrong_type", f"{fact} is not true or false")
    reason = said.get("reason", "heard")
    return Observation(received_us, facts, str(reason)[:200])


def _frigate_stats(said: dict[str, Any], received_us: int) -> dict[str, Observation]:
    cameras = said.get("cameras", said)
    if not isinstance(cameras, dict):
        raise WireError("wrong_type", "cameras is no object")
    result = {}
    for name, numbers in cameras.items():
        if not isinstance(numbers, dict) or "camera_fps" not in numbers:
            continue
        rate = numbers["camera_fps"]
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise WireError("wrong_type", f"camera_fps of {name[:40]} is no number")
        facts: dict[Fact, bool] = {"advancing": rate > 0}
        if rate > 0:
            facts["reachable"] = True
        result[f"frigate/{name}"] = Observation(
            received_us, facts, "frigate stats", {"rate_fps": float(rate)}
        )
    return result


def _frigate_status(name: str, role: str, payload: bytes, received_us: int) -> dict[str, Observation]:
    if name in _NO_CAMERA:
        return {}
    word = payload.decode("utf-8", "replace").strip().lower()
    if word == "disabled":
        return {}
    if word not in ("online", "offline"):
        raise WireError("wrong_type", f"status is {word[:20]}; expected online, offline or disabled")
    return {
        f"frigate/{name}": Observation(
            received_us, {"reachable": word == "online"}, f"frigate says {word} ({role[:20]})"
        )
    }


def _onvif(parts: list[str], said: dict[str, Any], received_us: int) -> dict[str, Observation]:
    """An Axis or ONVIF event; of a kind that says nothing about the picture: nothing."""
    words = f"{said.get('topic', '')}/{'/'.join(parts[2:])}".lower().replace(":", "/").split("/")
    known = next((_ONVIF_FACTS[word] for word in words if word in _ONVIF_FACTS), None)
    if known is None:
        return {}
    flag = _flag(said)
    if flag is None:
        raise WireError("missing_field", "an event without its state")
    fact, reason = known
    told = f"the camera says {reason}" if flag else f"the camera no longer says {reason}"
    return {f"{parts[0]}/{parts[1]}": Observation(received_us, {fact: not flag}, told)}


def _flag(said: dict[str, Any]) -> bool | None:
    """The event's state, wherever its maker puts it."""
    message = said.get("message")
    places = [said.get("Data"), said.get("data")]
    if isinstance(message, dict):
        places = [message.get("data"), message.get("Data"), *places]
    for place in places:
        if not isinstance(place, dict):
            continue
        for name in _FLAGS:
            value = place.get(name)
            if isinstance(value, bool):
                return value
            if str(value).lower() in ("1", "true", "0", "false"):
                return str(value).lower() in ("1", "true")
    return None
