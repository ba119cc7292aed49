"""What we say of an incident in CAP. Pure: the rows in, the message out."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.cap.model import Alert, Area, CapError, Info, Reference
from alerts.models import Incident
from alerts.texts import Catalogues
from edge.wire.clock import US_PER_S

#: A message says how long it holds; the next Update renews it.
_EXPIRES_AFTER_S = 3600
#: The radius around a home; a point in a public feed would say more than it should.
_RADIUS_KM = 0.1
#: hazard → category, response, severity. Only hazards of the class alarm are fit for dispatch.
_SAID: dict[str, tuple[str, str, str]] = {
    "fire": ("Fire", "Evacuate", "Extreme"),
    "co": ("Health", "Evacuate", "Extreme"),
}
_LANGUAGES = (("mn", "mn-MN"), ("en", "en-US"))


def message_for(
    incident: Incident,
    *,
    sender: str,
    where: str,
    point: tuple[float, float] | None,
    catalogues: Catalogues,
    now_us: int,
    earlier: Sequence[Reference] = (),
) -> Alert:
    """The message for dispatch as the incident stands now.

    ``where`` is the opened address: scope is Restricted to emergency services, so this is no text for a
    public feed. ``earlier`` are the messages sent on the incident so far: with one the new one is an
    Update, or a Cancel if it turned out to be a test or a fault. Raises ``CapError`` for a hazard
    that is not one of dispatch.
    """
    if incident.hazard not in _SAID:
        raise CapError("not_for_dispatch", f"hazard {incident.hazard}")
    kind = "Alert"
    if earlier:
        kind = "Cancel" if incident.cause in ("test", "fault") else "Update"
    return Alert(
        identifier=f"utaa.{incident.id}.{len(earlier) + 1}",
        sender=sender,
        sent_us=now_us,
        msg_type=kind,
        scope="Restricted",
        restriction="emergency services",
        references=tuple(earlier),
        note=f"{incident.homes} homes are in alarm together" if (incident.homes or 1) > 1 else "",
        incidents=(incident.id,),
        infos=tuple(
            _info(incident, language, tag, where, point, catalogues, now_us)
            for language, tag in _LANGUAGES
        ),
    )


def _info(
    incident: Incident,
    language: str,
    tag: str,
    where: str,
    point: tuple[float, float] | None,
    catalogues: Catalogues,
    now_us: int,
) -> Info:
    say = catalogues.get(language).text
    category, response, severity = _SAID[incident.hazard]
    over = incident.state in ("all_clear", "resolved")
    text = "all_clear" if over else incident.hazard
    hazard = say(f"hazard.{incident.hazard}")
    circles = (f"{point[0]:.5f},{point[1]:.5f} {_RADIUS_KM}",) if point else ()
    codes = (("unit", incident.unit_code),) if incident.unit_code else ()
    return Info(
        language=tag,
        categories=(category,),
        event=hazard,
        response_types=("AllClear" if over else response,),
        urgency="Past" if over else "Immediate",
        severity="Minor" if over else severity,
        certainty="Observed",
        onset_us=incident.raised_us,
        expires_us=now_us + _EXPIRES_AFTER_S * US_PER_S,
        headline=say(f"{text}.headline"),
        description=say(f"{text}.what", place="", hazard=hazard),
        instruction=say(f"{text}.do"),
        areas=(Area(description=where or say("where.unknown"), circles=circles, geocodes=codes),),
    )
