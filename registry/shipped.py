"""Detector models that ship with the program, entered where a database has none of that id."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.models import DetectorModel


def shipped_models() -> list[dict[str, Any]]:
    """The shipped models as their file has them."""
    text = files("registry").joinpath("data/models.toml").read_text(encoding="utf-8")
    models: list[dict[str, Any]] = tomllib.loads(text)["model"]
    return models


async def enter_shipped_models(session: AsyncSession) -> int:
    """Enter those that are missing; one that somebody has changed stays as it is. Returns how many."""
    known = set(await session.scalars(select(DetectorModel.id)))
    missing = [model for model in shipped_models() if model["id"] not in known]
    session.add_all(
        DetectorModel(**{**model, "alarm_settings": model.get("alarms", {})}) for model in missing
    )
    await session.flush()
    return len(missing)
