"""A trace as a picture in SVG: one box a hop, row by row. No script, no outside reference."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape, quoteattr

from registry.fibre.budget import Losses, hop_loss_db
from registry.fibre.trace import Hop, Trace

#: As splicers see them. A colour past the list is drawn as its base with a mark.
_PAINT: Final = {
    "blue": "#1f5fbf", "orange": "#f08a24", "green": "#2e9e4f", "brown": "#8a5a2b", "slate": "#708090",
    "grey": "#8c8c8c", "white": "#f4f4f4", "red": "#d23c3c", "black": "#222222", "yellow": "#f2d21b",
    "violet": "#8548a8", "rose": "#f4a6b8", "pink": "#f4a6b8", "aqua": "#7fdfe0", "cyan": "#7fdfe0",
    "turquoise": "#40c0b0",
}  # fmt: skip
_WIDTH: Final = 132
_HEIGHT: Final = 92
_PER_ROW: Final = 6
#: A drawing shows so many hops at most; a longer way says how many are left out.
MAX_HOPS: Final = 600


def svg_of(way: Trace, *, wavelength_nm: int = 1310, losses: Losses | None = None) -> str:
    """The trace as an SVG document, with colours, lengths and losses."""
    use = losses or Losses()
    hops = way.hops[:MAX_HOPS]
    rows = (len(hops) + _PER_ROW - 1) // _PER_ROW or 1
    width, height = _PER_ROW * _WIDTH + 20, rows * _HEIGHT + 50
    total = sum(hop_loss_db(hop, wavelength_nm, use) for hop in way.hops)
    title = (
        f"{way.length_m:.0f} m, {total:.2f} dB at {wavelength_nm} nm, "
        f"{way.a_stop} to {way.z_stop}"
        + (f", {len(way.hops) - len(hops)} more hops" if len(way.hops) > len(hops) else "")
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label={quoteattr(title)} font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="22" font-size="14">{escape(title)}</text>',
    ]
    for number, hop in enumerate(hops):
        row, column = divmod(number, _PER_ROW)
        parts.append(
            _box(hop, 10 + column * _WIDTH, 40 + row * _HEIGHT, hop_loss_db(hop, wavelength_nm, use))
        )
    return "\n".join([*parts, "</svg>", ""])


def _box(hop: Hop, x: int, y: int, loss: float) -> str:
    lines = [hop.kind, _short(hop.ref), _short(" → ".join(hop.nodes))]
    if hop.colours is not None:
        lines.append(f"{hop.colours.tube_colour} / {hop.colours.strand_colour}")
    if hop.length_m:
        lines.append(f"{hop.length_m:.0f} m")
    if loss:
        lines.append(f"{loss:.2f} dB")
    text = "".join(
        f'<text x="{x + 8}" y="{y + 15 + 12 * place}" font-size="10">{escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH - 12}" height="{_HEIGHT - 12}" rx="4" '
        f'fill="#f8f8f8" stroke="#444444"/>{_stripes(hop, x, y)}{text}'
        f'<path d="M{x + _WIDTH - 12} {y + 40}h12" stroke="#444444"/>'
    )


def _stripes(hop: Hop, x: int, y: int) -> str:
    if hop.colours is None:
        return ""
    tube, strand = _paint(hop.colours.tube_colour), _paint(hop.colours.strand_colour)
    top = y + _HEIGHT - 18
    return (
        f'<rect x="{x}" y="{top}" width="{_WIDTH // 2 - 6}" height="6" fill="{tube}" stroke="#444444"/>'
        f'<rect x="{x + _WIDTH // 2 - 6}" y="{top}" width="{_WIDTH // 2 - 6}" height="6" '
        f'fill="{strand}" stroke="#444444"/>'
    )


def _paint(colour: str) -> str:
    return _PAINT.get(colour.partition("-")[0], "#ffffff")


def _short(text: str, limit: int = 22) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
