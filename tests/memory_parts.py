"""What a backend has besides messages and calls, in memory."""

from __future__ import annotations

from memory_attachments import WithAttachments
from memory_conferences import WithConferences
from memory_groups import WithGroups
from memory_history import WithHistory
from memory_mesh import WithMesh
from memory_recordings import WithRecordings
from memory_records import WithRecords
from memory_talking import WithTalk


class WithParts(
    WithAttachments,
    WithConferences,
    WithGroups,
    WithHistory,
    WithMesh,
    WithRecordings,
    WithRecords,
    WithTalk,
):
    """A backend that has all of them."""
