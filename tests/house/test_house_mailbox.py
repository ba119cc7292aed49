"""The local mailbox: a mail sent to it can be read on its page, decoded and harmless."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import smtplib
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from utaa.servers import Mailbox, free_port


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Mailbox]:
    async with Mailbox(tmp_path / "box") as server:
        yield server


def _send(box: Mailbox, subject: str, text: str, *, secure: bool = True) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "utaa@example.mn", "bat@example.mn"
    mail.set_content(text)
    with smtplib.SMTP(box.host, box.port, timeout=10) as client:
        if secure:
            client.starttls(context=ssl.create_default_context(cafile=str(box.certificate)))
        client.send_message(mail)


async def test_a_mail_is_shown_decoded_and_the_newest_first(box: Mailbox) -> None:
    await asyncio.to_thread(_send, box, "Утаа мэдрэгдлээ", "Гал гарсан байж болзошгүй. 101")
    await asyncio.to_thread(_send, box, "Өнгөрлөө", "Дохиолол унтарлаа.")
    async with httpx.AsyncClient(trust_env=False) as http:
        mails = (await http.get(f"{box.url}api/mails")).json()
        shown = (await http.get(box.url)).text
    assert [mail["subject"] for mail in mails] == ["Өнгөрлөө", "Утаа мэдрэгдлээ"]
    assert mails[1]["text"].strip() == "Гал гарсан байж болзошгүй. 101"
    assert mails[1]["recipients"] == "bat@example.mn"
    assert shown.index("Өнгөрлөө") < shown.index("Утаа мэдрэгдлээ")


async def test_what_a_mail_says_is_never_markup(box: Mailbox) -> None:
    await asyncio.to_thread(_send, box, "<script>alert(1)</script>", "</pre><img src=x>")
    async with httpx.AsyncClient(trust_env=False) as http:
        shown = (await http.get(box.url)).text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)" in shown


async def test_the_page_speaks_either_language_and_leads_to_the_city(tmp_path: Path) -> None:
    async with (
        Mailbox(tmp_path / "box", city_url="http://127.0.0.1:1") as box,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        mongolian = (await http.get(box.url)).text
        english = (await http.get(box.url, params={"lang": "en"})).text
    assert "Одоогоор хоосон" in mongolian
    assert 'href="/?lang=en"' in mongolian
    assert 'href="http://127.0.0.1:1/?lang=mn"' in mongolian
    assert '<html lang="en"' in english
    assert "Nothing yet" in english
    assert "demo" not in english.lower()


async def test_times_are_those_of_ulaanbaatar_to_the_second(box: Mailbox) -> None:
    await asyncio.to_thread(_send, box, "when", "text")
    async with httpx.AsyncClient(trust_env=False) as http:
        (mail,) = (await http.get(f"{box.url}api/mails")).json()
        shown = (await http.get(box.url)).text
    local = datetime.strptime(mail["received_local"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - no zone
    utc = datetime.fromisoformat(mail["received_at"]).replace(tzinfo=None, microsecond=0)
    assert local - utc == timedelta(hours=8)
    assert f">{mail['received_local']}</time>" in shown


async def test_the_page_loads_itself_only_for_something_new(box: Mailbox) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:

        async def newest() -> str:
            return str((await http.get(f"{box.url}api/newest")).json()["newest"])

        before = await http.get(box.url)
        assert await newest() == ""
        assert 'data-newest=""' in before.text
        assert 'http-equiv="refresh"' not in before.text
        script = before.text.partition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in before.headers["Content-Security-Policy"]
        await asyncio.to_thread(_send, box, "new", "text")
        assert f'data-newest="{await newest()}"' in (await http.get(box.url)).text
        assert await newest() != ""


async def test_a_mail_without_starttls_is_refused(box: Mailbox) -> None:
    with pytest.raises(smtplib.SMTPException):
        await asyncio.to_thread(_send, box, "plain", "text", secure=False)


async def test_mails_outlive_a_restart_on_the_same_ports(box: Mailbox) -> None:
    await asyncio.to_thread(_send, box, "kept", "text")
    ports = (box.port, box.http_port)
    await box.restart()
    assert (box.port, box.http_port) == ports
    async with httpx.AsyncClient(trust_env=False) as http:
        assert [m["subject"] for m in (await http.get(f"{box.url}api/mails")).json()] == ["kept"]


@pytest.mark.parametrize("which", ["smtp", "http"])
async def test_a_taken_port_is_one_line_and_an_exit_code(
    box: Mailbox, tmp_path: Path, which: str
) -> None:
    smtp_port = box.port if which == "smtp" else free_port()
    http_port = box.http_port if which == "http" else free_port()
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utaa.mailbox", "--smtp-port", str(smtp_port),
        "--http-port", str(http_port), "--dir", str(tmp_path / "second"),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await second.communicate()
    assert second.returncode == 1
    assert said.decode().count("\n") == 1
    assert str(smtp_port) in said.decode()
