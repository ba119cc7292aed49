"""The camera watch beside the agent: a process of its own, so that no picture ever delays an alarm.

``CameraWatch`` starts ``python -m edge.cameras.post``, tells it by a pipe what to watch, and hands what
it reports to the core. It is started again when it ends, with a growing pause; without the libraries
for cameras it says so once and the agent goes on without.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from edge.agent.core import Core
from edge.alarms import Change
from edge.wire.cameras import CameraAlarm, CameraReport, Watch
from edge.wire.identity import cameras_id

log = structlog.get_logger()

#: A report with two thumbnails is about 20 kB, a list of 5,000 cameras 150 kB.
MAX_LINE_BYTES: Final = 1 << 20
#: Pause before the watch is started again (real seconds): the first, and the longest.
PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
#: The watch ends with this when it cannot work here at all: libraries or settings.
EXIT_HOPELESS: Final = 3
_KINDS: Final = frozenset({"camera_offline", "camera_fault"})


class CameraWatch:
    """Runs the watch until cancelled. ``watch`` gives what is to be watched, now.

    ``always``: from the start; else it begins when the city names the first camera.
    """

    def __init__(
        self,
        site: str,
        watch: Callable[[], Watch],
        post: Callable[[Callable[[Core], None]], None],
        *,
        always: bool = True,
    ) -> None:
        self._site, self._watch, self._post, self._always = site, watch, post, always
        self._needed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self.counters: dict[str, int] = {}
        self.problem: str | None = None

    async def run(self) -> None:
        """Start it, hear it, start it again."""
        if not self._always and not self._watch().cameras:
            await self._needed.wait()
        pause_s = PAUSE_S
        while True:
            heard = await self._serve()
            if self.problem is not None:
                log.error("cameras.not_watched", problem=self.problem)
                return
            pause_s = PAUSE_S if heard else min(pause_s * 2, MAX_PAUSE_S)
            log.warning("cameras.watch_ended", again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    def changed(self) -> None:
        """What is to be watched has changed; from the event loop's thread."""
        self._needed.set()
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(_line(self._watch()))

    async def _serve(self) -> bool:
        """One life of the process; True if it reported anything."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.cameras.post",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE_BYTES,
        )  # fmt: skip
        self._process, heard = process, False
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(_line(self._watch()))
            while line := await process.stdout.readline():
                self._hear(msgspec.json.decode(line, type=CameraReport))
                heard = True
        except (ValueError, msgspec.MsgspecError, OSError) as error:
            log.error("cameras.report_unreadable", error=type(error).__name__)
        finally:
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        if process.returncode == EXIT_HOPELESS and self.problem is None:
            self.problem = "the watch cannot run here"
        return heard

    def _hear(self, report: CameraReport) -> None:
        if report.counters is not None:
            self.counters = report.counters
        if report.problem is not None:
            self.problem = report.problem
        if report.roster is not None or report.alarms or report.fact is not None:
            self._post(lambda core: enter(core, report, self._site))


def enter(core: Core, report: CameraReport, site: str) -> None:
    """What a report changes. In the core's own thread."""
    if report.roster is not None:
        _close_strangers(core, frozenset(report.roster), site)
    for alarm in report.alarms:
        _stand(core, alarm)
    if report.fact is not None:
        core.tell_of_camera(report.fact, report.transition)


def _stand(core: Core, alarm: CameraAlarm) -> None:
    """Bring the book in line with what stands; a raise of what is raised says nothing new."""
    raised = core.book.active.get((alarm.detector, alarm.kind))
    if (raised is not None) == (alarm.transition == "raise"):
        return
    core.enter(
        alarm.detector,
        Change(
            kind=alarm.kind, transition=alarm.transition, at_us=core.now_us(), reason=alarm.reason,
            values=alarm.values, members=alarm.members,
        ),
    )  # fmt: skip


def _close_strangers(core: Core, roster: frozenset[str], site: str) -> None:
    for detector, kind in [key for key in core.book.active if key[1] in _KINDS]:
        if detector not in roster and detector != cameras_id(site):
            _stand(
                core,
                CameraAlarm(
                    detector=detector, kind=kind, transition="clear",  # type: ignore[arg-type]  # of _KINDS
                    reason="the camera is watched no longer",
                ),
            )  # fmt: skip


def _line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"
