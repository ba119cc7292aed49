"""Common label papers on A4, in mm. Sizes are the makers' published ones; margins centre the grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

_A4_WIDTH_MM: Final = 210.0
_A4_HEIGHT_MM: Final = 297.0
#: Below this height there is room for the code and its id only.
_ROOMY_FROM_MM: Final = 30.0


@dataclass(frozen=True)
class Paper:
    """A sheet of labels: how many across and down, how big, how far apart from edge to edge."""

    columns: int
    rows: int
    width_mm: float
    height_mm: float
    gap_x_mm: float = 0.0
    gap_y_mm: float = 0.0

    @property
    def per_sheet(self) -> int:
        return self.columns * self.rows

    def layout(self) -> dict[str, Any]:
        """What the template is given: sizes, the upper left label's place, the type's sizes."""
        roomy = self.height_mm >= _ROOMY_FROM_MM
        across = self.columns * self.width_mm + (self.columns - 1) * self.gap_x_mm
        down = self.rows * self.height_mm + (self.rows - 1) * self.gap_y_mm
        return {
            **asdict(self),
            "left_mm": (_A4_WIDTH_MM - across) / 2,
            "top_mm": (_A4_HEIGHT_MM - down) / 2,
            "pitch_x_mm": self.width_mm + self.gap_x_mm,
            "pitch_y_mm": self.height_mm + self.gap_y_mm,
            "inset_mm": 3.5 if roomy else 3.0,
            "roomy": roomy,
            "big_pt": 10.5 if self.width_mm >= 65 else 6.6,
            "small_pt": 8.0 if self.width_mm >= 65 else 5.2,
        }


#: By the name a clerk reads on the box: count across x down, then the label's size.
PAPERS: Final[dict[str, Paper]] = {
    "3x8-70x37": Paper(3, 8, 70.0, 37.0),
    "3x7-63.5x38.1": Paper(3, 7, 63.5, 38.1, gap_x_mm=2.5),
    "2x7-99.1x38.1": Paper(2, 7, 99.1, 38.1, gap_x_mm=2.5),
    "2x4-105x74": Paper(2, 4, 105.0, 74.0),
    "4x10-48.5x25.4": Paper(4, 10, 48.5, 25.4),
}
DEFAULT_PAPER: Final = "3x8-70x37"
