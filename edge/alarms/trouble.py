"""Trouble: the battery's slope, doubtful CO2 and O2, channels that fall silent, supervision.

**Battery.** Each day's mean charge updates a level and a trend (Holt's linear smoothing); days left is
the level over the trend. Low is: the detector's own word; a charge at or below the limit; or fewer than
``battery_warn_days`` left after a week of watching. Cold lowers a cell's voltage, so values below 0 °C
do not count towards trend or limit unless they stay for a day.

**Air.** Nobody is alarmed by CO2 or O2: outside what a room can be, the channel is at fault. Fresh air
holds 20.9 % O2; a first value further than 0.7 from it is an offset [D].

**Supervision.** ``lost`` by the model's own deadline, or when its network says it is gone and a grace
has passed; ``never_seen`` since registration.
"""

from __future__ import annotations

from edge.alarms import causes
from edge.alarms.limits import FAULT_CLEAR_US, NEVER, US_PER_DAY, US_PER_HOUR
from edge.alarms.state import State
from edge.wire.readings import Flag, Reading

#: Level and trend follow a day's mean by these shares [D].
_LEVEL_SHARE, _TREND_SHARE = 0.3, 0.2
#: A trend is believed after this many days.
_TREND_DAYS = 7
#: The level is that of the middle of the last full day, up to this long ago.
_LEVEL_AGE_DAYS = 1.5
#: A cell this much above the limit again was changed or had only been cold [D].
_RECOVERED_PCT, _RECOVERED_V = 10.0, 0.1
#: A jump up by this much is a new battery: the trend begins anew [D].
_CHANGED_PCT = 30.0
_COLD_C = 0.0
#: A charge that does not change is looked at this often.
_BATTERY_LOOK_US = US_PER_HOUR

_FRESH_O2_PCT, _O2_OFFSET_PCT, _O2_LOWEST_PCT, _O2_HIGHEST_PCT = 20.9, 0.7, 2.0, 23.0
#: A room cannot start above this, a burning one cannot pass that; clean air is about 420 [D].
_CO2_FIRST_PPM, _CO2_LOWEST_PPM, _CO2_HIGHEST_PPM = 10_000.0, 150.0, 250_000.0
#: A silent channel is one that is silent this many of the device's usual intervals, too.
_SILENT_INTERVALS = 10


def hear_air(state: State, reading: Reading) -> None:
    """Judge CO2 and O2, which alarm nobody."""
    co2, o2 = reading.co2_ppm, reading.o2_pct
    if co2 is not None:
        if not _CO2_LOWEST_PPM <= co2 <= _CO2_HIGHEST_PPM or (
            not state.air_seen & 1 and co2 > _CO2_FIRST_PPM
        ):
            state.faults |= causes.CO2_DOUBTFUL
        elif co2 <= _CO2_FIRST_PPM:
            state.faults &= ~causes.CO2_DOUBTFUL
        state.air_seen |= 1
    if o2 is not None:
        off = abs(o2 - _FRESH_O2_PCT)
        if not _O2_LOWEST_PCT <= o2 <= _O2_HIGHEST_PCT or (
            not state.air_seen & 2 and off > _O2_OFFSET_PCT
        ):
            state.faults |= causes.O2_DOUBTFUL
        elif off <= _O2_OFFSET_PCT:
            state.faults &= ~causes.O2_DOUBTFUL
        state.air_seen |= 2


def hear_battery(state: State, reading: Reading, now: int) -> None:
    """Follow the battery."""
    settings = state.settings
    charge, volts = reading.battery_pct, reading.battery_v
    if charge is not None and charge == state.battery_pct and now < state.battery_due_us:
        return
    state.battery_due_us = now + _BATTERY_LOOK_US
    low = recovered = False
    if charge is not None:
        state.battery_pct = charge
        low = charge <= settings.battery_low_pct
        recovered = charge >= settings.battery_low_pct + _RECOVERED_PCT
    elif volts is not None and settings.battery_low_v is not None:
        low = volts <= settings.battery_low_v
        recovered = volts >= settings.battery_low_v + _RECOVERED_V
    cold = state.temperature_c is not None and state.temperature_c < _COLD_C
    if not low:
        state.battery_low_us = NEVER
    elif state.battery_low_us == NEVER:
        state.battery_low_us = now
    if charge is not None and not cold:
        _follow(state, charge, now)
    if low and (not cold or now - state.battery_low_us >= US_PER_DAY):
        state.causes |= causes.BATTERY_LEVEL
    elif charge is not None and not state.causes & causes.BATTERY_LEVEL:
        left = days_left(state)
        if left is not None and left <= settings.battery_warn_days:
            state.causes |= causes.BATTERY_LEVEL
    elif recovered and state.causes & causes.BATTERY_LEVEL:
        left = days_left(state)
        if left is None or left > 2 * settings.battery_warn_days:
            state.causes &= ~causes.BATTERY_LEVEL


def _follow(state: State, charge: float, now: int) -> None:
    day = now // US_PER_DAY
    if state.battery_days and charge - state.battery_level >= _CHANGED_PCT:
        state.battery_days, state.battery_trend, state.battery_count = 0, 0.0, 0
        state.battery_sum = 0.0
    if day == state.battery_day or not state.battery_count:
        state.battery_day = day
        state.battery_sum += charge
        state.battery_count += 1
        return
    mean = state.battery_sum / state.battery_count
    days = day - state.battery_day
    if not state.battery_days:
        state.battery_level, state.battery_days = mean, 1
    else:
        before = state.battery_level
        expected = before + state.battery_trend
        state.battery_level = expected + _LEVEL_SHARE * (mean - expected)
        state.battery_trend += _TREND_SHARE * ((state.battery_level - before) - state.battery_trend)
        state.battery_days += 1
    # days without a word go by at the known trend
    state.battery_level += state.battery_trend * (days - 1)
    state.battery_day, state.battery_sum, state.battery_count = day, charge, 1


def days_left(state: State) -> float | None:
    """Days until the charge reaches the limit at the present trend; None while nobody can say."""
    if state.battery_days < _TREND_DAYS or state.battery_trend >= -1e-6:
        return None
    left = (state.battery_level - state.settings.battery_low_pct) / -state.battery_trend
    return max(0.0, left - _LEVEL_AGE_DAYS)


def judge_silence(state: State, now: int) -> None:
    """Channels that were heard before and are silent while the device talks."""
    silent = max(state.limits.silent_us, _SILENT_INTERVALS * state.interval_us)
    faults = state.faults & ~causes.CHANNEL_SILENT
    oldest = now
    if state.co_ppm is not None:
        heard = state.co_until_us - state.limits.co_hold_us
        oldest = min(oldest, heard)
        if now - heard > silent:
            faults |= causes.CO_SILENT
    if state.od_seen:
        oldest = min(oldest, state.od_us)
        if now - state.od_us > silent:
            faults |= causes.SMOKE_SILENT
    if state.temperature_c is not None:
        oldest = min(oldest, state.temperature_us)
        if now - state.temperature_us > silent:
            faults |= causes.TEMPERATURE_SILENT
    state.faults = faults
    state.silence_us = oldest + silent


def plan_watch(state: State) -> None:
    """Set when silence, a test, a mute or an expiry will next change anything."""
    limits = state.limits
    due = NEVER
    if not state.causes & causes.SILENT:
        due = state.heard_us + limits.deadline_us
        if state.heard_us < 0:
            due = state.born_us + limits.never_seen_us
    if state.offline_us != NEVER and not state.causes & causes.NETWORK_SAYS_GONE:
        due = min(due, state.offline_us + limits.offline_us)
    if state.test_us != NEVER and not state.faults & causes.TEST_STUCK:
        due = min(due, state.test_us + limits.test_max_us)
    elif state.test_end_us != NEVER:
        due = min(due, state.test_end_us + limits.test_grace_us)
    expires = state.settings.expires_us
    if expires is not None and not state.causes & causes.EXPIRED:
        due = min(due, expires)
    if state.sound_us != NEVER:
        due = min(due, state.sound_us + FAULT_CLEAR_US)
    state.watch_due_us = due


def watch(state: State, now: int, *, heard: bool) -> None:
    """Let time pass for supervision. ``heard``: a reading is here, so the device is not lost."""
    limits = state.limits
    if heard:
        state.causes &= ~(causes.SILENT | causes.NETWORK_SAYS_GONE)
        state.offline_us = NEVER
    else:
        since, allowed = state.heard_us, limits.deadline_us
        if since < 0:
            since, allowed = state.born_us, limits.never_seen_us
        if now >= since + allowed:
            state.causes |= causes.SILENT
        if state.offline_us != NEVER and now >= state.offline_us + limits.offline_us:
            state.causes |= causes.NETWORK_SAYS_GONE
    if state.test_us != NEVER and now >= state.test_us + limits.test_max_us:
        state.faults |= causes.TEST_STUCK
    if state.test_end_us != NEVER and now >= state.test_end_us + limits.test_grace_us:
        state.test_end_us = NEVER
    expires = state.settings.expires_us
    if expires is not None and now >= expires:
        state.causes |= causes.EXPIRED


def hear_flags(state: State, reading: Reading, now: int) -> None:
    """Take over what the device states about itself, and note when tests and mutes begin and end."""
    known = reading.flags_known
    flags = (state.flags & ~known) | (reading.flags & known)
    turned = flags ^ state.flags
    state.flags = flags
    if turned & Flag.TEST:
        if flags & Flag.TEST:
            state.test_us, state.test_end_us = now, NEVER
        else:
            state.test_us, state.test_end_us = NEVER, now
            state.faults &= ~causes.TEST_STUCK
    if turned & Flag.MUTED:
        state.mute_us = now if flags & Flag.MUTED else NEVER
