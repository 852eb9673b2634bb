"""Two live boards with one key."""

from __future__ import annotations

from appliance.node.effects import AlarmRaised


def copied_key(where: str) -> AlarmRaised:
    """Return the alarm of a station that has met another with its own key."""
    return AlarmRaised(
        code="copied-key",
        text=f"Another board ({where}) runs with this station's key.",
        fix="Stop one of the two and delete its state directory: it then gets its own key.",
    )
