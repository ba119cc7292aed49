"""Files of a specification: added and removed while it can be edited, read by all who may look."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act, record
from registry.files import Stored
from registry.sites import Conflict, NoSuch
from registry.specifications.models import Specification, SpecificationAttachment
from registry.specifications.service import attachments_of, check_editable, touched

#: Files of one specification.
MAX_ATTACHMENTS: Final = 30
_NOT_IN_A_NAME: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


def plain_name(name: str) -> str:
    """The name as it may be shown and offered for saving: no path, no control character."""
    return _NOT_IN_A_NAME.sub("_", name).strip(" .")[:200] or "file"


async def attach(
    session: AsyncSession, act: Act, row: Specification, name: str, stored: Stored
) -> SpecificationAttachment:
    """Note a file that is in the store. The same content twice is one file. Raises ``Conflict``."""
    check_editable(row)
    there = await attachments_of(session, row.id)
    twin = next((file for file in there if file.sha256 == stored.sha256), None)
    if twin is not None:
        return twin
    if len(there) >= MAX_ATTACHMENTS:
        raise Conflict("name", f"at most {MAX_ATTACHMENTS} files")
    made = SpecificationAttachment(
        specification_id=row.id, name=plain_name(name), media_type=stored.media_type,
        size_bytes=stored.size_bytes, sha256=stored.sha256, added_by=act.actor.id, added_us=act.now_us,
    )  # fmt: skip
    session.add(made)
    touched(row, act)
    row.version += 1
    await session.flush()
    after = {"name": made.name, "sha256": made.sha256, "size_bytes": made.size_bytes}
    await record(session, act, "specification.attach", "specification", row.id, after=after)
    return made


async def detach(session: AsyncSession, act: Act, row: Specification, attachment_id: str) -> None:
    """Take a file off. Its content stays in the store and its hash in the audit. Raises ``NoSuch``."""
    check_editable(row)
    found = await attachment(session, row, attachment_id)
    before = {"name": found.name, "sha256": found.sha256}
    await session.delete(found)
    touched(row, act)
    row.version += 1
    await session.flush()
    await record(session, act, "specification.detach", "specification", row.id, before=before)


async def attachment(
    session: AsyncSession, row: Specification, attachment_id: str
) -> SpecificationAttachment:
    """One of its files. Raises ``NoSuch``."""
    found = await session.get(SpecificationAttachment, attachment_id)
    if found is None or found.specification_id != row.id:
        raise NoSuch("attachment", attachment_id)
    return found
