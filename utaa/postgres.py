"""PostgreSQL as a child process, for benches and tests: its own data folder, one role, no password."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import signal
import tempfile
from pathlib import Path

import asyncpg

from utaa.servers import LOCALHOST, Child, Server, ServerError, answers, find_program

#: Without waiting for the disk: it may be killed at any moment, but not the machine. Commits do wait
#: for the operating system: with ``synchronous_commit`` off a killed server loses the last ones.
_POSTGRES_SETTINGS = (
    "--fsync=off",
    "--full-page-writes=off",
    "--max-connections=200",
    "--unix-socket-directories=",
    f"--listen-addresses={LOCALHOST}",
    "--timezone=UTC",
)


class Postgres(Server):
    """PostgreSQL of the newest installed version. It refuses root, so root lends it a user."""

    name = "PostgreSQL"
    role = "utaa"
    stop_signal = signal.SIGINT  # SIGTERM waits for clients that never leave

    @staticmethod
    def program(name: str) -> str | None:
        versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
        newest = max(versions, key=lambda path: float(path.parts[4]), default=None)
        return str(newest) if newest else find_program(name)

    @staticmethod
    def user() -> str | None:
        return "postgres" if getpass.getuser() == "root" else None

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="utaa-postgres-"))
        if user := self.user():
            shutil.chown(folder, user, user)
        super().__init__(folder)

    def address(self, database: str) -> str:
        return f"postgresql://{self.role}@{self.host}:{self.port}/{database}"

    async def _launch(self) -> None:
        initdb, postgres = self.program("initdb"), self.program("postgres")
        if initdb is None or postgres is None:
            raise ServerError("PostgreSQL is not installed: sudo apt-get install postgresql")
        data = self.folder / "data"
        if not data.exists():
            await self._initialise(initdb, data)
        child = Child("postgres", self.folder / "postgres.log", user=self.user())
        self._children.append(child)
        child.spawn([postgres, "-D", str(data), f"--port={self.port}", *_POSTGRES_SETTINGS])
        await child.until(self._serves)

    async def _initialise(self, initdb: str, data: Path) -> None:
        child = Child("initdb", self.folder / "initdb.log", user=self.user())
        child.spawn(
            [initdb, "-D", str(data), "-U", self.role, "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"]
        )  # fmt: skip
        while child.alive:  # noqa: ASYNC110  # a process of another kind than asyncio's
            await asyncio.sleep(0.02)
        if child.returncode:
            raise ServerError(f"initdb ended with code {child.returncode}: {child.tail()}")

    async def _serves(self) -> bool:
        if not await answers(self.port):
            return False
        try:
            connection = await asyncpg.connect(self.address("postgres"), timeout=5)
        except (asyncpg.PostgresError, OSError):
            return False
        await connection.close()
        return True

    async def execute(self, statement: str) -> None:
        """One statement outside a transaction, in the maintenance database."""
        connection = await asyncpg.connect(self.address("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
