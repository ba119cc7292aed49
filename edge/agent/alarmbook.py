"""The book of active alarms: it mints ids and revisions. Pure but for the ids."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from edge.alarms import Change
from edge.spool import ActiveAlarm, Draft
from edge.wire.identity import new_id
from edge.wire.messages import Alarm, Transition

Key = tuple[str, str]
#: The wire takes no longer reason.
MAX_REASON_CHARS = 500


class AlarmBook:
    """Active alarms by (detector, kind). Each change becomes an event with its next revision."""

    def __init__(
        self,
        active: dict[Key, ActiveAlarm],
        *,
        boot: str,
        synced: Callable[[], bool],
        moment: Callable[[int], tuple[int, int]],
    ) -> None:
        self.active = active
        self._boot = boot
        self._synced = synced
        self._moment = moment

    def enter(self, detector: str, change: Change, *, test: bool = False) -> Draft | None:
        """The event of a change; ``self.active`` follows. None: there is nothing to tell.

        A raise of what is raised is an update; a change of what is not raised tells nobody anything.
        """
        key = (detector, change.kind)
        known = self.active.get(key)
        at_us, mono_us = self._moment(change.at_us)
        if known is None:
            if change.transition != "raise":
                return None
            alarm = self._raised(detector, change, at_us, test=test or change.test)
            self.active[key] = ActiveAlarm(
                alarm=alarm, mono_us=mono_us, boot=self._boot, synced=self._synced()
            )
            return self._draft("raise", alarm, at_us, mono_us)
        if change.transition == "clear":
            alarm = replace(
                self._updated(known.alarm, change), cleared_us=max(at_us, known.alarm.raised_us)
            )
            del self.active[key]
            return self._draft("clear", alarm, at_us, mono_us)
        alarm = self._updated(known.alarm, change)
        self.active[key] = ActiveAlarm(
            alarm=alarm, mono_us=known.mono_us, boot=known.boot, synced=known.synced
        )
        return self._draft("update", alarm, at_us, mono_us)

    def _raised(self, detector: str, change: Change, at_us: int, *, test: bool) -> Alarm:
        return Alarm(
            id=new_id(),
            kind=change.kind,
            detector=detector,
            raised_us=at_us,
            revision=1,
            reason=change.reason[:MAX_REASON_CHARS],
            peak=change.peak,
            values=change.values,
            test=test,
            members=change.members,
        )

    @staticmethod
    def _updated(alarm: Alarm, change: Change) -> Alarm:
        return replace(
            alarm,
            revision=alarm.revision + 1,
            reason=change.reason[:MAX_REASON_CHARS],
            peak=change.peak or alarm.peak,
            values=change.values or alarm.values,
            members=change.members or alarm.members,
        )

    def _draft(self, transition: Transition, alarm: Alarm, at_us: int, mono_us: int) -> Draft:
        return Draft(
            transition=transition,
            at_us=at_us,
            mono_us=mono_us,
            synced=self._synced(),
            alarm=alarm,
        )
