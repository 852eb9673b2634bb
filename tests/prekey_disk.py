"""Prekeys of a simulated board: what its card has outside of the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from appliance.model.secret import Secret
from appliance.node.ports.prekeys import DestroyPrekey, KeepPrekey, KeptPrekey, RetirePrekey
from appliance.node.prekeys import Prekeys


class PrekeyDisk:
    """A folder of prekeys that outlives the process."""

    def __init__(self, prekey_id: bytes, secret: bytes, *, created_s: float = 0.0) -> None:
        """It begins with one that is in use."""
        self.kept = {prekey_id: KeptPrekey(prekey_id, Secret(secret), created_s)}

    def ring(self, random_bytes: Callable[[int], bytes]) -> Prekeys:
        """What a start finds."""
        return Prekeys(self.kept.values(), random_bytes)

    def perform(self, operation: Any) -> bool:
        """Carry out what concerns prekeys; returns whether it was such a thing."""
        match operation:
            case KeepPrekey(prekey):
                self.kept[prekey.id] = prekey
            case RetirePrekey(prekey_id, retired_s):
                self.kept[prekey_id] = replace(self.kept[prekey_id], retired_s=retired_s)
            case DestroyPrekey(prekey_id):
                self.kept.pop(prekey_id, None)
            case _:
                return False
        return True
