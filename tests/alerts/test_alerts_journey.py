"""From an alarm to an accepted e-mail, with a real mail server."""

from __future__ import annotations

from alerts.channels.email import EmailChannel
from alerts.models import Attempt, Delivery
from tests.alerts.city import ADDRESS, MAILS, Town, mail_settings
from tests.servers import SmtpServer, until


async def test_smoke_reaches_every_contact_by_mail_and_is_recorded_as_accepted(
    any_town: Town, smtp: SmtpServer
) -> None:
    channel = EmailChannel(mail_settings(smtp))
    applied = await any_town.alarm()
    assert applied.opened
    assert applied.notified == 2

    await any_town.worker(channel).run_until_idle()
    await channel.close()

    assert sorted(mail.recipients[0] for mail in smtp.mails) == sorted(MAILS)
    mail = smtp.mails[0]
    assert mail.secure
    assert mail.message["Subject"].startswith("ГАЛ! Сонгинохайрхан")
    for words in (ADDRESS, "гал тогоо", "101", "2026-01-31 03:12", "гадаа гар"):
        assert words in mail.text
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Message-ID"].endswith("@example.mn>")
    deliveries = await any_town.all(Delivery)
    assert {delivery.state for delivery in deliveries} == {"accepted"}
    assert all(delivery.accepted_us for delivery in deliveries)
    attempts = await any_town.all(Attempt)
    assert [attempt.outcome for attempt in attempts] == ["accepted", "accepted"]
    assert not any("@" in (attempt.evidence or "") for attempt in attempts)


async def test_a_wake_up_sends_without_waiting_for_the_poll(town: Town, smtp: SmtpServer) -> None:
    import asyncio

    from alerts.settings import WorkerSettings

    channel = EmailChannel(mail_settings(smtp))
    worker = town.worker(channel, settings=WorkerSettings(poll_s=3600))
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    await town.alarm()
    worker.wake()
    await smtp.wait_for(2)
    await until(lambda: _all_accepted(town), "both accepted")
    worker.stop()
    await running
    await channel.close()


async def _all_accepted(town: Town) -> bool:
    return await town.states() == ["accepted", "accepted"]
