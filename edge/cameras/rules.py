"""The judge's rules: limits on named numbers, one function, no training. The baseline of the model."""

from __future__ import annotations

from collections.abc import Mapping


def rule(n: Mapping[str, float]) -> tuple[str, float]:
    """The verdict on these numbers (``Bank.compare``) and how sure it is, 0 to 1."""
    if n["self_mean"] < 28 and n["self_p99"] < 95 and n["under_mean"] > 4:
        return "dark", 0.9
    if n["over_above_245"] > 0.25:
        return "over_exposed", 0.85
    if n["over_grain"] > 5 or n["over_dots"] > 0.01 or n["over_lines"] > 6:
        return "noisy", 0.85
    lost = n["lost"] - (n["among_lost"] if n["among_lost"] == n["among_lost"] else 0.1)
    if n["shift_px"] > 3 and n["shift_response"] > 0.12 and n["shift_gain"] > 0.12:
        return "moved", 0.85
    if n["corners"] > 20 and (n["corner_move"] > 4 or n["corner_turn"] > 2 or n["corner_zoom"] > 0.06):
        return "moved", 0.8
    if n["under_sharp_12"] > 0.35 and n["under_sharp_best"] > 0.3:
        return "defocused", 0.75
    if lost > 0.25 and (n["empty"] > 0.25 or n["lost_piece"] > 0.25):
        return "covered", 0.7
    if (
        n["under_chroma_share"] > 0.02
        and n["self_chroma_spread"] < 1.5
        and n["coloured_over_grey"] > 0.2
    ):
        return "colour_lost", 0.8
    if n["under_weakest_channel"] > 0.25:
        return "colour_lost", 0.8
    return "ok", 0.7
