"""The instruments themselves: percentiles, meters, the light client, the mail sink, the thin line."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from pathlib import Path

import aiosmtplib
import pytest
from typer.testing import CliRunner

from edge.spool import Batch, Spool
from edge.wire.clock import SystemClock
from edge.wire.messages import Ack
from edge.wire.readings import Reading
from utaa.bench import app, flood
from utaa.bench.client import BenchClient
from utaa.bench.feeder import Order, times_us, values
from utaa.bench.measure import Meter, machine, percentile
from utaa.bench.report import Report
from utaa.bench.smtp import SmtpSink
from utaa.bench.thin import Proxy
from utaa.servers import Mosquitto


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3.0], 0.99, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([1, 2, 3, 4], 1.0, 4),
     (range(1, 101), 0.99, 99), ([2, 1], 0.0, 1)],
)  # fmt: skip
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


def test_the_meter_sees_work_and_memory_of_a_process() -> None:
    meter = Meter({"me": [os.getpid()], "gone": [2**22 - 1]})
    meter.start()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    used = meter.read()
    assert used["cpu_s"]["me"] >= 0.05  # type: ignore[index]
    assert used["rss_mb"]["me"] > 10  # type: ignore[index]
    assert used["cpu_s"]["gone"] == 0  # type: ignore[index]


def test_the_machine_is_described_with_cores_and_versions() -> None:
    found = machine()
    assert found["cores"] == os.cpu_count()
    assert {"sqlite", "paho-mqtt", "numpy"} <= set(found["versions"])  # type: ignore[call-overload]


def test_a_report_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("alarm", {"seconds": 1}, {"p50_ms": 5.0, "rss_mb": {"gateway": 1.0}})
    report.show(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["bench"], found["p50_ms"], found["rss_mb"]) == ("alarm", 5.0, {"gateway": 1.0})
    report.show(as_json=False)
    assert "p50_ms" in capsys.readouterr().out


def test_every_bench_says_what_it_measures() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    for name in ("alarm", "ingest", "singles", "edge", "drain", "chaos", "decide", "sources"):
        assert name in shown


async def test_the_client_counts_what_the_broker_acknowledged(tmp_path: Path) -> None:
    if not Mosquitto.installed():
        pytest.skip("Mosquitto is not installed: sudo apt-get install mosquitto")
    heard: list[tuple[str, bytes]] = []
    async with Mosquitto(tmp_path) as broker:
        listener = await BenchClient.connect(
            broker.host, broker.port, "listener", lambda topic, payload: heard.append((topic, payload))
        )
        await listener.subscribe("bench/#")
        sender = await BenchClient.connect(broker.host, broker.port, "sender")
        sender.publish((b"bench/%d" % n, b"x" * n) for n in range(300))
        async with asyncio.timeout(10):
            await sender.room(1)
            while len(heard) < 300:
                await asyncio.sleep(0.01)
        assert sender.acknowledged == sender.sent == 300
        assert heard == [(f"bench/{n}", b"x" * n) for n in range(300)]
        await sender.close()
        await listener.close()


async def test_the_mail_sink_notes_recipient_and_moment() -> None:
    taken: list[tuple[str, float, bytes]] = []
    async with SmtpSink(lambda *mail: taken.append(mail)) as sink:
        before_s = time.time()
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False) as client:
            for name in ("a", "b"):
                await client.sendmail(
                    "from@example.org", f"{name}@example.org", f"Subject: {name}\r\n\r\n.dot\r\n"
                )
    assert [recipient for recipient, _, _ in taken] == ["a@example.org", "b@example.org"]
    assert all(before_s <= at_s <= time.time() for _, at_s, _ in taken)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


async def test_a_thin_line_delays_and_paces_and_keeps_the_order() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    sent = bytes(range(256)) * 64
    async with Proxy(bytes_per_s=64_000, delay_s=0.05) as proxy:
        proxy.target = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        began_s = time.monotonic()
        writer.write(sent)
        async with asyncio.timeout(20):
            assert await reader.readexactly(len(sent)) == sent
        took_s = time.monotonic() - began_s
        assert took_s >= 0.1 + len(sent) / 64_000
        writer.close()
    server.close()


async def test_a_cut_line_breaks_connections_until_it_is_mended() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with Proxy() as proxy:
        proxy.target = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        await proxy.cut()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        proxy.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()
    server.close()


def test_a_feeders_readings_are_different_and_can_be_told_again() -> None:
    order = Order(host="", port=0, epoch="e", start_us=0, sites=3, each=200, rounds=4)
    seen = {
        (site, number, int(time_us))
        for site in range(3)
        for turn in range(4)
        for number, time_us in enumerate(times_us(order, site, turn))
    }
    assert len(seen) == 3 * 4 * 200
    again = values(order, 1, 2)
    assert all((column == again[name]).all() for name, column in values(order, 1, 2).items())


async def test_the_mail_sink_with_a_certificate_takes_mail_over_tls_alone(tmp_path: Path) -> None:
    taken: list[str] = []
    async with SmtpSink(lambda recipient, _at_s, _mail: taken.append(recipient), tmp_path) as sink:
        context = ssl.create_default_context(cafile=sink.environment["UTAA_ALERTS_SMTP__CA_FILE"])

        async def send(number: int) -> None:
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1", port=sink.port, start_tls=True, tls_context=context
            ) as client:
                await client.sendmail("from@example.org", f"{number}@example.org", "Subject: x\r\n\r\n")

        await asyncio.gather(*(send(number) for number in range(20)))
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False) as plain:
            with pytest.raises(aiosmtplib.SMTPResponseException, match="STARTTLS"):
                await plain.sendmail("from@example.org", "a@example.org", "Subject: x\r\n\r\n")
    assert sorted(taken) == sorted(f"{number}@example.org" for number in range(20))


def test_the_account_of_a_flood_reads_the_spool_and_the_log(tmp_path: Path) -> None:
    spool = Spool(
        tmp_path / "spool.db", site="s", boot="b", clock=SystemClock(), quota_bytes=1 << 24,
        frame_readings=4,
    )  # fmt: skip
    readings = [Reading(detector="d", time_us=1_800_000_000_000_000 + n, co_ppm=1.0) for n in range(10)]
    spool.commit(Batch(readings=readings))
    assert flood.waiting(tmp_path / "spool.db") == 10
    ack = Ack(site="s", epoch=spool.epoch, store="x", lane="frames", seqs=[(1, 1)])
    spool.acknowledge([ack])
    spool.close()
    assert flood.waiting(tmp_path / "spool.db") == 6
    log = tmp_path / "edge.log"
    log.write_text(
        'not JSON\n{"thinned":5,"dropped":1,"event":"spool.thinned"}\n'
        '{"thinned":2,"dropped":0,"event":"spool.thinned"}\n',
        encoding="utf-8",
    )
    assert flood.given_up(log) == {"thinned": 7, "dropped": 1}
