"""A KHUR adapter that does not exist: it speaks the contract of docs/khur.md and enforces it.

What is asked wrongly is refused with the status of the contract, and counted. It holds made-up legal
entities and addresses: ``2000001`` to ``2000086`` and ``DRK-0001`` to ``DRK-0128``. Every other
well-formed question is unknown.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Final

import typer

_MAX_BODY: Final = 4096
_VALID: Final = timedelta(hours=24)
_PATHS: Final = {
    "/v1/legal-entity": ("register_number", re.compile(r"[0-9]{7}")),
    "/v1/address": ("address_code", re.compile(r"[0-9A-Z-]{4,30}")),
}
_ENTITIES: Final = range(2_000_001, 2_000_087)
_ADDRESSES: Final = range(1, 129)
_BODIES: Final = ("Сургууль", "Цэцэрлэг", "Эмнэлэг", "Хорооны алба", "Сургалтын төв", "Номын сан")


def judged(path: str, headers: dict[str, str], body: bytes, token: str) -> tuple[int, dict[str, Any]]:
    """The contract as one pure function: (status, answer) for a POST."""
    lower = {name.lower(): value for name, value in headers.items()}
    if path not in _PATHS:
        return 404, {"outcome": "no_such_question"}
    if lower.get("authorization") != f"Bearer {token}":
        return 401, {"outcome": "refused", "why": "authorization"}
    if not re.fullmatch(r"[0-9A-Za-z-]{8,64}", lower.get("x-request-id", "")):
        return 400, {"outcome": "refused", "why": "x-request-id"}
    if lower.get("content-type", "").partition(";")[0].strip() != "application/json":
        return 400, {"outcome": "refused", "why": "content-type"}
    name, pattern = _PATHS[path]
    try:
        asked = json.loads(body)
        wrong = set(asked) != {name, "reason", "asker"}
    except (ValueError, TypeError):
        return 400, {"outcome": "refused", "why": "json"}
    if wrong or not all(isinstance(value, str) for value in asked.values()):
        return 422, {"outcome": "refused", "why": "fields"}
    if not pattern.fullmatch(asked[name]):
        return 422, {"outcome": "refused", "why": name}
    if not 5 <= len(asked["reason"]) <= 500 or not 1 <= len(asked["asker"]) <= 100:
        return 422, {"outcome": "refused", "why": "reason"}
    return _answered(name, asked[name])


def _answered(name: str, question: str) -> tuple[int, dict[str, Any]]:
    valid_until = (datetime.now(UTC) + _VALID).isoformat(timespec="seconds")
    record = _entity(question) if name == "register_number" else _address(question)
    if record is None:
        return 404, {"outcome": "unknown", "valid_until": valid_until}
    return 200, {"outcome": "found", "record": record, "valid_until": valid_until}


def _entity(number: str) -> dict[str, str] | None:
    if int(number) not in _ENTITIES:
        return None
    place = int(number) - _ENTITIES.start
    name = f"{place // len(_BODIES) + 1}-р {_BODIES[place % len(_BODIES)].lower()}"
    return {"register_number": number, "name": name, "status": "active"}


def _address(code: str) -> dict[str, str] | None:
    found = re.fullmatch(r"DRK-([0-9]{4})", code)
    if found is None or int(found[1]) not in _ADDRESSES:
        return None
    number = int(found[1])
    text = f"Дархан, {number % 16 + 1}-р баг, жишээ гудамж, {number} тоот"
    return {"address_code": code, "unit_code": "4501", "text": text}


class KhurServer(ThreadingHTTPServer):
    """The stand-in on a port of this machine; ``counts`` tells what was asked and how it was judged."""

    daemon_threads = True

    def __init__(self, port: int, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = token
        self.counts: Counter[int] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: KhurServer
    protocol_version = "HTTP/1.1"
    #: a client that stops in the middle is let go
    timeout = 10

    def do_POST(self) -> None:  # its name is the library's
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            self._answer(413, {"outcome": "refused", "why": "length"})
            self.close_connection = True
            return
        body = self.rfile.read(int(length))
        self._answer(*judged(self.path, dict(self.headers.items()), body, self.server.token))

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        with self.server.lock:
            self.server.counts[status] += 1
        content = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked is nobody's business."""


def khur(
    port: Annotated[int, typer.Option(help="on this machine only; 0: any free one")] = 8471,
    token: Annotated[str, typer.Option(help="the key that must be sent")] = "simulated",  # noqa: S107
) -> None:
    """Answer look-ups of legal entities and addresses as docs/khur.md says, until Ctrl-C."""
    server = KhurServer(port, token)
    typer.echo(f"KHUR that does not exist, at {server.url}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo(json.dumps({str(status): count for status, count in server.counts.items()}))
    finally:
        server.server_close()
