"""The page as HTML: Mongolian first, English beside it; it loads itself again, without script. Pure."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from edge.local.facts import Facts

#: The page asks anew after so many seconds: as somebody presses a button and looks.
_REFRESH_S: Final = 3
_STYLE: Final = (
    "body{font:1.25rem/1.4 system-ui,sans-serif;margin:1rem;max-width:30rem;color:#1d1b18}"
    "dl{display:grid;grid-template-columns:1fr auto;gap:.5rem 1rem}dd{margin:0;font-weight:700}"
    "small{color:#5d5850}.on{color:#b3261e}li{margin:.5rem 0}"
)
#: What a browser may do with the page: show it, with this one style.
CSP: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
_KINDS: Final = {
    "smoke": ("Утаа", "Smoke"), "co": ("Угаарын хий", "Carbon monoxide"), "heat": ("Халуун", "Heat"),
    "co_exposure": ("Угаарын хий удаан", "Long exposure to CO"), "test": ("Туршилт", "Test"),
    "low_battery": ("Цэнэг бага", "Low battery"), "tamper": ("Хөдөлгөсөн", "Tampered"),
    "fault": ("Эвдрэл", "Fault"), "end_of_life": ("Нас дууссан", "End of life"),
    "needs_cleaning": ("Цэвэрлэх", "Needs cleaning"), "lost": ("Дуугүй", "Not heard"),
    "never_seen": ("Дуугараагүй", "Never heard"), "siren_fault": ("Дуут дохио", "Siren fault"),
}  # fmt: skip


def page(facts: Facts) -> str:
    """One detector."""
    values = "".join(
        f"<dt>{mn} <small>{en}</small></dt><dd>{value:.{digits}f} {unit}</dd>"
        for mn, en, value, digits, unit in (
            ("Утаа", "Smoke", facts.optical_density_db_m, 2, "dB/m"),
            ("Угаарын хий", "Carbon monoxide", facts.co_ppm, 0, "ppm"),
            ("Дулаан", "Temperature", facts.temperature_c, 1, "°C"),
        )
        if value is not None
    )
    return (
        f'<!doctype html><html lang="mn"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{_REFRESH_S}"><title>Утаа</title><style>{_STYLE}</style>'
        f"</head><body><h1>{escape(facts.address)}</h1><p>{_heard(facts)}</p><dl>{values}</dl>"
        f"{_alarms(facts)}<p><small>{_city(facts)}</small></p></body></html>"
    )


def _heard(facts: Facts) -> str:
    if facts.heard_ago_s is None:
        return "Одоогоор дуугараагүй <small>Not heard yet</small>"
    ago = facts.heard_ago_s
    return f"{ago} секундын өмнө дуугарсан <small>heard {ago} s ago</small>"


def _alarms(facts: Facts) -> str:
    if not facts.alarms:
        return "<p>Дохио алга <small>No alarm</small></p>"
    rows = []
    for kind, test in facts.alarms:
        mn, en = _KINDS.get(kind, (kind, kind))
        also = " (туршилт <small>a test</small>)" if test else ""
        rows.append(f'<li class="on"><b>{escape(mn)}</b> <small>{escape(en)}</small>{also}</li>')
    return f"<ul>{''.join(rows)}</ul>"


def _city(facts: Facts) -> str:
    if facts.queued_events:
        count = facts.queued_events
        return f"Хотод илгээгээгүй мэдээ: {count}. The city does not have {count} events yet."
    return "Хот бүгдийг авсан. The city has everything."
