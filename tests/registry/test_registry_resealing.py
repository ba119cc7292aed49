"""A new key: everything sealed again, however often it is interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select

import gateway.schema  # noqa: F401  # all tables belong to the metadata
from edge.wire.clock import EARLIEST_US, ManualClock
from registry.accounts.factors import PURPOSE
from registry.accounts.models import SecondFactor
from registry.db import Base, Database
from registry.models import Person
from registry.resealing import Resealed, reseal, sealed_columns
from registry.sealed import KEY_ID_BYTES, Keyring, Sealed, add_key, ensure_keyring, load_keyring

COUNT = 25


async def _fill(database: Database, keyring: Keyring) -> None:
    async with database.write() as session:
        for number in range(COUNT):
            person = Person(id=f"p{number:02}", login=f"p{number}", created_us=0, active=True)
            session.add(person)
            await session.flush()
            sealed = keyring.seal(f"secret {number}", PURPOSE)
            await session.execute(
                insert(SecondFactor).values(
                    person_id=person.id, secret=sealed, created_us=0, last_step=0
                )
            )


async def _blobs(database: Database) -> list[Sealed]:
    async with database.read() as session:
        return list(await session.scalars(select(SecondFactor.secret).order_by(SecondFactor.person_id)))


async def test_everything_is_sealed_by_the_new_key_also_after_an_interruption(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    running = ensure_keyring(path)  # a gateway that goes on with the ring it read
    await _fill(database, running)
    old = running.current
    fresh = add_key(path)
    assert fresh.current != old
    assert path.stat().st_mode & 0o777 == 0o600
    opened, calls = Keyring.open, 0

    def breaks(self: Keyring, sealed: Sealed, purpose: str) -> str:
        nonlocal calls
        calls += 1
        if calls > 7:
            raise KeyboardInterrupt
        return opened(self, sealed, purpose)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Keyring, "open", breaks)
        async for _ in reseal(database, fresh, ManualClock(EARLIEST_US), batch=5):
            pass
    ids = {blob.blob[:KEY_ID_BYTES].decode() for blob in await _blobs(database)}
    assert ids == {old, fresh.current}
    again = load_keyring(path)
    accounts = [each async for each in reseal(database, again, ManualClock(EARLIEST_US), batch=5)]
    assert Resealed("second_factor.secret", COUNT - 5, 0) in accounts
    blobs = await _blobs(database)
    assert {blob.blob[:KEY_ID_BYTES].decode() for blob in blobs} == {fresh.current}
    assert [running.open(blob, PURPOSE) for blob in blobs] == [f"secret {n}" for n in range(COUNT)]
    assert running.current == fresh.current  # and it seals by the new one from now on
    assert running.fingerprint("x", "p") == fresh.fingerprint("x", "p")


async def test_a_value_that_does_not_open_is_counted_and_left(database: Database) -> None:
    await _fill(database, Keyring({"lost": b"l" * 32}))
    before = await _blobs(database)
    ring = Keyring({"k002": b"b" * 32, "k001": b"a" * 32})
    accounts = [each async for each in reseal(database, ring, ManualClock(EARLIEST_US), batch=4)]
    assert Resealed("second_factor.secret", 0, COUNT) in accounts
    assert await _blobs(database) == before


def test_every_sealed_column_has_one_key_to_be_walked_by() -> None:
    columns = list(sealed_columns())
    assert len(columns) >= 10
    for table, _ in columns:
        assert len(table.primary_key.columns) == 1, table.name
    assert Base.metadata.tables["second_factor"].c.secret in [column for _, column in columns]
