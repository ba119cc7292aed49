"""The invented town as rows of tables; pure, and the same each time."""

from __future__ import annotations

import hashlib
import random
from datetime import date
from typing import Any, Final

from edge.wire.identity import detector_id

#: Everything follows from it.
_SEED: Final = 1961
#: The middle of the new and of the old town, in degrees [M].
_NEW: Final = (49.4868, 105.9228)
_OLD: Final = (49.4630, 105.9660)
_SOUMS: Final = (
    ("45", None, "aimag", "Дархан-Уул", "Darkhan-Uul"),
    ("4501", "45", "soum", "Дархан", "Darkhan"),
    ("4504", "45", "soum", "Орхон", "Orkhon"),
    ("4507", "45", "soum", "Хонгор", "Khongor"),
    ("4510", "45", "soum", "Шарын гол", "Sharyngol"),
)
ORGANISATIONS: Final = 86
CAMERAS: Final = 128
HOUSEHOLDS: Final = 60
_STREETS: Final = (
    "Найрамдал",
    "Баруун хүрээ",
    "Өргөө",
    "Хүнсчид",
    "Барилгачид",
    "Тээвэрчид",
    "Цэцэрлэгт",
    "Нарны зам",
    "Шинэ хороолол",
    "Хуучин Дархан",
)


def _id(kind: str, name: object) -> str:
    """Ids are the same on each machine, and look like any other."""
    return hashlib.sha256(f"demo {kind} {name}".encode()).hexdigest()[:32]


def units() -> list[dict[str, Any]]:
    """The aimag and its soums."""
    return [
        {
            "code": code,
            "valid_from": date(2026, 11, 21),
            "parent_code": parent,
            "kind": kind,
            "name_mn": name_mn,
            "name_en": name_en,
            "position": position,
            "source": "National Statistics Office of Mongolia / UN OCHA, COD-AB, CC BY 3.0 IGO",
        }
        for position, (code, parent, kind, name_mn, name_en) in enumerate(_SOUMS)
    ]


def organisations() -> list[dict[str, Any]]:
    """86 bodies on the city's fibre."""
    names: list[tuple[str, str]] = [("Аймгийн Засаг даргын тамгын газар (жишээ)", "aimag")]
    names += [
        (f"{name} сумын Засаг даргын тамгын газар (жишээ)", "soum")
        for _, _, kind, name, _ in _SOUMS
        if kind == "soum"
    ]
    names += [(f"Дархан {number}-р бүрэн дунд сургууль (жишээ)", "school") for number in range(1, 25)]
    names += [(f"Дархан {number}-р цэцэрлэг (жишээ)", "kindergarten") for number in range(1, 25)]
    names += [(f"Өрхийн эрүүл мэндийн {number}-р төв (жишээ)", "hospital") for number in range(1, 11)]
    names += [(f"Цагдаагийн {number}-р тасаг (жишээ)", "police") for number in range(1, 5)]
    names += [("Онцгой байдлын газар (жишээ)", "emergency"), ("Гал унтраах анги (жишээ)", "emergency")]
    names += [
        (f"{what} (жишээ)", "utility")
        for what in ("Дулааны станц", "Ус суваг", "Цахилгаан түгээх сүлжээ", "Зам засвар", "Тохижилт")
    ]
    names += [
        (f"{what} (жишээ)", "contractor")
        for what in ("Шилэн кабель угсралт", "Камер суурилуулалт", "Сүлжээний үйлчилгээ")
    ]
    names += [
        (f"{what} (жишээ)", "other")
        for what in (
            "Номын сан",
            "Театр",
            "Музей",
            "Спортын ордон",
            "Татварын хэлтэс",
            "Нийгмийн даатгал",
            "Хөдөлмөр халамж",
            "Газрын алба",
            "Улсын бүртгэл",
        )
    ]
    chance = random.Random(_SEED)  # noqa: S311  # a plausible town, no secret
    rows = []
    for index, (name, kind) in enumerate(names[:ORGANISATIONS]):
        lat, lon = _somewhere(chance, 0.012)
        rows.append(
            {
                "id": _id("organisation", name),
                "name": name,
                "kind": kind,
                "unit_code": "4501",
                "lat": lat,
                "lon": lon,
                "parent_id": None if index == 0 else _id("organisation", names[0][0]),
            }
        )
    return rows


def camera_models() -> list[dict[str, Any]]:
    """Three makes that nobody sells."""
    common = {"onvif_profiles": ["S", "T"], "source_note": "invented for the demo city"}
    return [
        {
            "id": "demo-d4",
            "maker": "Жишээ",
            "name": "D4",
            "form": "dome",
            "sensor_width_px": 2560,
            "sensor_height_px": 1440,
            "hfov_min_deg": 98.0,
            "hfov_max_deg": 98.0,
            "ir_range_m": 30.0,
            **common,
        },
        {
            "id": "demo-b8",
            "maker": "Жишээ",
            "name": "B8",
            "form": "fixed",
            "sensor_width_px": 3840,
            "sensor_height_px": 2160,
            "hfov_min_deg": 32.0,
            "hfov_max_deg": 88.0,
            "ir_range_m": 60.0,
            **common,
        },
        {
            "id": "demo-p2",
            "maker": "Жишээ",
            "name": "P2",
            "form": "ptz",
            "sensor_width_px": 1920,
            "sensor_height_px": 1080,
            "hfov_min_deg": 2.5,
            "hfov_max_deg": 62.0,
            "ir_range_m": 150.0,
            **common,
        },
    ]


def cameras() -> list[dict[str, Any]]:
    """128 control cameras: crossings with four each, schools, car parks, entrances."""
    chance = random.Random(_SEED + 1)  # noqa: S311
    schools = [row for row in organisations() if row["kind"] == "school"]
    owner = organisations()[0]["id"]
    rows: list[dict[str, Any]] = []
    for crossing in range(18):
        lat, lon = _somewhere(chance, 0.014)
        turn = chance.randrange(90)
        street = _STREETS[crossing % len(_STREETS)]
        for arm in range(4):
            side = ("хойд", "зүүн", "урд", "баруун")[arm]
            name = f"{street} гудамжны {crossing + 1}-р уулзвар, {side} тал"
            away = 0.00005
            rows.append(
                _camera(
                    len(rows),
                    name,
                    lat + away * (arm - 1.5),
                    lon + away * (1.5 - arm),
                    (turn + 90 * arm) % 360,
                    "crossing",
                    "pole",
                    "demo-b8",
                    owner,
                    chance,
                )
            )
    for index in range(24):
        school = schools[index % len(schools)]
        name = f"{school['name'].removesuffix(' (жишээ)')}, гадна талбай"
        rows.append(
            _camera(
                len(rows),
                name,
                school["lat"] + 0.0002,
                school["lon"],
                chance.randrange(360),
                "school",
                "wall",
                "demo-d4",
                school["id"],
                chance,
            )
        )
    while len(rows) < CAMERAS:
        number = len(rows) - 95
        lat, lon = _somewhere(chance, 0.012)
        zone, mount, model = chance.choice(
            [
                ("parking", "pole", "demo-p2"),
                ("entrance", "wall", "demo-d4"),
                ("street", "pole", "demo-b8"),
            ]
        )
        what = {"parking": "авто зогсоол", "entrance": "төв хаалга", "street": "гудамж"}[zone]
        name = f"{chance.choice(_STREETS)} {what} {number}"
        rows.append(
            _camera(len(rows), name, lat, lon, chance.randrange(360), zone, mount, model, owner, chance)
        )
    return rows


def _camera(
    index: int,
    name: str,
    lat: float,
    lon: float,
    azimuth: int,
    zone: str,
    mount: str,
    model: str,
    owner: str,
    chance: random.Random,
) -> dict[str, Any]:
    state = chance.choices(("active", "faulty", "installed", "planned"), (108, 8, 6, 6))[0]
    number = f"DK-{index + 1:04}"
    return {
        "id": _id("camera", number),
        "number": number,
        "name": name,
        "model_id": model,
        "maker": "Жишээ",
        "serial": f"ZH{index + 1:06}",
        "mac": f"02:00:45:01:{index >> 8:02x}:{index & 255:02x}",
        "network": "камер",
        "ip": f"10.45.{1 + index // 200}.{10 + index % 200}",
        "place": name,
        "lat": round(lat, 6),
        "lon": round(lon, 6),
        "unit_code": "4501",
        "organisation_id": owner,
        "indoor": False,
        "zone": zone,
        "mount": mount,
        "height_m": {"pole": 6.0, "wall": 3.5}[mount] + chance.randrange(3) / 2,
        "azimuth_deg": float(azimuth),
        "tilt_deg": float(chance.randrange(10, 30)),
        "purpose": "олон нийтийн аюулгүй байдал",
        "legal_basis": "жишээ тогтоол",
        "notice_sign": chance.random() < 0.8,
        "retention_h": 720,
        "privacy_masks": [],
        "recorder": f"NVR-{1 + index // 32}",
        "switch_port": f"SW-{1 + index // 24}/{1 + index % 24}",
        "state": state,
    }


def racks() -> list[dict[str, Any]]:
    """Two racks in the aimag's machine room."""
    return [
        {
            "id": _id("rack", number),
            "name": f"Дархан R{number}",
            "room": "Серверийн өрөө (жишээ)",
            "unit_code": "4501",
            "organisation_id": organisations()[0]["id"],
        }
        for number in (1, 2)
    ]


def servers() -> list[dict[str, Any]]:
    """What the cameras and the offices run on."""
    purposes = (
        *(f"камерын бичлэг хадгалах {number}" for number in range(1, 5)),
        "камерын удирдлага",
        "утаа мэдрэгчийн сервер",
        "өгөгдлийн сан",
        "нөөцлөлт",
        "албан хэрэгцээний файл",
        "хяналт",
    )
    return [
        {
            "id": _id("server", number),
            "name": f"dk-srv-{number:02}",
            "rack_id": _id("rack", 1 + number % 2),
            "position_u": 2 + 3 * (number // 2),
            "height_u": 2,
            "maker": "Жишээ",
            "model": "S2",
            "serial": f"ZHS{number:05}",
            "purpose": purpose,
            "unit_code": "4501",
            "organisation_id": organisations()[0]["id"],
            "bought_on": date(2019 + number % 6, 6, 1),
            "support_until": date(2024 + number % 6, 6, 1),
            "status": "active",
        }
        for number, purpose in enumerate(purposes, 1)
    ]


def sites() -> list[dict[str, Any]]:
    """Four parts of the ger district, an edge agent in each."""
    return [
        {
            "id": f"darkhan-{number:02}",
            "title": f"Дархан, гэр хороолол {number} (жишээ)",
            "unit_code": "4501",
            "lat": round(_OLD[0] + 0.006 * number, 6),
            "lon": round(_OLD[1] + 0.004 * number, 6),
        }
        for number in range(1, 5)
    ]


def households() -> list[dict[str, Any]]:
    """Homes around the sites; addresses are invented."""
    chance = random.Random(_SEED + 2)  # noqa: S311
    places = sites()
    rows = []
    for number in range(1, HOUSEHOLDS + 1):
        site = places[number % len(places)]
        label = f"DK-AIL-{number:03}"
        rows.append(
            {
                "id": _id("household", label),
                "label": label,
                "site_id": site["id"],
                "unit_code": "4501",
                "address": f"Жишээ {number}-р гудамж, {chance.randrange(1, 90)} тоот",
                "language": "mn",
                "lat": round(site["lat"] + chance.uniform(-0.002, 0.002), 6),
                "lon": round(site["lon"] + chance.uniform(-0.002, 0.002), 6),
            }
        )
    return rows


def detectors() -> list[dict[str, Any]]:
    """A smoke and CO detector in each home."""
    return [
        {
            "id": detector_id(home["site_id"], "native", f"dk{number:03}"),
            "site_id": home["site_id"],
            "source": "native",
            "address": f"dk{number:03}",
            "status": "in_service",
            "model_id": "native-generic",
            "household_id": home["id"],
            "place": "гэр",
            "alarm_settings": {},
            "registered_us": 0,
        }
        for number, home in enumerate(households(), 1)
    ]


def _somewhere(chance: random.Random, spread: float) -> tuple[float, float]:
    """In the new town mostly, else in the old one."""
    middle = _NEW if chance.random() < 0.7 else _OLD
    lat, lon = (round(centre + chance.uniform(-spread, spread), 6) for centre in middle)
    return lat, lon
