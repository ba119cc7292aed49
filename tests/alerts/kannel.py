"""A real Kannel (Debian's kannel and kannel-extras): bearerbox, smsbox and its fake SMS centre."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers import missing, until

FAKESMSC = Path("/usr/lib/kannel/test/fakesmsc")
USER, PASSWORD = "utaa", "kannel-s3cret"
#: A message as the fake centre prints it: sender, receiver, kind, text.
_GOT = re.compile(r"Got message \d+: <(?P<text>.*)>", re.DOTALL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def why_not() -> str | None:
    """What is missing, if anything is."""
    for program in ("bearerbox", "smsbox"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
            return "Kannel is not installed: sudo apt-get install kannel kannel-extras"
    return None if FAKESMSC.exists() else "fakesmsc is missing: sudo apt-get install kannel-extras"


class Kannel:
    """One gateway in a folder. ``received`` is what its SMS centre was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._admin, self._box, self._smsc, self.port = (_free_port() for _ in range(4))
        self._processes: list[asyncio.subprocess.Process] = []
        self._log = folder / "fakesmsc.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cgi-bin/sendsms"

    async def start(self) -> None:
        config = self.folder / "kannel.conf"
        config.write_text(
            f"""group = core
admin-port = {self._admin}
admin-deny-ip = "*.*.*.*"
admin-allow-ip = "127.0.0.1"
admin-password = {PASSWORD}
smsbox-port = {self._box}
box-allow-ip = 127.0.0.1
log-level = 0

group = smsc
smsc = fake
smsc-id = fake
host = 127.0.0.1
port = {self._smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {self.port}
sendsms-interface = 127.0.0.1
log-level = 0

group = sendsms-user
username = {USER}
password = {PASSWORD}
concatenation = true
max-messages = 5

group = sms-service
keyword = default
text = "none"
"""
        )
        await self._spawn("bearerbox", str(config))
        await self._listening(self._box)
        await self._spawn("smsbox", str(config))
        await self._listening(self.port)
        await self._listening(self._smsc)
        await self._spawn(
            str(FAKESMSC), "-H", "127.0.0.1", "-r", str(self._smsc), "-m", "0", "1 2 text none",
            log=self._log,
        )  # fmt: skip
        await until(self._centre_is_online, "the fake SMS centre online")

    async def _spawn(self, *command: str, log: Path | None = None) -> None:
        with (log or self.folder / f"{Path(command[0]).name}.log").open("wb") as out:
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    *command, stdout=out, stderr=out, stdin=asyncio.subprocess.DEVNULL,
                    cwd=self.folder, env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"},
                )
            )  # fmt: skip

    async def _listening(self, port: int) -> None:
        async def answers() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await until(answers, f"Kannel on port {port}")

    async def _centre_is_online(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._admin)
        writer.write(f"GET /status.txt?password={PASSWORD} HTTP/1.0\r\n\r\n".encode())
        status = (await reader.read()).decode(errors="replace")
        writer.close()
        return "online" in status.partition("SMSC connections")[2]

    @property
    def received(self) -> str:
        """Everything the fake centre printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def stop(self) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()


@pytest.fixture
async def kannel(tmp_path: Path) -> AsyncIterator[Kannel]:
    """A started gateway of the test's own."""
    if problem := why_not():
        missing(problem)
    folder = tmp_path / "kannel"
    folder.mkdir()
    gateway = Kannel(folder)
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.stop()
