"""Pictures of real places that come inside packages, as cameras; reported apart from generated ones.

scikit-image and scikit-learn carry photographs; OpenCV's **source** package carries more, and
``vtest.avi``, a real surveillance film (give its ``samples/data`` folder). A photograph becomes a
camera
by what a camera does between two looks: light, colour of the light, contrast, grain, a tremble, the
infrared switch, compression. Faults are those of ``faults``; a turned camera sees another part of it.
The photographs of scikit-image and scikit-learn also **tune** the model; OpenCV's are held out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.cameras.bank import Bank
from edge.cameras.errors import PartMissing, need
from edge.cameras.pictures import BadPicture, Picture, read
from edge.cameras.proving.faults import FAULTS
from edge.cameras.proving.measure import Measured
from edge.cameras.proving.plan import VERDICTS

_SKIMAGE: Final = ("astronaut", "camera", "chelsea", "coffee", "rocket", "motorcycle_left", "retina",
                   "hubble_deep_field", "coins", "brick")  # fmt: skip
_SKLEARN: Final = ("china", "flower")
#: Of OpenCV's samples, what shows a place or a thing and is large enough to be cropped.
_OPENCV: Final = ("building", "home", "fruits", "board", "aloeL", "basketball1", "leuvenA", "messi5",
                  "starry_night", "squirrel_cls", "rubberwhale1", "stuff", "graf1", "box_in_scene",
                  "orange", "sudoku", "butterfly", "aero1", "baboon", "cards")  # fmt: skip
_NORMAL: Final = 16
_REFERENCES: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A camera made of a photograph, or of a film's pictures that all show the same place."""

    name: str
    pictures: tuple[Picture, ...]


def places(opencv_samples: Path | None) -> list[Place]:
    """What can be found, by name."""
    found: list[Place] = []
    for module, folder, names in (
        ("skimage", "data", _SKIMAGE),
        ("sklearn", "datasets/images", _SKLEARN),
    ):
        try:
            home = Path(need(module).__file__).parent / folder
        except PartMissing:
            continue
        found += _photographs(home, module, names)
    if opencv_samples is not None:
        found += _photographs(opencv_samples, "opencv", _OPENCV)
        film = _film(opencv_samples / "vtest.avi")
        if film:
            found.append(Place("opencv/vtest.avi", tuple(film)))
    return found


def tuning_cases() -> list[tuple[Place, int]]:
    """The places that tune, each as three cameras. Raises ``PartMissing`` without them."""
    need("skimage")
    need("sklearn")
    return [(place, variant) for place in places(None) for variant in (1, 2, 3)]


def measure_tuning(case: tuple[Place, int]) -> list[Measured]:
    """``measure_place`` of one of ``tuning_cases``; its scene number is its own, below zero."""
    place, variant = case
    number = -1 - zlib.crc32(place.name.encode()) % 100_000
    return [replace(m, scene=number) for m in measure_place(place, variant)]


def _photographs(home: Path, origin: str, names: tuple[str, ...]) -> Iterator[Place]:
    for name in names:
        for path in sorted(home.glob(f"{name}.*")):
            try:
                picture = read(path)
            except BadPicture:
                continue
            if min(picture.shape[:2]) >= 240 and path.suffix in (".png", ".jpg"):
                while picture.shape[1] > 1400:
                    picture = np.asarray(cv2.pyrDown(picture), np.uint8)
                yield Place(f"{origin}/{name}", (picture,))


def _film(path: Path) -> list[Picture]:
    """Sixty pictures spread over the film."""
    capture = cv2.VideoCapture(str(path))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    result = []
    for number in range(total):
        if not capture.grab():
            break
        if number % max(total // 60, 1) == 0:
            result.append(np.asarray(capture.retrieve()[1], np.uint8))
    capture.release()
    return result


def measure_place(place: Place, variant: int = 0) -> list[Measured]:
    """Decisions about one place; the numbers for each. Another ``variant`` is another camera there."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([77, variant, *place.name.encode()])
    infrared = bool(rng.random() < 0.5)

    def look(kind: str) -> Picture:
        base = place.pictures[int(rng.integers(0, len(place.pictures)))]
        return _as_camera(rng, base, kind, infrared)

    bank = Bank([look("ok") for _ in range(_REFERENCES)])
    result = [Measured(0, "ok", bank.compare(look("ok")), place.name) for _ in range(_NORMAL)]
    coloured = float(np.ptp(place.pictures[0].astype(np.int16), axis=2).mean()) > 12
    for kind in VERDICTS[1:]:
        if kind == "colour_lost" and not coloured:
            continue
        result += [Measured(0, kind, bank.compare(look(kind)), place.name) for _ in range(3)]
    return result


def _as_camera(rng: np.random.Generator, base: Picture, kind: str, infrared: bool) -> Picture:
    picture = _part(rng, base, turned=kind == "moved").astype(np.float32) / 255
    night = infrared and kind != "colour_lost" and rng.random() < 0.3
    exposure = rng.uniform(0.7, 1.3) if kind == "colour_lost" else np.exp(rng.normal(0, 0.3))
    picture = np.power(np.clip(picture, 0, 1), 2.2) * exposure
    picture *= 1 + rng.uniform(-0.08, 0.08, 3).astype(np.float32)
    height, width = picture.shape[:2]
    if night:
        yy, xx = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        grey = picture.mean(axis=2) * np.exp(-(xx**2) - yy**2) * 0.7
        picture = np.repeat(grey[..., None], 3, axis=2)
    elif rng.random() < 0.2:  # mist
        share = rng.uniform(0.1, 0.45)
        picture = picture * (1 - share) + share * 0.5
    shown = np.power(np.clip(picture, 0, 1), 1 / 2.2) * 255
    grain = rng.standard_normal((height, width), dtype=np.float32)[..., None]
    shown += grain * rng.uniform(0.5, 3.5)
    out = np.clip(shown, 0, 255).astype(np.uint8)
    fault: Callable[[np.random.Generator, Picture], Picture] | None = FAULTS.get(kind)
    if fault is not None:
        out = fault(rng, out)
    _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def _part(rng: np.random.Generator, base: Picture, *, turned: bool) -> Picture:
    """Three quarters of the photograph: the middle with a tremble, or another part, or turned."""
    height, width = base.shape[:2]
    w, h = int(width * 0.75), int(height * 0.75)
    dx, dy = rng.normal(0, 0.4, 2)
    roll, zoom = 0.0, 1.0
    if turned:
        way = rng.choice(["shift", "roll", "zoom"], p=[0.6, 0.25, 0.15])
        angle = rng.uniform(0, 2 * np.pi)
        if way == "shift":
            dx, dy = 0.11 * width * np.cos(angle), 0.11 * height * np.sin(angle)
        roll = float(rng.choice([-1, 1]) * rng.uniform(3.5, 10)) if way == "roll" else 0.0
        zoom = float(rng.uniform(1.12, 1.4)) if way == "zoom" else 1.0
    m = cv2.getRotationMatrix2D((width / 2 + dx, height / 2 + dy), roll, zoom)
    m[0, 2] += w / 2 - width / 2 - dx
    m[1, 2] += h / 2 - height / 2 - dy
    out = cv2.warpAffine(base, m, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(out, np.uint8)
