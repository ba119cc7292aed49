"""Child processes of a one-box composition: started, watched, stopped in order.

Each child's standard error goes to its own log file. A child that ends by itself ends the whole box
with one line that names it and shows its last words.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

#: A child that has not ended this long after SIGTERM is killed.
_STOP_S = 15.0
_LAST_WORDS_BYTES = 2000


class ChildEnded(RuntimeError):
    """A child ended that should not have; the text names it and its last words."""


@dataclass
class Child:
    """One running child."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            text = self.log.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace")
            return text.strip()
        return ""


class Children:
    """The children of one box, stopped in the reverse order of their start."""

    def __init__(self, logs: Path, env: dict[str, str]) -> None:
        self._logs = logs
        self._env = env
        self.running: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, name: str, *words: str, env: dict[str, str] | None = None) -> Child:
        """Start ``python -m <words>`` under a name."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **self._env, **(env or {})},
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.running.append(child)
        return child

    async def watch(self) -> None:
        """Wait until one ends by itself, then raise ``ChildEnded``."""
        waits = {asyncio.create_task(c.process.wait(), name=f"wait-{c.name}"): c for c in self.running}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            child = waits[done.pop()]
            raise ChildEnded(
                f"{child.name} ended with code {child.process.returncode}; its log {child.log} "
                f"ends with:\n{child.last_words()}"
            )
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def stop(self, child: Child, *, kill: bool = False) -> int:
        """End one child; its exit code."""
        if child in self.running:
            self.running.remove(child)
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                await asyncio.wait_for(child.process.wait(), _STOP_S)
            except TimeoutError:
                child.process.kill()
                await child.process.wait()
        return child.process.returncode or 0

    async def stop_all(self) -> None:
        """End every child, the last started first."""
        for child in reversed(list(self.running)):
            await self.stop(child)
