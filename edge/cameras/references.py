"""A camera's good pictures on disk, by time of day: learnt at commissioning, kept current, bounded.

``References`` is one camera's folder: ``a-…`` are anchors, taken when somebody said (or nobody denied)
that the camera shows what it should; ``l-…`` are learnt later. Anchors never go by themselves. A
picture is learnt only when all of this holds, so that a fault never becomes the norm:

- the judge says ok to it, with all references and, where the anchors know such light, with them alone;
- every fact of the camera has been good for an hour, and stays so for half an hour after the picture;
- its part of the day has room, or its oldest learnt picture is a week old.

Files are JPEG of at most 640 pixels width; the time of day is in the name.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.cameras import shelf
from edge.cameras.judge import Judge
from edge.cameras.pictures import BadPicture, Picture, decode, read

#: Parts of the day, three hours each, and learnt pictures kept of each.
BUCKETS: Final = 8
PER_BUCKET: Final = 2
#: Anchors of a camera; with 16 learnt ones the bank is as large as it looks at.
MAX_ANCHORS: Final = 12
MAX_WIDTH: Final = 640
#: 640 pixels at this quality take 30 to 60 kB; a camera at most 28 of them.
_QUALITY: Final = 88
MAX_FILE_BYTES: Final = 200_000
#: Seconds: good for so long before, and after; a learnt picture is replaced after.
GOOD_BEFORE_S: Final = 3600.0
GOOD_AFTER_S: Final = 1800.0
RENEW_S: Final = 7 * 86_400.0
#: One picture in so many seconds is a candidate at most.
CANDIDATE_EVERY_S: Final = 1200.0
#: Anchors that are taken by themselves where nobody gave any, this long apart.
FIRST_ANCHORS: Final = 5
FIRST_EVERY_S: Final = 20.0
#: With fewer the judge does not know what is usual here, and says nothing.
LEAST: Final = 3
#: The anchors know such light when one is as near as this in mean luma.
_SAME_LIGHT: Final = 20.0
_SURE: Final = 0.9
_NAME: Final = re.compile(r"^([al])-(\d{4})-(\d{1,16})\.jpg$")


@dataclass(frozen=True, slots=True)
class Kept:
    """One file. ``minute`` is the time of day (UTC), ``at_s`` when it was taken."""

    path: Path
    anchor: bool
    minute: int
    at_s: float

    @property
    def bucket(self) -> int:
        return self.minute * BUCKETS // 1440


@dataclass(slots=True)
class _Candidate:
    jpeg: bytes
    at_s: float


@dataclass(slots=True)
class References:
    """One camera's good pictures. Raises ``OSError`` where the disk does not do what it should."""

    folder: Path
    candidate: _Candidate | None = field(default=None)
    last_candidate_s: float = 0.0
    #: changes whenever a judge made of them would be another one
    revision: int = 0

    def files(self) -> list[Kept]:
        """What is there, the oldest first. Files of other names count as anchors of no hour."""
        found = []
        for path in sorted(self.folder.glob("*")) if self.folder.is_dir() else []:
            match = _NAME.match(path.name)
            if match:
                minute = int(match[2][:2]) * 60 + int(match[2][2:])
                found.append(Kept(path, match[1] == "a", min(minute, 1439), float(match[3])))
            elif path.suffix.lower() in {".jpg", ".jpeg", ".png"} and path.is_file():
                found.append(Kept(path, True, 0, 0.0))
        return sorted(found, key=lambda kept: kept.at_s)

    def pictures(self, *, anchors_only: bool = False) -> list[Picture]:
        """What can be read of them."""
        result = []
        for kept in self.files():
            if kept.anchor or not anchors_only:
                with contextlib.suppress(BadPicture, OSError):
                    result.append(read(kept.path))
        return result

    def judge(self, *, anchors_only: bool = False) -> Judge | None:
        """Its judge; None with too few pictures. That of all pictures is kept beside them."""
        if anchors_only:
            pictures = self.pictures(anchors_only=True)
            return Judge.trained(pictures) if len(pictures) >= LEAST else None
        with contextlib.suppress(OSError):
            file = self.folder / shelf.name_of(kept.path for kept in self.files())
            if (bank := shelf.load(file)) is not None:
                return Judge.of_bank(bank)
        pictures = self.pictures()
        if len(pictures) < LEAST:
            return None
        judge = Judge.trained(pictures)
        with contextlib.suppress(OSError):  # a folder of good pictures may be one we only read
            shelf.save(file, judge.bank)
        return judge

    def add_anchor(self, picture: Picture, at_s: float) -> Path:
        """Somebody says that this picture is good. The oldest goes when there are too many."""
        path = self._write("a", shrunk(picture), at_s)
        anchors = [kept for kept in self.files() if kept.anchor and _NAME.match(kept.path.name)]
        for kept in anchors[: max(len(anchors) - MAX_ANCHORS, 0)]:
            kept.path.unlink(missing_ok=True)
        return path

    def forget(self) -> int:
        """Begin anew: the camera was moved or changed on purpose. Returns how many went."""
        files = self.files()
        for kept in files:
            kept.path.unlink(missing_ok=True)
        (self.folder / "banner").unlink(missing_ok=True)
        shelf.clear(self.folder)
        self.candidate, self.revision = None, self.revision + 1
        return len(files)

    def first(self, picture: Picture, at_s: float, *, every_s: float = FIRST_EVERY_S) -> bool:
        """Where nobody gave any: take the first ones by themselves, if there is anything on them."""
        anchors = [kept for kept in self.files() if kept.anchor]
        if len(anchors) >= FIRST_ANCHORS or (anchors and at_s - anchors[-1].at_s < max(every_s, 1.0)):
            return False
        if not _shows_something(picture):
            return False
        self.add_anchor(picture, at_s)
        return True

    def offer(self, jpeg: bytes, at_s: float, *, good_since_s: float | None, confidence: float) -> None:
        """A picture that the judge called ok: perhaps one to learn, if the camera stays well."""
        if good_since_s is None or at_s - good_since_s < GOOD_BEFORE_S or confidence < _SURE:
            return
        if self.candidate is not None or at_s - self.last_candidate_s < CANDIDATE_EVERY_S:
            return
        if len(jpeg) <= MAX_FILE_BYTES * 20 and self._wanted(at_s):
            self.candidate, self.last_candidate_s = _Candidate(jpeg, at_s), at_s

    def banner(self, seen: str) -> str:
        """How the camera presented itself at commissioning; now, if nobody noted it yet."""
        file = self.folder / "banner"
        with contextlib.suppress(OSError):
            if not file.exists() and self.folder.is_dir():
                file.write_text(seen, encoding="ascii")
            return file.read_text(encoding="ascii").strip() or seen
        return seen

    def doubt(self) -> None:
        """Something is not well: what waits is not learnt."""
        self.candidate = None

    def ripen(self, now_s: float) -> bool:
        """Learn what has waited long enough. True if the references changed."""
        waiting = self.candidate
        if waiting is None or now_s - waiting.at_s < GOOD_AFTER_S:
            return False
        self.candidate = None
        try:
            picture = decode(waiting.jpeg)
        except BadPicture:
            return False
        if not self._anchors_agree(picture):
            return False
        bucket = _minute(waiting.at_s) * BUCKETS // 1440
        learnt = [k for k in self.files() if not k.anchor and k.bucket == bucket]
        for kept in learnt[: max(len(learnt) - PER_BUCKET + 1, 0)]:
            kept.path.unlink(missing_ok=True)
        self._write("l", shrunk(picture), waiting.at_s)
        return True

    def _anchors_agree(self, picture: Picture) -> bool:
        """Step by step a slow fault could become the norm; the anchors do not move."""
        judge = self.judge(anchors_only=True)
        if judge is None:
            return False
        light = float(picture[::8, ::8].mean())
        near = min(abs(look.numbers["mean"] - light) for look in judge.bank.looks)
        said = judge.judge(picture)
        return said.verdict == "ok" or (near > _SAME_LIGHT and said.verdict in ("dark", "over_exposed"))

    def _wanted(self, at_s: float) -> bool:
        bucket = _minute(at_s) * BUCKETS // 1440
        learnt = [k for k in self.files() if not k.anchor and k.bucket == bucket]
        return len(learnt) < PER_BUCKET or at_s - learnt[0].at_s > RENEW_S

    def _write(self, kind: str, picture: Picture, at_s: float) -> Path:
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise OSError("the picture cannot be written")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        minute = _minute(at_s)
        path = self.folder / f"{kind}-{minute // 60:02d}{minute % 60:02d}-{int(at_s)}.jpg"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data.tobytes())
        fresh.replace(path)
        self.revision += 1
        return path


def shrunk(picture: Picture) -> Picture:
    """At most 640 pixels wide."""
    height, width = picture.shape[:2]
    if width <= MAX_WIDTH:
        return picture
    size = (MAX_WIDTH, max(round(height * MAX_WIDTH / width), 16))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shows_something(picture: Picture) -> bool:
    """Neither black, nor white, nor flat: what nobody looked at must not be learnt as good."""
    grey = cv2.cvtColor(shrunk(picture), cv2.COLOR_BGR2GRAY)
    mean, spread = float(grey.mean()), float(grey.std())
    detail = float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())
    return 25 < mean < 225 and spread > 12 and detail > 1.5


def _minute(at_s: float) -> int:
    moment = datetime.fromtimestamp(at_s, UTC)
    return moment.hour * 60 + moment.minute
