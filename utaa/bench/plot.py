"""A line over its base as a small SVG, so that a bench can show a course without a drawing library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 46
#: Marks on an axis.
_TICKS = 5


def svg(
    points: Sequence[tuple[float, float]], *, title: str, across: str, up: str, aim: float | None = None
) -> str:
    """Points (x, y) joined by a line; both axes begin at 0. ``aim`` is a dashed line across."""
    most_x = max((x for x, _ in points), default=1.0) or 1.0
    most_y = _round_up(max([y for _, y in points] + [aim or 0.0], default=1.0) or 1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + x / most_x * wide, 1), round(_TOP + (1 - y / most_y) * high, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12"'
        ' font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="rotate(-90)" x="{-_HEIGHT / 2}" y="14" text-anchor="middle">'
        f"{escape(up)}</text>",
    ]
    for number in range(_TICKS + 1):
        share = number / _TICKS
        x, y = at(share * most_x, share * most_y)
        base_x, base_y = at(0, 0)
        parts += [
            f'<path d="M{base_x} {y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>',
            f'<text x="{base_x - 6}" y="{y + 4}" text-anchor="end">{_short(share * most_y)}</text>',
            f'<text x="{x}" y="{base_y + 16}" text-anchor="middle">{_short(share * most_x)}</text>',
        ]
    if aim:
        y = at(0, aim)[1]
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="#b00" stroke-dasharray="6 4"/>')
    line = " ".join(f"{x},{y}" for x, y in (at(*point) for point in points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="1.5"/></svg>')
    return "\n".join(parts) + "\n"


def _round_up(value: float) -> float:
    """To two digits."""
    unit = 10.0 ** (len(str(int(value))) - 2)
    return -(-value // unit) * unit


def _short(value: float) -> str:
    for unit, word in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:.3g}"
