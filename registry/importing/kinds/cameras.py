"""Cameras and the catalogue of their makes, as a clerk's table has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry.cameras.models import MIN_RETENTION_H, Camera, CameraModel
from registry.importing.bulk import put
from registry.importing.cells import (
    azimuth,
    choice,
    code,
    ip,
    latitude,
    longitude,
    mac,
    number,
    plain,
    serial,
    several,
    text,
    whole,
    yes_no,
)
from registry.importing.fields import Field, Wrong
from registry.importing.kinds.base import Kind, Known, Reference, Unique
from registry.importing.parse import Parsed, Row
from registry.models import LifeStep
from registry.sites import touch_site

#: States a table may bring: what stands already was mounted before there was a register.
STATES: Final = {
    "planned": ("төлөвлөсөн", "planned"), "installed": ("суурилуулсан", "installed", "угсарсан"),
    "active": ("ажиллаж байгаа", "идэвхтэй", "active", "in service", "хэвийн"),
    "faulty": ("эвдэрсэн", "гэмтэлтэй", "faulty", "broken"),
}  # fmt: skip
ZONES: Final = {
    "street": ("гудамж", "зам", "street", "road"), "crossing": ("уулзвар", "гарц", "crossing"),
    "parking": ("зогсоол", "parking"), "entrance": ("орц", "хаалга", "entrance"),
    "yard": ("хашаа", "гадна талбай", "yard"), "school": ("сургууль", "цэцэрлэг", "school"),
    "building": ("барилга", "дотор", "building"), "other": ("бусад", "other"),
}  # fmt: skip
MOUNTS: Final = {
    "pole": ("шон", "багана", "pole"), "wall": ("хана", "wall"), "ceiling": ("тааз", "ceiling"),
    "roof": ("дээвэр", "roof"), "gantry": ("хаалган тулгуур", "gantry"), "other": ("бусад", "other"),
}  # fmt: skip
FORMS: Final = {
    "fixed": ("суурин", "fixed", "bullet"), "dome": ("бөмбөгөр", "dome"),
    "ptz": ("эргэдэг", "ptz"),
    "fisheye": ("загасны нүд", "fisheye"), "multi": ("олон линзтэй", "multi"),
}  # fmt: skip
FUNDING: Final = {
    "state_budget": ("улсын төсөв", "state budget"),
    "local_budget": ("орон нутгийн төсөв", "local budget"),
    "donor": ("хандивлагчийн зээл, тусламж", "donor"), "bank": ("олон улсын банк", "bank"),
    "private": ("хувийн хөрөнгө оруулалт", "private"), "other": ("бусад", "other"),
}  # fmt: skip
CODECS: Final = {
    "h264": ("h.264", "avc", "h264"), "hevc": ("h.265", "h265", "hevc"), "mjpeg": ("mjpeg", "jpeg"),
    "mpeg4": ("mpeg-4", "mpeg4"), "av1": ("av1",),
}  # fmt: skip
_STREAM_PIXELS: Final = whole(16, 20_000, "px")
#: A camera on a pole, a roof, a mast.
_MAX_HEIGHT_M: Final = 150.0
#: Ten years.
_MAX_RETENTION_H: Final = 87_600


def stream(value: Any) -> str:
    """A stream's address without its secret part: that one is entered by hand, sealed."""
    written = plain(value)
    scheme, mark, rest = written.partition("://")
    if not mark or scheme.lower() not in ("rtsp", "rtsps", "http", "https") or len(written) > 500:
        raise Wrong("not_a_stream")
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise Wrong("stream_secret", f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")
    if not host or any(letter.isspace() for letter in written):
        raise Wrong("not_a_stream")
    return written


def _check_camera(parsed: Parsed, row: Row, known: Known) -> None:
    values = row.values
    hours = values.get("retention_h")
    if hours is not None and hours < MIN_RETENTION_H and not values.get("retention_waiver"):
        parsed.problem(row, "retention_h", "retention_short", repair=MIN_RETENTION_H, value=hours,
                       least=MIN_RETENTION_H)  # fmt: skip
    if values.get("retention_waiver") and (hours is None or hours >= MIN_RETENTION_H):
        parsed.problem(row, "retention_waiver", "waiver_needless", severity="note")
    if (model := values.get("model_id")) is not None:
        values.setdefault("maker", known.facts.get("maker", {}).get(model, ""))
    if (site := values.get("site_id")) is not None and not known.reach.everywhere:
        unit = known.facts.get("site_unit", {}).get(site) or ""
        if not any(unit.startswith(code) for code in known.reach.unit_codes):
            parsed.problem(row, "site", "out_of_area")


_OFFICE_NUMBER: Final = code(r"[0-9A-Za-zА-Яа-яЁёӨөҮү][0-9A-Za-zА-Яа-яЁёӨөҮү ./_-]*", "KH-0012", 50)


async def _begin_lives_and_tell(
    session: AsyncSession, known: Known, pairs: Sequence[tuple[Any, dict[str, Any]]]
) -> None:
    """A camera that is new begins its life in the state that the table gives; sites hear of theirs."""
    steps = [
        {"object_kind": "camera", "object_id": camera.id, "to_state": camera.state,
         "at_us": known.now_us, "actor": known.actor, "evidence": {"import": known.import_id}}
        for camera, _ in pairs
        if camera.created_us == known.now_us and camera.version == 1
    ]  # fmt: skip
    await put(session, LifeStep, [{"id": new_id(), **step} for step in steps])
    await touch_site(session, *{camera.site_id for camera, _ in pairs if camera.site_id is not None})


CAMERAS: Final = Kind(
    name="cameras",
    table=Camera,
    action="camera.write",
    key=("number",),
    key_field="number",
    label="number",
    near=True,
    after=_begin_lives_and_tell,
    references=(
        Reference("organisation", "organisation_id", "organisation", "organisation_unknown"),
        Reference("model", "model_id", "camera_model", "model_unknown"),
        Reference("unit_code", "unit_code", "unit", "unit_unknown"),
        Reference("specification", "specification_id", "specification", "specification_unknown"),
        Reference("site", "site_id", "site", "site_unknown"),
    ),
    uniques=(
        Unique("serial", ("maker", "serial")), Unique("mac", ("mac",)), Unique("ip", ("network", "ip")),
    ),
    check=_check_camera,
    defaults=lambda values, known: {
        "created_us": known.now_us, "state": "planned", "privacy_masks": [], "network": "", "maker": "",
    },
    fields=(
        Field("number", ("Дугаар", "Number", "Камерын дугаар", "№", "Camera number", "ID"),
              _OFFICE_NUMBER, required=True),
        Field("name", ("Нэр", "Name", "Камерын нэр", "Camera name", "Нэршил"), text(200)),
        Field("model", ("Загвар", "Model", "Марк", "Камерын загвар"), text(200)),
        Field("maker", ("Үйлдвэрлэгч", "Maker", "Manufacturer", "Vendor", "Бренд"), text(100)),
        Field("serial", ("Сериал дугаар", "Serial number", "Сериал", "Serial", "S/N", "SN"), serial),
        Field("mac", ("MAC хаяг", "MAC", "MAC address"), mac),
        Field("network", ("Сүлжээ", "Network", "VLAN"), text(64)),
        Field("ip", ("IP хаяг", "IP", "IP address", "IP-хаяг"), ip),
        Field("place", ("Байршил", "Place", "Хаяг", "Address", "Байрлал", "Location"), text(200)),
        Field("lat", ("Өргөрөг", "Latitude", "lat", "Y", "Уртраг (Y)"), latitude),
        Field("lon", ("Уртраг", "Longitude", "lon", "lng", "X"), longitude),
        Field("unit_code", ("Дүүрэг, хороо", "Unit", "Хороо", "Дүүрэг", "Khoroo", "District",
        "Unit code",
                            "Нутаг дэвсгэр"), text(100)),
        Field("organisation", ("Байгууллага", "Organisation", "Хариуцагч", "Owner", "Эзэмшигч",
                               "Organization"), text(300)),
        Field("indoor", ("Дотор", "Indoor", "Дотор байрладаг"), yes_no),
        Field("zone", ("Бүс", "Zone", "Хамрах бүс"), choice(ZONES)),
        Field("mount", ("Бэхэлгээ", "Mount", "Суурилуулалт"), choice(MOUNTS)),
        Field("height_m", ("Өндөр, м", "Height, m", "Өндөр", "Height"), number(0, _MAX_HEIGHT_M, "м")),
        Field("azimuth_deg", ("Чиглэл, °", "Azimuth, °", "Чиглэл", "Azimuth", "Direction", "Азимут"),
              azimuth),
        Field("tilt_deg", ("Налуу, °", "Tilt, °", "Налуу", "Tilt"), number(-90, 90, "°")),
        Field("hfov_deg", ("Харах өнцөг, °", "Field of view, °", "Харах өнцөг", "HFOV", "FOV"),
              number(1, 360, "°")),
        Field("purpose", ("Зориулалт", "Purpose"), text(300)),
        Field("legal_basis", ("Эрх зүйн үндэслэл", "Legal basis", "Үндэслэл"), text(300)),
        Field("notice_sign", ("Анхааруулах тэмдэг", "Notice sign", "Тэмдэг"), yes_no),
        Field("retention_h", ("Хадгалах хугацаа, ц", "Retention, h", "Хадгалах хугацаа", "Retention",
                              "Хадгалалт"), whole(0, _MAX_RETENTION_H, "ц")),
        Field("retention_waiver", ("Богино хадгалах шалтгаан", "Waiver", "Retention waiver"),
              text(500)),
        Field("recorder", ("Бичигч төхөөрөмж", "Recorder", "NVR", "Бичигч"), text(100)),
        Field("switch_port", ("Свич порт", "Switch port", "Порт"), text(100)),
        Field("specification", ("Техникийн даалгавар", "Specification", "ТД"), text(50)),
        Field("funding_source", ("Санхүүжилт", "Funding", "Funding source", "Санхүүжилтийн эх үүсвэр"),
              choice(FUNDING)),
        Field("stream_address", ("Дүрсний хаяг", "Stream", "RTSP", "Stream address"), stream),
        Field("site", ("Хянах цэг", "Site", "Watched by", "Цэг"), text(200)),
        Field("stream_codec", ("Кодек", "Codec", "Video codec"), choice(CODECS)),
        Field("stream_width", ("Дүрсний өргөн, px", "Stream width, px", "Stream width"),
              _STREAM_PIXELS),
        Field("stream_height", ("Дүрсний өндөр, px", "Stream height, px", "Stream height"),
              _STREAM_PIXELS),
        Field("stream_rate_fps", ("Кадр/с", "Pictures/s", "FPS", "Frame rate"),
              number(0.1, 240, "1/s")),
        Field("probe_interval_s", ("Шалгах давтамж, с", "Probe interval, s"), whole(5, 3600, "с")),
        Field("state", ("Төлөв", "State", "Status"), choice(STATES)),
        Field("note", ("Тэмдэглэл", "Note", "Тайлбар", "Remark"), text(1000)),
    ),
)  # fmt: skip


def _check_model(parsed: Parsed, row: Row, _known: Known) -> None:
    for low, high in (("focal_min_mm", "focal_max_mm"), ("hfov_min_deg", "hfov_max_deg")):
        least, most = row.values.get(low), row.values.get(high)
        if least is not None and most is not None and most < least:
            parsed.problem(row, high, "larger_than", value=most, other=low)


_PROFILE: Final = choice({letter: (f"profile {letter}",) for letter in "SGTMACDQ"})
_PIXELS: Final = whole(1, 50_000, "px")
_MILLIMETRES: Final = number(0.5, 2000, "мм")
CAMERA_MODELS: Final = Kind(
    name="camera-models",
    table=CameraModel,
    action="camera.write",
    key=("id",),
    key_field="id",
    label="id",
    uniques=(Unique("name", ("maker", "name")),),
    check=_check_model,
    defaults=lambda values, known: {"created_us": known.now_us, "onvif_profiles": []},
    fields=(
        Field("id", ("Код", "Id", "Code"), code(r"[a-z0-9][a-z0-9._-]{0,63}", "axis-p1455"),
              required=True),
        Field("maker", ("Үйлдвэрлэгч", "Maker", "Manufacturer"), text(100), required=True),
        Field("name", ("Загвар", "Name", "Model", "Нэр"), text(100), required=True),
        Field("form", ("Хэлбэр", "Form", "Төрөл", "Type"), choice(FORMS)),
        Field("analogue", ("Аналог", "Analogue", "Analog"), yes_no),
        Field("sensor_width_px", ("Өргөн, px", "Width, px", "Sensor width px"), _PIXELS),
        Field("sensor_height_px", ("Өндөр, px", "Height, px", "Sensor height px"), _PIXELS),
        Field("focal_min_mm", ("Фокус бага, мм", "Focal length from, mm", "Focal min mm"),
              _MILLIMETRES),
        Field("focal_max_mm", ("Фокус их, мм", "Focal length to, mm", "Focal max mm"), _MILLIMETRES),
        Field("hfov_min_deg", ("Харах өнцөг бага, °", "Field of view from, °", "HFOV min"),
              number(0.1, 360, "°")),
        Field("hfov_max_deg", ("Харах өнцөг их, °", "Field of view to, °", "HFOV max"),
              number(0.1, 360, "°")),
        Field("ir_range_m", ("Шөнийн гэрэл, м", "IR range, m", "IR"), number(0, 1000, "м")),
        Field("onvif_profiles", ("ONVIF профайл", "ONVIF profiles", "ONVIF"), several(_PROFILE, 8)),
        Field("source_note", ("Эх сурвалж", "Source", "Source note"), text(300)),
    ),
)  # fmt: skip
