"""A mail server of one box that keeps every mail, and a local page to read them in two languages.

``python -m utaa.mailbox --smtp-port 2525 --http-port 8025 --dir FOLDER`` runs until SIGINT or SIGTERM.

A mail's way: SMTP with STARTTLS (a certificate made at each start) → ``FOLDER/Maildir``, one file per
mail → ``/`` for people (newest first), ``/api/mails`` for programs. Nothing is sent any further, and
it listens on this machine unless told otherwise: these mails are nobody else's business.

The page asks ``/api/newest`` and loads itself anew only when there is something new.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import email
import email.policy
import hashlib
import html
import mailbox
import signal
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from edge.wire.clock import datetime_from_us, rfc3339
from utaa.certificates import make_certificate

#: The page shows this many; older ones stay in the Maildir.
MAX_SHOWN = 200
#: A notification is a few kB; a larger mail than this is refused.
MAX_MAIL_BYTES = 1 << 20
#: The page asks this often whether there is something new.
_REFRESH_S = 3
_ZONE = ZoneInfo("Asia/Ulaanbaatar")

Language = Literal["mn", "en"]


class ShownMail(NamedTuple):
    """A mail as the page shows it, headers and body decoded."""

    id: str
    received_at: str
    #: the same on a clock in Ulaanbaatar, to the second
    received_local: str
    sender: str
    recipients: str
    subject: str
    text: str


class Store:
    """A Maildir: one file per mail, safe against a crash in between."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._maildir = mailbox.Maildir(folder, create=True)

    def add(self, content: bytes) -> None:
        self._maildir.add(content)

    def newest_id(self) -> str:
        """Changes when a mail comes; "" while there is none."""
        return max(self._dated(), default=(0.0, ""))[1]

    def newest(self) -> list[ShownMail]:
        """At most ``MAX_SHOWN``, newest first."""
        by_age = sorted(self._dated(), reverse=True)[:MAX_SHOWN]
        return [_shown(key, int(at_s * 1e6), self._maildir.get_bytes(key)) for at_s, key in by_age]

    def _dated(self) -> Iterator[tuple[float, str]]:
        for path in (self._folder / "new").iterdir():
            yield path.stat().st_mtime, path.name


def _shown(key: str, received_us: int, content: bytes) -> ShownMail:
    message = email.message_from_bytes(content, policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    try:
        text = body.get_content() if body else ""
    except (LookupError, UnicodeError):  # an alphabet nobody knows
        text = "(unreadable)"
    return ShownMail(
        id=key,
        received_at=rfc3339(received_us),
        received_local=f"{datetime_from_us(received_us).astimezone(_ZONE):%Y-%m-%d %H:%M:%S}",
        sender=str(message.get("From", "")),
        recipients=str(message.get("To", "")),
        subject=str(message.get("Subject", "")),
        text=str(text),
    )


class Handler:
    """What the SMTP server does with a mail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        await asyncio.to_thread(self._store.add, cast(bytes, envelope.content))
        return "250 kept in the local mailbox"


_SCRIPT = f"""
const shown = document.documentElement.dataset.newest;
setInterval(async () => {{
  try {{
    const answer = await fetch("/api/newest");
    if (answer.ok && (await answer.json()).newest !== shown) location.reload();
  }} catch {{ /* the mailbox is stopped; it may come back */ }}
}}, {_REFRESH_S * 1000});
"""
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_SCRIPT_HASH}';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="{lang}" data-newest="{newest}"><head><meta charset="utf-8"><title>{title} ({count})</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }}
article {{ border: 1px solid #8888; border-radius: .5rem; padding: .2rem 1rem; margin: 1rem 0; }}
h2 {{ font-size: 1.1rem; margin: .5rem 0; }} small {{ opacity: .75; overflow-wrap: anywhere; }}
pre {{ white-space: pre-wrap; font: inherit; overflow-wrap: anywhere; }}
nav a {{ margin-inline-end: 1rem; }}
:root {{ color-scheme: light dark; }}
</style></head><body>
<nav>{links}</nav>
<h1>{title}</h1>
<p>{about}</p>
{mails}
<script>{script}</script>
</body></html>"""
_MAIL = """<article><h2>{subject}</h2><small><time datetime="{received_at}">{received_local}</time>
 · {sender} → {recipients}</small>
<pre>{text}</pre></article>"""
_WORDS: dict[Language, dict[str, str]] = {
    "mn": {
        "title": "Дотоод шуудан",
        "about": "Эдгээр и-мэйл энэ машинаас гарахгүй.",
        "nothing": "Одоогоор хоосон.",
        "city": "Хотын хуудас",
    },
    "en": {
        "title": "Local mailbox",
        "about": "These mails do not leave this machine.",
        "nothing": "Nothing yet.",
        "city": "The city's page",
    },
}
#: How each language is named where the other one is shown.
_NAMES: dict[Language, str] = {"mn": "Монгол", "en": "English"}


def page(mails: Sequence[ShownMail], lang: Language = "mn", *, city_url: str | None = None) -> str:
    """The page. Whatever a mail says is text, never markup."""
    words = _WORDS[lang]
    parts = (
        _MAIL.format(**{name: html.escape(text) for name, text in mail._asdict().items()})
        for mail in mails
    )
    links = [f'<a href="/?lang={other}">{_NAMES[other]}</a>' for other in _NAMES if other != lang]
    if city_url:
        links.insert(0, f'<a href="{html.escape(city_url)}/?lang={lang}">{words["city"]}</a>')
    return _PAGE.format(
        lang=lang,
        newest=html.escape(mails[0].id if mails else ""),
        title=words["title"],
        count=len(mails),
        links=" ".join(links),
        about=words["about"],
        mails="\n".join(parts) or f"<p>{words['nothing']}</p>",
        script=_SCRIPT,
    )


def web(store: Store, city_url: str | None = None) -> FastAPI:
    """The page and its data as an application."""
    app = FastAPI(title="Utaa's local mailbox", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", response_class=HTMLResponse)
    def show(lang: str = "mn") -> HTMLResponse:
        return HTMLResponse(
            page(store.newest(), "en" if lang == "en" else "mn", city_url=city_url),
            headers={"Content-Security-Policy": _POLICY},
        )

    @app.get("/api/mails")
    def mails() -> list[dict[str, str]]:
        return [mail._asdict() for mail in store.newest()]

    @app.get("/api/newest")
    def newest() -> dict[str, str]:
        return {"newest": store.newest_id()}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


class _Web(uvicorn.Server):
    """Leaves signals to ``serve``, which stops both servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _tls(folder: Path, host: str) -> ssl.SSLContext:
    files = make_certificate(folder, sorted({host, "127.0.0.1", "localhost"}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


async def serve(
    folder: Path, host: str, smtp_port: int, http_port: int, city_url: str | None = None
) -> None:
    """Both servers until SIGINT or SIGTERM. Raises ``OSError`` if an address cannot be had."""
    store = Store(folder / "Maildir")
    tls = _tls(folder, host)
    loop = asyncio.get_running_loop()

    def smtp() -> asyncio.BaseProtocol:
        protocol = SMTP(
            Handler(store), hostname="localhost", data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True, tls_context=tls, require_starttls=True,
        )  # fmt: skip
        return cast(asyncio.BaseProtocol, protocol)

    server = await loop.create_server(smtp, host, smtp_port)
    http = await loop.create_server(asyncio.Protocol, host, http_port)  # taken? then say so plainly
    http.close()
    await http.wait_closed()
    app = web(store, city_url)
    config = uvicorn.Config(app, host=host, port=http_port, log_level="warning", lifespan="off")
    runner = _Web(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, runner, "should_exit", True)
    await runner.serve()
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="utaa.mailbox", description="A mail server that keeps all.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=2525)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--dir", type=Path, required=True, help="where the mails are kept")
    parser.add_argument("--city", help="the address of the city's page, for a link to it")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(
            serve(options.dir, options.host, options.smtp_port, options.http_port, options.city)
        )
    except OSError as error:
        what = f"{options.dir}, ports {options.smtp_port} and {options.http_port}"
        print(f"utaa: mailbox {what}: {error.strerror or error}: choose others", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
