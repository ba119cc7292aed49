"""The process that touches cameras: reads requests from stdin, probes in threads, writes results.

Messages are msgspec JSON, each with its length before it (4 bytes, big-endian). A camera's URL comes in
by the pipe, never by the command line. Native code that crashes or hangs takes this process along and
nothing else; ``prober`` starts another.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import av
import av.logging
import cv2
import msgspec

from edge.cameras.outcome import Probed
from edge.cameras.stream import Request, probe

#: Address space of the worker. Shared libraries take about 1 GB of it, decoders far less.
MAX_MEMORY_BYTES = 4 << 30
_HEAD = struct.Struct(">I")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A request's number and what came of it; and the worker's resident memory."""

    id: int
    probed: Probed
    resident_mb: float = 0.0


def write_message(file: BinaryIO, data: bytes) -> None:
    """One message, whole."""
    file.write(_HEAD.pack(len(data)) + data)
    file.flush()


def read_message(file: BinaryIO) -> bytes | None:
    """The next message; None at the end."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    return file.read(_HEAD.unpack(head)[0])


def resident_mb() -> float:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # no Path object for a hot call
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Serve until stdin ends. The one argument is the number of threads."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    av.logging.set_level(av.logging.PANIC)
    cv2.setNumThreads(1)
    out, lock = sys.stdout.buffer, threading.Lock()

    def serve(request: Request) -> None:
        try:
            probed = probe(request)
        except MemoryError:
            probed = Probed(outcome="too_large", url="")
        except Exception as error:
            # the type alone: messages of PyAV and of sockets may hold the URL
            sys.stderr.write(f"probe failed: {type(error).__name__}\n")
            probed = Probed(outcome="hung", url="")
        data = msgspec.json.encode(Answer(id=request.id, probed=probed, resident_mb=resident_mb()))
        with lock, contextlib.suppress(BrokenPipeError):
            write_message(out, data)

    with ThreadPoolExecutor(threads, thread_name_prefix="probe") as pool:
        while (data := read_message(sys.stdin.buffer)) is not None:
            pool.submit(serve, msgspec.json.decode(data, type=Request))
        pool.shutdown(wait=False, cancel_futures=True)
    os._exit(0)


if __name__ == "__main__":
    main()
