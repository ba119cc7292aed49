"""Errors of the wire: somebody sent something that is not what the interface says."""

from __future__ import annotations


class WireError(ValueError):
    """A message that breaks the interface. ``reason`` is one of a closed set, fit for a metric."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


#: Every reason a message can be refused for, and what it means. Metrics and docs use these words.
REASONS: dict[str, str] = {
    "not_json": "the payload is not valid JSON or not UTF-8",
    "truncated": "the payload ends before it should",
    "wrong_type": "a field has another type than the interface says",
    "missing_field": "a field the interface requires is absent",
    "not_finite": "a number is NaN or infinite",
    "out_of_range": "a number is outside what is physically possible for its quantity",
    "too_large": "the payload is larger than the stated bound",
    "unknown_topic": "the topic is inside our tree but is no topic of the interface",
    "unknown_version": "the message says a version this program does not know",
    "wrong_port": "a LoRaWAN frame on a port the codec does not speak",
    "empty": "the payload holds nothing where something is required",
    "bad_checksum": "the payload's checksum does not fit its bytes",
    "unknown_device": "the payload names a device type the codec does not know",
    "site_mismatch": "the message says another site than its topic",
    "inconsistent": "parts of the message contradict each other",
}

#: Notes about readings that are used all the same, after a stated repair.
REPAIRS: dict[str, str] = {
    "time_too_old": "the device's time is before 2020; the time of arrival is used",
    "time_in_future": "the device's time is more than a day ahead; the time of arrival is used",
    "time_unset": "the device's clock is not set; the time of arrival is used",
    "duplicate": "the same reading again; kept once",
    "part_dropped": "an unusable part of the message is left out; the rest is used",
}
