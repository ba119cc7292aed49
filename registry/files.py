"""Files people attach: stored under the SHA-256 of their content, typed by their content.

The name somebody gave a file is data and never part of a path. A file that is there already is not
written again; one that was begun and not finished has another name and is never read.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: One attached file: a drawing or a scanned letter. A longer one is refused, not cut.
MAX_FILE_BYTES: Final = 20 << 20
#: Entries looked at in a zip to tell what it is.
_MAX_ENTRIES: Final = 2000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BEGINNINGS: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"AC10", "image/vnd.dwg"),
)
#: A folder inside the zip that tells an office document from any other archive.
_OFFICE: Final = {
    "word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
EXPECTED: Final = "PDF, PNG, JPEG, DWG, DOCX, XLSX or plain text"


class FileRefused(ValueError):
    """The file is not taken; the text says what was expected."""


class FileMissing(LookupError):
    """The store has no such content: it was not restored with the database."""


@dataclass(frozen=True)
class Stored:
    """What is known of a stored file."""

    sha256: str
    size_bytes: int
    media_type: str


def media_type_of(content: bytes) -> str:
    """What the content is, whatever its name says. Raises ``FileRefused`` for anything else."""
    for beginning, media_type in _BEGINNINGS:
        if content.startswith(beginning):
            return media_type
    if content.startswith(b"PK\x03\x04"):
        return _office_type(content)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise FileRefused(f"expected {EXPECTED}") from None
    if "\0" in text or re.match(r"\s*<(!doctype|html|svg|script|\?xml)", text, re.IGNORECASE):
        raise FileRefused(f"expected {EXPECTED}")
    return "text/plain; charset=utf-8"


def _office_type(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [entry.filename for entry in archive.infolist()[:_MAX_ENTRIES]]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):  # the last: a newer ZIP
        names = []
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise FileRefused("expected a document without macros")
    for folder, media_type in _OFFICE.items():
        if "[Content_Types].xml" in names and any(name.startswith(folder) for name in names):
            return media_type
    raise FileRefused(f"expected {EXPECTED}")


class FileStore:
    """A folder of files named by their content. Blocking: call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> Stored:
        """Keep the content. Raises ``FileRefused`` (empty, too long, of no known type)."""
        if not content:
            raise FileRefused("the file is empty")
        if len(content) > MAX_FILE_BYTES:
            raise FileRefused(f"expected at most {MAX_FILE_BYTES >> 20} MiB")
        media_type = media_type_of(content)
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._path(sha256)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix="new-", delete=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        return Stored(sha256, len(content), media_type)

    def get(self, sha256: str) -> bytes:
        """The content. Raises ``FileMissing`` where it is gone or is no longer what it was."""
        try:
            content = self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise FileMissing(f"the file store has no {sha256[:12]}…: restore its folder too") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise FileMissing(f"the file {sha256[:12]}… was altered on disk: restore it from a backup")
        return content

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise FileMissing("no such file")
        return self._folder / sha256[:2] / sha256
