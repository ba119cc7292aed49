"""Probes many cameras by way of a worker process that can be thrown away.

``Prober.probe`` waits for its turn (at most ``threads`` at once), sends the request, and waits for the
answer no longer than the request's own time and a grace. If it does not come the worker is killed:
this probe is ``hung``, the others that were under way are asked again, once, of the next worker. After
``RECYCLE_AFTER`` probes, or when it has grown, a worker is replaced: it answers what it has and goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
import sys
from types import TracebackType

import msgspec
import structlog

from edge.cameras.outcome import Probed
from edge.cameras.stream import Request
from edge.cameras.talk import Address
from edge.cameras.worker import Answer

log = structlog.get_logger()

#: Native libraries leak a little; a new process costs 0.4 s.
RECYCLE_AFTER = 5000
RECYCLE_MB = 700.0
#: Beyond its own deadline a probe gets this long before force is used.
GRACE_S = 3.0
#: An answer with a 25-megapixel JPEG and nothing else is about 12 MB.
MAX_ANSWER_BYTES = 32 << 20


def probes_at_once(cameras: int) -> int:
    """How many probes may be under way: most of a probe is waiting for a keyframe, about a second."""
    return min(max(16, cameras // 12), 128)


class WorkerLost(Exception):
    """The worker ended while a probe was under way."""


class Prober:
    """Use as ``async with Prober() as prober``."""

    def __init__(self, *, threads: int = 8, recycle_after: int = RECYCLE_AFTER) -> None:
        self._threads, self._recycle_after = threads, recycle_after
        self._turns = asyncio.Semaphore(threads)
        self._ids = itertools.count(1)
        self._worker: _Worker | None = None
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._outgrown = False
        self.restarts = 0

    def widen(self, threads: int) -> None:
        """From now on so many at once, if that is more: by a new worker."""
        for _ in range(threads - self._threads):
            self._turns.release()
        self._outgrown = self._outgrown or threads > self._threads
        self._threads = max(threads, self._threads)

    @property
    def worker_pid(self) -> int:
        """The process that touches cameras now; 0 before the first probe."""
        return 0 if self._worker is None else self._worker.pid

    async def __aenter__(self) -> Prober:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self._worker is not None:
            await self._worker.end()
            self._worker = None

    async def probe(self, request: Request) -> Probed:
        """Probe once. Never raises for what a camera or the worker does."""
        async with self._turns:
            for _ in range(2):
                worker = await self._ready()
                try:
                    return await worker.ask(msgspec.structs.replace(request, id=next(self._ids)))
                except TimeoutError:
                    log.warning("camera.probe_hung", url=_shown(request.url))
                    await worker.end()
                    break
                except WorkerLost:
                    continue
        return Probed(outcome="hung", url=_shown(request.url))

    async def _ready(self) -> _Worker:
        async with self._starting:
            worker = self._worker
            worn = worker is not None and (self._outgrown or worker.worn(self._recycle_after))
            if worker is None or worker.ended or worn:
                if worker is not None and not worker.ended:
                    task = asyncio.create_task(worker.leave(), name="camera worker's leave")
                    self._leaving.add(task)
                    task.add_done_callback(self._leaving.discard)
                self.restarts += worker is not None
                self._outgrown = False
                self._worker = worker = await _Worker.start(self._threads)
            return worker


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.waiting: dict[int, asyncio.Future[Answer]] = {}
        self.served = 0
        self.resident_mb = 0.0
        self.ended = False
        self._reader = asyncio.create_task(self._read(), name="camera worker's answers")

    @classmethod
    async def start(cls, threads: int) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.cameras.worker", str(threads),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def worn(self, recycle_after: int) -> bool:
        return self.served >= recycle_after or self.resident_mb > RECYCLE_MB

    async def ask(self, request: Request) -> Probed:
        """Raises ``TimeoutError`` and ``WorkerLost``."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting[request.id] = answer
        data = msgspec.json.encode(request)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            await self._process.stdin.drain()
            # a new worker imports its libraries first
            patience = request.total_s + GRACE_S + (5.0 if not self.served else 0.0)
            probed = (await asyncio.wait_for(answer, patience)).probed
            self.served += 1
        except (BrokenPipeError, ConnectionResetError):
            raise WorkerLost from None
        finally:
            self.waiting.pop(request.id, None)
        return probed if probed.url else msgspec.structs.replace(probed, url=_shown(request.url))

    async def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError, ValueError):
            while True:
                (length,) = struct.unpack(">I", await out.readexactly(4))
                if length > MAX_ANSWER_BYTES:
                    break
                answer = msgspec.json.decode(await out.readexactly(length), type=Answer)
                self.resident_mb = answer.resident_mb
                future = self.waiting.get(answer.id)
                if future is not None and not future.done():
                    future.set_result(answer)
        self.ended = True
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(WorkerLost())

    async def leave(self) -> None:
        """End when what is under way is answered; new probes go to the next one."""
        try:
            while self.waiting and not self.ended:
                await asyncio.wait(list(self.waiting.values()))
                await asyncio.sleep(0)  # who waited takes it off the list
        finally:
            await asyncio.shield(self.end())

    async def end(self) -> None:
        self.ended = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(WorkerLost())
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._process.stdin.wait_closed()


def _shown(url: str) -> str:
    try:
        return str(Address.parse(url))
    except ValueError:
        return ""
