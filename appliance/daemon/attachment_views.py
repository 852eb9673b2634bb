"""What clients see of the files that come with a message."""

from __future__ import annotations

from typing import Final

from appliance.api.attachments import Attachment, AttachmentState
from appliance.daemon.attachments import Attachments
from appliance.model.attachment import Attachment as Attached
from appliance.node.ports import StoredMessage

MB: Final = 1_000_000


def shown(
    attachments: Attachments, stored: StoredMessage, *, stranger: bool
) -> tuple[Attachment, ...]:
    """Describe the files of a message; `stranger`: nothing is known of its author."""
    return tuple(
        _shown(attachments, one, index, ours=stored.outgoing, stranger=stranger)
        for index, one in enumerate(stored.attachments)
    )


def _shown(
    attachments: Attachments, one: Attached, index: int, *, ours: bool, stranger: bool
) -> Attachment:
    state, have, problem = _state(attachments, one, ours=ours, stranger=stranger)
    return Attachment(
        index=index,
        name=one.name,
        bytes=one.size,
        media_type=one.media_type,
        preview=one.preview,
        duration_ms=one.duration_ms,
        state=state,
        have_bytes=min(have, one.size),
        problem=problem,
    )


def _state(
    attachments: Attachments, one: Attached, *, ours: bool, stranger: bool
) -> tuple[AttachmentState, int, str | None]:
    root, size, core = one.root, one.blob.size, attachments.core
    if attachments.has(root, size):
        return "here", one.size, None
    wanted = core.progress(root)
    have = 0 if wanted is None else wanted[0]
    if attachments.lacks_room(root):
        return "waiting", have, "There is no room for it; it is tried again."
    if core.fetching(root):
        return "fetching", have, None
    if wanted is not None and attachments.waits_its_turn(root):
        return "waiting", have, "It waits for its turn."
    if wanted is not None:
        return "waiting", have, "Nobody who has it is in reach."
    if attachments.rules.too_large(size):
        most = attachments.limits.each / MB
        return "refused", 0, f"It is larger than the {most:,.0f} MB that are allowed here."
    if ours:
        return "waiting", 0, "It is not on the disk any more; it is looked for."
    if stranger and attachments.rules.waits_for_a_wish(size):
        return "waiting", 0, "It is large and from somebody unknown: get it if you want it."
    return "waiting", 0, "It waits for its turn; get it if you want it now."
