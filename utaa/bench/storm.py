"""``utaa bench storm``: thousands of homes burn within a minute, each with several people to be told.

The register, the ingest's own function, the real worker and its channels in this process; a mail server
and a push service in another one note when they took each message. Troubles are due all the while and
must not make a fire wait. Delays are from the moment the alarm was due, first notification of each
person.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from alerts.bench import StormFigures, storm
from utaa.bench.report import Report, Teller


async def run_storm(
    *, folder: Path, teller: Teller, households: int, contacts: int, seconds: float, troubles: int
) -> Report:
    """Raises ``OSError`` or ``TimeoutError`` with one line for the user."""
    report = Report(
        "storm",
        {"households": households, "contacts": contacts, "seconds": seconds, "troubles": troubles},
        targets={"within_10_s": "1.0", "max_ms": "≤ 10,000", "lost": "0", "doubled": "0",
                 "incidents": f"{households}"},
    )  # fmt: skip
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    teller.say(f"{households * contacts:,} people of {households:,} homes")
    told: list[int] = []
    playing = asyncio.create_task(
        storm(
            folder, households=households, contacts=contacts, spread_s=seconds, troubles=troubles,
            progress=told.append,
        )
    )  # fmt: skip
    with teller.bar("told", households * contacts) as bar:
        while not playing.done():
            bar.at(told[-1] if told else 0)
            await asyncio.sleep(0.5)
    report.figures = _figures(await playing)
    return report


def _figures(found: StormFigures) -> dict[str, object]:
    wanted = found.households * found.contacts
    return {
        "alarms_per_s": round(found.households / found.spread_s, 1),
        "told": found.told,
        "within_10_s": round(found.within_10_s, 4),
        "p50_ms": round(found.median_s * 1000),
        "p99_ms": round(found.p99_s * 1000),
        "max_ms": round(found.slowest_s * 1000),
        "planned_late_ms": round(found.planned_late_s * 1000),
        "troubles_told": found.troubles_told,
        "troubles_before_fire": found.troubles_before_fire,
        "incidents": found.incidents,
        "lost": wanted - found.told,
        "doubled": found.doubled,
        "cpu_s": {"city": round(found.cpu_s, 2), "receivers": round(found.receivers_cpu_s, 2)},
        "cpu_ms_per_message": round(1000 * found.cpu_s / max(1, found.told + found.troubles_told), 2),
        "rss_mb": {"city": round(found.peak_rss_mb, 1)},
    }
