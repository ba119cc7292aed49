"""CAP 1.2, out against the schema, in against what others have sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from alerts.cap import CapError, message_for, read_cap, write_cap
from alerts.cap.model import VALUES, Alert, Area, Info, Reference, time_text, time_us
from alerts.models import Incident
from alerts.texts import load_catalogues
from edge.wire.clock import US_PER_S
from tests.alerts.city import ADDRESS, NIGHT_US

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).map(
    lambda text: " ".join(text.split()) or "x"
)
NAME = st.from_regex(r"[a-z0-9.@-]{1,20}", fullmatch=True)
SECONDS = st.integers(1_577_836_800, 2_000_000_000).map(lambda seconds: seconds * US_PER_S)


@pytest.fixture(scope="module")
def schema(shared_data: Path) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(shared_data / "cap-fixtures" / "cap12.xsd"))


@pytest.fixture
def sample(shared_data: Path) -> Path:
    return shared_data / "cap-fixtures" / "testdata"


def incident(**fields: object) -> Incident:
    given = {
        "id": "i1", "hazard": "fire", "state": "opened", "raised_us": NIGHT_US, "unit_code": "111624",
        "cause": None,
    }  # fmt: skip
    return Incident(**(given | fields))


def message(about: Incident, *earlier: Reference) -> Alert:
    return message_for(
        about, sender="utaa@example.mn", where=ADDRESS, point=(47.92, 106.8),
        catalogues=load_catalogues(), now_us=NIGHT_US + 60 * US_PER_S, earlier=earlier,
    )  # fmt: skip


@pytest.mark.parametrize("hazard", ["fire", "co"])
def test_an_incident_for_dispatch_is_valid_by_the_schema_in_both_languages(
    schema: xmlschema.XMLSchema, hazard: str
) -> None:
    payload = write_cap(message(incident(hazard=hazard)))
    schema.validate(payload.decode())
    text = payload.decode()
    assert "<sent>2026-01-31T03:13:00+08:00</sent>" in text
    assert "<language>mn-MN</language>" in text
    assert "<language>en-US</language>" in text
    assert ADDRESS in text


def test_update_and_cancel_refer_to_what_was_sent_before(schema: xmlschema.XMLSchema) -> None:
    first = message(incident())
    update = message(incident(state="all_clear"), first.reference)
    assert (first.msg_type, update.msg_type) == ("Alert", "Update")
    assert update.infos[0].urgency == "Past"
    cancel = message(incident(state="resolved", cause="test"), first.reference, update.reference)
    assert cancel.msg_type == "Cancel"
    payload = write_cap(cancel)
    schema.validate(payload.decode())
    assert [r.identifier for r in read_cap(payload).references] == [
        first.identifier, update.identifier,
    ]  # fmt: skip
    assert len({first.identifier, update.identifier, cancel.identifier}) == 3


def test_a_trouble_is_no_matter_for_dispatch() -> None:
    with pytest.raises(CapError, match="not_for_dispatch"):
        message(incident(hazard="trouble"))


@pytest.mark.parametrize("name", ["43b080713727.cap", "canada.cap"])
def test_valid_messages_of_others_are_read(
    sample: Path, name: str, schema: xmlschema.XMLSchema
) -> None:
    alert = read_cap((sample / name).read_bytes())
    assert alert.infos
    again = write_cap(alert)
    schema.validate(again.decode())
    assert read_cap(again) == alert


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("invalid.cap", "missing"),
        ("canada_errors.cap", "missing"),
        ("weather.cap", "other_namespace"),
        ("earthquake.cap", "other_namespace"),
        ("noaa_errors.cap", "other_namespace"),
        ("bushfire_valid.edxlde", "other_namespace"),
        ("xee.cap", "forbidden"),
    ],
)
def test_what_is_no_good_message_is_refused_with_its_reason(
    sample: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("the reader opened a connection")

    monkeypatch.setattr(socket.socket, "connect", nobody)
    with pytest.raises(CapError) as caught:
        read_cap((sample / name).read_bytes())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_xml"),
        (b"<alert", "not_xml"),
        (b"\xff\xfe\x00", "not_xml"),
        (b"x" * (2 << 20), "too_large"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "forbidden"),
    ],
)
def test_what_is_no_xml_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(CapError) as caught:
        read_cap(payload)
    assert caught.value.reason == reason


@given(payload=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(CapError):
        read_cap(payload)


@pytest.mark.parametrize("change", [{"scope": "Restricted"}, {"scope": "Private"},
                                    {"msg_type": "Update"}, {"identifier": "a b"}, {"infos": ()},
                                    {"status": "Perhaps"}])  # fmt: skip
def test_a_message_that_breaks_the_rules_is_not_written(change: dict[str, object]) -> None:
    info = Info(event="e", categories=("Fire",), urgency="Immediate", severity="Extreme",
                certainty="Observed")  # fmt: skip
    given = {"identifier": "i", "sender": "s", "sent_us": 0, "infos": (info,)}
    with pytest.raises(CapError):
        write_cap(Alert(**(given | change)))  # type: ignore[arg-type]


def test_times_carry_an_offset_and_other_times_are_refused() -> None:
    assert time_us("sent", time_text(NIGHT_US)) == NIGHT_US
    for wrong in ("2026-01-31T03:12:00Z", "2026-01-31T03:12:00.5+08:00", "2026-13-31T03:12:00+08:00"):
        with pytest.raises(CapError):
            time_us("sent", wrong)


INFOS = st.builds(
    Info,
    event=TEXT, categories=st.lists(st.sampled_from(VALUES["category"]), min_size=1).map(tuple),
    urgency=st.sampled_from(VALUES["urgency"]), severity=st.sampled_from(VALUES["severity"]),
    certainty=st.sampled_from(VALUES["certainty"]), headline=TEXT, description=TEXT,
    onset_us=st.none() | SECONDS,
    areas=st.lists(st.builds(Area, description=TEXT), max_size=2).map(tuple),
)  # fmt: skip


@given(
    alert=st.builds(
        Alert, identifier=NAME, sender=NAME, sent_us=SECONDS,
        status=st.sampled_from(VALUES["status"]), note=st.just("") | TEXT,
        references=st.lists(st.builds(Reference, NAME, NAME, SECONDS), max_size=3).map(tuple),
        infos=st.lists(INFOS, min_size=1, max_size=2).map(tuple),
    )
)  # fmt: skip
def test_what_is_written_is_valid_and_reads_back_the_same(
    schema: xmlschema.XMLSchema, alert: Alert
) -> None:
    payload = write_cap(alert)
    schema.validate(payload.decode())
    assert read_cap(payload) == alert
