"""No log line, metric, row of evidence or printed error carries an address, a name or a token."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from alerts.channels.email import EmailChannel
from alerts.channels.sms import SmsChannel
from alerts.channels.vapid import ensure_vapid
from alerts.channels.webpush import WebPushChannel
from alerts.settings import SmsSettings, WebPushSettings
from registry.db import Base
from tests.alerts.city import ADDRESS, MAILS, Town, mail_settings
from tests.alerts.push_service import PushService
from tests.servers import SmtpServer


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    service = PushService()
    await service.start()
    yield service
    await service.stop()


async def test_nothing_that_is_written_down_says_whom_we_told(
    town: Town,
    smtp: SmtpServer,
    service: PushService,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    smtp.refuse[MAILS[0]] = f"550 5.1.1 <{MAILS[0]}> no such user, call +976 9911 2233"
    good, dead = service.subscribe(), service.subscribe()
    dead.gone = True
    await town.add_contact(good.subscription, dead.subscription, channel="webpush")
    await town.add_contact("99112233", channel="sms")
    await town.add_contact("not an address", channel="email")
    vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
    worker = town.worker(
        EmailChannel(mail_settings(smtp)),
        WebPushChannel(WebPushSettings(allow_private=True), vapid),
        SmsChannel(SmsSettings(url="http://127.0.0.1:1/"), password="s3cret"),
        public_url="https://utaa.example",
    )
    with structlog.testing.capture_logs() as logs:
        await town.alarm()
        await worker.run_until_idle()
    links = [part for mail in smtp.mails for part in mail.text.split() if "/a/" in part]
    assert links, "the messages themselves do carry a link"

    rows = []
    async with town.database.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in await session.execute(table.select()):
                rows.append(f"{table.name} {row!r}")
        assert await session.scalar(text("select count(*) from attempt"))
    printed = capsys.readouterr()
    servers = ("mail.", "aiosqlite")  # the test's own mail server; a driver that prints sealed bytes
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(servers)]
    written = "\n".join([*rows, *ours, repr(logs), printed.out, printed.err, repr(worker.outcomes)])
    secrets = {
        MAILS[0], MAILS[1], "99112233", "9911 2233", "not an address", ADDRESS, "s3cret",
        good.endpoint, dead.endpoint, links[0].rpartition("/")[2],
    }  # fmt: skip
    for secret in secrets:
        assert secret not in written, secret
