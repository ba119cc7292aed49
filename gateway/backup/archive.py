"""The backup's file: parts in a tar stream, compressed by zstd, encrypted in the age format (X25519).

The city holds only the public half (``age1…``): who takes the machine cannot read its old backups.
Nothing plain touches the disk, and no more than one part is in memory.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import pyrage
import zstandard
from pyrage import x25519

#: A part is cut when it is this large: memory stays bounded whatever the table's size.
PART_BYTES: Final = 4 << 20
#: A part of somebody else's making may not claim more than this.
MAX_PART_BYTES: Final = 256 << 20
_ZSTD_LEVEL: Final = 6


class ArchiveError(Exception):
    """The file cannot be written or read as a backup; one line says why."""


class Part(NamedTuple):
    """A named piece of the archive."""

    name: str
    content: bytes


class Writer:
    """Takes parts, in order. Only ``writing`` makes one."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))

    def add_file(self, name: str, path: Path) -> None:
        """A file in parts ``<name>/000001`` and so on."""
        with path.open("rb") as file:
            number = 0
            while chunk := file.read(PART_BYTES):
                number += 1
                self.add(f"{name}/{number:06}", chunk)


def recipient_of(text: str) -> Any:
    """The public key of an ``age1…`` text. Raises ``ArchiveError``."""
    try:
        return x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise ArchiveError(
            "expected a public key such as age1…; 'utaa backup key' makes a pair"
        ) from None


def identity_of(path: Path) -> Any:
    """The private key in a file (comment lines begin with #). Raises ``ArchiveError``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        secret = next(line.strip() for line in lines if line.strip() and line[0] != "#")
        return x25519.Identity.from_str(secret)
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}") from None
    except (StopIteration, UnicodeDecodeError, pyrage.IdentityError):
        raise ArchiveError(f"{path} holds no private key (AGE-SECRET-KEY-…)") from None


@contextmanager
def writing(path: Path, recipient: Any) -> Iterator[Writer]:
    """A new archive. It has its name only when it is whole and on disk.

    Raises ``ArchiveError``, ``OSError``; then nothing is left behind.
    """
    if path.exists():
        raise ArchiveError(f"{path} exists; choose another name")
    beside = path.with_name(f".{path.name}.partial")
    out, into = os.pipe()
    failures: list[BaseException] = []

    def encrypt() -> None:
        try:
            with open(out, "rb") as plain, beside.open("wb") as file:  # noqa: PTH123  # a pipe
                beside.chmod(0o600)
                pyrage.encrypt_io(plain, file, [recipient])
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=encrypt, name="backup-encrypt", daemon=True)
    thread.start()
    try:
        with open(into, "wb") as pipe:  # noqa: PTH123
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
            with (
                compressor.stream_writer(pipe, closefd=False) as packed,
                tarfile.open(fileobj=packed, mode="w|") as tar,
            ):
                yield Writer(tar)
        thread.join()
        if failures:
            raise ArchiveError(f"{path}: {failures[0]}") from failures[0]
        beside.rename(path)
    except BrokenPipeError:
        thread.join()
        raise ArchiveError(f"{path}: {failures[0] if failures else 'cannot be written'}") from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def reading(path: Path, identity: Any) -> Iterator[Iterator[Part]]:
    """The parts of an archive, in order. Raises ``ArchiveError``, also while they are read."""
    out, into = os.pipe()
    failures: list[BaseException] = []

    def decrypt() -> None:
        try:
            with path.open("rb") as file, open(into, "wb") as plain:  # noqa: PTH123
                pyrage.decrypt_io(file, plain, [identity])
        except BrokenPipeError:
            pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=decrypt, name="backup-decrypt", daemon=True)
    thread.start()
    try:
        with open(out, "rb") as pipe:  # noqa: PTH123
            yield _parts(path, pipe, failures, thread)
    finally:
        thread.join()


def _parts(
    path: Path, pipe: IO[bytes], failures: list[BaseException], thread: threading.Thread
) -> Iterator[Part]:
    try:
        unpacked = zstandard.ZstdDecompressor().stream_reader(pipe)
        with tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for entry in tar:
                if not entry.isfile() or entry.size > MAX_PART_BYTES or ".." in entry.name:
                    raise ArchiveError(f"{path}: the part {entry.name!r} is none of ours")
                content = tar.extractfile(entry)
                if content is not None:
                    yield Part(entry.name, content.read())
        while unpacked.read(1 << 16):  # the end of the stream is where age proves it whole
            pass
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        thread.join()
        raise ArchiveError(f"{path}: {_why(failures, error)}") from None
    thread.join()
    if failures:
        raise ArchiveError(f"{path}: {_why(failures, failures[0])}")


def _why(failures: list[BaseException], error: BaseException) -> str:
    if failures and isinstance(failures[0], pyrage.DecryptError):
        return "it is damaged, cut off, or for another key"
    return str(failures[0] if failures else error) or "it is damaged or cut off"
