"""The duty desk: what burns by severity, who has it, what was told, the shift's end, the wall."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web.desk import handover, paper, work


def routers() -> list[APIRouter]:
    """Every router of the desk."""
    return [work.router, handover.router, paper.router]
