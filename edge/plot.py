"""A picture of a recording and its transitions. Needs matplotlib, which is an extra of its own."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.alarms.types import Change
from edge.recording import ORIGIN_US, US_PER_S, RecordingError, Sample
from edge.wire.messages import CLASS_OF
from edge.wire.units import BY_NAME, QUANTITY_NAMES

_COLOURS = {"alarm": "#c62828", "supervisory": "#ef6c00", "trouble": "#546e7a"}
#: Where the name without its unit does not say what it is.
_LABELS = {"optical_density_db_m": "smoke", "pm25_ug_m3": "PM2.5"}
#: More lines than this in one picture tell nobody anything.
_MAX_LINES = 40


def need_matplotlib() -> None:
    """Raise ``RecordingError`` that says what to install if matplotlib is absent."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RecordingError("--plot needs matplotlib: install it with pip install 'utaa[plot]'")


def draw(
    out: Path, samples: Sequence[Sample], changes: Sequence[tuple[str, Change]], *, title: str
) -> None:
    """Draw one panel per quantity, the transitions as vertical lines, and write the PNG."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    series = _series(samples)
    if not series:
        raise RecordingError("--plot: no values to draw")
    figure, panels = pyplot.subplots(
        len(series), 1, sharex=True, squeeze=False, figsize=(10, 1.2 + 2.6 * len(series))
    )
    for panel, (quantity, lines) in zip(panels[:, 0], series.items(), strict=True):
        for detector, (times, values) in list(lines.items())[:_MAX_LINES]:
            panel.plot(times, values, linewidth=1, label=detector or quantity)
        panel.set_ylabel(
            f"{_LABELS.get(quantity, quantity.rsplit('_', 1)[0])} [{BY_NAME[quantity].unit}]"
        )
        if len(lines) > 1:
            panel.legend(fontsize="small")
        _mark(panel, changes)
    panels[0, 0].set_title(title)
    panels[-1, 0].set_xlabel("time [s]")
    figure.tight_layout()
    try:
        figure.savefig(out, dpi=110)
    except (OSError, ValueError) as error:
        raise RecordingError(f"--plot {out}: {error}") from None
    finally:
        pyplot.close(figure)


def _series(samples: Sequence[Sample]) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    series: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for name in QUANTITY_NAMES:
        for sample in samples:
            value = getattr(sample.reading, name)
            if value is not None:
                times, values = series.setdefault(name, {}).setdefault(sample.detector, ([], []))
                times.append(sample.time_s)
                values.append(value)
    return series


def _mark(panel: Any, changes: Sequence[tuple[str, Change]]) -> None:
    for detector, change in changes:
        if change.transition == "update":
            continue
        time_s = (change.at_us - ORIGIN_US) / US_PER_S
        style = "-" if change.transition == "raise" else ":"
        panel.axvline(time_s, color=_COLOURS[CLASS_OF[change.kind]], linestyle=style, linewidth=1)
        text = f"{detector + ' ' if detector else ''}{change.kind} {change.transition}"
        panel.annotate(
            text, (time_s, 1.0), xycoords=("data", "axes fraction"), rotation=90, fontsize=6,
            ha="right", va="top",
        )  # fmt: skip
