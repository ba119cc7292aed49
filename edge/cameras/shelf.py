"""A camera's bank on disk, so that a look does not measure twenty good pictures anew.

A judge in memory takes some 9 MB, a thousand of them too much; making one of its JPEGs takes half a
second. What was made of them is kept beside them in one file, named by what they are: another picture,
or another version of the looks, and it is made anew. Structure is kept in half precision (it is judged
to two digits), the rest as it was. A file that cannot be read is none.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from edge.cameras.bank import Bank
from edge.cameras.look import Look

#: Grows with every change of what a look measures.
VERSION: Final = b"looks 1"
#: Of 24 references 3 MB.
MAX_BYTES: Final = 16 << 20
_PREFIX: Final = "bank-"
_PLANES: Final = tuple(f.name for f in fields(Look) if f.name != "numbers")


def name_of(files: Iterable[Path]) -> str:
    """The file's name: follows from these pictures' names, sizes and times."""
    digest = hashlib.blake2b(VERSION, digest_size=12)
    for path in files:
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"{_PREFIX}{digest.hexdigest()}.npz"


def load(file: Path) -> Bank | None:
    """The bank that was kept; None if there is none."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return None
        with np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in (*_PLANES, "numbers", "names", "pairs")}
        names = [str(name) for name in arrays["names"]]
        looks = [
            Look(
                **{p: np.asarray(arrays[p][n], np.float32) for p in _PLANES},
                numbers=dict(zip(names, map(float, arrays["numbers"][n]), strict=True)),
            )
            for n in range(len(arrays["numbers"]))
        ]
        return Bank(looks, pairs=np.asarray(arrays["pairs"], np.float32))
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile):
        return None


def save(file: Path, bank: Bank) -> None:
    """Keep it, in place of older ones. Raises ``OSError``."""
    names = sorted(bank.looks[0].numbers)
    arrays = {plane: np.stack([getattr(look, plane) for look in bank.looks]) for plane in _PLANES}
    arrays["normal"] = arrays["normal"].astype(np.float16)
    arrays["pairs"] = bank.pairs
    arrays["names"] = np.array(names)
    arrays["numbers"] = np.array([[look.numbers[n] for n in names] for look in bank.looks])
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as opened:
        np.savez(opened, **arrays)  # type: ignore[arg-type]  # the stubs take them for its options
    fresh.replace(file)
    clear(file.parent, but=file)


def clear(folder: Path, *, but: Path | None = None) -> None:
    """Forget what was kept there."""
    for other in folder.glob(f"{_PREFIX}*"):
        if other != but:
            other.unlink(missing_ok=True)
