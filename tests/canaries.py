"""Planted values that must appear nowhere they do not belong, and a search for them in any form.

``found_in`` looks for each as it is, as JSON, URL, base64 and hexadecimal would write it. The values of
shared fixtures are the ``EVERYWHERE`` ones: ``tests/conftest.py`` searches the captured output of the
whole run for them.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

#: Personal and secret values of fixtures that many tests share.
EVERYWHERE = {
    "a fixture's password": "correct horse battery",
    "a resident's address": "Сонгинохайрхан, 24-р хороо, Толгойт 12-45",
    "a resident's mail": "tsetseg@example.mn",
    "a resident's number": "+97699112233",
    "a camera's password": "Zq7-hidden",
    "a database's password": "verysecret",
    "a mail server's password": "geheim-77-password",
}


def planted() -> dict[str, str]:
    """Fresh values of every kind, none of which a program writes by chance."""
    mark = secrets.token_hex(5)
    return {
        "name": f"Канарай{mark} Нэргүй",
        "address": f"Канар гудамж {mark}, 17-3 тоот",
        "mail": f"canary.{mark}@example.org",
        "refused mail": f"dead.{mark}@example.org",
        "number": f"+97699{secrets.randbelow(10**6):06}",
        "password": f"canary-pass-{mark}",
        "wrong password": f"canary-wrong-{mark}",
        "complaint": f"Канарын гомдол {mark}",
        "stream password": f"canary-stream-{mark}",
        "wrong stream password": f"canary-bad-stream-{mark}",
        "mail server's password": f"canary-smtp-{mark}",
    }


@lru_cache(maxsize=256)
def forms_of(value: str) -> tuple[bytes, ...]:
    """The value as programs write it."""
    plain = value.encode()
    shifted = (base64.b64encode(b"\0" * shift + plain)[4:-4] for shift in range(3))
    written = {
        plain, json.dumps(value)[1:-1].encode(), quote(value).encode(), quote(value, safe="@").encode(),
        plain.hex().encode(), base64.b64encode(plain).rstrip(b"="),
        repr(plain)[2:-1].encode(), *(piece for piece in shifted if len(piece) > 12),
    }  # fmt: skip
    return tuple(sorted(written))


def found_in(content: bytes | str, values: Mapping[str, str]) -> list[str]:
    """The names of the values that the content holds in any form."""
    haystack = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return [name for name, value in values.items() if any(form in haystack for form in forms_of(value))]


def leaks(places: Iterable[tuple[str, bytes | str]], values: Mapping[str, str]) -> list[str]:
    """``where: what`` of everything that was found."""
    return [f"{where}: {name}" for where, content in places for name in found_in(content, values)]


def files_under(folder: Path, *, but: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file's path and content, except those in which the values were planted."""
    spared = set(but)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not spared & {path, *path.parents}:
            yield str(path.relative_to(folder)), path.read_bytes()


def processes(root: int) -> Iterator[tuple[str, bytes]]:
    """What ``ps eww`` shows of a process and of all that it started."""
    for pid in _family(root):
        for name in ("cmdline", "environ"):
            try:
                yield f"/proc/{pid}/{name}", (Path("/proc") / str(pid) / name).read_bytes()
            except OSError:  # it has just ended
                continue


def _family(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])
