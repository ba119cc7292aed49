"""The settings of a running box as a TOML file, for the commands that look at it. Holds no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utaa.onebox import OneBox

NAME = "utaa.toml"
_HEADER = "# Written by 'utaa up' at each start: as it runs now. For --config of the other commands.\n"


def write_settings(box: OneBox, site: str, sources: Sequence[str]) -> Path:
    """Write the file into the box's folder, whole or not at all; where it is."""
    path = box.plan.folder / NAME
    broker = {"host": box.city_broker.host, "port": box.city_broker.port}
    gateway: dict[str, Any] = {
        "data_dir": str(box.gateway_data),
        "database_url": box.database_url,
        "broker_url": f"mqtt://{broker['host']}:{broker['port']}",
        "shared_subscriptions": box.city_broker.supports_shared,
        "host": box.plan.host,
        "port": box.port,
    }
    if box.influx:
        gateway["influx_url"] = box.influx.url
    tables = {
        "gateway": gateway,
        "registry": {"data_dir": str(box.gateway_data), "database_url": box.database_url},
        "edge": {
            "site": site,
            "data_dir": str(box.edge_data(site)),
            "site_broker": broker,
            "city_broker": broker,
            "sources": [{"name": name} for name in sources],
        },
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(_HEADER + "".join(f"\n[{name}]\n{_lines(t)}" for name, t in tables.items()))
    return fresh.replace(path)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """TOML of a text, a number, a truth value, or lists and tables of these."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
