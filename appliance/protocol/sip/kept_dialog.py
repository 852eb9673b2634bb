"""A dialog as plain values, to be written down and taken up again."""

from __future__ import annotations

from sipmessage import URI

from appliance.model.kept_call import KeptDialog
from appliance.protocol.sip.dialog import Dialog


def written(dialog: Dialog) -> KeptDialog:
    """Return what is to be kept of a dialog."""
    return KeptDialog(
        call_id=dialog.call_id,
        local=dialog.local,
        remote=dialog.remote,
        local_tag=dialog.local_tag,
        remote_tag=dialog.remote_tag,
        remote_target=str(dialog.remote_target),
        route_set=tuple(dialog.route_set),
        local_seq=dialog.local_seq,
    )


def taken_up(kept: KeptDialog) -> Dialog:
    """Return the dialog that was kept; whatever number comes next of the other side is right.

    Raises ValueError for what is none.
    """
    return Dialog(
        call_id=kept.call_id,
        local=kept.local,
        remote=kept.remote,
        local_tag=kept.local_tag,
        remote_tag=kept.remote_tag,
        remote_target=URI.parse(kept.remote_target),
        route_set=list(kept.route_set),
        local_seq=kept.local_seq,
        remote_seq=None,
    )
