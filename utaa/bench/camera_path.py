"""``utaa bench cameras --parts path``: from a camera's fault to an incident and back, all of it real.

Cameras come from the register alone (a clerk's table, and the password entered by hand); gateway,
broker, agent and watch are those that run in a city, the simulator has the faults. Nothing is
compressed: probes each 24 s, the patience of the defaults, faults at random moments of a minute, each
on a camera of its own. Afterwards some cameras are rebooted for 90 s, and half of all are lost at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any, Final

from edge.wire.clock import SystemClock
from utaa.bench.cameras import host, simulated, tell
from utaa.bench.measure import percentile
from utaa.bench.report import Teller

#: What is lost, and what is done to the picture.
LOST: Final = ("wrong_password", "hang", "closes", "unknown_path")
TAMPERED: Final = ("covered", "moved", "dark", "over_exposed", "defocused")
_SITE: Final = "bench-cameras"
_HEADS: Final = "Дугаар;Төлөв;Дүрсний хаяг;Хянах цэг;Дүрсний өргөн, px;Дүрсний өндөр, px;Кодек"
#: A fault that is not told within this is not told.
_LONGEST_S: Final = 200.0
_REBOOT_S: Final = 90.0
_REBOOTED: Final = 3
#: Lost together: at least so many, and half of all.
_TOGETHER: Final = 30


async def path(folder: Path, faults: int, teller: Teller) -> dict[str, Any]:
    """Seconds to the incident, and to its end; a reboot; a loss of many."""
    from registry.db import Database
    from registry.identity import Identity
    from utaa.onebox import OneBox, Plan
    from utaa.readback import Api

    count = max(faults * 3, 12)  # a third of them at once is no loss of the network
    ready = ",".join(TAMPERED)
    async with simulated(count, "--size", "640x360", "--prepare", ready) as port:
        plan = Plan(
            folder=folder / "box", sites=(_SITE,), influx=False, mosquitto=True,
            edge_env={"UTAA_EDGE_CAMERAS__ONVIF": "false"},
        )  # fmt: skip
        async with OneBox(plan) as box:
            await box.start_gateway()
            database = Database(box.database_url)
            roles = ("administrator", "registrar", "duty")
            token = await Identity(database, SystemClock()).new_token("bench", roles, days=1)
            await database.close()
            api = Api(box.url, token)
            try:
                await api.post("/sites", {"id": _SITE, "title": "bench"})
                cameras = await _registered(api, port, count)
                box.start_edge(_SITE)
                await _until_learnt(api, count)
                teller.say("all cameras are watched; faults begin")
                figures = await _faults(api, port, faults, cameras)
                teller.say("a reboot, then half of all at once")
                figures["reboot"] = await _reboot(api, port, cameras, count)
                figures["lost_together"] = await _together(api, port, cameras, count)
                return figures
            finally:
                await api.close()


async def _registered(api: Any, port: int, count: int) -> dict[str, str]:
    """As a clerk does it: by a table. The cameras' ids by their names."""
    rows = "".join(
        f"cam{n};active;rtsp://{host(n)}:{port}/cam{n};{_SITE};640;360;H.264\n"
        for n in range(1, count + 1)
    )
    where = {"kind": "cameras", "name": "cameras.csv"}
    sent = await api._http.post("/imports", params=where, content=f"{_HEADS}\n{rows}".encode())
    sent.raise_for_status()
    await api.post(f"/imports/{sent.json()['id']}/apply", {})
    return {row["number"]: row["id"] async for row in api.items("/cameras")}


async def _until_learnt(api: Any, count: int) -> None:
    """Every camera known to be well, and its first good pictures taken."""
    end = time.monotonic() + 900
    while time.monotonic() < end:
        rows = [row async for row in api.items("/camera-health")]
        if len(rows) == count and all(row["summary"] == "ok" for row in rows):
            await asyncio.sleep(150)  # five good pictures of each, 24 s apart
            return
        await asyncio.sleep(2)
    raise TimeoutError(f"not all of {count} cameras were well within 15 minutes")


async def _faults(api: Any, port: int, faults: int, cameras: dict[str, str]) -> dict[str, Any]:
    chance = random.Random(17)  # noqa: S311  # to spread the faults, the same in each run
    kinds = [(LOST if n % 2 else TAMPERED) for n in range(faults)]
    chosen = [(f"cam{n + 1}", kind[n // 2 % len(kind)]) for n, kind in enumerate(kinds)]
    told: dict[str, list[float]] = {"offline": [], "tamper": []}
    over, silent, stays = list[float](), list[str](), list[str]()
    rows = await asyncio.gather(
        *(
            _one_fault(api, port, camera, cameras[camera], fault, chance.uniform(0, 60))
            for camera, fault in chosen
        )
    )
    for (camera, fault), (raised_s, cleared_s) in zip(chosen, rows, strict=True):
        if raised_s is None:
            silent.append(f"{camera} {fault}")
            continue
        told["offline" if fault in LOST else "tamper"].append(raised_s)
        if cleared_s is None:
            stays.append(f"{camera} {fault}")
        else:
            over.append(cleared_s)
    healthy = set(cameras.values()) - {cameras[camera] for camera, _ in chosen}
    wrong = [one async for one in api.items("/incidents") if one["subject_id"] in healthy]
    return {
        "offline_s": _spread(told["offline"]), "tamper_s": _spread(told["tamper"]),
        "cleared_s": _spread(over), "not_told": silent, "not_cleared": stays,
        "told_without_reason": len(wrong), "healthy_cameras": len(healthy),
    }  # fmt: skip


async def _one_fault(
    api: Any, port: int, camera: str, subject: str, fault: str, after_s: float
) -> tuple[float | None, float | None]:
    """Seconds to the incident, and from mending to its end; None for never."""
    await asyncio.sleep(after_s)
    tell(port, camera, fault)
    raised_s = await _until_state(api, subject, "opened")
    tell(port, camera, None)
    return raised_s, None if raised_s is None else await _until_state(api, subject, "all_clear")


async def _until_state(api: Any, subject: str, state: str) -> float | None:
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST_S:
        async for incident in api.items("/incidents"):
            if incident["subject_id"] == subject and incident["state"] == state:
                return time.monotonic() - began
        await asyncio.sleep(0.5)
    return None


async def _reboot(api: Any, port: int, cameras: dict[str, str], count: int) -> dict[str, Any]:
    """A few cameras are away for 90 s: what is opened is closed again, and nobody is told."""
    names = [f"cam{count - n}" for n in range(_REBOOTED)]
    for name in names:
        tell(port, name, "hang")
    await asyncio.sleep(_REBOOT_S)
    for name in names:
        tell(port, name, None)
    await asyncio.sleep(60.0)
    ids = {cameras[name] for name in names}
    found = [one async for one in api.items("/incidents") if one["subject_id"] in ids]
    whole = [await api.get(f"/incidents/{one['id']}") for one in found]
    told = sum(
        len(way["attempts"])
        for one in whole
        for note in one["notifications"]
        for way in note["deliveries"]
    )
    return {
        "cameras": len(names), "away_s": _REBOOT_S, "incidents": len(found), "notifications": told,
        "still_open": sum(one["state"] != "all_clear" for one in found),
    }  # fmt: skip


async def _together(api: Any, port: int, cameras: dict[str, str], count: int) -> dict[str, Any]:
    """Half of all cameras at once: one incident of the site."""
    lost = min(max(_TOGETHER, (count + 1) // 2), count)
    names = [f"cam{n}" for n in range(1, lost + 1)]
    before = {one["id"] async for one in api.items("/incidents")}
    for name in names:
        tell(port, name, "hang")
    await asyncio.sleep(_REBOOT_S)
    fresh = [one async for one in api.items("/incidents") if one["id"] not in before]
    for name in names:
        tell(port, name, None)
    cleared_s = await _until_state(api, fresh[0]["subject_id"], "all_clear") if fresh else None
    return {
        "cameras": lost, "incidents": len(fresh),
        "subjects": sorted({one["subject_kind"] for one in fresh}),
        "cleared_s": None if cleared_s is None else round(cleared_s, 1),
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"count": 0}
    return {
        "count": len(values), "p50": round(percentile(values, 0.5) or 0, 1),
        "p99": round(percentile(values, 0.99) or 0, 1), "most": round(max(values), 1),
    }  # fmt: skip
