"""Units: conversions against figures computed elsewhere, and limits against impossible numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wire.errors import WireError
from edge.wire.units import (
    BY_NAME,
    QUANTITIES,
    QUANTITY_NAMES,
    c_from_f,
    check_value,
    db_m_from_pct_ft,
    db_m_from_per_m,
    pct_ft_from_db_m,
    ppm_from_volume_pct,
)


@pytest.mark.parametrize(("pct_ft", "db_m"), [(0.5, 0.071), (4.0, 0.582), (0.0, 0.0)])
def test_obscuration_becomes_optical_density(pct_ft: float, db_m: float) -> None:
    assert db_m_from_pct_ft(pct_ft) == pytest.approx(db_m, abs=0.0006)


@pytest.mark.parametrize(("db_m", "pct_ft"), [(0.05, 0.35), (0.2, 1.394)])
def test_optical_density_becomes_obscuration(db_m: float, pct_ft: float) -> None:
    assert pct_ft_from_db_m(db_m) == pytest.approx(pct_ft, abs=0.0011)


@given(st.floats(0, 99.99))
def test_obscuration_comes_back_from_optical_density(pct_ft: float) -> None:
    assert pct_ft_from_db_m(db_m_from_pct_ft(pct_ft)) == pytest.approx(pct_ft, abs=1e-6)


@pytest.mark.parametrize("pct_ft", [100.0, 250.0, -0.1, math.nan, math.inf])
def test_obscuration_without_a_finite_density_is_refused(pct_ft: float) -> None:
    with pytest.raises(WireError) as caught:
        db_m_from_pct_ft(pct_ft)
    assert caught.value.reason == "out_of_range"


def test_density_per_metre_is_a_tenth_of_its_decibels() -> None:
    assert db_m_from_per_m(0.1) == pytest.approx(1.0)


@pytest.mark.parametrize(("fahrenheit", "celsius"), [(32, 0), (212, 100), (-40, -40), (132.8, 56)])
def test_fahrenheit_becomes_celsius(fahrenheit: float, celsius: float) -> None:
    assert c_from_f(fahrenheit) == pytest.approx(celsius)


def test_a_per_cent_by_volume_is_ten_thousand_ppm() -> None:
    assert ppm_from_volume_pct(0.0085) == pytest.approx(85)


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_limits_are_inside_and_beyond_them_is_refused(quantity: object) -> None:
    limits = BY_NAME[getattr(quantity, "name")]  # noqa: B009  # typed as object on purpose
    for value in (limits.low, limits.high):
        assert check_value(limits.name, value) == value
    for value in (math.nextafter(limits.low, -math.inf), math.nextafter(limits.high, math.inf)):
        with pytest.raises(WireError) as caught:
            check_value(limits.name, value)
        assert caught.value.reason == "out_of_range"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_as_such(value: float) -> None:
    with pytest.raises(WireError) as caught:
        check_value("co_ppm", value)
    assert caught.value.reason == "not_finite"


def test_the_order_of_quantities_is_part_of_the_wire() -> None:
    """Append to this list; never change what is here: stored frames are read by it."""
    assert QUANTITY_NAMES[:10] == (
        "co_ppm", "optical_density_db_m", "temperature_c", "humidity_pct", "battery_pct",
        "battery_v", "co2_ppm", "o2_pct", "pm25_ug_m3", "signal_dbm",
    )  # fmt: skip
